"""From tokens and encoded examples to what UniFusion reads.

Shape letters: N references, L tokens, M examples, K keys of one of them, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.encoders.base import TextEncoder
from referent.models.unirefpp.fusion import ReferenceBundle
from referent.models.unirefpp.resizer import Resizer


def phrases_read(tokens: Tensor, encoder: TextEncoder, resizer: Resizer) -> ReferenceBundle | None:
    """The phrases of N references, (N, L) ids, zero where there is none; None where there is no phrase at all."""
    if not torch.compiler.is_compiling():  # an exported graph must not depend on the values of tokens
        used = (tokens != 0).any(0)
        if not used.any():
            return None
        tokens = tokens[:, : int(used.nonzero().max()) + 1]
    keep = tokens != 0
    # The text encoder must find a token in every row; a row without a phrase is left out by `keep`.
    first = torch.where(keep.any(1), tokens[:, 0], 1)
    words = encoder(torch.cat((first[:, None], tokens[:, 1:]), dim=1))[0]
    return ReferenceBundle.of_words(resizer(words), keep)


def stacked(features: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """What M examples, each studied alone, hold, as if they had been studied together."""
    return tuple(_padded(rows) for rows in zip(*features, strict=True))


def _padded(rows: tuple[Tensor, ...]) -> Tensor:
    """M tensors of (1, C), (1, K) or (1, K, C), K of its own each, as one; zero, or False, where one is shorter."""
    if rows[0].dim() == 2 and rows[0].dtype != torch.bool:
        return torch.cat(rows)
    most = max(row.shape[1] for row in rows)
    return torch.cat([F.pad(row, (0, 0) * (row.dim() - 2) + (0, most - row.shape[1])) for row in rows])


def shared_out(examples: ReferenceBundle, reference: Tensor, references: int) -> ReferenceBundle:
    """M examples, each alone, to the bundles of N references: side by side, as many places as the most have.

    Args:
        examples: of M rows.
        reference: (M,) which reference each belongs to.
        references: N.
    """
    order = torch.argsort(reference, stable=True)
    counts = torch.bincount(reference, minlength=references)
    place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[reference[order]]
    table = order.new_full((references, int(counts.max())), -1)
    table[reference[order], place] = order
    there, row = table >= 0, table.clamp(min=0)
    keep = examples.keep[row] & there[..., None]
    pooled = (examples.pooled[row] * there[..., None]).sum(1) / counts.clamp(min=1)[:, None]
    return ReferenceBundle(
        examples.keys[row].flatten(1, 2), examples.values[row].flatten(1, 2), keep.flatten(1), pooled
    )
