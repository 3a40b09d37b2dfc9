"""Colours are said where they are clear, and where the light shows them."""

from __future__ import annotations

import numpy as np
import pytest
from painted import PAINTS, Thing, scene_of

from referent.data.describe.colour import COLOURS, MEASURED, coarse, shares, tells_colours
from referent.data.describe.predicates import Predicates
from referent.data.describe.truth import FALSE, TRUE, UNSURE


def truth(paint: str, colour: str) -> int:
    return int(Predicates(scene_of(Thing("car", 20, 100, 100, 150, paint))).coloured(colour, "any")[0])


@pytest.mark.parametrize("paint", PAINTS)
def test_every_clear_colour_has_its_name_and_no_other(paint: str) -> None:
    assert truth(paint, paint) == TRUE
    assert [colour for colour in COLOURS if truth(paint, colour) == TRUE] == [paint]


@pytest.mark.parametrize(
    ("rgb", "between"),
    [((240, 85, 10), ("red", "orange")), ((245, 180, 20), ("orange", "yellow")), ((190, 190, 190), ("white", "grey"))],
)
def test_between_two_colours_neither_is_said_nor_denied(rgb: tuple[int, int, int], between: tuple[str, str]) -> None:
    sure, perhaps = shares(coarse(np.full((4, 4, 3), rgb, dtype=np.uint8)).reshape(-1))
    for colour in between:
        assert sure[MEASURED.index(colour)] == 0
        assert perhaps[MEASURED.index(colour)] == 1


def test_black_and_white_patches_are_neither_black_nor_white() -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[20:80, 50:150] = True
    picture = np.full((100, 200, 3), (120, 100, 150), dtype=np.uint8)
    picture[20:80, 50:100] = 250
    picture[20:80, 100:150] = 10
    from referent.data.describe.facts import measure

    predicates = Predicates(measure([mask], ["cat"], [1], [False], picture))
    assert predicates.coloured("black and white", "fur") == [TRUE]
    assert predicates.coloured("black", "fur") == [UNSURE]
    assert predicates.coloured("orange", "fur") == [FALSE]


def test_a_black_and_white_picture_tells_no_colours() -> None:
    random = np.random.default_rng(0)
    grey = np.repeat(random.integers(0, 256, (80, 80, 1)), 3, axis=2).astype(np.uint8)
    assert not tells_colours(grey)
    assert tells_colours(random.integers(0, 256, (80, 80, 3)).astype(np.uint8))


def test_a_picture_under_coloured_light_tells_no_colours() -> None:
    grey = np.random.default_rng(0).integers(30, 256, (80, 80, 1))
    warm = (grey * [1.0, 0.7, 0.3]).astype(np.uint8)
    assert not tells_colours(warm)


def test_without_pixels_nothing_is_known() -> None:
    sure, perhaps = shares(np.zeros(0, dtype=np.int64))
    assert not sure.any()
    assert (perhaps == 1).all()
