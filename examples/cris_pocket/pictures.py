"""The pictures of README and model card from what `referent demo --out DEMO` wrote: pictures.py DEMO IMAGES."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

HEIGHT, GAP = 300, 10
STRIPS = {"demo.jpg": ("chelsea", "astronaut", "coffee"), "pocket-failures.jpg": ("astronaut", "coffee")}


def strip(pictures: list[Image.Image]) -> Image.Image:
    """The pictures side by side, equally high, on white."""
    scaled = [picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT)) for picture in pictures]
    canvas = Image.new("RGB", (sum(picture.width + GAP for picture in scaled) - GAP, HEIGHT), "white")
    left = 0
    for picture in scaled:
        canvas.paste(picture, (left, 0))
        left += picture.width + GAP
    return canvas


def main() -> None:
    """Write both strips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("images", type=Path)
    arguments = parser.parse_args()
    for name, stems in STRIPS.items():
        pictures = [Image.open(arguments.demo / f"{stem}.overlay.png").convert("RGB") for stem in stems]
        strip(pictures).save(arguments.images / name, quality=85)


if __name__ == "__main__":
    main()
