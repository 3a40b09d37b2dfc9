"""A picture of how videos went: a strip of frames with answer and truth, and J over time below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from referent.data.videos.label_pictures import palette, read_labels
from referent.data.videos.video import Video, VideoSet
from referent.errors import DataError
from referent.evaluation.videos.journal import LINES, MASKS, read_journal
from referent.evaluation.videos.measures import outline
from referent.evaluation.videos.tracks import Track
from referent.files import atomic_path

FRAMES = 6
MOST_VIDEOS = 12
WIDTH = 240
"""Of a frame in the strip, in pixels."""
CURVE, TITLE, GAP = 60, 16, 6
"""Heights in pixels: of the curve, of the line above a strip, and between frames."""
OPACITY = 0.5
_TRUTH = (255, 255, 255)
_INK, _PAPER, _GRID = (30, 30, 30), (255, 255, 255), (210, 210, 210)


def draw_strips(videos: VideoSet, folder: Path, out: Path) -> int:
    """The videos with the lowest J first: answers in colour, truth outlined in white, and J of each object over time.

    Args:
        videos: with their frames and masks.
        folder: of the answers, as `evaluate_videos` saves them, of objects that share the pixels of a video.
        out: the PNG to write.

    Returns:
        How many videos are drawn, `MOST_VIDEOS` at most.

    Raises:
        DataError: an answer is missing or cannot be read, or no masks are known that they could be compared with.
        OSError: the picture cannot be written.
    """
    tracks = {name: some for name, some in read_journal(folder / LINES) if some}
    by_name = {video.name: video for video in videos.videos}
    worst = sorted((name for name in tracks if name in by_name), key=lambda name: _mean(tracks[name]))[:MOST_VIDEOS]
    if not worst:
        raise DataError(f"{videos.name}: nothing to draw: no masks are known but those that were shown")
    strips = [_strip(by_name[name], tracks[name], folder / MASKS / name) for name in worst]
    page = Image.new("RGB", (max(one.width for one in strips), sum(one.height + GAP for one in strips)), _PAPER)
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height + GAP
    with atomic_path(out) as temporary:
        page.save(temporary, format="PNG")
    return len(strips)


def _strip(video: Video, tracks: Sequence[Track], answers: Path) -> Image.Image:
    frames = [tracks[0].frames[row] for row in np.linspace(0, len(tracks[0].frames) - 1, FRAMES).round().astype(int)]
    height = round(WIDTH * video.size[0] / video.size[1])
    strip = Image.new("RGB", (FRAMES * (WIDTH + GAP) - GAP, TITLE + height + GAP + CURVE), _PAPER)
    pen = ImageDraw.Draw(strip)
    pen.text((2, 2), f"{video.name}: J {100 * _mean(tracks):.1f} over all frames", fill=_INK)
    for place, frame in enumerate(frames):
        looked = _looked(video, frame, answers).resize((WIDTH, height), Image.Resampling.BILINEAR)
        strip.paste(looked, (place * (WIDTH + GAP), TITLE))
    _draw_curves(pen, tracks, (0, TITLE + height + GAP, strip.width - 1, strip.height - 1))
    return strip


def _looked(video: Video, frame: int, answers: Path) -> Image.Image:
    path = video.frames[frame]
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(np.float32)
    labels = read_labels(answers / f"{path.stem}.png", video.size)
    coloured = np.array(palette(), dtype=np.float32).reshape(256, 3)[labels]
    pixels = np.where((labels > 0)[..., None], (1 - OPACITY) * pixels + OPACITY * coloured, pixels)
    for mask in video.masks.at(frame).masks.values():
        pixels[outline(mask)] = _TRUTH
    return Image.fromarray(pixels.astype(np.uint8))


def _draw_curves(pen: ImageDraw.ImageDraw, tracks: Sequence[Track], box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    for level in (0.0, 0.5, 1.0):
        y = bottom - level * (bottom - top)
        pen.line([(left, y), (right, y)], fill=_GRID)
    colours = np.array(palette()).reshape(256, 3)
    for row, track in enumerate(tracks):
        counted: NDArray[np.float64] = np.array(track.region)
        across = np.linspace(left, right, len(counted))
        points = list(zip(across.tolist(), (bottom - counted * (bottom - top)).tolist(), strict=True))
        number = int(track.name) if track.name.isdecimal() else row + 1
        pen.line(points, fill=tuple(colours[number % 256].tolist()), width=2)


def _mean(tracks: Sequence[Track]) -> float:
    return float(np.mean([np.mean(track.region) for track in tracks]))
