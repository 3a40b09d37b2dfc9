"""Video files, written with PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from referent.errors import VideoError

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

CODECS = ("libx264", "mpeg4")
"""The first that PyAV was built with; its wheels have both."""
CLOCK = Fraction(1, 90_000)
"""Ticks of written times: the usual clock of video, fine enough for any rate."""
QUALITY = "20"
"""x264's constant rate factor: no difference to be seen."""


class VideoWriter:
    """An MP4 file that is written frame by frame, each shown at its own time.

    Everything that was written can be played even if the process is killed. All frames get the size of the first one,
    cut to even sides as the codecs ask for; one of another size is resized.

    Args:
        path: of the file; its folder must exist. One that is there is replaced.
        rate: frames a second, on average.

    Raises:
        VideoError: the file cannot be written.
    """

    def __init__(self, path: str | Path, rate: float | Fraction) -> None:
        import av

        self._path, self._rate = Path(path), Fraction(rate)
        self._stream: VideoStream | None = None
        self._last = -1
        # In fragments, each with its own index: a file whose end was never written is playable up to there.
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
        try:
            self._container = av.open(str(self._path), "w", format="mp4", options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise self._given_up(error) from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.close()
        except VideoError:
            # What ended the run is the news, not that its video could not be finished either.
            if error is None:
                raise

    def add(self, picture: Image.Image, seconds: float) -> None:
        """The next frame.

        Args:
            picture: RGB.
            seconds: when it is shown; later than the one before.

        Raises:
            VideoError: the file cannot be written, as on a full disk.
        """
        import av

        try:
            if self._stream is None:
                self._stream = self._begun(picture)
            size = self._stream.width, self._stream.height
            if (picture.width & ~1, picture.height & ~1) == size:
                picture = picture.crop((0, 0, *size))
            else:
                picture = picture.resize(size)
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.time_base = CLOCK
            self._last = frame.pts = max(round(seconds / CLOCK), self._last + 1)
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise self._given_up(error) from error

    def close(self) -> None:
        """Writes what is still held back.

        Raises:
            VideoError: the file cannot be written.
        """
        import av

        stream, self._stream = self._stream, None
        try:
            if stream is not None:
                self._container.mux(stream.encode(None))
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._given_up(error) from error

    def _begun(self, picture: Image.Image) -> VideoStream:
        import av

        codec = next(name for name in CODECS if name in av.codecs_available)
        stream = cast("VideoStream", self._container.add_stream(codec, rate=self._rate.limit_denominator(1001)))
        stream.width, stream.height = max(2, picture.width & ~1), max(2, picture.height & ~1)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = CLOCK
        # A fragment begins with a key frame: a second is lost at most.
        stream.codec_context.gop_size = max(1, round(self._rate))
        stream.options = {"crf": QUALITY, "preset": "veryfast"} if codec == "libx264" else {"qscale": "3"}
        return stream

    def _given_up(self, error: av.error.FFmpegError | OSError) -> VideoError:
        # What libav holds back must not be asked for after an error: it crashes the process.
        self._stream = None
        return VideoError(f"{self._path}: cannot be written: {error.strerror or error}")
