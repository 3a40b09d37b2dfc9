"""CRIS for answering on a CPU: the same function in fewer operations.

Exact changes (up to rounding), in the order of what they save:

* 3x3 convolutions in float32 by Winograd (`layers/winograd.py`): about half of their time;
* the projector's convolutions of enlarged maps with their products taken before the enlarging (`layers/doubling.py`);
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
from referent.layers.decoder_inference import FastDecoder
from referent.layers.fast import (
    TOGETHER,
    PlacedConv,
    affine,
    conv1,
    conv3,
    folded_block,
    map_of,
    rows_of,
    selected,
)
from referent.layers.packed import PackedLinear
from referent.layers.projector_inference import FastProjector
from referent.models.base import Batch, Output
from referent.models.cris.model import CRIS
from referent.models.cris.neck import Neck
from referent.models.inference import InferenceForm


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
        weight3, bias3 = folded_block(neck.project3)
        weight4, bias4 = folded_block(neck.project4)
        self.project3 = conv3(weight3, bias3, sides[0], dtype)
        self.project4 = conv3(weight4, bias4, sides[1], dtype)
        self.project5 = conv1(*folded_block(neck.project5), sides[2], dtype)
        fine, width = len(bias3), len(bias4)
        self.merge4_picture, self.merge4_phrase = self._split(neck.merge4, [width], dtype)
        self.merge3_picture, self.merge3_phrase = self._split(neck.merge3, [fine], dtype)
        self.aggregate3, self.aggregate4, self.aggregate5 = self._split(neck.aggregate, [width, width], dtype)
        self.smooth5 = conv3(*folded_block(neck.smooth5), sides[2], dtype)
        self.smooth4 = conv3(*folded_block(neck.smooth4), sides[1], dtype)
        self.smooth3 = conv3(*folded_block(neck.smooth3), sides[1], dtype)
        self.place = PlacedConv(*folded_block(neck.place), sides[1], dtype)
        self.settle = conv3(*folded_block(neck.settle), sides[1], dtype)

    @staticmethod
    def _split(block: nn.Module, widths: list[int], dtype: torch.dtype) -> list[PackedLinear]:
        """A 1x1 convolution of concatenated maps as one linear layer a map; the first holds the bias."""
        weight, bias = folded_block(block)
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
        return self.settle(self.place(map_of(fused, height, width)))

    @staticmethod
    def _enlarged(rows: Tensor, like: Tensor, height: int, width: int) -> Tensor:
        small = map_of(rows, *like.shape[-2:])
        if small.shape[-2:] == (height, width):
            return small
        return F.interpolate(small, (height, width), mode="bilinear").contiguous(memory_format=torch.channels_last)


class CRISInference(InferenceForm):
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
            self._decoder = FastDecoder(model.decoder, dtype)
            self._projector = FastProjector(model.projector, side4, dtype)
            self._detail = (
                [
                    conv1(*folded_block(block), factor * side4, dtype)
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
        return *sight, self._detail[0](maps[-3]), self._projector.share(self._detail[1](maps[-4]))

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """See `CRIS.read`; words after the last end marker of all rows are left out."""
        length = int(tokens.argmax(dim=1).max()) + 1
        words, state = self._text(tokens[:, :length].contiguous())
        return words, state

    @torch.inference_mode()
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """See `CRIS.answer`."""
        words, state = self.read(batch.tokens)
        keep = batch.tokens[:, : words.shape[1]] != 0
        answers = [
            self._answer(sight, batch.picture[some], words[some], state[some], keep[some])
            for some in (slice(first, first + TOGETHER) for first in range(0, len(state), TOGETHER))
        ]
        logits = torch.cat([logits for logits, _ in answers])
        presence = [presence for _, presence in answers if presence is not None]
        return Output(logits, torch.cat(presence) if presence else None)

    def _answer(
        self, sight: tuple[Tensor, ...], picture: Tensor, words: Tensor, state: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        share3, share4, f5, *detail = (selected(part, picture) for part in sight)
        fused_map = self._neck(share3, share4, f5, state)
        decoded = self._decoder(fused_map, words, keep)
        logits = self._projector(decoded, state, (detail[0], detail[1]) if detail else None)
        return logits, self.presence(decoded.float(), state, logits) if self.presence is not None else None
