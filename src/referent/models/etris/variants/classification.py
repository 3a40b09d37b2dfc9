"""Classification with ETRIS: the decoder's map, pooled, is compared with the state of each class's name.

The appendix speaks of a small change of the decoder and says no more. Ours, not the authors'.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# CLIP's cosines between picture and text are divided by this at the start of its training (Radford et al., 2021).
_TEMPERATURE = 0.07


class LabelHead(nn.Module):
    """One logit a reference, to be compared with those of the other names asked of the same picture.

    Args:
        width: channels of the decoder's map.
        state_width: channels of the sentence state.
    """

    def __init__(self, width: int, state_width: int) -> None:
        super().__init__()
        self.picture = nn.Linear(width, state_width)
        self.temperature = nn.Parameter(torch.tensor(_TEMPERATURE).log())

    def forward(self, feature_map: Tensor, state: Tensor) -> Tensor:
        """(N, width, h, w) of the decoder and (N, state_width) to (N,) logits."""
        seen = self.picture(feature_map.mean((2, 3)))
        return F.cosine_similarity(seen, state, dim=1) / self.temperature.exp()


def label_loss(logits: Tensor, picture: Tensor, target: Tensor | None) -> Tensor:
    """Cross-entropy of the softmax over all references to one picture; of several true ones any will do.

    Args:
        logits: (N,).
        picture: (N,) int64, of each reference.
        target: (N, 1, H, W); a reference is true where it is not empty. Pictures without a true one teach nothing.

    Raises:
        ValueError: there is no target.
    """
    if target is None:
        raise ValueError("losses need batch.target")
    together = picture[:, None] == picture[None]
    true = together & (target.flatten(1).amax(1) > 0)
    among_all = logits[None].masked_fill(~together, -torch.inf).logsumexp(1)
    taught = true.any(1)
    among_true = logits[None].masked_fill(~true, -torch.inf)[taught].logsumexp(1)
    # Every picture counts once, however many references are asked of it.
    share = 1 / together.sum(1)[taught]
    return ((among_all[taught] - among_true) * share).sum() / share.sum().clamp(min=1)
