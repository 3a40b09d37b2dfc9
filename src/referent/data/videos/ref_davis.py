"""Ref-DAVIS17: expressions about the objects of DAVIS 2017, by two annotators who wrote twice.

    davis_text_annotations/Davis17_annot1.txt               <video> <object> "<expression>", from the first frame
    davis_text_annotations/Davis17_annot1_full_video.txt    from the whole video
    davis_text_annotations/Davis17_annot2.txt, ..._full_video.txt
    DAVIS/JPEGImages/480p/..., DAVIS/Annotations_unsupervised/480p/..., DAVIS/ImageSets/2017/val.txt

DAVIS may lie in the folder itself. Masks are those of the unsupervised task where they are there, as published results
were scored; the expressions number objects as the semi-supervised task does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from referent.data.checking import OnProblem, Problems
from referent.data.videos import davis
from referent.data.videos.davis import UNSUPERVISED, read_davis
from referent.data.videos.video import Expression, Task, VideoSet
from referent.errors import DataError

FOLDER = "davis_text_annotations"
ANNOTATORS = ("annot1", "annot1_full_video", "annot2", "annot2_full_video")
"""As they are numbered in published results."""
MISSPELT = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
"""Names of sequences in the files, and DAVIS's."""
_LINE = re.compile(r'(?P<video>\S+)\s+(?P<number>\d+)\s+"?(?P<text>.*?)"?')


def read_ref_davis(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """The sequences of one split with all their expressions.

    Args:
        folder: with `davis_text_annotations/` in it.
        split: "train" or "val".
        on_problem: see `read_davis`.

    Raises:
        DataError: a file is missing or a line of it is no expression, a sequence has none, or DAVIS cannot be read.
    """
    place = _davis(folder)
    task: Task = "unsupervised" if (place / UNSUPERVISED).is_dir() else "semi-supervised"
    found = read_davis(place, split, year="2017", task=task, on_problem=on_problem)
    said: dict[str, list[Expression]] = {}
    problems = Problems(folder / FOLDER, on_problem)
    for annotator, name in enumerate(ANNOTATORS):
        path = folder / FOLDER / f"Davis17_{name}.txt"
        for number, line in enumerate(_lines(path), start=1):
            match = _LINE.fullmatch(line.strip())
            if match is None:
                problems.add(
                    f"{path.name}, line {number}", f'expected <video> <object> "<expression>", found {line!r:.60}'
                )
                continue
            video = MISSPELT.get(match["video"], match["video"])
            key = str(sum(one.annotator == annotator for one in said.get(video, ())))
            first_frame = not name.endswith("full_video")
            expression = Expression(key, match["text"], (int(match["number"]),), annotator, first_frame)
            said.setdefault(video, []).append(expression)
    for one in found.videos:
        if one.name not in said:
            problems.add(one.name, "no expression is about it")
    settled = problems.settle()
    videos = [replace(video, expressions=tuple(said[video.name])) for video in found.videos if video.name in said]
    return VideoSet("Ref-DAVIS17", "ref-davis", "referring", videos, split, (*found.problems, *settled))


def splits(folder: Path) -> list[str]:
    """Those of DAVIS 2017."""
    return davis.splits(_davis(folder))


def _davis(folder: Path) -> Path:
    return folder / "DAVIS" if (folder / "DAVIS").is_dir() else folder


def _lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # The second annotator's files.
        text = content.decode("latin-1")
    return [line for line in text.splitlines() if line.strip()]
