"""ReCLIP and its baselines as a segmenter: expression in, the best of the proposals out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from referent.asking import CACHE_BYTES, AnyLook, AnySegmenter
from referent.encoders.clip_pair import CLIPPair
from referent.encoders.clip_pocket import CLIPPocket
from referent.grounding.config import NEED_A_PARSER, GroundingConfig
from referent.grounding.feature_cache import FeatureCache, digest_of
from referent.grounding.features import ProposalEncoder
from referent.grounding.gradcam import GradCamPicture
from referent.grounding.proposals.base import Proposals, ProposalSource
from referent.grounding.scoring import ProposalScorer, ScoredPicture
from referent.models.reclip.resolver import Resolution, Resolver, Scorer
from referent.models.reclip.statistics import count
from referent.parsing.types import Parse, Parser
from referent.preparation import Preparation
from referent.reference import Reference
from referent.rle import decode
from referent.segmentation import Box, Segmentation

if TYPE_CHECKING:
    from referent.grounding.proposals.sam import Sam
    from referent.reference import PictureSource

PictureScorer = ScoredPicture | GradCamPicture | Scorer


@dataclass(frozen=True)
class Place:
    """Where the CLIPs run."""

    device: torch.device
    dtype: torch.dtype


class GroundingSegmenter(AnySegmenter):
    """A grounding system ready to use. It always answers: with the proposal that fits best.

    Args:
        config: method and settings.
        clips: on `place.device`; of the published kinds for method "gradcam".
        place: device and precision.
        source: of proposals.
        parser: of expressions; None for methods that need none.
        sam: draws the mask of a box that has none.
        cache_bytes: see `AnySegmenter`.
    """

    def __init__(
        self,
        config: GroundingConfig,
        clips: Sequence[CLIPPair | CLIPPocket],
        place: Place,
        source: ProposalSource,
        parser: Parser | None = None,
        sam: Sam | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.config, self.source, self.parser, self.sam = config, source, parser, sam
        self.settings = config.resolver
        super().__init__(_full_name(config, parser, source), cache_bytes)
        self.clips = list(clips)
        self.model = nn.ModuleList(clips).eval()
        self.engine = place
        context = min(clip.context for clip in clips)
        self.preparation = Preparation(size=clips[0].size, context_length=context, threshold=0.5)
        encoder = ProposalEncoder(
            self.clips,
            ("shade",) if config.method == "cpt" else config.kinds,
            sigma=config.sigma,
            device=place.device,
            dtype=place.dtype,
            cache=FeatureCache(config.feature_cache) if config.feature_cache else None,
        )
        self.scorer = ProposalScorer(encoder, config.aggregator)

    @property
    def reference_kinds(self) -> frozenset[str]:
        """Phrases only."""
        return frozenset({"phrase"})

    @property
    def geometry(self) -> str:
        """Whatever its CLIPs see is cut out around a proposal."""
        return "box proposals"

    def look_closely(self, picture: PictureSource) -> GroundingLook:
        """`look_at`, typed as what it is here: proposals and resolutions can be seen.

        Raises:
            PictureError: the picture cannot be used.
            DataError: the source of proposals does not know it.
        """
        look = self.look_at(picture)
        assert isinstance(look, GroundingLook)
        return look

    def parses(self, expressions: Sequence[str]) -> list[Parse] | None:
        """Parses of lower-cased expressions, for methods that read them."""
        return self.parser.parse(expressions) if self.parser else None

    def _looked(self, images: Sequence[Image.Image], sources: Sequence[PictureSource]) -> GroundingLook:
        return GroundingLook(self, images, [self.source.propose(*each) for each in zip(images, sources, strict=True)])

    def scorer_of(self, picture: Image.Image, proposals: Proposals) -> PictureScorer:
        """What scores the proposals of a picture for a text."""
        match self.config.method:
            case "gradcam":
                vectors = self.scorer.text_vectors
                clips = [clip for clip in self.clips if isinstance(clip, CLIPPair)]
                return GradCamPicture(clips, vectors, picture, proposals.boxes, self.config.alpha)
            case "random":
                return lambda text: _drawn(len(proposals), self.config.seed, text, picture)
            case _:
                return self.scorer.look_at(picture, proposals.boxes)


class GroundingLook(AnyLook):
    """Pictures with their proposals, encoded.

    Args:
        segmenter: the system.
        pictures: RGB.
        proposals: one a picture.
    """

    def __init__(
        self, segmenter: GroundingSegmenter, pictures: Sequence[Image.Image], proposals: Sequence[Proposals]
    ) -> None:
        super().__init__(segmenter, pictures)
        self._segmenter = segmenter
        self.proposals = list(proposals)
        self._scores = [segmenter.scorer_of(*each) for each in zip(pictures, proposals, strict=True)]
        self._resolvers = [
            Resolver(own.boxes, (picture.height, picture.width), segmenter.settings)
            for picture, own in zip(pictures, proposals, strict=True)
        ]

    @property
    def nbytes(self) -> int:
        """Memory held: the decoded pictures and the features of their proposals."""
        features = sum(each.nbytes for each in self._scores if isinstance(each, (ScoredPicture, GradCamPicture)))
        return features + sum(3 * picture.width * picture.height for picture in self.pictures)

    def answers(self, questions: Sequence[tuple[int, Reference]]) -> Iterator[Segmentation]:
        """See `AnyLook.answers`; all expressions are parsed together."""
        expressions = [str(reference.phrase).lower() for _, reference in questions]
        parses = self._segmenter.parses(expressions) if questions else []
        for number, (row, reference) in enumerate(questions):
            resolution = self.resolve(row, expressions[number], parses[number] if parses else None)
            yield self._segmentation(row, reference, resolution)

    def resolve(self, row: int, expression: str, parse: Parse | None = None) -> Resolution:
        """The probabilities of a picture's proposals.

        Args:
            row: of `pictures`.
            expression: lower-cased.
            parse: of it, for methods that need one; made here when None.
        """
        resolver, score, method = self._resolvers[row], self._scores[row], self._segmenter.config.method
        if method not in NEED_A_PARSER:
            return replace(resolver.score_alone(expression, score), mode=method)
        if parse is None:
            assert self._segmenter.parser is not None
            (parse,) = self._segmenter.parser.parse([expression])
        return resolver.resolve(parse, score) if method == "reclip" else resolver.score_with_head(parse, score)

    def _segmentation(self, row: int, reference: Reference, resolution: Resolution) -> Segmentation:
        picture, proposals, best = self.pictures[row], self.proposals[row], resolution.best
        x, y, width, height = proposals.boxes[best].tolist()
        box = whole_pixels(proposals.boxes[best], picture.size)
        mask = self._mask(row, best, box)
        return Segmentation(
            mask=mask,
            probability=mask.astype(np.float32),
            box=box,
            score=share(resolution.probabilities, best),
            found=True,
            reference=reference,
            model=self._segmenter.name,
            picture=picture,
            notes=self._notes(row, reference, resolution),
            exact_box=(x, y, width, height),
            counters=count(resolution),
        )

    def _mask(self, row: int, best: int, box: Box) -> NDArray[np.bool_]:
        own = self.proposals[row].masks[best]
        if own is not None:
            return decode(own)
        if self._segmenter.sam is not None:
            x, y, width, height = self.proposals[row].boxes[best].tolist()
            drawn = self._segmenter.sam.mask_in(self.pictures[row], (x, y, width, height))
            if drawn.any():
                return drawn
        mask = np.zeros((self.pictures[row].height, self.pictures[row].width), dtype=bool)
        mask[box[1] : box[3], box[0] : box[2]] = True
        return mask

    def _notes(self, row: int, reference: Reference, resolution: Resolution) -> tuple[str, ...]:
        notes = list(self.proposals[row].notes)
        if self._segmenter.scorer.truncated(str(reference.phrase)):
            notes.append("the phrase is longer than the text window of CLIP and is cut there")
        if np.isnan(resolution.probabilities).any():
            notes.append("the resolver contradicted itself, as the official code does; the first proposal is taken")
        return tuple(notes)


def share(probabilities: NDArray[np.floating], best: int) -> float:
    """The best proposal's part of all that is left of the probability, in [0, 1]; 0 where nothing is."""
    total = float(probabilities.sum())
    return float(probabilities[best]) / total if total > 0 else 0.0


def whole_pixels(box: NDArray[np.float64], size: tuple[int, int]) -> Box:
    """x, y, width, height as (x0, y0, x1, y1) in whole pixels inside a picture of (width, height), never empty."""
    x, y, width, height = box.tolist()
    x0, y0 = (min(max(round(low), 0), side - 1) for low, side in zip((x, y), size, strict=True))
    x1, y1 = (min(round(high), side) for high, side in zip((x + width, y + height), size, strict=True))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _full_name(config: GroundingConfig, parser: Parser | None, source: ProposalSource) -> str:
    mode = f"{config.resolver.mode}; {parser.name}" if parser else config.method
    return f"{config.name} ({mode}; {source.name})"


def _drawn(count: int, seed: int, text: str, picture: Image.Image) -> NDArray[np.float32]:
    """Random scores that follow from seed, text and picture, in whatever order they are asked for."""
    digest = hashlib.sha256(f"{seed}:{text}:{digest_of(picture)}".encode()).digest()
    return np.random.default_rng(list(digest)).random(count, dtype=np.float32)
