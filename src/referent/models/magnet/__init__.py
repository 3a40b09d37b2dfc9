"""MagNet (Chng et al., CVPR 2024)."""

from referent.models.magnet.config import MagNetConfig
from referent.models.magnet.model import MagNet

__all__ = ["MagNet", "MagNetConfig"]
