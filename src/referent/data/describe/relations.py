"""Where an object is with respect to another: left of it, above it, next to it, on it, with it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from referent.data.describe.facts import Scene
from referent.data.describe.nouns import plain, table
from referent.data.describe.truth import FALSE, Flags, Truth, judge

Relation = Literal["left", "right", "above", "below", "next", "on", "ride", "stand", "with"]
RELATIONS: tuple[Relation, ...] = ("left", "right", "above", "below", "next", "on", "ride", "stand", "with")


def makes_sense(relation: Relation, subject: str, landmark: str) -> bool:
    """Whether people say the relation of these two classes and geometry can decide it.

    The four directions and "next to" go with any two classes, the others with those that the noun table pairs.
    """
    subject, landmark = plain(subject), plain(landmark)
    pairings = table().relations.get(relation)
    if pairings is None:
        return subject != landmark
    return any(subject in pairing.of and landmark in pairing.to for pairing in pairings)


def holds(scene: Scene, relation: Relation, landmark: int) -> Truth:
    """Of every object, whether it stands in that relation to the object `landmark`; FALSE of the landmark itself."""
    verdict = judge(*_geometry(scene, relation, landmark))
    verdict[landmark] = FALSE
    return verdict


def _geometry(scene: Scene, relation: Relation, j: int) -> tuple[Flags, Flags]:
    """Surely, and surely not."""
    height, width = scene.size
    box, centre = scene.box, scene.centre
    x0, y0, x1, y1 = box.T
    near = scene.gap[:, j] <= 0.35 * max(height, width)
    if relation in ("left", "right"):
        ahead = centre[j, 0] - centre[:, 0] if relation == "left" else centre[:, 0] - centre[j, 0]
        past = x1 - x0[j] if relation == "left" else x1[j] - x0
        clear = past <= 0.2 * np.minimum(x1 - x0, x1[j] - x0[j])
        return clear & (ahead > 0.05 * width) & (scene.shared(1)[:, j] >= 0.4) & near, ahead < -0.03 * width
    if relation in ("above", "below"):
        ahead = centre[j, 1] - centre[:, 1] if relation == "above" else centre[:, 1] - centre[j, 1]
        past = y1 - y0[j] if relation == "above" else y1[j] - y0
        clear = past <= 0.1 * np.minimum(y1 - y0, y1[j] - y0[j])
        return clear & (ahead > 0.08 * height) & (scene.shared(0)[:, j] >= 0.6) & near, ahead < -0.03 * height
    long = np.maximum(x1 - x0, y1 - y0)
    reach = np.minimum(long, long[j])
    if relation == "next":
        apart = scene.shared(0)[:, j] <= 0.25
        ratio = np.maximum(scene.area / scene.area[j], scene.area[j] / scene.area)
        level = np.abs(y1 - y1[j]) < 0.2 * np.minimum(y1 - y0, y1[j] - y0[j])
        beside = apart & level & (scene.shared(1)[:, j] >= 0.6) & (ratio < 8) & (scene.gap[:, j] <= 0.2 * reach)
        return beside, (scene.gap[:, j] > 0.8 * long[j]) & (scene.gap[:, j] > 0.8 * long)
    # What follows needs contact; without it, and with some room between, it is surely not so.
    apart = (scene.gap[:, j] > 0.03 * max(height, width)) & (scene.gap[:, j] > 0.15 * reach)
    contact = np.array([i != j and scene.gap[i, j] <= 3 and scene.touches(i, j) for i in range(len(scene))])
    if relation == "with":
        smaller = scene.area[j] < 1.5 * scene.area
        inside = (centre[j, 1] > y0 - 0.3 * (y1 - y0)) & (centre[j, 1] < y1 + 0.05 * (y1 - y0))
        return contact & smaller & inside & (scene.shared(0)[:, j] >= 0.5), apart
    if relation in ("ride", "stand"):
        over = (centre[:, 0] > x0[j]) & (centre[:, 0] < x1[j]) & (scene.shared(0)[:, j] >= 0.6)
        tall, mount = y1 - y0, y1[j] - y0[j]
        if relation == "stand":
            stands = (y1 > y0[j] - 0.05 * tall) & (y1 < y1[j] + 0.08 * tall) & (y0 < y0[j] - 0.5 * tall)
            return contact & over & stands, apart
        depth = (y1 - y0[j]) / mount
        astride = (depth > 0.3) & (depth < 0.93) & (y0 < y0[j]) & (tall > 0.5 * mount) & (tall < 3 * mount)
        return contact & over & astride, apart
    # on: what lies just under the lower outline is the landmark
    flat = scene.masks[j].reshape(-1)
    rests = np.zeros(len(scene), dtype=bool)
    for i in np.flatnonzero(contact):
        below = scene.under(int(i))
        rests[i] = len(below) > 0 and bool(flat[below].mean() >= 0.7)
    lower = y1 > y0[j] + 0.15 * (y1[j] - y0[j])
    return contact & rests & lower & (scene.area < 0.7 * scene.area[j]), apart
