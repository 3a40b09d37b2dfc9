"""UniFusion without the sharing: rows of the paper's ablation of what one module may serve."""

from __future__ import annotations

from torch import Tensor, nn

from referent.models.unirefpp.config import FusionConfig
from referent.models.unirefpp.fusion import ReferenceBundle, UniFusion


class SeparateFusions(nn.Module):
    """A UniFusion for each level, for each kind of reference, or for each pair of both.

    Args:
        width: C.
        config: whose `shared` is not "everywhere".
        levels: their number.
    """

    def __init__(self, width: int, config: FusionConfig, levels: int) -> None:
        super().__init__()
        self.shared = config.shared
        names = {self._name(kind, level) for kind in ("phrase", "example") for level in range(levels)}
        self.fusions = nn.ModuleDict({name: UniFusion(width, config) for name in sorted(names)})

    def forward(self, features: Tensor, level: int, references: dict[str, ReferenceBundle]) -> Tensor:
        """Fuse (N, C, h, w) of one level with references by kind ("phrase", "example"), each read by the features as
        they came."""
        fused = features
        for kind, reference in references.items():
            fused = fused + self.fusions[self._name(kind, level)](features, reference) - features
        return fused

    def _name(self, kind: str, level: int) -> str:
        parts = {"levels": (kind,), "tasks": (str(level),), "nowhere": (kind, str(level))}[self.shared]
        return "-".join(parts)
