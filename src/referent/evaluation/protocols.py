"""Named, versioned ways to turn predictions into numbers.

Published scores differ in threshold, in the size at which masks are compared, in what counts as reaching an IoU, and in
which mean is printed, so they are not comparable with each other; a number of this project always stands beside the
protocol that made it. Every protocol starts from the same predictions (a probability map at the picture's own size, a
score, `found`), so that one pass of the model is scored under several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from referent.data.published.refer import Wording
from referent.data.sample import Overlap, Sample
from referent.errors import DataError

Over = Literal["sentences", "first sentences", "classes"]

PRECISION_AT = (0.5, 0.6, 0.7, 0.8, 0.9)
"""The IoUs of Pr@X in published tables."""

COMMON = ("oIoU", "mIoU", "mIoU-present", *(f"Pr@{at}" for at in PRECISION_AT), "T-acc", "N-acc")
"""What most protocols print; `metrics.scores` defines each number."""

REF, CLASS = "ref", "name"
"""The tags by which samples belong to one referred object, and to one class."""


@dataclass(frozen=True)
class Protocol:
    """How a prediction is cut out, compared and averaged. Two results compare only under an equal protocol.

    Attributes:
        name: what `--protocol` takes.
        version: raised whenever the same predictions would get another number.
        source: where these rules are written.
        headline: the numbers to quote.
        threshold: a pixel belongs to the answer when its probability is greater; None for the model's own threshold.
        strict: Pr@X counts IoU > X; otherwise IoU >= X.
        both_empty: IoU where neither answer nor truth has a pixel.
        epsilon: added to the union before dividing.
        refusal: what becomes of an answer that the model itself calls not found. "ignored": its mask counts all the
            same; "empty": it counts as empty; "missed": the same, but where there was something to find the union
            keeps the pixels of the refused mask.
        compared: "masks", or "boxes", unrounded: of the answer, against the target whose box it fits best.
        squash: side of the square to which truth and answer are squashed before they are compared, nearest; None for
            the picture's own size.
        overlap: what pixels are that several polygons of one target cover, see `Sample.mask`.
        over: what the means are taken over.
        numbers: the numbers it gives, in this order.
        picture: how the published numbers' pictures were prepared, in the words of a segmenter's `geometry`; None where
            the protocol leaves that to the model.
        wording: which text of a published data set's sentences the published numbers asked; None likewise.
    """

    name: str
    version: int
    source: str
    headline: tuple[str, ...]
    threshold: float | None
    strict: bool
    both_empty: float
    epsilon: float = 0.0
    refusal: Literal["ignored", "empty", "missed"] = "ignored"
    compared: Literal["masks", "boxes"] = "masks"
    squash: int | None = None
    overlap: Overlap = "union"
    over: Over = "sentences"
    numbers: tuple[str, ...] = COMMON
    picture: str | None = None
    wording: Wording | None = None

    @property
    def key(self) -> str:
        """Name and version, as prediction files and tables write them: "cris/1"."""
        return f"{self.name}/{self.version}"

    def iou(self, intersection: NDArray[np.float64], union: NDArray[np.float64]) -> NDArray[np.float64]:
        """IoU of N comparisons.

        Args:
            intersection: (N,) pixels in both answer and truth.
            union: (N,) pixels in either.
        """
        below = union + self.epsilon
        ratio = np.divide(intersection, below, out=np.zeros(len(union)), where=below > 0)
        return np.where(union == 0, self.both_empty, ratio)

    def reached(self, iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """(N,) bool: which IoUs count for Pr@threshold."""
        return iou > threshold if self.strict else iou >= threshold

    def counted(self, samples: Sequence[Sample]) -> frozenset[str]:
        """Ids of the samples that enter its numbers: all of them, the first of each referred object, or those that
        have a class.

        Raises:
            DataError: there are none, or their truths are boxes where masks are compared.
        """
        if self.compared == "masks" and all(sample.tags.get("truth") == "box" for sample in samples):
            boxes = ", ".join(name for name, protocol in PROTOCOLS.items() if protocol.compared == "boxes")
            raise DataError(f"protocol {self.name}: compares masks, but this data holds boxes only; use {boxes}")
        if self.over == "sentences":
            return frozenset(sample.id for sample in samples)
        tag = CLASS if self.over == "classes" else REF
        tagged = [sample for sample in samples if tag in sample.tags]
        if not tagged:
            raise DataError(f"protocol {self.name}: takes means over {self.over}, but no sample has the tag {tag!r}")
        if self.over == "classes":
            return frozenset(sample.id for sample in tagged)
        first: dict[str, str] = {}
        for sample in tagged:
            first.setdefault(sample.tags[tag], sample.id)
        return frozenset(first.values())


_REFERENT = Protocol(
    name="referent",
    version=1,
    source="docs/evaluate.md",
    headline=("oIoU", "mIoU"),
    threshold=None,
    refusal="empty",
    both_empty=1.0,
    strict=False,
)

# The authors confirm that their "IoU" is the mean over sentences (issue 12 of their repository).
_CRIS = Protocol(
    name="cris",
    version=1,
    source="CRIS.pytorch, engine.inference: probability > 0.35, IoU = inter / (union + 1e-6), Pr@X: IoU > X",
    headline=("mIoU",),
    threshold=0.35,
    epsilon=1e-6,
    both_empty=0.0,
    strict=True,
    picture="letterbox 416",
    wording="sent",
)

_LAVT = Protocol(
    name="lavt",
    version=1,
    source="LAVT-RIS, test.py: every sentence; truth squashed to 480 x 480 (PIL, nearest), foreground where exactly "
    "one polygon covers; the larger of two classes; IoU = I / U or 0; Pr@X: IoU >= X",
    headline=("oIoU",),
    threshold=0.5,
    both_empty=0.0,
    strict=False,
    squash=480,
    overlap="once",
    picture="squash 480",
    wording="raw",
)

_MAGNET = replace(_LAVT, name="magnet", source="MagNet, test.py: as LAVT, with sigmoid > 0.5")

_GREFCOCO = Protocol(
    name="grefcoco",
    version=1,
    source="GRES (Liu et al., CVPR 2023) and its code, refer_evaluation: gIoU = mean IoU, an absent phrase 1 or 0; "
    "cIoU = sum of I / sum of U; Pr@X over present phrases: IoU >= X",
    headline=("gIoU", "cIoU", "N-acc", "T-acc"),
    threshold=None,
    refusal="missed",
    both_empty=1.0,
    strict=False,
    numbers=("gIoU", "cIoU", "oIoU", "mIoU", "mIoU-present", "Pr@0.7", "Pr@0.8", "Pr@0.9", "T-acc", "N-acc"),
)

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _REFERENT,
        # Tells the quality of masks from the decision that there is something to find.
        replace(_REFERENT, name="referent-masks", refusal="ignored"),
        _CRIS,
        replace(
            _CRIS,
            name="cris-val",
            source="CRIS.pytorch, engine.validate: as cris, but the first sentence of each referred object; what the "
            "log of a training shows",
            over="first sentences",
        ),
        # That the printed IoU is a mean over sentences is confirmed by the authors here too (issue 4).
        replace(_CRIS, name="etris", source="ETRIS, engine.inference: the code of CRIS"),
        _LAVT,
        _MAGNET,
        replace(
            _MAGNET,
            name="magnet-448",
            source="MagNet, run_test.sh: the weights of all data sets together are tested at 448",
            squash=448,
            picture="squash 448",
        ),
        Protocol(
            name="unirefpp",
            version=1,
            source="UniRef++, RefCOCOeval: sigmoid > 0.5, always one mask; P@X: IoU > X; oIoU, and the mean of "
            "pycocotools' IoU",
            headline=("oIoU", "mIoU"),
            threshold=0.5,
            both_empty=0.0,
            strict=True,
            picture="shortest side 800, longest 1333",
            wording="sent",
        ),
        _GREFCOCO,
        replace(
            _GREFCOCO,
            name="grefcoco-480",
            source="ReLA, refcoco_mapper and refer_evaluation: as grefcoco, with truth and answer at 480 x 480",
            squash=480,
            picture="squash 480",
            wording="raw",
        ),
        Protocol(
            name="reclip",
            version=2,
            source="ReCLIP, main.py: right when the IoU with any box of a target is > 0.5; boxes as the files "
            "have them, x, y, width, height with fractions",
            headline=("accuracy",),
            threshold=None,
            both_empty=0.0,
            strict=True,
            compared="boxes",
            numbers=("accuracy",),
            picture="box proposals",
            wording="raw",
        ),
        Protocol(
            name="fss",
            version=1,
            source="the metrics of few-shot segmentation, as in HSNet (Min et al., ICCV 2021): IoU of a class = sum of "
            "I / sum of U over its samples; FB-IoU = mean of foreground and background IoU over all",
            headline=("class-mIoU", "FB-IoU"),
            threshold=0.5,
            both_empty=0.0,
            strict=False,
            over="classes",
            numbers=("class-mIoU", "FB-IoU", "mIoU"),
        ),
    )
}


def find(names: Iterable[str]) -> tuple[Protocol, ...]:
    """The protocols of these names, in order, each once.

    Raises:
        DataError: an unknown name, or none at all.
    """
    found = []
    for name in dict.fromkeys(names):
        if name not in PROTOCOLS:
            raise DataError(f"protocol: expected one of {', '.join(PROTOCOLS)}, found {name!r}")
        found.append(PROTOCOLS[name])
    if not found:
        raise DataError(f"protocol: expected at least one of {', '.join(PROTOCOLS)}, found none")
    return tuple(found)
