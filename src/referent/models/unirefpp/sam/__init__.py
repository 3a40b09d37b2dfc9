"""UniFusion inside SAM, the second use that UniRef++ makes of it."""

from referent.models.unirefpp.sam.config import UniRefSamConfig
from referent.models.unirefpp.sam.model import UniRefSam

__all__ = ["UniRefSam", "UniRefSamConfig"]
