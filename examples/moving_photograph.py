"""A clip of one photograph, as by a camera that turns and comes nearer, and its strip: the pictures of docs/track.md.

python examples/moving_photograph.py clip OUT.mp4 [PHOTO]     the cat of scikit-image (public domain) by default
python examples/moving_photograph.py strip OVERLAY.mp4 OUT.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import referent as rf
from referent.cli.demo import photographs

SIZE, RATE, FRAMES = (640, 360), 12, 60
LARGE, SMALL = 1.0, 0.62
"""Share of the photograph's width that is seen, at the beginning and at the end."""
SHOWN = 4


def clip(out: Path, photograph: Path) -> None:
    """Writes the clip."""
    with Image.open(photograph) as opened:
        picture = opened.convert("RGB")
    with rf.VideoWriter(out, rate=RATE) as video:
        for number in range(FRAMES):
            done = number / (FRAMES - 1)
            width = picture.width * (LARGE + (SMALL - LARGE) * done)
            height = min(picture.height, width * SIZE[1] / SIZE[0])
            left = (picture.width - width) * done
            top = (picture.height - height) * (0.5 + 0.5 * done) * 0.8
            window = (left, top, left + width, top + height)
            video.add(picture.resize(SIZE, Image.Resampling.BICUBIC, window), number / RATE)


def strip(overlay: Path, out: Path) -> None:
    """Writes some frames side by side."""
    frames = [frame.picture for frame in rf.read_video(overlay)]
    chosen = [frames[round(number * (len(frames) - 1) / (SHOWN - 1))] for number in range(SHOWN)]
    width, height = 2 * SIZE[0] // 3, 2 * SIZE[1] // 3
    sheet = Image.new("RGB", (SHOWN * width, height))
    for number, frame in enumerate(chosen):
        sheet.paste(frame.resize((width, height), Image.Resampling.LANCZOS), (number * width, 0))
    sheet.save(out, quality=88)


if __name__ == "__main__":
    verb, source = sys.argv[1], Path(sys.argv[2])
    if verb == "clip":
        clip(source, Path(sys.argv[3]) if len(sys.argv) > 3 else photographs() / "chelsea.png")
    else:
        strip(source, Path(sys.argv[3]))
