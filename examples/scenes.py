"""A sheet of made pictures, what is said of them, and frames of a clip.

    python examples/scenes.py docs/images/scenes.jpg

Rows: pictures; two of them again with masks and phrases; a clip in which something hides, leaves and comes back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.scenes.clips import Clip, sample_clip
from referent.data.scenes.davis_layout import numbers, palette
from referent.data.scenes.examples import Example, example
from referent.drawing import Label, draw
from referent.segmentation import box_of

SEED, SIDE = 0, 256
SCENES = (3, 7, 12, 21)
DESCRIBED = {12: (4, 11, 27), 21: (1, 20, 21)}
"""Numbers of phrases by scene."""
CLIP, FRAMES = 2, (0, 9, 12, 20)
INK = 0.5
"""Share of a mask's colour in the clip's frames."""


def main(path: str) -> None:
    """Makes the sheet."""
    pictures = [example(SEED, index, (SIDE, SIDE)).picture for index in SCENES]
    large = [described(example(SEED, index, (2 * SIDE, 2 * SIDE)), chosen) for index, chosen in DESCRIBED.items()]
    rows = [pictures, large, filmed(sample_clip(SEED, CLIP, (SIDE, SIDE)))]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(sheet).save(path, format="JPEG", quality=88)


def described(made: Example, chosen: Sequence[int]) -> NDArray[np.uint8]:
    """The picture with the masks of some of its phrases."""
    found = []
    for said in (made.said[number] for number in chosen):
        mask = np.any([made.seen.masks[target] for target in said.targets], axis=0)
        box = box_of(mask)
        assert box is not None
        found.append((Label(said.phrase, ""), mask, box))
    return np.asarray(draw(Image.fromarray(made.picture), found))


def filmed(clip: Clip) -> list[NDArray[np.uint8]]:
    """Some frames of a clip, each thing under the colour of its number in the annotations."""
    colours = np.array(palette()).reshape(-1, 3)
    frames = []
    for number, (seen, picture) in enumerate(clip.frames((SIDE, SIDE))):
        if number in FRAMES:
            numbered = numbers(seen)
            inked = (1 - INK) * picture + INK * colours[numbered]
            frames.append(np.where(numbered[:, :, None] > 0, inked, picture).astype(np.uint8))
    return frames


if __name__ == "__main__":
    main(sys.argv[1])
