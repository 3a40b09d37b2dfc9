"""UniRef++ for answering on a CPU: the same function in fewer operations.

Exact changes (up to rounding), in the order of what they save:

* linear layers and convolutions packed once for oneDNN, norms folded, 3x3 convolutions in float32 by Winograd;
* phrases are taken into UniFusion's projections (`fusion_inference.py`): what it costs is nearly nothing then;
* the first stage's share of the mask features is computed once a picture, which then keeps 8 channels of it, not 256;
* feed-forward parts go a few pixels at a time, and so stay in the caches.

So many references are answered together that memory stays bounded whatever the size of the picture; phrases are read
all at once, and so are examples (`fusion_inference.py` tells why).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from referent.encoders.base import ImageEncoder
from referent.encoders.resnet import ResNet
from referent.encoders.resnet_inference import FastFrozenResNet
from referent.encoders.swin import Swin
from referent.layers.packed_copy import packed_copy
from referent.models.base import Batch, Output
from referent.models.inference import InferenceForm
from referent.models.unirefpp.detector_inference import fast_encoder
from referent.models.unirefpp.fusion import UniFusion
from referent.models.unirefpp.fusion_inference import FastFusion
from referent.models.unirefpp.mask_inference import FastMaskFeatures, fast_mask_encoder
from referent.models.unirefpp.model import UniRef
from referent.models.unirefpp.passes import passes

# Pixels of all levels of all references that are answered together: with more, their maps leave the caches, and one
# reference on a large picture (800 x 1333: 22,323) has more than enough to do.
_PIXELS_TOGETHER = 1 << 14


class UniRefInference(InferenceForm, UniRef):
    """A trained `UniRef` in the form described above, which cannot train.

    It holds copies of the model's weights as they are now, but of an image encoder that is neither ResNet nor Swin, and
    of what answering does not need.

    Args:
        model: in evaluation, on the CPU, float32.
        dtype: float32 or bfloat16 for the large products; places, norms and heads stay float32.
        size: side of the pictures for which the algorithms are chosen; other sizes work too.
    """

    def __init__(self, model: UniRef, dtype: torch.dtype = torch.float32, size: int = 416) -> None:
        nn.Module.__init__(self)
        # What is not replaced below stays the model's own.
        self.__dict__.update(model.__dict__ | {"_modules": dict(model._modules)})
        finest, *sides = (max(1, size // stride) for stride in (*model.image_encoder.strides, 64))
        with torch.no_grad():
            self.image_encoder = _image_encoder(model.image_encoder, size, dtype)
            self.inputs = nn.ModuleList(
                packed_copy(part, side, dtype) for part, side in zip(model.inputs, sides, strict=True)
            )
            if "phrase" in self.reference_kinds:
                self.text_encoder = packed_copy(model.text_encoder, 1, dtype)
                self.resizer = packed_copy(model.resizer, 1)
            if "example" in self.reference_kinds:
                self.mask_encoder = fast_mask_encoder(model.mask_encoder, sides[0], dtype)
            if model.config.refers and not model.config.fusion.bfloat16:  # which rounds where the authors' code does
                assert isinstance(model.fusion, UniFusion)
                self.fusion = FastFusion(model.fusion, dtype)  # type: ignore[assignment]
            self.encoder = fast_encoder(model.encoder, dtype)
            self.proposer = packed_copy(model.proposer, 1, dtype)
            self.decoder = packed_copy(model.decoder, 1, dtype)
            self.mask_features = FastMaskFeatures(model.mask_features, finest, dtype)  # type: ignore[assignment]
            self.mask_head = packed_copy(model.mask_head, 1)

    @torch.inference_mode()
    def look_at(self, image: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """See `UniRef.look_at`; what it returns differs from that of the model and belongs to this class's `answer`."""
        return super().look_at(image.contiguous(memory_format=torch.channels_last), sizes)

    def _levels(self, image: Tensor) -> list[Tensor]:
        finest, *levels = super()._levels(image)
        return [self.mask_features.lateral(finest), *levels]

    @torch.inference_mode()
    def study(self, image: Tensor, mask: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """See `UniRef.study`."""
        return super().study(image.contiguous(memory_format=torch.channels_last), mask, sizes)

    @torch.inference_mode()
    def remember(self, sight: tuple[Tensor, ...], image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """See `UniRef.remember`."""
        return super().remember(sight, image, mask)

    @torch.inference_mode()
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """See `UniRef.answer`."""
        pixels = sum(level.shape[-2] * level.shape[-1] for level in sight[1:5])
        together = max(1, _PIXELS_TOGETHER // pixels)
        read = self._phrases(batch.tokens)
        if batch.examples is None:
            outputs = [self._answered(sight, some, phrases) for some, phrases in passes(batch, read, together)]
        else:
            fused = self._fused([batch.per_reference(part) for part in sight[1:-2]], read, self._examples(batch))
            parts = zip(passes(batch, None, together), *(torch.split(level, together) for level in fused), strict=True)
            outputs = [self._drawn(sight, some, levels) for (some, _), *levels in parts]
        presence = [output.presence for output in outputs if output.presence is not None]
        return Output(torch.cat([output.logits for output in outputs]), torch.cat(presence))


def _image_encoder(encoder: ImageEncoder, size: int, dtype: torch.dtype) -> ImageEncoder:
    if isinstance(encoder, ResNet):
        return FastFrozenResNet(encoder, size, dtype)
    return packed_copy(encoder, 1, dtype) if isinstance(encoder, Swin) else encoder.eval()
