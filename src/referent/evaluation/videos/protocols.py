"""Named, versioned ways to turn what was followed through videos into numbers.

All start from the same values, J and F of every object in every annotated frame, and differ in which frames and objects
count and in which means are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from referent.data.videos.video import Task
from referent.errors import DataError

Frames = Literal["all", "inner", "later"]
"""Which annotated frames count: all from the object's first on, all but the video's first and last, or those after the
object's first."""

PLAIN = ("J&F", "J", "F")


@dataclass(frozen=True)
class VideoProtocol:
    """How videos are scored. Two results compare only under an equal protocol.

    Attributes:
        name: what `--protocol` takes.
        version: raised whenever the same predictions would get another number.
        source: where these rules are written.
        headline: the numbers to quote.
        numbers: those it gives, in this order; `scores.drawn_scores` defines them.
        tasks: what may have been given to the tracker.
        frames: which count.
        matched: nobody says which answer belongs to which object: they are paired so that the mean of J and F is
            greatest.
        rivals: the answers of one video share its pixels, as label pictures make them; off, each expression is answered
            by itself.
        procedure: of the tracker (`tracking.procedure`), as UniRef++ made its published numbers.
    """

    name: str
    version: int
    source: str
    headline: tuple[str, ...]
    numbers: tuple[str, ...]
    tasks: tuple[Task, ...]
    frames: Frames
    matched: bool = False
    rivals: bool = True
    procedure: str = "referent"

    @property
    def key(self) -> str:
        """Name and version, as files and tables write them: "davis/1"."""
        return f"{self.name}/{self.version}"


_DAVIS = VideoProtocol(
    name="davis",
    version=1,
    source="davis2017-evaluation, semi-supervised (of 2016 the same with one object): J and F of every object, the "
    "video's first and last frame left out; recall: share of frames > 0.5; decay: first less last quarter",
    headline=PLAIN,
    numbers=("J&F", "J", "J-recall", "J-decay", "F", "F-recall", "F-decay"),
    tasks=("semi-supervised",),
    frames="inner",
    procedure="davis-2017",
)
_DAVIS_UNSUPERVISED = replace(
    _DAVIS,
    name="davis-unsupervised",
    source="davis2017-evaluation, unsupervised: as `davis` over all frames, at most 20 answers a video paired with its "
    "objects by the Hungarian method; pixels marked 255 do not count",
    tasks=("unsupervised", "referring"),
    frames="all",
    matched=True,
)
_REF_DAVIS = replace(
    _DAVIS_UNSUPERVISED,
    name="ref-davis",
    source="Khoreva et al. (ACCV 2018) as ReferFormer and UniRef++ score it: each annotator's expressions as one "
    "answer under `davis-unsupervised`, mean over the four",
    numbers=PLAIN,
    tasks=("referring",),
    procedure="ref-davis",
)
_YOUTUBE_VOS = VideoProtocol(
    name="youtube-vos",
    version=1,
    source="Xu et al. (2018), YouTube-VOS: J and F of every object after its first frame, means over the objects of "
    "seen and of unseen categories, G their mean; the code of the server is not public",
    headline=("G", "J-seen", "J-unseen", "F-seen", "F-unseen"),
    numbers=("G", "J-seen", "J-unseen", "F-seen", "F-unseen", *PLAIN),
    tasks=("semi-supervised",),
    frames="later",
    procedure="youtube-vos",
)
_LVOS = VideoProtocol(
    name="lvos",
    version=1,
    source="lvos-evaluation: J and F of every object from its first frame to its last, means over the objects of seen "
    "and of unseen videos, G (there J&F) their mean; V: root of the mean squared distance of (J + F) / 2 from its "
    "mean, its square rounded to four digits",
    headline=("G", "V"),
    numbers=("G", "J-seen", "J-unseen", "F-seen", "F-unseen", "V", *PLAIN),
    tasks=("semi-supervised",),
    frames="all",
    procedure="lvos",
)
_MOSE = replace(
    _DAVIS,
    name="mose",
    source="Ding et al. (ICCV 2023), MOSE: J and F as DAVIS has them; the code of the server is not public",
    numbers=PLAIN,
    procedure="mose",
)
_MEVIS = VideoProtocol(
    name="mevis",
    version=1,
    source="MeViS, its evaluation code: J and F of every expression over all frames, mean over expressions",
    headline=PLAIN,
    numbers=PLAIN,
    tasks=("referring",),
    frames="all",
    rivals=False,
    procedure="ref-youtube-vos",
)
_REF_YOUTUBE_VOS = replace(
    _MEVIS,
    name="ref-youtube-vos",
    source="Seo et al. (ECCV 2020), Refer-YouTube-VOS: J and F of every expression over the annotated frames, mean "
    "over expressions; the code of the server is not public",
)

VIDEO_PROTOCOLS: Mapping[str, VideoProtocol] = {
    protocol.name: protocol
    for protocol in (
        _DAVIS,
        _DAVIS_UNSUPERVISED,
        _YOUTUBE_VOS,
        _LVOS,
        _MOSE,
        _REF_DAVIS,
        _REF_YOUTUBE_VOS,
        _MEVIS,
    )
}


def find_video_protocols(names: Iterable[str], task: Task) -> list[VideoProtocol]:
    """Protocols that can score one run: they pair answers with objects in the same way.

    Raises:
        DataError: an unknown name, one that does not fit the task, or two that cannot be scored in one run.
    """
    found: list[VideoProtocol] = []
    for name in dict.fromkeys(names):
        protocol = VIDEO_PROTOCOLS.get(name)
        if protocol is None:
            raise DataError(f"protocol {name!r}: for videos there are: {', '.join(VIDEO_PROTOCOLS)}")
        if task not in protocol.tasks:
            fitting = ", ".join(name for name, other in VIDEO_PROTOCOLS.items() if task in other.tasks)
            raise DataError(
                f"protocol {name}: scores {' or '.join(protocol.tasks)} sets, not {task} ones; use {fitting}"
            )
        if found and (protocol.matched, protocol.rivals) != (found[0].matched, found[0].rivals):
            raise DataError(f"protocols {found[0].name} and {name}: answers are made differently; run them one by one")
        found.append(protocol)
    return found
