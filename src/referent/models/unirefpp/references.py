"""From tokens and encoded examples to what UniFusion reads.

Shape letters: N references, L tokens, M examples, K keys of one of them, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

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


def side_by_side(examples: Sequence[ReferenceBundle], reference: Tensor, references: int) -> ReferenceBundle:
    """Examples that were studied one by one to the bundles of N references, each with all of its own.

    Args:
        examples: M bundles of one row, with as many keys as each has.
        reference: (M,) which reference each belongs to.
        references: N.
    """
    own: list[list[ReferenceBundle]] = [[] for _ in range(references)]
    for example, row in zip(examples, reference.tolist(), strict=True):
        own[row].append(example)
    keys, values, keep, pooled = examples[0]
    most = max(sum(example.keys.shape[1] for example in some) for some in own)
    # Written once: with several objects in a video, copies of keys and values cost as much as a detector's layer.
    bundle = ReferenceBundle(
        keys.new_zeros(references, most, keys.shape[2]), values.new_zeros(references, most, values.shape[2]),
        keep.new_zeros(references, most), pooled.new_zeros(references, pooled.shape[1]),
    )  # fmt: skip
    for row, some in enumerate(own):
        start = 0
        for example in some:
            place = slice(start, start + example.keys.shape[1])
            bundle.keys[row, place], bundle.values[row, place] = example.keys[0], example.values[0]
            bundle.keep[row, place] = example.keep[0]
            bundle.pooled[row] += example.pooled[0] / len(some)
            start = place.stop
    return bundle


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
