"""ETRIS for answering on a CPU: the same function in fewer operations.

Exact changes (up to rounding), beside those of CRIS's inference form, whose decoder, projector and encoders these are:

* maps stay channels-last, so that no attention takes them as a permuted view;
* the neck's gates, which depend on the sentence alone, are one linear layer of it: value, output and text projections
  multiplied together;
* a transposed convolution whose stride is its kernel is a linear layer; Bridgers' batch norms are folded into it;
* text layers before the first Bridger are computed once for each phrase, however many pictures it is asked about.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from referent.encoders.base import ImageEncoder
from referent.encoders.clip import CLIPResNet, CLIPViT
from referent.encoders.clip_inference import FastResNet, FastText, FastViT
from referent.layers.attention import Attention
from referent.layers.decoder_inference import FastDecoder
from referent.layers.fast import TOGETHER, PlacedConv, conv1, conv3, folded_block, map_of, rows_of, selected
from referent.layers.packed import PackedLinear
from referent.layers.presence import PresenceHead
from referent.layers.projector_inference import FastProjector
from referent.models.base import Batch, Output
from referent.models.etris.bridger import Bridger
from referent.models.etris.bridger_inference import FastBridger, FastZoom
from referent.models.etris.model import ETRIS
from referent.models.etris.neck import Neck
from referent.models.etris.steps import Steps
from referent.models.inference import InferenceForm


class _Neck:
    def __init__(self, neck: Neck, sides: tuple[int, ...], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.projects = [
            FastZoom(layers, side, dtype)
            for layers, side in zip(neck.projects, sides, strict=True)
            if isinstance(layers, nn.Sequential)
        ]
        self.gate = None
        if neck.text is not None:
            self.gate = _gates([gate for gate in neck.gates if isinstance(gate, Attention)], neck.text)
        weight, bias = folded_block(neck.aggregate)
        self.aggregate = PackedLinear(weight.flatten(1).to(dtype), bias.to(dtype), relu=True)
        self.place = PlacedConv(*folded_block(neck.place), sides[1], dtype)
        self.settle = conv3(*folded_block(neck.settle), sides[1], dtype)

    def project(self, number: int, feature_map: Tensor) -> Tensor:
        return self.projects[number](feature_map)

    def __call__(self, maps: list[Tensor], state: Tensor) -> Tensor:
        rows = [rows_of(feature_map) for feature_map in maps]
        if self.gate is not None:
            gates = self.gate(state).to(self.dtype).chunk(len(rows), dim=-1)
            rows = [row * gate[:, None] for row, gate in zip(rows, gates, strict=True)]
        merged = self.aggregate(torch.cat(rows, dim=-1))
        return self.settle(self.place(map_of(merged, *maps[1].shape[-2:])))


def _gates(gates: list[Attention], text: nn.Linear) -> PackedLinear:
    """All gates as one linear layer of the sentence state, multiplied out in float64."""
    weights, biases = [], []
    for gate in gates:
        value = gate.out.weight.double() @ gate.value.weight.double()
        weights.append(value @ text.weight.double())
        constant = gate.out.weight.double() @ gate.value.bias.double() + gate.out.bias.double()
        biases.append(value @ text.bias.double() + constant)
    return PackedLinear(torch.cat(weights).float(), torch.cat(biases).float())


class ETRISInference(InferenceForm, Steps):
    """A trained `ETRIS` in the form described above, which cannot train.

    The model that it was made of may be thrown away; only an image encoder that is none of CLIP's, and the presence
    head, stay its own modules.

    Args:
        model: in evaluation, on the CPU, float32.
        dtype: float32 or bfloat16 for the large products; the text's end, the gates and the dynamic kernel stay
            float32.
        size: side of the pictures for which the algorithms are chosen; other sizes work too.
    """

    def __init__(self, model: ETRIS, dtype: torch.dtype = torch.float32, size: int = 416) -> None:
        super().__init__()
        self.config, self.dtype, self.reads_padding = model.config, dtype, model.reads_padding
        sides = tuple(max(1, size // stride) for stride in model.image_encoder.strides)
        stages, middle = model.config.neck.stages, sides[model.config.neck.stages[1]]
        with torch.no_grad():
            self.image_encoder = _image_encoder(model.image_encoder, size, dtype)
            self.text_encoder = FastText(model.text_encoder, dtype)
            self.bridgers = [
                FastBridger(bridger, sides[stage], dtype)
                for bridger, (stage, _) in zip(model.bridgers, model.config.bridger.places, strict=True)
                if isinstance(bridger, Bridger)
            ]
            self.neck = _Neck(model.neck, tuple(sides[stage] for stage in stages), dtype)
            self.decoder = FastDecoder(model.decoder, dtype) if model.decoder is not None else None
            self.projector = FastProjector(model.projector, middle, dtype)
            self.detail = model.detail and [
                conv1(*folded_block(block), factor * middle, dtype)
                for factor, block in zip((2, 4), model.detail, strict=True)
            ]
        self.presence = model.presence and _in_float32(model.presence)
        self.label = self.boxes = None

    @torch.inference_mode()
    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `Steps.look_at`; what it returns differs from that of the model and belongs to this class's `answer`."""
        return super().look_at(image.contiguous(memory_format=torch.channels_last).to(self.dtype))

    @torch.inference_mode()
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """See `Steps.answer`; equal phrases are read once, and a few references go through the rest together."""
        distinct, which = torch.unique(batch.tokens, dim=0, return_inverse=True)
        reading = self._read_alone(distinct)
        outputs = [
            self._answered(
                [selected(part, batch.picture[some]) for part in sight], reading[which[some]], batch.tokens[some]
            )
            for some in (slice(first, first + TOGETHER) for first in range(0, len(batch.tokens), TOGETHER))
        ]
        presence = [output.presence for output in outputs if output.presence is not None]
        return Output(torch.cat([output.logits for output in outputs]), torch.cat(presence) if presence else None)


def _image_encoder(encoder: ImageEncoder, size: int, dtype: torch.dtype) -> ImageEncoder:
    if isinstance(encoder, CLIPResNet):
        return FastResNet(encoder, size, dtype)
    if isinstance(encoder, CLIPViT):
        return FastViT(encoder, dtype)
    return encoder.eval() if dtype == torch.float32 else copy.deepcopy(encoder).to(dtype).eval()


def _in_float32(presence: PresenceHead) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The head for maps in any precision."""

    def judged(feature_map: Tensor, state: Tensor, logits: Tensor) -> Tensor:
        judgement: Tensor = presence(feature_map.float(), state, logits)
        return judgement

    return judged
