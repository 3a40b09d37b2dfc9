"""From a configuration to a grounding system with all its parts."""

from __future__ import annotations

from pathlib import Path

import torch

from referent import zoo
from referent.encoders.clip_pair import CLIPPair
from referent.encoders.clip_pocket import open_clip
from referent.engine import device_of, dtype_of
from referent.errors import DataError
from referent.grounding.config import NEED_A_PARSER, GroundingConfig, read_config
from referent.grounding.proposals.base import ProposalSource
from referent.grounding.proposals.sam import Sam
from referent.grounding.segmenter import GroundingSegmenter, Place
from referent.parsing.types import Parser


def load(
    path: Path, device: torch.device | str | None = None, dtype: torch.dtype | str | None = None
) -> GroundingSegmenter:
    """The system of a YAML file.

    Raises:
        DataError: the file, the parser or the file of proposals cannot be used.
        WeightsError: weights are missing or cannot be used.
    """
    return put_together(read_config(path), device, dtype)


def put_together(
    config: GroundingConfig, device: torch.device | str | None = None, dtype: torch.dtype | str | None = None
) -> GroundingSegmenter:
    """The system of a configuration; see `load`."""
    place = Place(device_of(device), dtype_of(dtype))
    # What is quick to fail comes before gigabytes of weights.
    parser = open_parser(config.parser) if config.method in NEED_A_PARSER else None
    sam = Sam(config.sam, place.device) if config.sam else None
    source = open_proposals(config, sam, place.device)
    clips = [open_clip(name).to(place.device) for name in config.clips]
    without_maps = [clip.name for clip in clips if not isinstance(clip, CLIPPair)]
    if config.method == "gradcam" and without_maps:
        raise DataError(f"{config.name}: method gradcam needs CLIPs with attention, found {', '.join(without_maps)}")
    return GroundingSegmenter(config, clips, place, source, parser, sam)


def open_parser(name: str) -> Parser:
    """The parser that a name means: "pocket" the one in the package, a .jsonl file of parses, else a spaCy pipeline by
    name or folder.

    Raises:
        DataError: no such parser.
    """
    if name.endswith(".jsonl"):
        from referent.parsing.precomputed import PrecomputedParses

        return PrecomputedParses(name)
    if name == "pocket":
        from referent.parsing.pocket import pocket_parser

        return pocket_parser()
    from referent.parsing.spacy_pipeline import load_spacy

    return load_spacy(name)


def open_proposals(config: GroundingConfig, sam: Sam | None, device: torch.device) -> ProposalSource:
    """The source of proposals that a configuration means; see `GroundingConfig.proposals`.

    Raises:
        DataError, WeightsError: it cannot be used.
    """
    from referent.grounding.proposals.detector import MIN_SCORE, DetectorProposals
    from referent.grounding.proposals.from_file import FileProposals
    from referent.grounding.proposals.pocket import PocketProposals
    from referent.grounding.proposals.sam import SamProposals

    name = config.proposals
    if name.endswith(".json"):
        return FileProposals(name, config.min_score or 0.0)
    if name == "sam":
        assert sam is not None
        return SamProposals(sam)
    if name in zoo.ROWS or name.endswith(".safetensors"):
        return PocketProposals(name, device)
    min_score = MIN_SCORE if config.min_score is None else config.min_score
    return DetectorProposals(name, min_score, config.labels, device)
