"""Archives of answers as the benchmarks' servers take them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from referent.data.videos.video import VideoSet
from referent.errors import DataError
from referent.evaluation.videos.protocols import VideoProtocol
from referent.evaluation.videos.questions import questions
from referent.files import atomic_path

ROOTS: Mapping[str, str] = {
    "davis": "",
    "youtube-vos": "Annotations/",
    "lvos": "",
    "mose": "",
    "ref-youtube-vos": "Annotations/",
    "mevis": "",
}
"""What stands before <video>/<frame>.png, or <video>/<expression>/<frame>.png, in the archive, by family."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""So that the same answers make the same archive."""


def check_submission(videos: VideoSet) -> None:
    """Whether a server takes answers to these videos.

    Raises:
        DataError: none does.
    """
    if videos.family not in ROOTS:
        raise DataError(f"{videos.name}: has no server; there are some for {', '.join(ROOTS)}")


def write_submission(masks: Path, videos: VideoSet, protocol: VideoProtocol, out: Path) -> int:
    """An archive with the answers to every frame from the first that has an object, and nothing else.

    Args:
        masks: folder of the answers, see `journal`.
        videos: what was asked.
        protocol: by which it was asked.
        out: the .zip file to write.

    Returns:
        How many pictures are in it.

    Raises:
        DataError: there is no server for this data, or answers are missing.
        OSError: the archive cannot be written.
    """
    check_submission(videos)
    root, names = ROOTS[videos.family], list(_pictures(videos, protocol))
    missing = [name for name in names if not (masks / name).is_file()]
    if missing:
        raise DataError(f"{masks}: {len(missing)} of {len(names)} answers are missing, the first: {missing[0]}")
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(root + name, _DATE), (masks / name).read_bytes())
    return len(names)


def _pictures(videos: VideoSet, protocol: VideoProtocol) -> Iterator[str]:
    for video in videos.videos:
        for question in questions(video, videos, "mask", protocol):
            for frame in video.frames[question.first :]:
                if protocol.rivals:
                    yield f"{video.name}/{frame.stem}.png"
                else:
                    yield from (f"{video.name}/{name}/{frame.stem}.png" for name in question.names.values())
