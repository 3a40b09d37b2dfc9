"""Which samples of a data set are scored: filters on their tags and their targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from referent.data.sample import Sample
from referent.errors import DataError

# The 20 classes of PASCAL VOC, in COCO's spelling.
VOC = frozenset(
    "airplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorcycle,person,potted plant,"
    "sheep,couch,train,tv".split(",")
)
SETS: Mapping[str, frozenset[str]] = {"@voc": VOC}
"""Names for long lists of values, as `--where name=@voc` takes them."""

Where = Mapping[str, Sequence[str]]

TARGETS = "targets"
"""A condition on how many targets a sample has: `--where targets=1`. No tag is called so."""


def parse(conditions: Iterable[str]) -> dict[str, list[str]]:
    """["name=cat,dog", "kind=name"] to {"name": ["cat", "dog"], "kind": ["name"]}.

    Raises:
        DataError: a condition without "=" or without a value.
    """
    where: dict[str, list[str]] = {}
    for condition in conditions:
        tag, _, values = condition.partition("=")
        split = [value.strip() for value in values.split(",") if value.strip()]
        if not tag.strip() or not split:
            raise DataError(f"where: expected TAG=VALUE or TAG=VALUE,VALUE,..., found {condition!r}")
        where.setdefault(tag.strip(), []).extend(split)
    return where


def select(samples: Sequence[Sample], where: Where, smallest: float = 0) -> list[Sample]:
    """The samples that have, for every tag of `where`, one of its values; in order.

    Args:
        where: tag to allowed values; a value of `SETS` stands for all of its members. "targets" stands for the number
            of targets.
        smallest: share of the picture, from 0 to 1, that the targets of a sample cover together at least; above 0
            samples that are true of nothing are left out.

    Raises:
        DataError: a value that no sample has (those that occur are named), or nothing is left.
    """
    if not 0 <= smallest <= 1:
        raise DataError(f"smallest: expected a share of the picture from 0 to 1, found {smallest:g}")
    for tag, values in where.items():
        present = {value for sample in samples if (value := _value(sample, tag)) is not None}
        for value in values:
            if not present & SETS.get(value, {value}):
                shown = ", ".join(sorted(present)[:30]) or "no sample with this tag"
                raise DataError(f"where: {tag}={value}: no such sample; {tag} has: {shown}")
    allowed = {tag: set().union(*(SETS.get(value, {value}) for value in values)) for tag, values in where.items()}
    kept = [sample for sample in samples if all(_value(sample, tag) in values for tag, values in allowed.items())]
    if samples and not kept:
        conditions = " and ".join(f"{tag}={','.join(values)}" for tag, values in where.items())
        raise DataError(f"where: no sample meets {conditions} together")
    large = [sample for sample in kept if smallest == 0 or _share(sample) >= smallest]
    if kept and not large:
        raise DataError(f"smallest: the targets of no sample cover {100 * smallest:g} % of their picture")
    return large


def _value(sample: Sample, tag: str) -> str | None:
    return str(len(sample.targets)) if tag == TARGETS else sample.tags.get(tag)


def _share(sample: Sample) -> float:
    """Of the picture that the targets cover together."""
    return float(sample.mask().mean())
