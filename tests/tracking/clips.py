"""Videos made here: squares that move, in files of every kind of trouble."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from referent.video import VideoWriter

SIZE = (48, 64)
RATE = Fraction(25)


def pictures(count: int, size: tuple[int, int] = SIZE) -> Iterator[Image.Image]:
    """A red square that moves by two pixels a frame, and a blue corner at the top left."""
    for index in range(count):
        pixels = np.full((*size, 3), 60, dtype=np.uint8)
        pixels[16:32, 2 * index : 2 * index + 16] = (250, 20, 20)
        pixels[:8, :8] = (20, 20, 250)
        yield Image.fromarray(pixels)


def write(path: Path, frames: Iterable[Image.Image], times: Sequence[float] | None = None) -> Path:
    with VideoWriter(path, RATE) as writer:
        for index, frame in enumerate(frames):
            writer.add(frame, float(index / RATE) if times is None else times[index])
    return path


def plain(path: Path, count: int, sizes: Sequence[tuple[int, int]] = (SIZE,)) -> Path:
    """As other programs write: the index at the end, one stream of pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width = sizes[0]
        stream.pix_fmt = "yuv420p"
        for picture in pictures(count):
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
    return path


def changing(path: Path) -> Path:
    """Ten frames of one size, then ten of another, in one stream."""
    parts = []
    for size in (SIZE, (32, 32)):
        codec = av.CodecContext.create("mpeg2video", "w")
        codec.height, codec.width = size
        codec.pix_fmt, codec.time_base = "yuv420p", 1 / RATE
        frames = [av.VideoFrame.from_image(picture) for picture in pictures(10, size)]
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, 1 / RATE
        parts += [bytes(packet) for frame in (*frames, None) for packet in codec.encode(frame)]
    path.write_bytes(b"".join(parts))
    return path


def turned(path: Path, source: Path) -> Path:
    """The same frames with a phone's note that they are to be shown turned clockwise."""
    content = bytearray(source.read_bytes())
    # In the box of the track: version, times, ids and lengths, layers, volume; then the matrix.
    start = content.index(b"tkhd") + 4
    start += 4 + (32 if content[start] else 20) + 16
    one = 1 << 16
    content[start : start + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, SIZE[0] * one, 0, 1 << 30)
    path.write_bytes(content)
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
