"""What an example's mask means, at the one stride of SAM's embedding (UniRef++ section 3.5).

Shape letters: M examples, C the common width, s x s the embedding's pixels.
"""

from __future__ import annotations

from torch import Tensor

from referent.models.unirefpp.mask_encoder import Fuser, MaskResNet
from referent.models.unirefpp.sam.config import CoarseMaskEncoderConfig


class CoarseMaskEncoder(MaskResNet):
    """Picture and mask to one value map.

    Args:
        config: of the ResNet.
        width: C.
    """

    def __init__(self, config: CoarseMaskEncoderConfig, width: int) -> None:
        super().__init__(config.depths, config.width)
        self.fuser = Fuser(self.channels[-1], width, config.gate_reduction)

    def forward(self, image: Tensor, mask: Tensor, embedding: Tensor) -> Tensor:
        """Encode.

        Args:
            image: (M, 3, H, W) float, normalised, padded with zeros.
            mask: (M, 1, H, W) float, 1 on the target.
            embedding: (M, C, s, s) of the same picture, SAM's.

        Returns:
            (M, C, s, s).
        """
        fused: Tensor = self.fuser(self.maps(image, mask)[-1], embedding)
        return fused
