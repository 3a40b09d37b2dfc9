"""UniRef++: segment every reference object (Wu et al., 2023). Phrases and examples, one set of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.build import build_image_encoder, build_text_encoder
from referent.encoders.swin import Swin
from referent.models.base import Batch, Examples, Found, Output, SegmentationModel
from referent.models.unirefpp.boxes import corners
from referent.models.unirefpp.config import UniRefConfig
from referent.models.unirefpp.criterion import Answers, dense_loss, losses_of
from referent.models.unirefpp.decoder import Decoded, Decoder
from referent.models.unirefpp.detection import told_apart
from referent.models.unirefpp.encoder import Encoder
from referent.models.unirefpp.extent import Extent, extent_of
from referent.models.unirefpp.fusion import ReferenceBundle, UniFusion
from referent.models.unirefpp.mask_encoder import MaskEncoder
from referent.models.unirefpp.mask_head import STRIDE, MaskFeatures, MaskHead, finely
from referent.models.unirefpp.prior import PriorMask, marked, signature_of
from referent.models.unirefpp.proposals import Proposals, Proposer, rows
from referent.models.unirefpp.references import phrases_read, shared_out, side_by_side
from referent.models.unirefpp.resizer import Resizer
from referent.models.unirefpp.separate_fusion import SeparateFusions

_GROUPS = 32
_MULTIPLE = 32
"""Sides of padded pictures are multiples of it."""


class UniRef(SegmentationModel):
    """Four levels of a picture, into each of which the reference is fused; a detector on them; a mask for its best box.

    Pictures may have any size and need not be padded. `Output.presence` is the score of the chosen query.
    """

    def __init__(self, config: UniRefConfig) -> None:
        super().__init__()
        self.config = config
        width, detector = config.width, config.detector
        self.classes = detector.classes
        self.image_encoder = build_image_encoder(config.image)
        channels = self.image_encoder.channels
        # The norms that detectors put on Swin's maps.
        self.norms = nn.ModuleList(nn.LayerNorm(count) for count in channels if isinstance(self.image_encoder, Swin))
        self.inputs = nn.ModuleList(_input(count, width, 1) for count in channels[1:])
        self.inputs.append(_input(channels[-1], width, 3))
        levels = len(self.inputs)
        kinds = {"phrase": config.text, "example": config.mask_encoder}
        self.reference_kinds = frozenset(kind for kind, part in kinds.items() if part is not None)
        if config.text is not None:
            self.text_encoder = build_text_encoder(config.text)
            self.resizer = Resizer(self.text_encoder.width, width, config.text_dropout)
        if config.mask_encoder is not None:
            self.mask_encoder = MaskEncoder(config.mask_encoder, width)
        if config.refers:
            together = config.fusion.shared == "everywhere"
            self.fusion: UniFusion | SeparateFusions = (
                UniFusion(width, config.fusion) if together else SeparateFusions(width, config.fusion, levels)
            )
        if config.prior:
            self.prior = PriorMask(width)
        self.encoder = Encoder(width, levels, detector)
        self.proposer = Proposer(width, detector)
        self.decoder = Decoder(width, levels, detector)
        self.mask_features = MaskFeatures(width, channels[0])
        self.mask_head = MaskHead(width, config.distance_unit)
        if config.dense:
            self.dense = nn.Linear(width, 1)
        if config.pooler:
            self.pooler = nn.Linear(self.text_encoder.width, self.text_encoder.width).requires_grad_(False)

    def look_at(self, image: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """Image encoder and input projections, which no reference enters.

        Args:
            image: (B, 3, H, W) float, normalised; any size.
            sizes: as in `Batch`.

        Returns:
            The finest map (B, channels, h, w) at stride 4, the four projected levels (B, C, ., .) at strides 8 to 64,
            with `config.prior` the signature (B, E, ., .) at stride 16, the sizes, and an empty tensor (B, 0, H, W)
            that knows the size of the answer.
        """
        if sizes is None:
            sizes = torch.tensor(image.shape[-2:], device=image.device).expand(len(image), -1)
        return *self._levels(_padded(image)), sizes, image[:, :0]

    def _levels(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W multiples of 32 -> the map at stride 4, four projected levels, and any signature."""
        maps = self.image_encoder(image)
        if len(self.norms):
            maps = [norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, x in zip(self.norms, maps, strict=True)]
        finest, *coarser = maps
        levels = [project(x) for project, x in zip(self.inputs, (*coarser, coarser[-1]), strict=True)]
        return [finest, *levels, *([signature_of(maps)] if self.config.prior else [])]

    def study(self, image: Tensor, mask: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """Image encoder and mask encoder on examples.

        Returns:
            For each of the four levels, and for the prior mask where there is one, the four tensors of a
            `ReferenceBundle`, one after the other.
        """
        if sizes is None:
            sizes = torch.tensor(image.shape[-2:], device=image.device).expand(len(image), -1)
        image = _padded(image)
        return self._studied(image, _padded(mask), self._levels(image)[1:], sizes)

    def remember(self, sight: tuple[Tensor, ...], image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """The mask encoder alone; the image encoder's maps are those of `sight`."""
        _, *seen, sizes, _ = sight
        rows = len(mask)
        seen = [part.expand(rows, -1, -1, -1) for part in seen]
        return self._studied(_padded(image).expand(rows, -1, -1, -1), _padded(mask), seen, sizes.expand(rows, -1))

    def _studied(self, image: Tensor, mask: Tensor, seen: list[Tensor], sizes: Tensor) -> tuple[Tensor, ...]:
        """Padded pictures and masks, the pictures' projected levels with any signature, and sizes -> as `study`."""
        levels, signatures = self._parted(seen)
        values = self.mask_encoder(image, mask, levels)
        extent = extent_of(sizes, image.shape[-2], image.shape[-1], _shapes(levels))
        studied: list[Tensor] = []
        for level, value, inside in zip(levels, values, extent.masks, strict=True):
            studied += ReferenceBundle.of_example(level, value, inside)
        for signature in signatures:
            studied += marked(signature, mask, extent.masks[1])
        return tuple(studied)

    def _parted(self, seen: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The four levels, and the signature where there is one."""
        return seen[: len(self.inputs)], seen[len(self.inputs) :]

    def forward(self, batch: Batch) -> Output:
        """`answer(look_at(batch.image, batch.sizes), batch)`."""
        return self.answer(self.look_at(batch.image, batch.sizes), batch)

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """Mask logits of N references, (N, 1, H, W) at the picture's size: those of the query with the highest score.

        In training with `taps` for the losses.
        """
        return self._answered(sight, batch, self._phrases(batch.tokens))

    def _answered(self, sight: tuple[Tensor, ...], batch: Batch, phrases: ReferenceBundle | None) -> Output:
        """`answer`, its phrases read."""
        _, *seen, _, _ = sight
        levels = self._fused([batch.per_reference(part) for part in seen], phrases, self._examples(batch))
        return self._drawn(sight, batch, levels)

    def _drawn(self, sight: tuple[Tensor, ...], batch: Batch, levels: list[Tensor]) -> Output:
        """`answer`, its references fused into the levels (N, C, ., .)."""
        finest, *_, sizes, canvas = sight
        sizes, finest = batch.per_reference(sizes), batch.per_reference(finest)
        height, width = finest.shape[-2] * STRIDE, finest.shape[-1] * STRIDE
        extent = extent_of(sizes, height, width, _shapes(levels))
        memory = self.encoder(levels, extent)
        proposals = self.proposer(memory, extent)
        decoded = self.decoder(proposals, memory, extent)
        features = self.mask_features(_maps(memory, extent)[:3], finest)
        scores = self.decoder.score[-1](decoded.states[-1]).amax(-1)
        chosen = scores.argmax(1, keepdim=True)
        # Distances count from the box before the last layer, as in the official code.
        centres = rows(decoded.references[-2], chosen)[..., :2] * sizes.flip(1)[:, None]
        masks = self.mask_head(rows(decoded.states[-1], chosen), centres, features)
        logits = (
            finely(masks[:, 0], STRIDE)[:, None]
            if batch.full_resolution
            else F.interpolate(masks, (height, width), mode="bilinear", align_corners=False)
        )
        logits = logits[..., : canvas.shape[-2], : canvas.shape[-1]]
        taps = {}
        if self.training:
            taps = self._answers(proposals, decoded, features, sizes)._asdict() | {"sizes": sizes}
            if self.config.dense:
                taps["dense"] = self.dense(_maps(memory, extent)[0].permute(0, 2, 3, 1))[..., 0]
        return Output(logits, scores.gather(1, chosen)[:, 0], taps)

    def detect(self, image: Tensor, sizes: Tensor | None = None) -> list[Found]:
        """All that is in each of B pictures, without any reference, as the official code evaluates detection."""
        finest, *seen, sizes, _ = self.look_at(image, sizes)
        levels, _ = self._parted(seen)
        extent = extent_of(sizes, finest.shape[-2] * STRIDE, finest.shape[-1] * STRIDE, _shapes(levels))
        memory = self.encoder(levels, extent)
        decoded = self.decoder(self.proposer(memory, extent), memory, extent)
        scores = self.decoder.score[-1](decoded.states[-1]).sigmoid()
        boxes = corners(decoded.references[-1]) * sizes.flip(1).repeat(1, 2)[:, None]
        return [told_apart(own_boxes, own_scores) for own_boxes, own_scores in zip(boxes, scores, strict=True)]

    def _answers(self, proposals: Proposals, decoded: Decoded, features: Tensor, sizes: Tensor) -> Answers:
        return Answers(
            scores=self.decoder.scores(decoded),
            boxes=self.decoder.boxes(decoded),
            states=decoded.states,
            centres=decoded.references[:-1, ..., :2] * sizes.flip(1)[:, None],
            features=features,
            proposal_scores=proposals.scores,
            proposal_boxes=self.proposer.boxes_of_all(proposals),
        )

    def for_inference(self, dtype: torch.dtype = torch.float32, size: int = 416) -> SegmentationModel:
        """See `SegmentationModel.for_inference` and `inference.py`."""
        from referent.models.unirefpp.inference import UniRefInference  # which needs this module

        if self.config.fusion.shared != "everywhere":
            return self
        return UniRefInference(self, dtype, size)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """`class`, `l1` and `giou` of boxes; `mask`, `mask_bce`, `dice`, `hard_pixels` and `soft_iou` of masks;
        `projection` and `pairwise` in their place (and those 0) where the batch has boxes without masks. With
        `config.dense` also `dense` (not summed: there are no layers), 0 in detection.

        Each is summed over the decoder's layers, those of boxes over the proposals too. In training mode only.

        Raises:
            ValueError: the batch has neither target nor boxes, or the output is not of training mode.
        """
        if (batch.target is None and batch.boxes is None) or not output.taps:
            raise ValueError("losses need batch.target or batch.boxes, and an output of the model in training mode")
        answers = Answers(**{name: output.taps[name] for name in Answers._fields})
        losses = losses_of(batch, answers, output.taps["sizes"], self.mask_head, self.config)
        if self.config.dense:
            seen = output.taps["dense"]
            losses["dense"] = seen.sum() * 0 if batch.target is None else dense_loss(seen, batch.target)
        return losses

    def _fused(
        self, seen: list[Tensor], phrases: ReferenceBundle | None, examples: list[ReferenceBundle] | None
    ) -> list[Tensor]:
        """The levels (N, C, ., .) with phrases and examples in them; of these a bundle for each of what is `seen`."""
        levels, signatures = self._parted(seen)
        fused = []
        for number, level in enumerate(levels):
            references = {"phrase": phrases} if phrases is not None else {}
            if examples is not None:
                references["example"] = examples[number]
            if references and isinstance(self.fusion, SeparateFusions):
                level = self.fusion(level, number, references)
            elif references:
                level = self.fusion(level, *references.values())
            fused.append(level)
        if examples is not None:
            for signature, reference in zip(signatures, examples[len(levels) :], strict=True):
                fused = self.prior(signature, reference, fused)
        return fused

    def _phrases(self, tokens: Tensor) -> ReferenceBundle | None:
        """The same for all levels; None where there is no phrase at all."""
        if "phrase" not in self.reference_kinds:
            return None
        return phrases_read(tokens, self.text_encoder, self.resizer)

    def _examples(self, batch: Batch) -> list[ReferenceBundle] | None:
        """A bundle for each level, and one for the prior mask; None where there is no example at all."""
        examples = batch.examples
        if examples is None:
            return None
        starts = range(0, 4 * (len(self.inputs) + self.config.prior), 4)
        count = len(batch.picture)
        if isinstance(examples, Examples):
            features = self.study(examples.image, examples.mask, examples.sizes)
            return [shared_out(_bundle(features, start), examples.reference, count) for start in starts]
        return [
            side_by_side([_bundle(features, start) for features in examples.features], examples.reference, count)
            for start in starts
        ]


def _bundle(features: tuple[Tensor, ...], start: int) -> ReferenceBundle:
    return ReferenceBundle(*features[start : start + 4])


def _input(inside: int, width: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inside, width, kernel, stride=1 if kernel == 1 else 2, padding=kernel // 2)
    nn.init.xavier_uniform_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, nn.GroupNorm(min(_GROUPS, width), width))


def _padded(image: Tensor) -> Tensor:
    return F.pad(image, (0, -image.shape[-1] % _MULTIPLE, 0, -image.shape[-2] % _MULTIPLE))


def _shapes(levels: list[Tensor]) -> list[tuple[int, int]]:
    return [(level.shape[-2], level.shape[-1]) for level in levels]


def _maps(pixels: Tensor, extent: Extent) -> list[Tensor]:
    """(N, S, C) -> (N, C, h, w) for each level."""
    levels = torch.split(pixels, [height * width for height, width in extent.shapes], dim=1)
    return [
        level.transpose(1, 2).reshape(len(level), -1, height, width)
        for level, (height, width) in zip(levels, extent.shapes, strict=True)
    ]
