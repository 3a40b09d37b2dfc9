"""MobileNetV2 with batch norm folded into its convolutions, optionally with DeepLabV3's pooling head.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2; Chen et al., "Rethinking
Atrous Convolution for Semantic Image Segmentation" (DeepLabV3), 2017. Padding follows TensorFlow's "SAME" rule, under
which the public weights were trained.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import ImageEncoder

# (expansion, channels, repeats, stride at the published output stride of 32), MobileNetV2 table 2.
_ROWS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# The blocks that end a stage: strides 4, 8, 16 and 32 (16 with the DeepLab head, whose last stage is dilated).
_STAGE_ENDS = (2, 5, 12, 16)
_ASPP_CHANNELS = 256


class MobileNetV2Config(BaseModel):
    """MobileNetV2 at width 1.0.

    Attributes:
        deeplab: end in DeepLabV3's head: the last stage keeps stride 16 with dilation 2, and the final map is the
            pyramid pooling's (256 channels). Without it the last stage has stride 32 and 320 channels. "beside": that
            and what the head makes of it, 576 channels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["mobilenet-v2"] = "mobilenet-v2"
    deeplab: bool | Literal["beside"] = True


class Conv(nn.Module):
    """Convolution with TensorFlow's "SAME" padding and a bias; `relu6` adds the clipped activation."""

    def __init__(
        self,
        inside: int,
        outside: int,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        relu6: bool = True,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(inside, outside, kernel, stride, padding, dilation, groups)
        self.relu6 = relu6

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        if self.convolution.stride[0] > 1:
            x = F.pad(x, self._same_padding(x.shape[-2], x.shape[-1]))
        x = self.convolution(x)
        # Nothing else reads what the convolution gave; in training this halves the memory that is touched.
        return F.relu6(x, inplace=True) if self.relu6 else x

    def _same_padding(self, height: int, width: int) -> list[int]:
        padding: list[int] = []
        for side in (width, height):  # F.pad counts from the last axis
            kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padding += [total // 2, total - total // 2]
        return padding


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection, residual where shapes agree (MobileNetV2 section 3.3)."""

    def __init__(self, inside: int, outside: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        hidden = inside * expansion
        self.expand = Conv(inside, hidden) if expansion > 1 else nn.Identity()
        self.depthwise = Conv(hidden, hidden, 3, stride, dilation, groups=hidden)
        self.project = Conv(hidden, outside, relu6=False)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class PyramidPooling(nn.Module):
    """DeepLabV3's head at output stride 16 in its mobile form: a 1x1 branch and a global average branch."""

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.conv = Conv(inside, _ASPP_CHANNELS)
        self.pool = Conv(inside, _ASPP_CHANNELS)
        self.project = Conv(2 * _ASPP_CHANNELS, _ASPP_CHANNELS)
        for branch in (self.conv, self.pool, self.project):
            branch.relu6 = False

    def forward(self, x: Tensor) -> Tensor:
        """(B, 320, h, w) to (B, 256, h, w)."""
        pooled = F.relu(self.pool(x.mean((-2, -1), keepdim=True))).expand(-1, -1, *x.shape[-2:])
        return F.relu(self.project(torch.cat([pooled, F.relu(self.conv(x))], dim=1)))


class PoolingBeside(PyramidPooling):
    """The map itself, and then what DeepLabV3's head makes of it."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, 320, h, w) to (B, 576, h, w)."""
        return torch.cat([x, super().forward(x)], dim=1)


class MobileNetV2(ImageEncoder):
    """MobileNetV2 in four stages of strides 4, 8, 16 and 32 (16 where it ends in DeepLab's head).

    Input RGB scaled to [-1, 1].
    """

    def __init__(self, config: MobileNetV2Config) -> None:
        super().__init__()
        deeplab = config.deeplab is True
        self.stem = Conv(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        inside = 32
        for row, (expansion, channels, repeats, stride) in enumerate(_ROWS):
            dilated = deeplab and row >= 5
            for repeat in range(repeats):
                first = repeat == 0
                # DeepLab turns block 13's stride into dilation from the block after it on.
                dilation = 2 if dilated and not (row == 5 and first) else 1
                blocks.append(
                    InvertedResidual(inside, channels, expansion, stride if first and not dilated else 1, dilation)
                )
                inside = channels
        starts = (0, *(end + 1 for end in _STAGE_ENDS[:-1]))
        self.stages = nn.ModuleList(
            nn.Sequential(*blocks[start : end + 1]) for start, end in zip(starts, _STAGE_ENDS, strict=True)
        )
        self.widths = (24, 32, 96, inside)
        match config.deeplab:
            case True:
                self.finish, last = PyramidPooling(inside), _ASPP_CHANNELS
            case "beside":
                self.finish, last = PoolingBeside(inside), inside + _ASPP_CHANNELS
            case _:
                self.finish, last = nn.Identity(), inside
        self.channels = (*self.widths[:-1], last)
        self.strides = (4, 8, 16, 16 if deeplab else 32)


def from_folded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of the public folded files (`blocks.3.expand.weight`, `aspp.pool.bias`) to this module's.

    The classifier entries (`head`, `classifier`, `logits`) belong to no stage and are left out.
    """
    ours: dict[str, Tensor] = {}
    starts = (0, *(end + 1 for end in _STAGE_ENDS[:-1]))
    for name, value in state.items():
        part, *rest = name.split(".")
        if part in ("head", "classifier", "logits"):
            continue
        *path, leaf = rest
        if part == "blocks":
            number = int(path[0])
            stage = max(i for i, start in enumerate(starts) if start <= number)
            path = ["stages", str(stage), str(number - starts[stage]), *path[1:]]
        else:
            path = [{"aspp": "finish"}.get(part, part), *path]
        ours[".".join([*path, "convolution", leaf])] = value.float()
    return ours
