"""Colours as eyes tell them apart: sRGB to CIE L*a*b*, white point D65."""

from __future__ import annotations

import torch
from torch import Tensor

# IEC 61966-2-1 (sRGB) and CIE 15 (2-degree observer).
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)
_LINEAR, _DARK = 0.04045, 0.008856


def lab_of(rgb: Tensor) -> Tensor:
    """(..., 3, h, w) in [0, 1] -> (..., 3, h, w): L* in [0, 100], a* and b* around zero."""
    linear = torch.where(rgb > _LINEAR, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = torch.einsum("xc,...chw->...xhw", rgb.new_tensor(_TO_XYZ), linear)
    share = xyz / rgb.new_tensor(_WHITE)[:, None, None]
    root = torch.where(share > _DARK, share.clamp(min=_DARK) ** (1 / 3), 7.787 * share + 16 / 116)
    x, y, z = root.unbind(-3)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)
