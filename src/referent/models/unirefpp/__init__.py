"""UniRef++ (Wu et al., "UniRef++: Segment Every Reference Object in Spatial and Temporal Spaces", 2023)."""

from referent.models.unirefpp.config import UniRefConfig
from referent.models.unirefpp.model import UniRef

__all__ = ["UniRef", "UniRefConfig"]
