"""UniFusion inside SAM for answering on a CPU: the same function, with memory bounded whatever is asked.

Phrases are taken into UniFusion's projections (`fusion_inference.py`), and a few references are answered together. SAM
itself stays as it is, and is not copied: with ViT-H it is five sixths of the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from referent.layers.packed_copy import packed_copy
from referent.models.base import Batch, Output
from referent.models.inference import InferenceForm
from referent.models.unirefpp.fusion_inference import FastFusion
from referent.models.unirefpp.mask_inference import fast_mask_encoder
from referent.models.unirefpp.passes import passes
from referent.models.unirefpp.sam.model import UniRefSam

# References answered together: with ViT-H an example's keys and values take 64 MiB inside UniFusion.
_TOGETHER = 4


class UniRefSamInference(InferenceForm, UniRefSam):
    """A trained `UniRefSam` in the form described above, which cannot train.

    It shares SAM with the model that it was made of, and holds copies of the other weights as they are now.

    Args:
        model: in evaluation, on the CPU, float32.
        dtype: float32 or bfloat16 for the large products.
    """

    def __init__(self, model: UniRefSam, dtype: torch.dtype = torch.float32) -> None:
        nn.Module.__init__(self)
        # What is not replaced below stays the model's own.
        self.__dict__.update(model.__dict__ | {"_modules": dict(model._modules)})
        self.dtype = dtype
        with torch.no_grad():
            self.text_encoder = packed_copy(model.text_encoder, 1, dtype)
            self.mask_encoder = fast_mask_encoder(model.mask_encoder, model.sam.pixels, dtype)
            if not model.config.fusion.bfloat16:  # which rounds where the authors' code does
                self.fusion = FastFusion(model.fusion, dtype)  # type: ignore[assignment]

    @torch.inference_mode()
    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `UniRefSam.look_at`."""
        with self._precision():
            embedding, canvas = super().look_at(image)
        return embedding.float(), canvas

    @torch.inference_mode()
    def study(self, image: Tensor, mask: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """See `UniRefSam.study`."""
        with self._precision():
            return tuple(
                part if part.dtype == torch.bool else part.float() for part in super().study(image, mask, sizes)
            )

    @torch.inference_mode()
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """See `UniRefSam.answer`."""
        given = passes(batch, self._phrases(batch.tokens), _TOGETHER)
        return Output(torch.cat([self._answered(sight, some, phrases).logits for some, phrases in given]))

    def _precision(self) -> torch.autocast:
        return torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32)
