"""Video files, read with PyAV."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from referent.errors import VideoError
from referent.picture import MAX_PIXELS
from referent.video.frame import Frame, Video, numbered

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

USUAL_RATE = Fraction(25)
# A file is cut off where its last frame ends so much earlier than it says; some encoders round a frame or two away.
MISSING_FRAMES, MISSING_SHARE = 3, 0.05

_log = logging.getLogger("referent")


class VideoFile(Video):
    """The first stream of pictures in a file: frames as a player shows them, upright, each at its own time.

    Frames may be unevenly spaced and may change their size. What is damaged is left out, as players do; that, and that
    a file ends too early, is said when all good frames have been given.

    Args:
        path: of the file.
        start: in seconds; frames before it are not given. A seek, not a reading of all that comes before.
        stop: in seconds; frames from there on are not given.

    Raises:
        VideoError: missing, not a video, without pictures (audio only), or too large.
    """

    def __init__(self, path: Path, start: float = 0.0, stop: float | None = None) -> None:
        self.name, self.start, self.stop = str(path), start, stop
        self._path = path
        with self._opened() as container:
            stream = self._stream(container)
            self.rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
            self._seconds = _length(stream)
            self.count = self._counted(stream.frames)

    def __iter__(self) -> Iterator[Frame]:
        index, end, damaged = 0, 0.0, 0
        with self._opened() as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            for packet in self._packets(container, stream):
                frames = _decoded(packet)
                damaged += frames is None
                for frame in frames or ():
                    seconds = _time(frame, stream, end)
                    end = seconds + float(1 / self.rate)
                    if self.stop is not None and seconds >= self.stop:
                        return
                    # Times are fractions of the stream's own clock, and `start` a rounded number.
                    if seconds >= self.start - 1e-6:
                        yield Frame(index, seconds, _upright(frame), numbered(index))
                        index += 1
        self._check_whole(index, end, damaged)

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
        """Packets from `start` on, perhaps from a little before; the last one, empty, asks for the frames held back.

        Raises:
            VideoError: the file cannot be read on; after that last packet.
        """
        import av

        try:
            if self.start > 0:
                container.seek((stream.start_time or 0) + int(self.start / _base(stream)), stream=stream)
            yield from container.demux(stream)
        except av.error.FFmpegError as error:
            last = cast("av.Packet[VideoStream]", av.Packet())
            last.stream = stream
            yield last
            raise VideoError(f"{self.name}: cannot be read on ({error.strerror})") from error

    def _opened(self) -> InputContainer:
        import av

        try:
            return av.open(str(self._path), metadata_errors="replace")
        except FileNotFoundError:
            raise VideoError(f"{self.name}: no such file") from None
        except av.error.InvalidDataError:
            raise VideoError(f"{self.name}: not a video, or one that is cut off before its index") from None
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(f"{self.name}: cannot be read ({error.strerror})") from error

    def _stream(self, container: InputContainer) -> VideoStream:
        from av.stream import Disposition

        # A picture of a record's cover is a stream of one frame.
        streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
        if not streams:
            kinds = sorted({one.type for one in container.streams})
            raise VideoError(f"{self.name}: expected a video, found {' and '.join(kinds) or 'no stream'} only")
        width, height = streams[0].codec_context.width, streams[0].codec_context.height
        if width * height > MAX_PIXELS:
            raise VideoError(f"{self.name}: expected at most {MAX_PIXELS:,} pixels a frame, found {width} x {height}")
        return streams[0]

    def _counted(self, frames: int) -> int | None:
        if not frames and self._seconds is not None:
            frames = round(self._seconds * self.rate)
        if not frames or (self.stop is None and not self.start):
            return frames or None
        stop = frames / self.rate if self.stop is None else min(Fraction(self.stop), frames / self.rate)
        return max(0, round((stop - Fraction(self.start)) * self.rate))

    def _check_whole(self, frames: int, end: float, damaged: int) -> None:
        if not frames:
            after = f" from second {self.start:g} on" if self.start else ""
            raise VideoError(f"{self.name}: expected frames{after}, found none")
        if damaged:
            raise VideoError(f"{self.name}: damaged: {damaged} parts could not be decoded, {frames} frames could")
        whole = end if self._seconds is None else self._seconds
        if whole - end > max(float(MISSING_FRAMES / self.rate), MISSING_SHARE * whole):
            raise VideoError(f"{self.name}: cut off: frames end at second {end:.2f} of {whole:.2f}")


def _decoded(packet: av.Packet[VideoStream]) -> list[av.VideoFrame] | None:
    """Frames that end with this packet; None where it is damaged."""
    import av

    try:
        return [frame for frame in packet.decode() if isinstance(frame, av.VideoFrame)]
    except av.error.FFmpegError as error:
        _log.info("damaged packet: %s", error)
        return None


def _base(stream: VideoStream) -> Fraction:
    return stream.time_base or 1 / USUAL_RATE


def _time(frame: av.VideoFrame, stream: VideoStream, otherwise: float) -> float:
    """When it is shown, in seconds; some streams do not say."""
    return otherwise if frame.pts is None else float((frame.pts - (stream.start_time or 0)) * _base(stream))


def _upright(frame: av.VideoFrame) -> Image.Image:
    """RGB, turned as phones ask for: they store pictures as the sensor lies, with a note which way is up."""
    pixels = frame.to_ndarray(format="rgb24")
    return Image.fromarray(np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90))))


def _length(stream: VideoStream) -> float | None:
    """In seconds, as the file says it of its pictures."""
    if stream.duration:
        return float(stream.duration * _base(stream))
    noted = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))  # Matroska's way
    return int(noted[1]) * 3600 + int(noted[2]) * 60 + float(noted[3]) if noted else None
