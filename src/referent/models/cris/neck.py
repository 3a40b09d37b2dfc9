"""CRIS's neck: the sentence is mixed into the coarsest map, then three maps become one (CRIS section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.errors import TrainingError
from referent.layers.convolution import conv_bn_relu, with_coordinates


class Neck(nn.Module):
    """Three maps and a sentence state to one map.

    The names follow the paper's v3, v4, v5 (fine to coarse).

    Args:
        in_channels: channels of v3, v4, v5.
        strides: strides of v3, v4, v5; the result has v4's.
        channels: widths, fine to coarse.
        state_width: channels of the sentence state.
    """

    def __init__(
        self,
        in_channels: tuple[int, int, int],
        strides: tuple[int, int, int],
        channels: tuple[int, int, int],
        state_width: int,
    ) -> None:
        super().__init__()
        fine, width, coarse = channels
        self.shrink = strides[1] // strides[0]
        self.text = nn.Sequential(nn.Linear(state_width, coarse, bias=False), nn.BatchNorm1d(coarse), nn.ReLU())
        self.project5 = conv_bn_relu(in_channels[2], coarse, 1)
        self.mix5 = nn.Sequential(nn.BatchNorm2d(coarse), nn.ReLU())
        self.project4 = conv_bn_relu(in_channels[1], width)
        self.merge4 = conv_bn_relu(width + coarse, width, 1)
        self.project3 = conv_bn_relu(in_channels[0], fine)
        self.merge3 = conv_bn_relu(fine + width, width, 1)
        self.smooth5 = conv_bn_relu(coarse, width)
        self.smooth4 = conv_bn_relu(width, width)
        self.smooth3 = conv_bn_relu(width, width)
        self.aggregate = conv_bn_relu(3 * width, width, 1)
        self.place = conv_bn_relu(width + 2, width)
        self.settle = conv_bn_relu(width, width)

    def project(self, v3: Tensor, v4: Tensor, v5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The convolutions that no phrase enters: (B, in_channels[i], h_i, w_i) -> (B, channels[i], h_i, w_i)."""
        return self.project3(v3), self.project4(v4), self.project5(v5)

    def forward(self, f3: Tensor, f4: Tensor, f5: Tensor, state: Tensor) -> Tensor:
        """Fuse.

        Args:
            f3, f4, f5: what `project` returned, one row a reference.
            state: (N, state_width).

        Returns:
            (N, channels[1], h_4, w_4).

        Raises:
            TrainingError: one reference alone in training: batch norm over one sentence has no variance.
        """
        norm = self.text[1]
        if norm.training and len(state) == 1 and not isinstance(norm, nn.SyncBatchNorm):
            raise TrainingError(
                "CRIS cannot train on a batch of 1: its sentence projection is batch-normalised, and one sentence has "
                "no variance. Use at least 2 references a process, or synchronised batch norm over several processes"
            )
        size = f4.shape[-2:]
        f5 = self.mix5(f5 * self.text(state)[:, :, None, None])
        f4 = self.merge4(torch.cat((f4, _resized(f5, size)), dim=1))
        f3 = F.avg_pool2d(f3, self.shrink) if self.shrink > 1 else f3
        f3 = self.merge3(torch.cat((f3, f4), dim=1))
        q5 = _resized(self.smooth5(f5), size)
        fused = self.aggregate(torch.cat((self.smooth3(f3), self.smooth4(f4), q5), dim=1))
        settled: Tensor = self.settle(self.place(with_coordinates(fused)))
        return settled


def _resized(feature_map: Tensor, size: torch.Size) -> Tensor:
    if feature_map.shape[-2:] == size:
        return feature_map
    return F.interpolate(feature_map, (size[0], size[1]), mode="bilinear")
