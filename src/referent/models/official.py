"""What the official checkpoints of CRIS and of ETRIS, which was built on its code, have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from referent.encoders.foreign import state_dict_in
from referent.encoders.keymap import Row, packed_attention
from referent.errors import WeightsError, listed
from referent.layers.decoder import DecoderConfig
from referent.layers.projector import ProjectorConfig

PROJECTOR_ROWS = (
    Row("projector.first.", "proj.vis.1."),
    Row("projector.second.", "proj.vis.3."),
    Row("projector.last.", "proj.vis.4."),
    Row("projector.to_kernel.", "proj.txt."),
)
_HEAD_WIDTH = 64  # the released decoder's: 8 heads of 512 channels


def decoder_rows(layers: int) -> list[Row]:
    """The table of names of a decoder."""
    rows = [Row("decoder.norm.", "decoder.norm.")]
    for layer in range(layers):
        prefix = f"decoder.layers.{layer}."
        rows += packed_attention(f"{prefix}self_attention.", f"{prefix}self_attn.")
        rows += packed_attention(f"{prefix}cross_attention.", f"{prefix}multihead_attn.")
        rows += [
            Row(f"{prefix}norm", f"{prefix}norm"),
            Row(f"{prefix}self_attention_norm.", f"{prefix}self_attn_norm."),
            Row(f"{prefix}cross_attention_norm.", f"{prefix}cross_attn_norm."),
            Row(f"{prefix}expand.", f"{prefix}ffn.0."),
            Row(f"{prefix}feedforward_norm.", f"{prefix}ffn.3."),
            Row(f"{prefix}contract.", f"{prefix}ffn.4."),
        ]
    return rows


class Checkpoint:
    """An official checkpoint, or a bare state dict, of which only names and shapes are asked.

    Args:
        content: a state dict, or a checkpoint with the entry `state_dict` beside optimiser entries; names may carry
            DistributedDataParallel's `module.`.
        what: named in errors, with its article: "a CRIS checkpoint".

    Raises:
        WeightsError: there is no state dict in it, or it holds other things than tensors.
    """

    def __init__(self, content: Mapping[str, Any], what: str) -> None:
        self.what = what
        self.state: dict[str, Tensor] = state_dict_in(content)
        if not self.state:
            raise self.error("no state dict in it")
        odd = [name for name, value in self.state.items() if not isinstance(value, Tensor)]
        if odd:
            raise self.error(f"expected tensors, found other things: {listed(odd)}")

    def error(self, reason: str) -> WeightsError:
        """What to raise for `reason`."""
        return WeightsError(f"not {self.what}: {reason}")

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """The shape of one tensor.

        Raises:
            WeightsError: there is no such tensor of so many dimensions.
        """
        if name not in self.state or self.state[name].dim() != dimensions:
            raise self.error(f"no {name} of {dimensions} dimensions")
        return tuple(self.state[name].shape)

    def clip(self) -> dict[str, Tensor]:
        """CLIP's part, under OpenAI's names.

        Raises:
            WeightsError: there is none.
        """
        clip = {name[len("backbone.") :]: value for name, value in self.state.items() if name.startswith("backbone.")}
        if not clip:
            raise self.error("no name begins with backbone.")
        return clip

    def decoder(self, width: int) -> DecoderConfig:
        """The decoder's configuration. Its heads do not show in the weights; the released 64 channels a head are
        assumed."""
        return DecoderConfig(
            layers=len({match[1] for name in self.state if (match := re.match(r"decoder\.layers\.(\d+)\.", name))}),
            heads=max(1, width // _HEAD_WIDTH),
            feedforward=self.shape("decoder.layers.0.ffn.0.weight", 2)[0],
        )

    def projector(self) -> ProjectorConfig:
        """The projector's configuration."""
        return ProjectorConfig(
            hidden=self.shape("proj.vis.1.0.weight", 4)[0], width=self.shape("proj.vis.3.0.weight", 4)[0]
        )
