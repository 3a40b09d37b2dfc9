"""Isolated proposals through the image encoders of one or several CLIPs, once a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from referent.grounding.feature_cache import Box, FeatureCache, Key, digest_of
from referent.grounding.isolation import BLUR_SIGMA, Isolation, Kind
from referent.models.reclip.geometry import Boxes

# Isolated proposals encoded together; twice as many are held, as the next ones are made meanwhile. At CLIP's largest
# input (448 pixels) 32 take 77 MB.
CHUNK = 32
WORKERS = 2
ORDER: tuple[Kind, ...] = ("crop", "blur", "shade")


class ImageTextModel(Protocol):
    """What proposals are scored with: CLIP, or anything with two encoders into one space; see `CLIPPair`.

    Attributes:
        name: printed in results.
        size: side of its square input in pixels.
        context: tokens a text, both markers included.
        mean, std: of the RGB channels in [0, 1].
        scale: what a cosine is multiplied by to make a logit.
    """

    name: str
    size: int
    context: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def scale(self) -> Tensor:
        """What a cosine is multiplied by to make a logit."""

    def encode_images(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) normalised pictures -> (B, E) of length 1."""

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """(N, L) ids -> (N, E) of length 1."""

    def digest(self) -> str:
        """Of the image encoder's weights."""


class ProposalEncoder:
    """The image side of isolated proposal scoring.

    Every isolated proposal is resized to a square without keeping its shape, as in the official code.

    Args:
        models: on their device already.
        kinds: of isolation, in any order.
        sigma: of the blur.
        device: of the models.
        dtype: precision in which they run.
        cache: on disk; None for none.
        chunk: proposals encoded together.
    """

    def __init__(
        self,
        models: Sequence[ImageTextModel],
        kinds: Sequence[Kind],
        *,
        sigma: int = BLUR_SIGMA,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        cache: FeatureCache | None = None,
        chunk: int = CHUNK,
    ) -> None:
        self.models = models
        self.kinds: tuple[Kind, ...] = tuple(kind for kind in ORDER if kind in kinds)
        self.sigma, self.chunk = sigma, chunk
        self.device, self.dtype = torch.device(device), dtype
        self._cache = cache
        self._digests = [model.digest() for model in models] if cache else []

    def encode(self, picture: Image.Image, boxes: Boxes) -> list[Tensor]:
        """All proposals of a picture, isolated in every way.

        Args:
            picture: RGB.
            boxes: (n, 4) x, y, width, height; each touches the picture.

        Returns:
            One (kinds, n, E) float32 of length 1 a model, on its device.
        """
        keys = self._keys(picture) if self._cache else []
        known: list[dict[tuple[Kind, Box], Tensor]] = [{} for _ in self.models]
        for model, kind, key in keys:
            assert self._cache is not None
            known[model] |= {(kind, box): row.to(self.device) for box, row in self._cache.read(key).items()}
        places: list[Box] = [(x, y, w, h) for x, y, w, h in boxes.tolist()]
        jobs = [
            (kind, index)
            for kind in self.kinds
            for index, box in enumerate(places)
            if any((kind, box) not in rows for rows in known)
        ]
        for chunk, features in self._encoded(Isolation(picture, boxes, self.sigma), jobs):
            for rows, made in zip(known, features, strict=True):
                rows.update({(kind, places[index]): row for (kind, index), row in zip(chunk, made, strict=True)})
        if jobs:
            for model, kind, key in keys:
                assert self._cache is not None
                self._cache.write(key, {box: row for (own, box), row in known[model].items() if own == kind})
        return [
            torch.stack([torch.stack([rows[kind, box] for box in places]) for kind in self.kinds]) for rows in known
        ]

    def _encoded(
        self, isolation: Isolation, jobs: Sequence[tuple[Kind, int]]
    ) -> Iterator[tuple[Sequence[tuple[Kind, int]], list[Tensor]]]:
        """(jobs, one (jobs, E) a model) chunk by chunk; the next chunk is made while one is encoded."""
        for kind in {kind for kind, _ in jobs}:
            isolation.prepare(kind)
        sizes = sorted({model.size for model in self.models})
        with ThreadPoolExecutor(WORKERS) as pool:

            def start(at: int) -> list[Future[dict[int, NDArray[np.uint8]]]]:
                return [pool.submit(_squares, isolation, *job, sizes) for job in jobs[at : at + self.chunk]]

            pending = start(0)
            for at in range(0, len(jobs), self.chunk):
                squares = [future.result() for future in pending]
                pending = start(at + self.chunk)
                yield jobs[at : at + self.chunk], [self._features(model, squares) for model in self.models]

    def _features(self, model: ImageTextModel, squares: Sequence[dict[int, NDArray[np.uint8]]]) -> Tensor:
        pixels = torch.from_numpy(np.stack([each[model.size] for each in squares])).to(self.device)
        mean, std = (torch.tensor(values, device=self.device)[:, None, None] for values in (model.mean, model.std))
        images = (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype, self.dtype != torch.float32):
            return model.encode_images(images).float()

    def _keys(self, picture: Image.Image) -> list[tuple[int, Kind, Key]]:
        digest, dtype = digest_of(picture), str(self.dtype).removeprefix("torch.")
        return [
            (number, kind, Key(digest, weights, model.size, dtype, kind, self.sigma if kind == "blur" else None))
            for number, (model, weights) in enumerate(zip(self.models, self._digests, strict=True))
            for kind in self.kinds
        ]


def _squares(isolation: Isolation, kind: Kind, index: int, sizes: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """One isolated proposal at every size, (size, size, 3)."""
    isolated = isolation(index, kind)
    return {size: np.asarray(isolated.resize((size, size), Image.Resampling.BICUBIC)) for size in sizes}
