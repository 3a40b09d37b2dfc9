"""CRIS for answering on a CPU: the same function in fewer operations.

Exact changes (up to rounding), in the order of what they save:

* 3x3 convolutions in float32 by Winograd (`layers/winograd.py`): about half of their time;
* all that no phrase enters is computed once a picture. A 1x1 convolution of concatenated maps is the sum of one for
  each map, so the picture's share of `merge4` and `merge3` is computed in `look_at`;
* a 1x1 convolution and a bilinear resize commute, so what comes from the coarsest map is convolved before it is
  enlarged;
* the projector's last 1x1 convolution is linear, and so is the sentence's kernel that follows: the kernel is folded
  through it, and applied to all pixels as one matrix product;
* batch norms folded into convolutions and linear layers, weights packed once for oneDNN, ReLU and residual sums fused;
* q, k and v in one product; the share of the positional encodings in them is a constant;
* token rows are cut after the last end marker: later words are masked anyway.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.clip import CLIPResNet
from referent.encoders.clip_inference import FastResNet, FastText
from referent.layers.convolution import coordinates
from referent.layers.decoder import Decoder, DecoderLayer
from referent.layers.fast import (
    Norm,
    affine,
    attend,
    conv1,
    conv3,
    folded,
    fused,
    map_of,
    rows_of,
)
from referent.layers.packed import PackedLinear
from referent.layers.position import sinusoids, sinusoids_2d
from referent.layers.projector import Projector
from referent.models.base import Batch, Output, SegmentationModel
from referent.models.cris.model import CRIS
from referent.models.cris.neck import Neck

# References that go through the neck, decoder and projector together: with more, the maps leave the processor's caches
# (8 at once take 12 % longer each than 4, and twice the memory).
_TOGETHER = 4


def _block(sequential: nn.Module) -> tuple[Tensor, Tensor]:
    """The folded weight and bias of a `conv_bn_relu`."""
    assert isinstance(sequential, nn.Sequential)
    convolution, norm = sequential[0], sequential[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return folded(convolution, norm)


class _Neck:
    def __init__(self, neck: Neck, sides: tuple[int, int, int], dtype: torch.dtype) -> None:
        self.dtype, self.shrink = dtype, neck.shrink
        linear, norm, norm5 = neck.text[0], neck.text[1], neck.mix5[0]
        assert isinstance(linear, nn.Linear)
        assert isinstance(norm, nn.BatchNorm1d)
        assert isinstance(norm5, nn.BatchNorm2d)
        scale, shift = affine(norm)
        self.text = PackedLinear(linear.weight.detach() * scale[:, None], shift, relu=True)
        self.scale5, shift5 = affine(norm5)
        self.shift5 = shift5[:, None, None].to(dtype)
        weight3, bias3 = _block(neck.project3)
        weight4, bias4 = _block(neck.project4)
        self.project3 = conv3(weight3, bias3, sides[0], dtype)
        self.project4 = conv3(weight4, bias4, sides[1], dtype)
        self.project5 = conv1(*_block(neck.project5), sides[2], dtype)
        fine, width = len(bias3), len(bias4)
        self.merge4_picture, self.merge4_phrase = self._split(neck.merge4, [width], dtype)
        self.merge3_picture, self.merge3_phrase = self._split(neck.merge3, [fine], dtype)
        self.aggregate3, self.aggregate4, self.aggregate5 = self._split(neck.aggregate, [width, width], dtype)
        self.smooth5 = conv3(*_block(neck.smooth5), sides[2], dtype)
        self.smooth4 = conv3(*_block(neck.smooth4), sides[1], dtype)
        self.smooth3 = conv3(*_block(neck.smooth3), sides[1], dtype)
        self.place = conv3(*_block(neck.place), sides[1], dtype)
        self.settle = conv3(*_block(neck.settle), sides[1], dtype)

    @staticmethod
    def _split(block: nn.Module, widths: list[int], dtype: torch.dtype) -> list[PackedLinear]:
        """A 1x1 convolution of concatenated maps as one linear layer a map; the first holds the bias."""
        weight, bias = _block(block)
        parts = torch.split(weight.flatten(1), [*widths, weight.shape[1] - sum(widths)], dim=1)
        return [
            PackedLinear(part.to(dtype), bias.to(dtype) if index == 0 else None) for index, part in enumerate(parts)
        ]

    def look(self, v3: Tensor, v4: Tensor, v5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The picture's shares of `merge3` and `merge4`, and f5."""
        height, width = v4.shape[-2:]
        f3 = self.project3(v3)
        f3 = F.avg_pool2d(f3, self.shrink) if self.shrink > 1 else f3
        share3 = map_of(self.merge3_picture(rows_of(f3)), height, width)
        share4 = map_of(self.merge4_picture(rows_of(self.project4(v4))), height, width)
        return share3, share4, self.project5(v5)

    def __call__(self, share3: Tensor, share4: Tensor, f5: Tensor, state: Tensor) -> Tensor:
        height, width = share4.shape[-2:]
        gate = (self.text(state) * self.scale5).to(self.dtype)
        f5 = torch.addcmul(self.shift5, f5, gate[:, :, None, None]).relu_()
        f5 = f5.contiguous(memory_format=torch.channels_last)
        f4 = self._enlarged(self.merge4_phrase(rows_of(f5)), f5, height, width).add_(share4).relu_()
        f3 = map_of(self.merge3_phrase(rows_of(f4), other=rows_of(share3)).relu_(), height, width)
        q5 = self._enlarged(self.aggregate5(rows_of(self.smooth5(f5))), f5, height, width)
        fused = self.aggregate3(rows_of(self.smooth3(f3)), other=rows_of(q5))
        fused = self.aggregate4(rows_of(self.smooth4(f4)), other=fused).relu_()
        grid = coordinates(height, width, like=fused).flatten(1).T.expand(len(fused), -1, -1)
        return self.settle(self.place(map_of(torch.cat((fused, grid), dim=-1), height, width)))

    @staticmethod
    def _enlarged(rows: Tensor, like: Tensor, height: int, width: int) -> Tensor:
        small = map_of(rows, *like.shape[-2:])
        if small.shape[-2:] == (height, width):
            return small
        return F.interpolate(small, (height, width), mode="bilinear").contiguous(memory_format=torch.channels_last)


