"""Proposals without another model: what a segmenter of ours draws for a list of everyday names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from referent import zoo
from referent.engine import CHUNK, Encoded, Engine
from referent.grounding.proposals.base import Candidate, Proposals
from referent.grounding.proposals.sam import distinct
from referent.rle import encode
from referent.segmentation import box_of

if TYPE_CHECKING:
    from PIL import Image

    from referent.reference import PictureSource

NAMES = tuple(
    "person man woman child face hand hat shirt trousers shoe bag dog cat bird horse cow sheep elephant bear zebra "
    "giraffe car wheel bus truck train bicycle motorcycle boat aeroplane chair sofa bed table bottle cup plate bowl "
    "food fruit cake television laptop telephone book clock lamp window door building wall sign tree flower grass "
    "water sky ball umbrella animal vehicle".split()
)
"""Asked of every picture. Plain words, so that they are among those that a pocket model knows."""
SIDES = ("left", "right")
SURE = 0.3
"""From this score on a name is asked for at either side, too: there may be two."""
MIN_AREA = 0.002
"""Least share of the picture."""


class PocketProposals:
    """The masks that a trained segmenter draws for `NAMES`, and for those it finds also at either side; of masks
    whose boxes overlap much only the surest.

    Args:
        name: of the segmenter: zoo name, file, folder or hub id.
        device: where to run.
        names: what it is asked for.

    Raises:
        WeightsError: no such model.
    """

    def __init__(
        self, name: str | Path = "cris-pocket", device: torch.device | str | None = None, names: Sequence[str] = NAMES
    ) -> None:
        model, self._preparation, header = zoo.build(zoo.find(name))
        self._engine = Engine(model, device, size=self._preparation.size)
        self._names = list(names)
        self.name = f"masks of {header.name}"

    def propose(self, picture: Image.Image, source: PictureSource) -> Proposals:
        """See `ProposalSource.propose`."""
        encoded = self._engine.encode(self._preparation.picture(picture)[None])
        named = self._drawn(encoded, self._names, picture)
        sure = [name for name, (score, _) in zip(self._names, named, strict=True) if score >= SURE]
        sided = self._drawn(encoded, [f"{side} {name}" for name in sure for side in SIDES], picture)
        found = [(score, candidate) for score, candidate in named + sided if candidate is not None]
        found.sort(key=lambda each: -each[0])
        boxes = np.array([candidate.box for _, candidate in found], dtype=np.float64).reshape(-1, 4)
        return Proposals.of([found[index][1] for index in distinct(boxes)], (picture.height, picture.width))

    def _drawn(
        self, encoded: Encoded, phrases: Sequence[str], picture: Image.Image
    ) -> list[tuple[float, Candidate | None]]:
        """For every phrase a score, and the mask unless it is too small."""
        answers = []
        for start in range(0, len(phrases), CHUNK):
            chunk = phrases[start : start + CHUNK]
            tokens = self._preparation.tokens(chunk)
            probability, presence = self._engine.answer(encoded, tokens, [0] * len(chunk))
            full = self._preparation.restore(probability, (picture.height, picture.width))
            scores = [None] * len(chunk) if presence is None else presence.tolist()
            answers += [self._answer(one, score) for one, score in zip(full, scores, strict=True)]
        return answers

    def _answer(self, probability: NDArray[np.float32], presence: float | None) -> tuple[float, Candidate | None]:
        mask = probability > self._preparation.threshold
        corners = box_of(mask)
        if corners is None or mask.mean() < MIN_AREA:
            return 0.0, None
        x0, y0, x1, y1 = corners
        score = float(probability[mask].mean()) if presence is None else presence
        return score, Candidate((x0, y0, x1 - x0, y1 - y0), encode(mask))
