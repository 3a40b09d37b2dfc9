"""A model that remembers is scored on videos by following each object from its first mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stub import COLOURS, SIDE, segmenter

from referent.data.videos.davis import read_davis
from referent.data.videos.label_pictures import write_labels
from referent.evaluation.videos.run import evaluate_videos

COLOUR_OF = {1: "red", 2: "blue"}


def write(root: Path, lefts: dict[int, list[int | None]]) -> None:
    """Squares of two colours; where there is no left side, the square is not in the frame."""
    frames, masks = root / "JPEGImages" / "480p" / "two", root / "Annotations" / "480p" / "two"
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    for index, places in enumerate(zip(*lefts.values(), strict=True)):
        pixels, labels = np.full((SIDE, 2 * SIDE, 3), 128, np.uint8), np.zeros((SIDE, 2 * SIDE), np.uint8)
        for number, left in zip(lefts, places, strict=True):
            if left is not None:
                square = np.s_[12 * number - 8 : 12 * number, left : left + 8]
                pixels[square], labels[square] = COLOURS[COLOUR_OF[number]], number
        Image.fromarray(pixels).save(frames / f"{index:05d}.png")
        write_labels(masks / f"{index:05d}.png", labels)


def test_objects_are_followed_from_their_first_masks_through_absence(tmp_path: Path) -> None:
    write(tmp_path, {1: [4, 8, None, None, 20, 24], 2: [40, 40, 36, 32, 28, 24]})
    result = evaluate_videos(segmenter(), read_davis(tmp_path), ["davis", "youtube-vos"], save=tmp_path / "out")
    assert result.number("J").value == pytest.approx(1.0)
    assert result.number("F", "youtube-vos").value == pytest.approx(1.0)
    assert result.frames == 6