class _DecoderLayer:
    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        own, cross = layer.self_attention, layer.cross_attention
        self.heads = own.heads
        self.dtype = dtype
        self.norm1, self.norm2, self.norm3 = (Norm(norm, dtype) for norm in (layer.norm1, layer.norm2, layer.norm3))
        self.own_norm = Norm(layer.self_attention_norm, dtype)
        self.cross_norm = Norm(layer.cross_attention_norm, dtype)
        self.inner_norm = Norm(layer.feedforward_norm, dtype)
        self.own_qkv = fused([own.query, own.key, own.value], dtype)
        self.own_out = PackedLinear.of(own.out, dtype)
        self.cross_query = PackedLinear.of(cross.query, dtype)
        self.cross_key, self.cross_value = PackedLinear.of(cross.key, dtype), PackedLinear.of(cross.value, dtype)
        self.cross_out = PackedLinear.of(cross.out, dtype)
        self.expand = PackedLinear.of(layer.expand, dtype, relu=True)
        self.contract = PackedLinear.of(layer.contract, dtype)
        self._own_places = torch.cat((own.query.weight, own.key.weight)).detach()
        self._cross_places = cross.query.weight.detach()
        self.like = self._cross_places  # dtype and device of the encodings

    def places(self, pixel_places: Tensor) -> tuple[Tensor, Tensor]:
        """The positional encodings' share of (q, k) of the first and of q of the second attention."""
        own, cross = pixel_places @ self._own_places.T, pixel_places @ self._cross_places.T
        return own.to(self.dtype), cross.to(self.dtype)

    def __call__(
        self, pixels: Tensor, words: Tensor, placed_words: Tensor, keep: Tensor, places: tuple[Tensor, Tensor]
    ) -> Tensor:
        width = pixels.shape[-1]
        qkv = self.own_qkv(self.norm1(pixels))
        qkv[..., : 2 * width] += places[0]
        q, k, v = qkv.chunk(3, dim=-1)
        pixels = self.own_norm(self.own_out(attend(q, k, v, self.heads))).add_(pixels)
        q = self.cross_query(self.norm2(pixels)).add_(places[1])
        attended = attend(q, self.cross_key(placed_words), self.cross_value(words), self.heads, keep)
        pixels = self.cross_norm(self.cross_out(attended)).add_(pixels)
        return self.contract(self.inner_norm(self.expand(self.norm3(pixels))), other=pixels)


