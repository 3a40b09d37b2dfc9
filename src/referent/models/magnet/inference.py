"""MagNet for answering on a CPU: the same function in fewer operations.

Exact changes (up to rounding), in the order of what they save:

* linear layers packed once for oneDNN; feed-forward parts go a few pixels at a time, and so stay in the caches;
* Swin's padding is not projected (`encoders/swin_inference.py`);
* the one query of the mask decoder is taken into its key and value projections, so that no pixel is projected.

Padding is cut off, and masks on the way are drawn at the size at which they are read, in the model itself too.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from referent.encoders.base import ImageEncoder
from referent.encoders.swin import Swin
from referent.encoders.swin_inference import FastSwin
from referent.layers.attention import Attention
from referent.layers.deformable_inference import FastDeformableLayer
from referent.layers.packed_copy import packed_copy
from referent.models.base import Batch, Output
from referent.models.inference import InferenceForm
from referent.models.magnet.alignment import Alignment, PaperAlignment
from referent.models.magnet.mask_decoder import MaskDecoder, MaskDecoderLayer
from referent.models.magnet.model import MagNet
from referent.models.magnet.pixel_decoder import PixelDecoder, PixelDecoderLayer


class MagNetInference(InferenceForm, MagNet):
    """A trained `MagNet` in the form described above, which cannot train.

    It holds most weights in another layout, and shares the others with the model: small ones, those of an image encoder
    that is not Swin, and the heads for presence and for hidden words.

    Args:
        model: in evaluation, on the CPU, float32.
        dtype: float32 or bfloat16 for the large products; norms, residuals, places and the mask decoder stay float32.
        size: side of the pictures for which the algorithms are chosen; other sizes work too.
    """

    def __init__(self, model: MagNet, dtype: torch.dtype = torch.float32, size: int = 480) -> None:
        nn.Module.__init__(self)
        # What is not replaced below stays the model's own.
        self.__dict__.update(model.__dict__ | {"_modules": dict(model._modules)})
        with torch.no_grad():
            self.image_encoder = _image_encoder(model.image_encoder, dtype)
            self.text_encoder = packed_copy(model.text_encoder, 1, dtype)
            self.alignments = nn.ModuleList(
                _alignment(alignment, dtype) for alignment in model.alignments if isinstance(alignment, Alignment)
            )
            sides = [max(1, size // stride) for stride in model.image_encoder.strides]
            self.pixel_decoder = _pixel_decoder(model.pixel_decoder, sides[::-1], dtype)
            self.mask_decoder = _mask_decoder(model.mask_decoder)

    @torch.inference_mode()
    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `MagNet.look_at`."""
        return super().look_at(image.contiguous(memory_format=torch.channels_last))

    @torch.inference_mode()
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """See `MagNet.answer`."""
        return super().answer(sight, batch)


def _image_encoder(encoder: ImageEncoder, dtype: torch.dtype) -> ImageEncoder:
    return FastSwin(encoder, dtype) if isinstance(encoder, Swin) else encoder


def _alignment(alignment: Alignment, dtype: torch.dtype) -> Alignment:
    twin = packed_copy(alignment, 1, dtype)
    if isinstance(alignment, PaperAlignment):
        twin.to_pixels = copy.deepcopy(alignment.to_pixels)  # whose first weights it takes apart
    return twin


def _pixel_decoder(decoder: PixelDecoder, sides: list[int], dtype: torch.dtype) -> PixelDecoder:
    """`sides` are those of the maps, coarse to fine."""
    twin = PixelDecoder.__new__(PixelDecoder)
    nn.Module.__init__(twin)
    twin.width, twin.levels = decoder.width, decoder.levels
    twin.inputs = nn.ModuleList(
        packed_copy(layer, side, dtype)
        for layer, side in zip(decoder.inputs, sides[: len(decoder.inputs)], strict=True)
    )
    twin.layers = nn.ModuleList(
        FastDeformableLayer(layer.attention, layer.norm1, layer.norm2, layer.expand, layer.contract, dtype)
        for layer in decoder.layers
        if isinstance(layer, PixelDecoderLayer)
    )
    twin.norms, twin.pyramid = copy.deepcopy(decoder.norms), copy.deepcopy(decoder.pyramid)
    twin.out = packed_copy(decoder.out, 1, dtype)
    return twin.eval()


class _OneQuery(nn.Module):
    """`Attention` of one query, whose key and value projections it takes over: no key is projected.

    The bias of the keys adds the same to every score, and softmax does not see it.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads = attention.heads
        self.query, self.out = (copy.deepcopy(part) for part in (attention.query, attention.out))
        shape = (self.heads, -1, attention.key.in_features)
        self.key = attention.key.weight.detach().reshape(shape).clone()
        self.value = attention.value.weight.detach().reshape(shape).clone()
        self.bias = attention.value.bias.detach().clone()

    def forward(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor) -> Tensor:
        """(N, 1, C), (N, K, C), (N, K, C), (N, K) bool -> (N, 1, C)."""
        q = self.query(query).unflatten(-1, (self.heads, -1))[:, 0]
        asked = torch.einsum("nhd,hdc->nhc", q, self.key) * q.shape[-1] ** -0.5
        scores = (asked @ key.transpose(1, 2)).masked_fill(~keep[:, None], float("-inf"))
        mixed = torch.einsum("nhc,hdc->nhd", scores.softmax(-1) @ value, self.value)
        result: Tensor = self.out((mixed.flatten(1) + self.bias)[:, None])
        return result


def _mask_decoder(decoder: MaskDecoder) -> MaskDecoder:
    twin = copy.deepcopy(decoder).requires_grad_(False)
    for layer in twin.layers:
        assert isinstance(layer, MaskDecoderLayer)
        layer.cross_attention = _OneQuery(layer.cross_attention)  # type: ignore[assignment]
    return twin
