"""Parts of a batch, answered one after the other so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from referent.models.base import Batch, Examples, Studied
from referent.models.unirefpp.fusion import ReferenceBundle


def passes(
    batch: Batch, phrases: ReferenceBundle | None, together: int
) -> Iterator[tuple[Batch, ReferenceBundle | None]]:
    """Neighbouring references with their examples, and their phrases as they have been read.

    Args:
        batch: N references.
        phrases: of all of them.
        together: at most so many a pass.
    """
    for first in range(0, len(batch.picture), together):
        some = slice(first, first + together)
        part = replace(
            batch, tokens=batch.tokens[some], picture=batch.picture[some], examples=_examples_of(batch.examples, some)
        )
        yield part, None if phrases is None else ReferenceBundle(*(bundle[some] for bundle in phrases))


def _examples_of(examples: Examples | Studied | None, some: slice) -> Examples | Studied | None:
    if examples is None:
        return None
    rows = ((examples.reference >= some.start) & (examples.reference < some.stop)).nonzero()[:, 0]
    if not len(rows):
        return None
    reference = examples.reference[rows] - some.start
    if isinstance(examples, Studied):
        return Studied(tuple(examples.features[row] for row in rows.tolist()), reference)
    sizes = None if examples.sizes is None else examples.sizes[rows]
    return Examples(examples.image[rows], examples.mask[rows], reference, sizes)