class _Decoder:
    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.layers = [_DecoderLayer(layer, dtype) for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self.norm = Norm(decoder.norm, dtype)
        self._places: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}

    def __call__(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        _, channels, height, width = feature_map.shape
        if (height, width) not in self._places:  # of one size only: pictures come letterboxed to one size
            pixel_places = sinusoids_2d(height, width, channels, like=self.layers[0].like)
            self._places = {(height, width): [layer.places(pixel_places) for layer in self.layers]}
        placed_words = words + sinusoids(words.shape[1], words.shape[2], like=words)
        pixels = rows_of(feature_map)
        for layer, places in zip(self.layers, self._places[height, width], strict=True):
            pixels = layer(pixels, words, placed_words, keep, places)
        return map_of(self.norm(pixels), height, width)


class _Projector:
    def __init__(self, projector: Projector, side: int, dtype: torch.dtype) -> None:
        self.dtype, self.kernel = dtype, projector.kernel
        self.first = conv3(*_block(projector.first), 2 * side, dtype)
        self.second = conv3(*_block(projector.second), 4 * side, dtype)
        bias = projector.last.bias
        assert bias is not None
        self.last_weight, self.last_bias = projector.last.weight.detach().flatten(1), bias.detach()
        self.to_kernel = PackedLinear.of(projector.to_kernel, torch.float32)

    def __call__(self, feature_map: Tensor, state: Tensor, detail: tuple[Tensor, Tensor] | None) -> Tensor:
        x = self.first(_doubled(feature_map))
        if detail is not None:
            x = x + detail[0]
        x = _doubled(x)
        if detail is not None:
            x = x + detail[1]
        return self._dynamic(self.second(x), state)

    def _dynamic(self, x: Tensor, state: Tensor) -> Tensor:
        """The last 1x1 convolution and the sentence's kernel as one product, then a sum of nine shifted maps."""
        count, _, height, width = x.shape
        made = self.to_kernel(state)
        kernels = made[:, :-1].reshape(count, self.last_weight.shape[0], self.kernel**2)
        folded_kernels = (self.last_weight.T @ kernels).to(x.dtype)
        taps = torch.bmm(rows_of(x), folded_kernels).float() + (self.last_bias @ kernels)[:, None]
        taps = taps.reshape(count, height, width, -1).permute(0, 3, 1, 2)
        reach = self.kernel // 2
        taps = F.pad(taps, (reach, reach, reach, reach))
        logits = made[:, -1, None, None].expand(count, height, width).clone()
        for tap in range(self.kernel**2):
            row, column = divmod(tap, self.kernel)
            logits += taps[:, tap, row : row + height, column : column + width]
        return logits[:, None]


def _doubled(feature_map: Tensor) -> Tensor:
    return F.interpolate(feature_map, scale_factor=2, mode="bilinear")


class CRISInference(SegmentationModel):
    """A trained `CRIS` in the form described above, which cannot train.

    The model that it was made of may be thrown away; only an image encoder that is not CLIP's ResNet, and the presence
    head, stay its own modules.

    Args:
        model: in evaluation, on the CPU, float32.
        dtype: float32 or bfloat16 for the large products; norms, the text's end and the dynamic kernel stay float32.
        size: side of the pictures for which the algorithms are chosen; other sizes work too.
    """

    def __init__(self, model: CRIS, dtype: torch.dtype = torch.float32, size: int = 416) -> None:
        super().__init__()
        self.config, self.dtype = model.config, dtype
        encoder = model.image_encoder
        side3, side4, side5 = (max(1, size // stride) for stride in encoder.strides[-3:])
        with torch.no_grad():
            self._image = FastResNet(encoder, size, dtype) if isinstance(encoder, CLIPResNet) else encoder.eval()
            self._text = FastText(model.text_encoder, dtype)
            self._neck = _Neck(model.neck, (side3, side4, side5), dtype)
            self._decoder = _Decoder(model.decoder, dtype)
            self._projector = _Projector(model.projector, side4, dtype)
            self._detail = (
                [
                    conv1(*_block(block), factor * side4, dtype)
                    for factor, block in zip((2, 4), model.detail, strict=True)
                ]
                if model.detail is not None
                else []
            )
        self.presence = model.presence

    @torch.inference_mode()
    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `CRIS.look_at`; the maps differ from that one's and belong to this class's `answer`."""
        image = image.contiguous(memory_format=torch.channels_last)
        if isinstance(self._image, FastResNet):
            maps = self._image(image.to(self.dtype))
        else:
            with torch.autocast(image.device.type, self.dtype, enabled=self.dtype != torch.float32):
                maps = self._image(image)
            maps = [part.to(self.dtype).contiguous(memory_format=torch.channels_last) for part in maps]
        sight = self._neck.look(*maps[-3:])
        if not self._detail:
            return sight
        return *sight, self._detail[0](maps[-3]), self._detail[1](maps[-4])

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """See `CRIS.read`; words after the last end marker of all rows are left out."""
        length = int(tokens.argmax(dim=1).max()) + 1
        return self._text(tokens[:, :length].contiguous())

    @torch.inference_mode()
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """See `CRIS.answer`."""
        words, state = self.read(batch.tokens)
        words, keep = words.to(self.dtype), batch.tokens[:, : words.shape[1]] != 0
        answers = [
            self._answer(sight, batch.picture[some], words[some], state[some], keep[some])
            for some in (slice(first, first + _TOGETHER) for first in range(0, len(state), _TOGETHER))
        ]
        logits = torch.cat([logits for logits, _ in answers])
        presence = [presence for _, presence in answers if presence is not None]
        return Output(logits, torch.cat(presence) if presence else None)

    def _answer(
        self, sight: tuple[Tensor, ...], picture: Tensor, words: Tensor, state: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        share3, share4, f5, *detail = (
            part.index_select(0, picture).contiguous(memory_format=torch.channels_last) for part in sight
        )
        fused_map = self._neck(share3, share4, f5, state)
        decoded = self._decoder(fused_map, words, keep)
        logits = self._projector(decoded, state, (detail[0], detail[1]) if detail else None)
        return logits, self.presence(decoded.float(), state, logits) if self.presence is not None else None

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Not available.

        Raises:
            NotImplementedError: always: train the model that this one was made of.
        """
        raise NotImplementedError("the inference form cannot train; use the model that it was made of")
