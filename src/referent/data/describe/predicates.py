"""Descriptions of objects by position, order, size, depth and colour, each TRUE, UNSURE or FALSE of every object.

Most of them compare: "the left cat" means one thing beside one other cat and another among five. They take therefore a
`among` vector, TRUE for what the noun surely names and UNSURE for what it might; what might be named must be beaten too
before something is said to be the leftmost.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from referent.data.describe.colour import COLOURS, MEASURED, SHADES
from referent.data.describe.facts import Scene
from referent.data.describe.nouns import ColourUse
from referent.data.describe.truth import FALSE, TRUE, UNSURE, Flags, Truth, both, judge

Side = Literal["left", "right", "top", "bottom"]
SIDES: tuple[Side, ...] = ("left", "right", "top", "bottom")

FUR_COLOURS = ("black", "white", "grey", "brown", "orange")
WORN_COLOURS = ("red", "yellow", "green", "blue", "purple", "black", "white")

# An object has a colour when this share of it surely and this share perhaps has it ...
COLOUR_SURE, COLOUR_MOST = 0.4, 0.75
# ... and no other colour surely has this share: a black and white cat is neither.
COLOUR_RIVAL = 0.13
# Shaded white looks grey: what is called grey must not perhaps be white in more than this share.
GREY_WHITE = 0.15
# ... and has it not when no more than these shares surely and perhaps have it.
COLOUR_ABSENT_SURE, COLOUR_ABSENT = 0.06, 0.2
# To say of a whole picture that nothing in it has the colour, no more than this may perhaps have it.
COLOUR_NOWHERE = 0.08
# Black and white patches both of at least this share, with little else, make "black and white".
PATCH_SURE, PATCHES_MOST, PATCH_ABSENT = 0.2, 0.85, 0.08
WORN_SURE = 0.65
TWO_TONE = "black and white"


class Predicates:
    """The predicates of one scene. Every method returns a truth vector over its objects."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.height, self.width = scene.size

    # --- position

    @cached_property
    def _clearly(self) -> dict[Side, Flags]:
        """For each side, (n, n): the first object lies clearly more to that side than the second."""
        box, centre = self.scene.box, self.scene.centre
        result: dict[Side, Flags] = {}
        for axis, low, high, extent in ((0, "left", "right", self.width), (1, "top", "bottom", self.height)):
            sides = box[:, axis + 2] - box[:, axis]
            ahead = centre[None, :, axis] - centre[:, None, axis]
            aside = np.abs(centre[None, :, 1 - axis] - centre[:, None, 1 - axis])
            margin = np.maximum(0.05 * extent, 0.3 * np.minimum(sides[:, None], sides[None]))
            edges = (box[:, None, axis] < box[None, :, axis]) & (box[:, None, axis + 2] < box[None, :, axis + 2])
            clear = (ahead > np.maximum(margin, 0.3 * aside)) & edges
            result[low] = clear  # type: ignore[index]
            result[high] = clear.T  # type: ignore[index]
        return result

    def within(self, side: Side) -> Truth:
        """In that part of the picture, whatever else is there: TRUE well inside it, FALSE beyond the middle."""
        axis = 0 if side in ("left", "right") else 1
        extent = self.width if axis == 0 else self.height
        near, far, centre = (self.scene.box[:, axis], self.scene.box[:, axis + 2], self.scene.centre[:, axis])
        if side in ("right", "bottom"):
            near, far, centre = extent - far, extent - near, extent - centre
        return judge((centre < 0.38 * extent) & (far < 0.6 * extent), (centre > 0.57 * extent) & (near > 0.36 * extent))

    def beyond(self, side: Side) -> Truth:
        """FALSE for objects wholly in the other half of the picture, UNSURE otherwise: for phrases true of nothing."""
        axis = 0 if side in ("left", "right") else 1
        extent = self.width if axis == 0 else self.height
        near, far = self.scene.box[:, axis], self.scene.box[:, axis + 2]
        away = near > 0.54 * extent if side in ("left", "top") else far < 0.46 * extent
        return judge(np.zeros(len(self.scene), dtype=bool), away)

    def outermost(self, among: Truth, side: Side) -> Truth:
        """Clearly the farthest to that side of all that the noun may name."""
        return _superlative(self._clearly[side], among)

    def which(self, among: Truth, side: Side) -> Truth:
        """ "the left cat": of two, the one to the left; of one or more, the only one in the left of the picture."""
        named = int((among > FALSE).sum())
        if named == 2:
            return self.outermost(among, side)
        inside = self.within(side)
        if named < 2:
            return inside
        extreme = self.outermost(among, side)
        return judge((extreme == TRUE) & (inside == TRUE), (extreme == FALSE) & (inside == FALSE))

    def at(self, among: Truth, side: Side) -> Truth:
        """ "the cat on the left": in the left of the picture, or of two the one to the left."""
        inside = self.within(side)
        if int((among > FALSE).sum()) != 2:
            return inside
        extreme = self.outermost(among, side)
        return judge(
            (extreme == TRUE) & (inside != FALSE),
            ((extreme == FALSE) & (inside != TRUE)) | ((inside == FALSE) & (extreme != TRUE)),
        )

    def corner(self, vertical: Side, horizontal: Side) -> Truth:
        """In that corner of the picture."""
        return both(self.within(vertical), self.within(horizontal))

    def middle(self, among: Truth) -> Truth:
        """In the middle of the picture and, where an odd number stands in a row, of the row too."""
        x, y = self.scene.centre[:, 0] / self.width, self.scene.centre[:, 1] / self.height
        x0, x1 = self.scene.box[:, 0] / self.width, self.scene.box[:, 2] / self.width
        central = judge(
            (np.abs(x - 0.5) < 0.12) & (np.abs(y - 0.5) < 0.3),
            (np.abs(x - 0.5) > 0.22) & ((x0 > 0.5) | (x1 < 0.5)) | (np.abs(y - 0.5) > 0.42),
        )
        count = int((among == TRUE).sum())
        if count < 3 or count % 2 == 0:
            return central
        rank = self.rank(among, "left", (count + 1) // 2)
        others = (rank == FALSE) & ((central == FALSE) if count > 3 else (central != TRUE))
        return judge((rank == TRUE) & (central != FALSE), others)

    # --- order

    def rank(self, among: Truth, side: Side, place: int) -> Truth:
        """The `place`-th (1 = first) counted from that side, in a row or column that everybody would count alike."""
        named = among == TRUE
        count = int(named.sum())
        unsure = np.full(len(self.scene), UNSURE, dtype=np.int8)
        if not self.countable(among) or count < max(2, place):
            return unsure
        axis = 0 if side in ("left", "right") else 1
        spread = np.ptp(self.scene.centre[named], axis=0)
        if spread[axis] < 1.2 * spread[1 - axis]:
            return unsure
        ahead = self._clearly[side] & named[:, None] & named[None]
        before, after = ahead.sum(axis=0), ahead.sum(axis=1)
        known = before + after == count - 1
        return judge(named & known & (before == place - 1), ~named | (before >= place) | (after > count - place))

    def countable(self, among: Truth) -> bool:
        """Whether everybody would count the same objects: none doubtful, overlooked, or perhaps two."""
        return not bool(((among == UNSURE) | ((among == TRUE) & (self.scene.overlooked | self.scene.scattered))).any())

    # --- size and depth

    @cached_property
    def _larger(self) -> Flags:
        area, diagonal = self.scene.area, np.hypot(*(self.scene.box[:, 2:] - self.scene.box[:, :2]).T)
        flags: Flags = (area[:, None] > 1.5 * area[None]) & (diagonal[:, None] > 1.15 * diagonal[None])
        return flags

    @cached_property
    def _far_larger(self) -> Flags:
        flags: Flags = self._larger & (self.scene.area[:, None] > 2.5 * self.scene.area[None])
        return flags

    @cached_property
    def _taller(self) -> Flags:
        """Higher in the picture, both whole and standing on about the same line, so that distance explains nothing."""
        y0, y1 = self.scene.box[:, 1], self.scene.box[:, 3]
        tall = y1 - y0
        whole = (y0 > 1) & (y1 < self.height - 1)
        level = np.abs(y1[:, None] - y1[None]) < 0.12 * np.minimum(tall[:, None], tall[None])
        flags: Flags = (tall[:, None] > 1.2 * tall[None]) & level & whole[:, None] & whole[None]
        return flags

    def biggest(self, among: Truth) -> Truth:
        """Takes clearly more of the picture than any other."""
        return _superlative(self._larger, among)

    def smallest(self, among: Truth) -> Truth:
        """Takes clearly less of the picture than any other."""
        return _superlative(self._larger.T, among)

    def big(self, among: Truth) -> Truth:
        """So much bigger than every other that "the big one" says enough."""
        return _superlative(self._far_larger, among)

    def small(self, among: Truth) -> Truth:
        """So much smaller than every other that "the small one" says enough."""
        return _superlative(self._far_larger.T, among)

    def tallest(self, among: Truth) -> Truth:
        """Clearly the tallest of those standing on one line."""
        return _superlative(self._taller, among)

    def shortest(self, among: Truth) -> Truth:
        """Clearly the shortest of those standing on one line."""
        return _superlative(self._taller.T, among)

    def nearer(self, *, ground: bool) -> Flags:
        """(n, n): the first is nearer to the camera. Two cues must agree: a lower edge further down, and more area.

        For things that stand on the ground that is enough; others (a cat on a shelf) must overlap as well.
        """
        bottom, area = self.scene.box[:, 3], self.scene.area
        lower = bottom[:, None] - bottom[None] > 0.08 * self.height
        # What the picture's edge cuts off is larger than it looks, and may be nearer.
        whole = (self.scene.box[:, 0] > 1) & (self.scene.box[:, 2] < self.width - 1)
        flags: Flags = lower & (area[:, None] > 1.8 * area[None]) & whole[None]
        return flags if ground else flags & (self.scene.gap == 0)

    def front(self, among: Truth, *, ground: bool) -> Truth:
        """Clearly nearer to the camera than any other."""
        return _superlative(self.nearer(ground=ground), among)

    def back(self, among: Truth, *, ground: bool) -> Truth:
        """Clearly farther from the camera than any other."""
        return _superlative(self.nearer(ground=ground).T, among)

    # --- colour

    def coloured(self, colour: str, use: ColourUse) -> Truth:
        """Has that colour. For `worn`: wears it on the upper body."""
        if colour == TWO_TONE:
            return self._two_tone()
        k = MEASURED.index(colour)
        surely, perhaps = self.scene.sure[:, k], self.scene.perhaps[:, k]
        if use == "worn":
            yes = self.scene.worn[:, k] >= WORN_SURE
        else:
            rivals = [MEASURED.index(other) for other in (SHADES if colour in SHADES else COLOURS) if other != colour]
            yes = (surely >= COLOUR_SURE) & (perhaps >= COLOUR_MOST)
            yes &= (self.scene.sure[:, rivals] <= COLOUR_RIVAL).all(axis=1)
            if colour == "grey":
                yes &= self.scene.perhaps[:, MEASURED.index("white")] <= GREY_WHITE
        no = (surely <= COLOUR_ABSENT_SURE) & (perhaps <= COLOUR_ABSENT)
        return judge(yes & self.scene.coloured, no & self.scene.coloured)

    def colourless(self, colour: str) -> Truth:
        """FALSE for objects with next to nothing of the colour, UNSURE otherwise: for phrases true of nothing."""
        perhaps = self.scene.perhaps[:, MEASURED.index(colour)]
        return judge(np.zeros(len(perhaps), dtype=bool), (perhaps <= COLOUR_NOWHERE) & self.scene.coloured)

    def _two_tone(self) -> Truth:
        """Black and white patches, each of a good share, and little else."""
        columns = [MEASURED.index("black"), MEASURED.index("white")]
        surely, perhaps = self.scene.sure[:, columns], self.scene.perhaps[:, columns]
        yes = (surely >= PATCH_SURE).all(axis=1) & (perhaps.sum(axis=1) >= PATCHES_MOST)
        no = (perhaps <= PATCH_ABSENT).any(axis=1) | (surely.max(axis=1) >= 0.85)
        return judge(yes & self.scene.coloured, no & self.scene.coloured)


def colours_of(use: ColourUse) -> tuple[str, ...]:
    """The colours that may be said of things whose colour is used that way."""
    return {
        "any": (*COLOURS, TWO_TONE, *SHADES),
        "fur": (*FUR_COLOURS, TWO_TONE, *SHADES),
        "worn": WORN_COLOURS,
        "none": (),
    }[use]


def _superlative(beats: NDArray[np.bool_], among: Truth) -> Truth:
    """TRUE for what beats all others that may be named, FALSE for what something surely named beats."""
    possible, certain = among > FALSE, among == TRUE
    if int(possible.sum()) < 2:
        return np.full(len(among), UNSURE, dtype=np.int8)
    rivals = possible[None] & ~np.eye(len(among), dtype=bool)
    yes = (beats | ~rivals).all(axis=1) & possible
    no = (beats.T & certain[None]).any(axis=1)
    return judge(yes, no)
