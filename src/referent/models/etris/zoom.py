"""Zoom layers (ETRIS section 3.2): maps of all stages to one resolution, and back."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Way = Literal["shrink", "enlarge"]


class Resize(nn.Module):
    """A resize without parameters: average pooling, or bilinear enlargement."""

    def __init__(self, way: Way, ratio: int) -> None:
        super().__init__()
        self.way, self.ratio = way, ratio

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h / ratio, w / ratio), or times ratio."""
        if self.ratio == 1:
            return feature_map
        if self.way == "shrink":
            return F.avg_pool2d(feature_map, self.ratio)
        return F.interpolate(feature_map, scale_factor=self.ratio, mode="bilinear")


def zooming(in_channels: int, out_channels: int, way: Way, ratio: int) -> nn.Module:
    """A convolution that shrinks by `ratio`, or a transposed one that enlarges by it; no bias, no overlap."""
    if way == "shrink":
        return nn.Conv2d(in_channels, out_channels, ratio, stride=ratio, bias=False)
    return nn.ConvTranspose2d(in_channels, out_channels, ratio, stride=ratio, bias=False)


def zoom(in_channels: int, out_channels: int, way: Way, ratio: int, *, learned: bool, norm: bool) -> nn.Sequential:
    """One zoom layer.

    Args:
        in_channels, out_channels: channels.
        way, ratio: how the sides change.
        learned: by a strided or transposed convolution; else by a 1x1 convolution and `Resize`.
        norm: batch norm and ReLU at the end.

    Returns:
        (B, in_channels, h, w) -> (B, out_channels, h', w').
    """
    layers = (
        [zooming(in_channels, out_channels, way, ratio)]
        if learned
        else [nn.Conv2d(in_channels, out_channels, 1, bias=False), Resize(way, ratio)]
    )
    if norm:
        layers += [nn.BatchNorm2d(out_channels), nn.ReLU()]
    # The released code starts transposed convolutions by the same rule, whose "fan out" is then their input's.
    nn.init.kaiming_normal_(layers[0].weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
    return nn.Sequential(*layers)
