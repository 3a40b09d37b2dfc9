"""CRIS's projector: the sentence becomes a convolution kernel for the pixels (CRIS section 3.4; ETRIS uses it too)."""

from __future__ import annotations

from functools import partial

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.convolution import conv_bn_relu
from referent.layers.doubling import KERNEL, convolved_doubled, doubled, multiplications, taps


class ProjectorConfig(BaseModel):
    """The projector. The defaults are the published ones.

    Attributes:
        hidden: channels at twice the neck's resolution.
        width: channels at four times the neck's resolution, and of the sentence's kernel.
        detail: add the picture's maps of twice and four times the neck's resolution on the way up; ours, in no
            paper, where masks are drawn from the decoder's map alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(default=512, ge=1)
    width: int = Field(default=256, ge=1)
    detail: bool = False


def dynamic_convolution(pixels: Tensor, kernels: Tensor, kernel: int) -> Tensor:
    """Each map under its own kernel.

    Args:
        pixels: (N, C, h, w).
        kernels: (N, C * kernel * kernel + 1), channel-major weights, then one bias.
        kernel: side of the kernel, odd.

    Returns:
        (N, 1, h, w).
    """
    count, channels, height, width = pixels.shape
    weight = kernels[:, :-1].reshape(count, channels, kernel, kernel)
    bias = kernels[:, -1]
    folded = pixels.reshape(1, count * channels, height, width)
    logits = F.conv2d(folded, weight, bias, padding=kernel // 2, groups=count)
    return logits.transpose(0, 1)


class Projector(nn.Module):
    """Pixels at four times the resolution, under a kernel made of the sentence.

    Args:
        in_channels: channels of the decoder's map.
        hidden: channels at twice the resolution.
        width: channels at four times the resolution, and of the kernel.
        state_width: channels of the sentence state.
        kernel: side of the kernel.
    """

    def __init__(self, in_channels: int, hidden: int, width: int, state_width: int, kernel: int = 3) -> None:
        super().__init__()
        self.kernel = kernel
        self.first = conv_bn_relu(in_channels, hidden)
        self.second = conv_bn_relu(hidden, width)
        self.last = nn.Conv2d(width, width, 1)
        self.to_kernel = nn.Linear(state_width, width * kernel * kernel + 1)

    def share(self, finest: Tensor) -> Tensor:
        """What a map (P, hidden, 4 h, 4 w) of the picture adds to the second convolution: (P, width, 4 h, 4 w)."""
        convolved: Tensor = self.second[0](finest)
        return convolved

    def forward(self, feature_map: Tensor, state: Tensor, detail: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Draw.

        Args:
            feature_map: (N, in_channels, h, w).
            state: (N, state_width).
            detail: a map (N, hidden, 2 h, 2 w) of the picture, added on the way up, and the `share` of one of twice its
                size, which would be added one step later, before the second convolution.

        Returns:
            Mask logits (N, 1, 4 h, 4 w).
        """
        x = self.first[1:](_convolved_doubled(feature_map, self.first[0]))
        if detail is None:
            x = _convolved_doubled(x, self.second[0])
        else:
            x = _convolved_doubled(x + detail[0], self.second[0]) + detail[1]
        x = self.last(self.second[1:](x))
        return dynamic_convolution(x, self.to_kernel(state), self.kernel)


def _convolved_doubled(feature_map: Tensor, convolution: nn.Module) -> Tensor:
    """The `Conv2d` of the enlarged map, in whichever order takes fewer multiplications."""
    assert isinstance(convolution, nn.Conv2d)
    _, channels, height, width = feature_map.shape
    if multiplications(channels, height, width) < 4 * KERNEL**2 * channels:
        return convolved_doubled(feature_map, [partial(F.linear, weight=row) for row in taps(convolution.weight)])
    convolved: Tensor = convolution(doubled(feature_map))
    return convolved
