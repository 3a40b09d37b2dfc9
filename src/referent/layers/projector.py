"""CRIS's projector: the sentence becomes a convolution kernel for the pixels (CRIS section 3.4; ETRIS uses it too)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.convolution import conv_bn_relu


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

    def forward(self, feature_map: Tensor, state: Tensor, detail: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Draw.

        Args:
            feature_map: (N, in_channels, h, w).
            state: (N, state_width).
            detail: maps (N, hidden, 2 h, 2 w) and (N, hidden, 4 h, 4 w) of the picture, added on the way up.

        Returns:
            Mask logits (N, 1, 4 h, 4 w).
        """
        x = self.first(F.interpolate(feature_map, scale_factor=2, mode="bilinear"))
        if detail is not None:
            x = x + detail[0]
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        if detail is not None:
            x = x + detail[1]
        x = self.last(self.second(x))
        return dynamic_convolution(x, self.to_kernel(state), self.kernel)
