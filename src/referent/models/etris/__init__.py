"""ETRIS (Xu et al., ICCV 2023)."""

from referent.models.etris.config import ETRISConfig
from referent.models.etris.model import ETRIS

__all__ = ["ETRIS", "ETRISConfig"]
