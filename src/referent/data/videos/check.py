"""What data sets of videos lie in a folder, and whether they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from referent.data.published.layout import find_layout
from referent.data.videos.frames import size_of
from referent.data.videos.opening import VideoLayout, find_videos
from referent.data.videos.sources import VIDEO_SOURCES, Edition, VideoSource
from referent.data.videos.video import VideoSet
from referent.errors import DataError


@dataclass(frozen=True)
class VideoSplit:
    """What one split holds.

    Attributes:
        name: of the split; None where all videos are one set.
        videos, objects, expressions, frames: how many.
        edition: published with as many; None where there is no such.
        published: editions of this split.
        problems: videos that cannot be used, frames that cannot be read or have another size than their video's first,
            masks that cannot be read; or why nothing can.
    """

    name: str | None
    videos: int
    objects: int
    expressions: int
    frames: int
    edition: Edition | None
    published: tuple[Edition, ...]
    problems: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Nothing is damaged, or other than published."""
        return not self.problems and (self.edition is not None or not self.published)


@dataclass(frozen=True)
class VideoFinding:
    """One data set of videos.

    Attributes:
        path: its folder.
        source: which it is.
        splits: what it holds.
    """

    path: Path
    source: VideoSource
    splits: tuple[VideoSplit, ...]

    @property
    def whole(self) -> bool:
        """Of all its splits."""
        return all(split.whole for split in self.splits)


def check_videos(root: Path) -> Iterator[VideoFinding]:
    """Every data set of videos in `root`, or `root` itself where it is one; all frames' headers and all masks are read.

    Args:
        root: a folder of data sets, or one of them.
    """
    if find_layout(root) is not None:
        return
    own = find_videos(root)
    if own is not None:
        yield _checked(own)
        return
    for folder in sorted(item for item in root.iterdir() if item.is_dir()):
        layout = find_videos(folder) if find_layout(folder) is None else None
        if layout is not None:
            yield _checked(layout)


def _checked(layout: VideoLayout) -> VideoFinding:
    source = VIDEO_SOURCES[layout.family]
    names: list[str | None] = [*layout.splits()] or [None]
    return VideoFinding(layout.folder, source, tuple(_split(layout, source, name) for name in names))


def _split(layout: VideoLayout, source: VideoSource, name: str | None) -> VideoSplit:
    published = tuple(edition for edition in source.editions if edition.split == name)
    try:
        found = layout.reader(layout.folder, name, on_problem="skip")
    except DataError as error:
        return VideoSplit(name, 0, 0, 0, 0, None, published, (str(error),))
    videos = len(found.videos)
    objects = sum(len(video.objects) for video in found.videos)
    expressions = sum(len(video.expressions) for video in found.videos)
    met = (
        edition
        for edition in published
        if edition.videos == videos
        and edition.objects in (None, objects)
        and edition.expressions in (None, expressions)
    )
    frames = sum(len(video.frames) for video in found.videos)
    problems = (*found.problems, *_damaged(found))
    return VideoSplit(name, videos, objects, expressions, frames, next(met, None), published, problems)


def _damaged(videos: VideoSet) -> Iterator[str]:
    for video in videos.videos:
        for frame in video.frames:
            try:
                size = size_of(frame)
            except DataError as error:
                yield str(error)
                continue
            if size != video.size:
                yield f"{frame}: {size[1]} x {size[0]}, the first frame is {video.size[1]} x {video.size[0]}"
        for index in video.masks.annotated:
            try:
                video.masks.at(index)
            except DataError as error:
                yield f"{video.name}: {error}"
