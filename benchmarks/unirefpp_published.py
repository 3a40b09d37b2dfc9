"""UniRef++ in the order of computation of the official code, written anew from notes on it; not the authors' code.

What differs from ours, with the same weights and the same answers:

* phrases are padded to 77 tokens, for BERT and for UniFusion, whose queries, keys and values are projected in full;
* deformable attention is the code's own fallback without a compiler: `grid_sample`, all samples side by side, one sum;
* every proposal's box is computed, and class and box heads of every decoder layer;
* masks of all 300 queries are computed, by grouped convolutions, and then one is kept.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
from deformable import stacked as by_stacking
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers import deformable
from referent.layers.deformable import DeformableAttention
from referent.models.base import Batch, Output
from referent.models.unirefpp import UniRef
from referent.models.unirefpp.decoder import Decoded
from referent.models.unirefpp.extent import Extent, extent_of
from referent.models.unirefpp.fusion import ReferenceBundle
from referent.models.unirefpp.mask_head import CHANNELS, STRIDE

LENGTH = 77


def published(model: UniRef) -> PublishedUniRef:
    """A copy of `model` that computes as the published code does."""
    copy = PublishedUniRef(model.config)
    copy.load_state_dict(model.state_dict())
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, DeformableAttention):
                setattr(module, name, StackedSamples(child))
    return copy.eval()


class StackedSamples(nn.Module):
    """`DeformableAttention` by `grid_sample`; of one reference at a time."""

    def __init__(self, inner: DeformableAttention) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: Any) -> Tensor:
        """As `DeformableAttention.forward`."""
        with mock.patch.object(deformable, "sampled_sum", by_stacking):
            result: Tensor = self.inner(*given)
        return result


class PublishedUniRef(UniRef):
    """One reference with its picture at a time."""

    def _phrases(self, tokens: Tensor) -> ReferenceBundle | None:
        tokens = F.pad(tokens, (0, LENGTH - tokens.shape[1]))
        return ReferenceBundle.of_words(self.resizer(self.text_encoder(tokens)[0]), tokens != 0)

    def _answered(self, sight: tuple[Tensor, ...], batch: Batch, phrases: ReferenceBundle | None) -> Output:
        finest, *levels, sizes, canvas = sight
        fused = self._fused(list(levels), phrases, self._examples(batch))
        extent = self.extent(finest, fused, sizes)
        memory = self.encoder(fused, extent)
        decoded, scores = self.decoded(memory, extent)
        features = self.mask_features(self.maps(memory, extent)[:3], finest)
        masks = self.masks(decoded, features, sizes)
        best = scores[-1, 0, :, 0].argmax()
        height, width = finest.shape[-2] * STRIDE, finest.shape[-1] * STRIDE
        logits = F.interpolate(masks[:, best, None], (height, width), mode="bilinear", align_corners=False)
        return Output(logits[..., : canvas.shape[-2], : canvas.shape[-1]], scores[-1, :, best, 0])

    @staticmethod
    def extent(finest: Tensor, levels: list[Tensor], sizes: Tensor) -> Extent:
        """Of the picture on the levels."""
        shapes = [(level.shape[-2], level.shape[-1]) for level in levels]
        return extent_of(sizes, finest.shape[-2] * STRIDE, finest.shape[-1] * STRIDE, shapes)

    @staticmethod
    def maps(memory: Tensor, extent: Extent) -> list[Tensor]:
        """(1, S, C) -> (1, C, h, w) for each level, channels first."""
        levels = torch.split(memory, [height * width for height, width in extent.shapes], dim=1)
        return [
            level.transpose(1, 2).reshape(1, -1, *shape).contiguous()
            for level, shape in zip(levels, extent.shapes, strict=True)
        ]

    def decoded(self, memory: Tensor, extent: Extent) -> tuple[Decoded, Tensor]:
        """All layers and their (D, 1, Q, classes) scores; boxes of all proposals and layers are made too."""
        proposals = self.proposer(memory, extent)
        self.proposer.boxes_of_all(proposals)
        decoded = self.decoder(proposals, memory, extent)
        self.decoder.boxes(decoded)
        return decoded, self.decoder.scores(decoded)

    def masks(self, decoded: Decoded, features: Tensor, sizes: Tensor) -> Tensor:
        """(1, Q, h, w) logits of all queries, one group of channels a query."""
        states, (height, width) = decoded.states[-1], features.shape[-2:]
        queries = states.shape[1]
        centres = decoded.references[-2][..., :2] * sizes.flip(1)[:, None]
        y, x = (torch.arange(side) * STRIDE + STRIDE // 2 for side in (height, width))
        places = torch.stack((x.expand(height, -1), y[:, None].expand(-1, width)))
        distances = centres[0, :, :, None, None] - places
        maps = torch.cat((distances, features.expand(queries, -1, -1, -1)), dim=1).flatten(0, 1)[None]
        layers = ((CHANNELS + 2, CHANNELS), (CHANNELS, CHANNELS), (CHANNELS, 1))
        counts = [inside * outside for inside, outside in layers] + [outside for _, outside in layers]
        parameters = self.mask_head.controller(states)[0].split(counts, dim=-1)
        for number, (inside, outside) in enumerate(layers):
            weight = parameters[number].reshape(queries * outside, inside, 1, 1)
            bias = parameters[number + len(layers)].flatten()
            maps = F.conv2d(F.relu(maps) if number else maps, weight, bias, groups=queries)
        return maps
