"""Where a number was not made as the published ones of its protocol were: said beside it, never left to be guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from referent.data.published.refer import Wording
from referent.data.sample import Sample
from referent.evaluation.protocols import REF, Protocol

_SAID = {"sent": "as cleaned", "raw": "as typed (--raw)"}


def notes(protocol: Protocol, geometry: str, samples: Sequence[Sample], wording: Wording) -> Iterator[str]:
    """What differs, a line each.

    Args:
        protocol: whose numbers.
        geometry: how the model looks at pictures, see `AnySegmenter.geometry`.
        samples: that were asked.
        wording: which text of their sentences, where they have two.
    """
    name = protocol.name
    if protocol.picture not in (None, geometry):
        yield f"picture: {geometry}, the model's own; the published numbers of {name} are of {protocol.picture}"
    # Only the refs of a published data set have two texts a sentence.
    if protocol.wording not in (None, wording) and any(REF in sample.tags for sample in samples):
        yield f"sentences: {_SAID[wording]}; the published numbers of {name} ask them {_SAID[protocol.wording]}"
    if protocol.overlap == "once" and not any(sample.polygons for sample in samples):
        yield "truth: no polygons are known of this data, so what several of them cover could not be left out"
