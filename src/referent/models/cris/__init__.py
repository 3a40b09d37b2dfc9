"""CRIS (Wang et al., CVPR 2022)."""

from referent.models.cris.config import CRISConfig
from referent.models.cris.model import CRIS

__all__ = ["CRIS", "CRISConfig"]
