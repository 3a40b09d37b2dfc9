"""Videos read and written, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from referent.errors import VideoError
from referent.files import expanded
from referent.video.file import USUAL_RATE, VideoFile
from referent.video.frame import Frame, Video
from referent.video.sequences import Pictures, of_array, of_folder
from referent.video.writing import VideoWriter

if TYPE_CHECKING:
    from referent.reference import PictureSource

    VideoSource: TypeAlias = str | Path | np.ndarray[Any, Any] | Iterable[PictureSource]

__all__ = ["Frame", "Video", "VideoFile", "VideoWriter", "read_video"]


def read_video(
    source: VideoSource, *, start: float = 0.0, stop: float | None = None, rate: float | Fraction = USUAL_RATE
) -> Video:
    """Frames, upright and in RGB, one by one.

        for frame in read_video("clip.mp4"):
            frame.picture, frame.seconds, frame.index

    Args:
        source: a video file; a folder of pictures, in the order of the numbers in their names; a (T, H, W, 3) uint8
            array; or anything that gives pictures one after the other, such as a camera, which is read once.
        start, stop: in seconds, of a file: only frames shown from `start` on and before `stop`.
        rate: frames a second, of what is no file.

    Raises:
        VideoError: the source cannot be used. (What shows only later is raised while frames are read: see `Video`.)
    """
    if start < 0 or (stop is not None and stop <= start):
        raise VideoError(f"video: expected 0 <= start < stop, found start {start:g} and stop {stop}")
    if isinstance(source, (str, Path)):
        path = expanded(source)
        if not path.is_dir():
            return VideoFile(path, start, stop)
    if start or stop is not None:
        raise VideoError(f"video: expected start and stop for a file only, found them for {_described(source)}")
    evenly = Fraction(rate)
    if evenly <= 0:
        raise VideoError(f"video: expected a rate above 0, found {rate}")
    if isinstance(source, (str, Path)):
        return of_folder(path, evenly)
    if isinstance(source, np.ndarray):
        return of_array(source, evenly)
    if isinstance(source, Iterable):
        return Pictures("video", source, len(source) if isinstance(source, (list, tuple)) else None, evenly)
    raise VideoError(f"video: expected a file, folder, array or pictures, found {type(source).__name__}")


def _described(source: object) -> str:
    return str(source) if isinstance(source, (str, Path)) else type(source).__name__
