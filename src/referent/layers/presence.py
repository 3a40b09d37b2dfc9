"""Is the phrase true of anything in the picture? A head of ours; no paper has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PresenceHead(nn.Module):
    """One logit a reference: that the phrase is true of something in the picture.

    CRIS and ETRIS always draw a mask, also for a phrase that is true of nothing. This head compares what lies under
    the drawn mask with the sentence, and looks at how sure the mask is of itself. It reads the mask logits but sends no
    gradient into them, so the mask is trained by the mask losses alone.

    Args:
        width: channels of the decoder's map.
        state_width: channels of the sentence state.
    """

    def __init__(self, width: int, state_width: int) -> None:
        super().__init__()
        self.sentence = nn.Linear(state_width, width)
        self.judge = nn.Sequential(nn.Linear(4 * width + 2, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, feature_map: Tensor, state: Tensor, logits: Tensor) -> Tensor:
        """Judge.

        Args:
            feature_map: (N, width, h, w) of the decoder.
            state: (N, state_width).
            logits: (N, 1, H, W) of the mask, H and W multiples of h and w.

        Returns:
            (N,) logits.
        """
        logits = logits.detach()
        ratio = logits.shape[-1] // feature_map.shape[-1]
        weight = F.avg_pool2d(logits.sigmoid(), ratio).flatten(1)
        weight = weight / (weight.sum(1, keepdim=True) + 1e-6)
        inside = torch.einsum("ncp,np->nc", feature_map.flatten(2), weight)
        sentence = self.sentence(state)
        sureness = torch.stack((logits.amax((1, 2, 3)), logits.mean((1, 2, 3))), dim=1)
        evidence = (inside, inside * sentence, sentence, feature_map.mean((2, 3)), 0.1 * sureness)
        judged: Tensor = self.judge(torch.cat(evidence, dim=1))
        return judged[:, 0]
