"""UniFusion inside SAM (UniRef++ section 3.5): a frozen SAM asked with phrases and examples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.build import build_text_encoder
from referent.models.base import Batch, Examples, Output, SegmentationModel
from referent.models.unirefpp.extent import extent_of
from referent.models.unirefpp.fusion import ReferenceBundle, UniFusion
from referent.models.unirefpp.references import phrases_read, shared_out, side_by_side
from referent.models.unirefpp.resizer import Resizer
from referent.models.unirefpp.sam.anything import Sam
from referent.models.unirefpp.sam.config import UniRefSamConfig
from referent.models.unirefpp.sam.losses import mask_losses
from referent.models.unirefpp.sam.mask_encoder import CoarseMaskEncoder


class UniRefSam(SegmentationModel):
    """SAM's embedding of a picture, into which the reference is fused; a mask by SAM's decoder, asked with it too.

    Pictures may have any size up to `config.sam.side`. There is no `Output.presence`: the authors' code reads a score
    off the decoder's guess of the mask's IoU, which nothing in their training or ours teaches.
    """

    reference_kinds = frozenset({"phrase", "example"})

    def __init__(self, config: UniRefSamConfig) -> None:
        super().__init__()
        self.config = config
        width = config.sam.width
        self.sam = Sam(config.sam)
        self.text_encoder = build_text_encoder(config.text)
        self.resizer = Resizer(self.text_encoder.width, width, config.text_dropout)
        self.mask_encoder = CoarseMaskEncoder(config.mask_encoder, width)
        self.fusion = UniFusion(width, config.fusion)
        if config.pooler:
            self.pooler = nn.Linear(self.text_encoder.width, self.text_encoder.width).requires_grad_(False)

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """SAM's image encoder.

        Args:
            image: (B, 3, H, W) float, normalised; H and W at most `config.sam.side`.

        Returns:
            The embedding (B, C, s, s), and an empty tensor (B, 0, H, W) that knows the size of the answer.
        """
        return self.sam.embed(self._squared(image)), image[:, :0]

    def study(self, image: Tensor, mask: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """Image encoder and mask encoder on examples.

        Returns:
            The four tensors of a `ReferenceBundle`.
        """
        if sizes is None:
            sizes = torch.tensor(image.shape[-2:], device=image.device).expand(len(image), -1)
        image, mask = self._squared(image), self._squared(mask)
        embedding = self.sam.embed(image)
        values = self.mask_encoder(image, mask, embedding)
        # In pixels of the embedding. The authors' code compares these with pixels of the picture, and so reads padding.
        inside = extent_of(sizes, self.sam.side, self.sam.side, [(self.sam.pixels, self.sam.pixels)]).masks[0]
        return tuple(ReferenceBundle.of_example(embedding, values, inside))

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """Mask logits of N references, (N, 1, H, W) at the picture's size."""
        return self._answered(sight, batch, self._phrases(batch.tokens))

    def _answered(self, sight: tuple[Tensor, ...], batch: Batch, phrases: ReferenceBundle | None) -> Output:
        """`answer`, its phrases read."""
        embedding, canvas = sight
        pixels = batch.per_reference(embedding)
        given = [reference for reference in (phrases, self._examples(batch)) if reference is not None]
        logits = self.sam.masks(self.fusion(pixels, *given), _prompt(given, pixels))
        logits = F.interpolate(logits, (self.sam.side, self.sam.side), mode="bilinear", align_corners=False)
        return Output(logits[..., : canvas.shape[-2], : canvas.shape[-1]])

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """`mask_bce` and `dice`.

        Raises:
            ValueError: the batch has no target.
        """
        return mask_losses(output.logits, batch.target)

    def for_inference(self, dtype: torch.dtype = torch.float32, size: int = 416) -> SegmentationModel:
        """See `SegmentationModel.for_inference` and `inference.py`; `size` is not needed: SAM has one."""
        from referent.models.unirefpp.sam.inference import UniRefSamInference  # which needs this module

        return UniRefSamInference(self, dtype)

    def _phrases(self, tokens: Tensor) -> ReferenceBundle | None:
        return phrases_read(tokens, self.text_encoder, self.resizer)

    def _examples(self, batch: Batch) -> ReferenceBundle | None:
        examples = batch.examples
        if examples is None:
            return None
        if isinstance(examples, Examples):
            features = self.study(examples.image, examples.mask, examples.sizes)
            return shared_out(ReferenceBundle(*features), examples.reference, len(batch.picture))
        studied = [ReferenceBundle(*features) for features in examples.features]
        return side_by_side(studied, examples.reference, len(batch.picture))

    def _squared(self, image: Tensor) -> Tensor:
        """With zeros to the right and below; what is larger than the square is left to the encoder to refuse."""
        below, beside = (max(0, self.sam.side - length) for length in image.shape[-2:])
        return F.pad(image, (0, beside, 0, below))


def _prompt(given: list[ReferenceBundle], like: Tensor) -> Tensor:
    """(N, C): a row's first reference as a whole, its phrase before its examples; zero where there is none."""
    prompt = like.new_zeros(like.shape[:2])
    for reference in reversed(given):
        prompt = torch.where(reference.keep.any(1, keepdim=True), reference.pooled, prompt)
    return prompt
