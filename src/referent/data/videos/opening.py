"""One door for data sets of videos: which one a folder holds is told by the names in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from referent.data.checking import OnProblem
from referent.data.videos import davis, lvos, mevis, mose, ovis, ref_davis, ref_youtube_vos, youtube_vos
from referent.data.videos.davis import UNSUPERVISED, Year, read_davis
from referent.data.videos.expressions import FOLDER as EXPRESSIONS
from referent.data.videos.lvos import read_lvos
from referent.data.videos.mevis import read_mevis
from referent.data.videos.mose import read_mose
from referent.data.videos.ovis import read_ovis
from referent.data.videos.ref_davis import read_ref_davis
from referent.data.videos.ref_youtube_vos import read_ref_youtube_vos
from referent.data.videos.video import VideoSet
from referent.data.videos.youtube_vos import read_youtube_vos
from referent.errors import DataError

Reader = Callable[..., VideoSet]

_YEARS: Mapping[str, Year] = {"2016": "2016", "480p": "2016", "2017": "2017"}
_LIST = re.compile(r"ImageSets/(?P<folder>2016|2017|480p)/(?P<split>[^/]+)\.txt$")


@dataclass(frozen=True)
class VideoLayout:
    """What a path holds.

    Attributes:
        folder: of the data set.
        family: see `VideoSet`.
        split: that the path itself names; None where it names none.
    """

    folder: Path
    family: str
    reader: Reader
    split: str | None = None

    def splits(self) -> list[str]:
        """Names of the splits there are; none where all videos are one set."""
        return [self.split] if self.split else list(_SPLITS[self.family](self.folder))


_READERS: Mapping[str, Reader] = {
    "davis": read_davis,
    "ref-davis": read_ref_davis,
    "ref-youtube-vos": read_ref_youtube_vos,
    "mevis": read_mevis,
    "lvos": read_lvos,
    "mose": read_mose,
    "youtube-vos": read_youtube_vos,
    "ovis": read_ovis,
}


_SPLITS: Mapping[str, Callable[[Path], Iterable[str]]] = {
    "davis": davis.splits,
    "ref-davis": ref_davis.splits,
    "ref-youtube-vos": ref_youtube_vos.splits,
    "mevis": mevis.splits,
    "lvos": lvos.metas,
    "mose": mose.splits,
    "youtube-vos": youtube_vos.splits,
    "ovis": ovis.annotation_files,
}


def find_videos(path: Path) -> VideoLayout | None:
    """What a folder holds; None where that is no data set of videos.

    Of DAVIS a path may also be a list, `DAVIS/ImageSets/2016/val.txt`, which says the year and the split, or the folder
    `DAVIS/Annotations_unsupervised`, which says the task.
    """
    listed = _LIST.search(path.as_posix())
    if listed and path.is_file():
        reader = partial(read_davis, year=_YEARS[listed["folder"]])
        return VideoLayout(path.parents[2], "davis", reader, listed["split"])
    if path.name == UNSUPERVISED and path.is_dir():
        return VideoLayout(path.parent, "davis", partial(read_davis, task="unsupervised"))
    family = _family(path) if path.is_dir() else None
    return None if family is None else VideoLayout(path, family, _READERS[family])


def _family(folder: Path) -> str | None:
    frames = (folder / "JPEGImages").is_dir()
    if (folder / ref_davis.FOLDER).is_dir():
        return "ref-davis"
    if frames:
        return "davis"
    if (folder / EXPRESSIONS).is_dir():
        return "ref-youtube-vos"
    if mevis.splits(folder):
        return "mevis"
    if lvos.metas(folder):
        return "lvos"
    if youtube_vos.splits(folder):
        return "youtube-vos"
    if mose.splits(folder):
        return "mose"
    return "ovis" if ovis.annotation_files(folder) else None


def open_videos(path: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """A data set of videos from its folder, as `find_videos` tells them apart.

    Masks are read when they are asked for; of frames, the first one's header.

    Args:
        path: of the data set.
        split: as the authors of the data set name it; "val" is also "valid".
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.

    Raises:
        DataError: no such data set or split, or a list of all that is wrong.
    """
    layout = find_videos(path)
    if layout is None:
        raise DataError(
            f"{path}: expected a data set of videos, as docs/data.md describes them (JPEGImages/ and Annotations/, or "
            "a folder for each split), found none"
        )
    return layout.reader(layout.folder, layout.split or split, on_problem=on_problem)
