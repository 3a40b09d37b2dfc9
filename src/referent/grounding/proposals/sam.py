"""SAM (Kirillov et al. 2023) through `transformers`: masks of everything in a picture, or of what is in a box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from referent.encoders.library import transformers_library
from referent.errors import WeightsError
from referent.grounding.proposals.base import Candidate, Proposals
from referent.grounding.proposals.detector import unloadable
from referent.layers.suppression import non_maximum_suppression
from referent.models.reclip.geometry import Boxes, iou
from referent.rle import encode
from referent.segmentation import box_of

if TYPE_CHECKING:
    from PIL import Image

    from referent.reference import PictureSource

# SAM's own automatic mask generator: points a side, and what a mask must reach to be kept.
POINTS_A_SIDE = 32
POINTS_AT_ONCE = 64
MIN_QUALITY = 0.88
MIN_STABILITY = 0.95
STABILITY_OFFSET = 1.0
MOST_OVERLAP = 0.7


class Sam:
    """A SAM. Needs the extra `referent[detect]`.

    Args:
        name: hub id or local folder.
        device: where to run.

    Raises:
        WeightsError: transformers is not installed, or cannot load it as a SAM.
    """

    def __init__(self, name: str | Path, device: torch.device | str = "cpu") -> None:
        self.name, self.device = str(name), torch.device(device)
        transformers = transformers_library(self.name)
        try:
            config = transformers.AutoConfig.from_pretrained(name)
            if config.model_type != "sam":
                raise WeightsError(f"{name}: expected a SAM, found {config.model_type}")
            self._model: Any = transformers.SamModel.from_pretrained(name).eval().to(self.device)
            self._processor: Any = transformers.SamProcessor.from_pretrained(name)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise unloadable(self.name, "a SAM", error) from error
        self._last: tuple[Image.Image, Tensor] | None = None

    def mask_in(self, picture: Image.Image, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
        """(H, W): the thing in a box (x, y, width, height)."""
        x, y, width, height = box
        prompt = {"input_boxes": [[[x, y, x + width, y + height]]]}
        with torch.inference_mode():
            logits, _ = self._masks(picture, prompt, multimask_output=False)
            return (self._full_size(logits[0, 0], picture) > 0).cpu().numpy()

    def masks_at(self, picture: Image.Image, points: NDArray[np.float64]) -> Iterator[tuple[Tensor, float]]:
        """For every point (x, y) of (n, 2) its masks: low-resolution logits, and SAM's own estimate of their IoU."""
        with torch.inference_mode():
            for start in range(0, len(points), POINTS_AT_ONCE):
                prompt = {"input_points": [[[point] for point in points[start : start + POINTS_AT_ONCE].tolist()]]}
                logits, quality = self._masks(picture, prompt, multimask_output=True)
                yield from zip(logits.flatten(0, 1), quality.flatten().tolist(), strict=True)

    def full_size(self, logits: Tensor, picture: Image.Image) -> NDArray[np.bool_]:
        """Low-resolution logits (h, w) as a mask (H, W)."""
        with torch.inference_mode():
            return (self._full_size(logits, picture) > 0).cpu().numpy()

    def _masks(self, picture: Image.Image, prompt: dict[str, Any], multimask_output: bool) -> tuple[Tensor, Tensor]:
        """(prompts, masks, h, w) logits and (prompts, masks) qualities."""
        inputs = self._processor(images=picture, return_tensors="pt", **prompt).to(self.device)
        prompts = {name: inputs[name].float() for name in prompt}
        outputs = self._model(image_embeddings=self._embedded(picture), multimask_output=multimask_output, **prompts)
        return outputs.pred_masks[0].float(), outputs.iou_scores[0].float()

    def _embedded(self, picture: Image.Image) -> Tensor:
        """The picture as SAM sees it; kept until the next one, as one picture has many prompts."""
        if self._last is None or self._last[0] is not picture:
            inputs = self._processor(images=picture, return_tensors="pt").to(self.device)
            self._last = picture, self._model.get_image_embeddings(inputs["pixel_values"])
        return self._last[1]

    def _full_size(self, logits: Tensor, picture: Image.Image) -> Tensor:
        """Logits over the padded square, at the picture's size."""
        side = self._model.config.vision_config.image_size
        square = F.interpolate(logits[None, None], (side, side), mode="bilinear", align_corners=False)
        scale = side / max(picture.size)
        height, width = round(picture.height * scale), round(picture.width * scale)
        size = (picture.height, picture.width)
        return F.interpolate(square[..., :height, :width], size, mode="bilinear", align_corners=False)[0, 0]


class SamProposals:
    """Everything that SAM finds from a grid of points, as its own automatic generator does without crops.

    Args:
        sam: the model.
        points_a_side: of the grid.
        min_quality: least IoU that SAM itself expects of a mask.
        min_stability: least IoU of the masks at two thresholds.
    """

    def __init__(
        self,
        sam: Sam,
        points_a_side: int = POINTS_A_SIDE,
        min_quality: float = MIN_QUALITY,
        min_stability: float = MIN_STABILITY,
    ) -> None:
        self.sam, self.name = sam, f"masks of {sam.name}"
        self.points_a_side, self.min_quality, self.min_stability = points_a_side, min_quality, min_stability

    def propose(self, picture: Image.Image, source: PictureSource) -> Proposals:
        """See `ProposalSource.propose`."""
        places = (np.arange(self.points_a_side) + 0.5) / self.points_a_side
        grid = np.stack(np.meshgrid(places * picture.width, places * picture.height), axis=-1).reshape(-1, 2)
        found: list[tuple[float, Candidate]] = []
        for logits, quality in self.sam.masks_at(picture, grid):
            if quality >= self.min_quality and _stability(logits) >= self.min_stability:
                mask = self.sam.full_size(logits, picture)
                if (corners := box_of(mask)) is not None:
                    x0, y0, x1, y1 = corners
                    found.append((quality, Candidate((x0, y0, x1 - x0, y1 - y0), encode(mask))))
        found.sort(key=lambda each: -each[0])
        boxes = np.array([candidate.box for _, candidate in found], dtype=np.float64).reshape(-1, 4)
        return Proposals.of([found[index][1] for index in distinct(boxes)], (picture.height, picture.width))


def distinct(boxes: Boxes, most_overlap: float = MOST_OVERLAP) -> list[int]:
    """Of boxes (n, 4), best first, those that overlap no better one by more than that IoU."""
    return non_maximum_suppression(len(boxes), (iou(boxes, boxes) > most_overlap).__getitem__)


def _stability(logits: Tensor) -> float:
    inside = (logits > STABILITY_OFFSET).sum().item()
    around = (logits > -STABILITY_OFFSET).sum().item()
    return inside / around if around else 0.0
