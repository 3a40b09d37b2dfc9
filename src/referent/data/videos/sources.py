"""Where each data set of videos comes from, under what terms, and what it should hold. Tables in the docs are generated
from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PAGE, PAPER = "its page", "its paper"


@dataclass(frozen=True)
class Edition:
    """One split as published; None where nobody says.

    Attributes:
        name: of the edition, where there are several ("2018", "v1").
        split: of it.
        videos, objects, expressions: how many.
        source: who says so.
    """

    name: str
    split: str
    videos: int
    objects: int | None = None
    expressions: int | None = None
    source: str = PAGE


@dataclass(frozen=True)
class VideoSource:
    """One data set.

    Attributes:
        title: as its paper writes it.
        files: what its folder holds.
        url: where to get it.
        licence: as its place of publication states it.
        server: where answers to splits with secret masks are scored, as its authors name the place; nobody of this
            project has tried it. None where there is no such split.
        editions: what it should hold.
    """

    title: str
    files: str
    url: str
    licence: str
    server: str | None
    editions: tuple[Edition, ...]


_CODALAB = "https://codalab.lisn.upsaclay.fr/competitions/{}"
_NC_SA, _THERE = "CC BY-NC-SA 4.0", "as said there"

VIDEO_SOURCES: Mapping[str, VideoSource] = {
    "davis": VideoSource(
        "DAVIS 2016, 2017",
        "JPEGImages/480p/ Annotations/480p/ ImageSets/",
        "https://davischallenge.org",
        "CC BY-NC 4.0",
        f"test-dev 2017: {_CODALAB.format(6812)}",
        (
            Edition("2016", "train", 30),
            Edition("2016", "val", 20),
            Edition("2017", "train", 60),
            Edition("2017", "val", 30),
            Edition("2017", "test-dev", 30),
        ),
    ),
    "youtube-vos": VideoSource(
        "YouTube-VOS 2018, 2019",
        "train/ valid/ test/, each JPEGImages/ Annotations/ meta.json",
        "https://youtube-vos.org/dataset/vos",
        "CC BY 4.0 (annotations)",
        f"2018: {_CODALAB.format(7685)}, 2019: {_CODALAB.format(6066)}",
        (
            Edition("2018", "train", 3471, 5945),
            Edition("2018", "valid", 474, 894),
            Edition("2018", "test", 508, 915),
            Edition("2019", "train", 3471, 6459),
            Edition("2019", "valid", 507, 1063),
            Edition("2019", "test", 541, 1092),
        ),
    ),
    "lvos": VideoSource(
        "LVOS v1, v2",
        "train/ valid/ test/, each JPEGImages/ Annotations/ <split>_meta.json; unseen_videos.txt (its evaluation code)",
        "https://lingyihongfd.github.io/lvos.github.io",
        _THERE,
        f"test v1: {_CODALAB.format(8767)}",
        (
            Edition("v1", "train", 120),
            Edition("v1", "valid", 50),
            Edition("v1", "test", 50),
            Edition("v2", "train", 420),
            Edition("v2", "valid", 140),
            Edition("v2", "test", 160),
        ),
    ),
    "mose": VideoSource(
        "MOSE v1, v2",
        "train/ valid/, each JPEGImages/ Annotations/; meta_train.json meta_valid.json",
        "https://mose.video",
        _NC_SA,
        f"valid v1: {_CODALAB.format(10703)}",
        (Edition("v1", "train", 1507), Edition("v1", "valid", 311)),
    ),
    "ovis": VideoSource(
        "OVIS",
        "train/<video>/ annotations_train.json",
        "https://songbai.site/ovis",
        _THERE,
        None,
        (Edition("", "train", 607), Edition("", "valid", 140), Edition("", "test", 154)),
    ),
    "ref-youtube-vos": VideoSource(
        "Ref-YouTube-VOS",
        "meta_expressions/<split>/meta_expressions.json train/ valid/, each JPEGImages/ (train Annotations/ too)",
        "https://youtube-vos.org/dataset/rvos",
        "CC BY 4.0 (annotations)",
        f"valid: {_CODALAB.format(3282)}",
        (Edition("", "train", 3471, None, 12913), Edition("", "valid", 202)),
    ),
    "ref-davis": VideoSource(
        "Ref-DAVIS17",
        "davis_text_annotations/ DAVIS/ (of the unsupervised task)",
        "https://www.mpi-inf.mpg.de/departments/computer-vision-and-machine-learning/research/video-segmentation/"
        "video-object-segmentation-with-language-referring-expressions",
        _THERE,
        None,
        (Edition("", "train", 60), Edition("", "val", 30)),
    ),
    "mevis": VideoSource(
        "MeViS",
        "train/ valid_u/ valid/, each JPEGImages/ meta_expressions.json (mask_dict.json but for valid)",
        "https://henghuiding.github.io/MeViS",
        _NC_SA,
        f"valid: {_CODALAB.format(15094)}",
        (
            Edition("", "train", 1662, None, 23051, PAPER),
            Edition("", "valid_u", 50, None, 793, PAPER),
            Edition("", "valid", 140, None, 2236, PAPER),
        ),
    ),
}


def video_sources() -> str:
    """A markdown table of where to get what, without a line end after it."""
    head = ["data set", "files", "get it from", "terms", "server for answers"]
    rows = [[one.title, f"`{one.files}`", one.url, one.licence, one.server or "-"] for one in VIDEO_SOURCES.values()]
    return _table(head, ["---"] * 5, rows)


def video_counts() -> str:
    """A markdown table of what the data sets should hold, likewise."""
    rows = [
        [source.title if not edition.name else f"{source.title.split()[0]} {edition.name}", edition.split]
        + [
            "-" if number is None else f"{number:,}"
            for number in (edition.videos, edition.objects, edition.expressions)
        ]
        + [edition.source]
        for source in VIDEO_SOURCES.values()
        for edition in source.editions
    ]
    head = ["data set", "split", "videos", "objects", "expressions", "who says so"]
    return _table(head, ["---", "---", "--:", "--:", "--:", "---"], rows)


def _table(head: list[str], rule: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])
