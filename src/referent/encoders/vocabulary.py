"""Tables of tokens that hold a part of a vocabulary only. Token ids stay the whole vocabulary's at every interface."""

from __future__ import annotations

import torch
from torch import Tensor


def rows_in_reduced_table(tokens: Tensor, kept_ids: Tensor) -> Tensor:
    """Where each token stands in a reduced table.

    Args:
        tokens: (N, L) int64 ids.
        kept_ids: (V,) int64, ascending: the ids that have rows 0 .. V - 1.

    Returns:
        (N, L) int64; V, the row that all other ids share, for an id that has no row of its own.
    """
    last = len(kept_ids) - 1
    place = torch.searchsorted(kept_ids, tokens.contiguous()).clamp(max=last)
    return torch.where(kept_ids[place] == tokens, place, last + 1)
