"""Time of ReCLIP on one picture: the order of the official default, and ours, with the same answers.

    python benchmarks/reclip_speed.py [--models rn50x16 vit-b32] [--proposals 20] [--expressions 6] [--threads 2]
        [--repeats 1] [--out benchmarks/results/reclip-speed.json]

"naive" does what the official code does without its cache: for every text that is scored, of every expression, all
proposals are cut out, blurred and encoded again, and the text too. "ours" is `GroundingSegmenter` as users call it.
Both get the same parses and follow the same rules (mode compat), and must choose the same proposals: the run fails
where they do not. CLIPs have the published shapes and random weights. With one thread its processor time is counted,
with several the wall clock.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from referent.encoders.clip import CLIPResNet, CLIPTextEncoder, CLIPViT
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.clip_pair import CLIPPair
from referent.encoders.clip_weights import CLIPWeights
from referent.encoders.tokenizers import ClipTokenizer
from referent.evaluation.environment import machine, versions
from referent.files import atomic_write
from referent.grounding.config import GroundingConfig
from referent.grounding.isolation import Isolation
from referent.grounding.load import open_parser
from referent.grounding.proposals.base import Candidate, Proposals
from referent.grounding.scoring import PROMPT
from referent.grounding.segmenter import GroundingSegmenter, Place
from referent.models.reclip.geometry import Boxes
from referent.models.reclip.resolver import Resolution, Resolver
from referent.models.reclip.settings import ResolverSettings
from referent.parsing.types import Parse

SIZE = (640, 480)
PLACE = Place(torch.device("cpu"), torch.float32)
EXPRESSIONS = (
    "the man to the left of the dog",
    "woman in red on the right",
    "the biggest car behind the bus",
    "a cup with a handle above the plate",
    "the dog in front of the chair next to the table",
    "leftmost person",
)
MODELS: dict[str, tuple[CLIPResNetConfig | CLIPViTConfig, CLIPTextConfig]] = {
    "rn50": (CLIPResNetConfig.rn50(), CLIPTextConfig()),
    "rn50x16": (CLIPResNetConfig.rn50x16(), CLIPTextConfig(width=768, heads=12, embed=768)),
    "vit-b32": (CLIPViTConfig.b32(), CLIPTextConfig(embed=512)),
}


class Known:
    """A source of proposals that knows them beforehand."""

    name = "random boxes"

    def __init__(self, boxes: Boxes) -> None:
        self.boxes = boxes

    def propose(self, picture: Image.Image, source: object) -> Proposals:
        """See `ProposalSource.propose`."""
        return Proposals.of([Candidate(tuple(box)) for box in self.boxes.tolist()], (picture.height, picture.width))


def random_clip(name: str) -> CLIPPair:
    """A CLIP of the published shapes with random weights."""
    torch.manual_seed(0)
    image, text = MODELS[name]
    encoder = CLIPResNet(image) if isinstance(image, CLIPResNetConfig) else CLIPViT(image)
    return CLIPPair(CLIPWeights(image, text, encoder.state_dict(), CLIPTextEncoder(text).state_dict()), name)


def random_scene(proposals: int) -> tuple[Image.Image, Boxes]:
    """A picture of coloured blocks in noise, and boxes around the blocks."""
    random = np.random.default_rng(0)
    width, height = SIZE
    pixels = random.integers(0, 256, (height, width, 3))
    corners = random.uniform((0, 0), (width - 100, height - 100), (proposals, 2))
    boxes = np.concatenate([corners, random.uniform(40, 100, (proposals, 2))], axis=1)
    for x, y, w, h in boxes.astype(int):
        block = pixels[y : y + h, x : x + w]
        block[:] = (block + 3 * random.integers(0, 256, 3)) // 4
    return Image.fromarray(pixels.astype(np.uint8)), boxes


def naive_scorer(clips: Sequence[CLIPPair], picture: Image.Image, boxes: Boxes) -> Callable[[str], Any]:
    """Everything anew for every text: the official order without a cache."""
    tokenizer = ClipTokenizer()

    def score(text: str) -> Any:
        # A fresh `Isolation` for each proposal blurs the picture for each, as the official code does.
        isolated = [Isolation(picture, boxes)(index, kind) for kind in ("crop", "blur") for index in range(len(boxes))]
        total = torch.zeros(2 * len(boxes))
        for clip in clips:
            square = (clip.size, clip.size)
            pixels = [np.asarray(image.resize(square, Image.Resampling.BICUBIC)) for image in isolated]
            mean, std = (torch.tensor(values)[:, None, None] for values in (clip.mean, clip.std))
            images = (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255 - mean) / std
            tokens = tokenizer([PROMPT.format(text)], clip.context)
            total += clip.scale * (clip.encode_images(images) @ clip.encode_texts(tokens)[0])
        return total.reshape(2, -1).sum(0).numpy()

    return score


def naive(clips: Sequence[CLIPPair], picture: Image.Image, boxes: Boxes, parses: Sequence[Parse]) -> list[Resolution]:
    """All expressions in the official order."""
    score = naive_scorer(clips, picture, boxes)
    with torch.inference_mode():
        return [
            Resolver(boxes, (picture.height, picture.width), ResolverSettings.compat()).resolve(parse, score)
            for parse in parses
        ]


def ours(clips: Sequence[CLIPPair], picture: Image.Image, boxes: Boxes, parses: Sequence[Parse]) -> list[Resolution]:
    """All expressions as a new system answers them, which has seen neither picture nor text."""
    config = GroundingConfig(name="speed", clips=tuple(clip.name for clip in clips))
    look = GroundingSegmenter(config, clips, PLACE, Known(boxes)).look_closely(picture)
    return [look.resolve(0, parse.text, parse) for parse in parses]


def timed(call: Callable[[], list[Resolution]], repeats: int) -> tuple[float, list[Resolution]]:
    """Seconds of the fastest call, and its answers."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    best = float("inf")
    for _ in range(repeats):
        began = clock()
        answers = call()
        best = min(best, clock() - began)
    return best, answers


def measure(models: Sequence[str], proposals: int, expressions: int, repeats: int) -> dict[str, Any]:
    """Both orders on the same picture; ours first, so that whatever warms up is to the credit of the naive one.

    Raises:
        SystemExit: the two choose different proposals.
    """
    clips = [random_clip(name) for name in models]
    picture, boxes = random_scene(proposals)
    parses = open_parser("pocket").parse(EXPRESSIONS[:expressions])
    our_seconds, our_answers = timed(lambda: ours(clips, picture, boxes, parses), repeats)
    naive_seconds, naive_answers = timed(lambda: naive(clips, picture, boxes, parses), repeats)
    chosen = [answer.best for answer in our_answers]
    if chosen != [answer.best for answer in naive_answers]:
        sys.exit(f"different answers: ours {chosen}, naive {[answer.best for answer in naive_answers]}")
    pairs = zip(our_answers, naive_answers, strict=True)
    return {
        "models": " + ".join(models),
        "proposals": proposals,
        "expressions": expressions,
        "queries": sum(len(answer.queries) for answer in naive_answers),
        "chosen": chosen,
        "largest_difference": max(float(np.abs(a.probabilities - b.probabilities).max()) for a, b in pairs),
        "seconds": {"naive": round(naive_seconds, 3), "ours": round(our_seconds, 3)},
        "times_faster": round(naive_seconds / our_seconds, 2),
        "threads": torch.get_num_threads(),
        "clock": "processor" if torch.get_num_threads() == 1 else "wall",
        "repeats": repeats,
        "machine": machine(PLACE.device, PLACE.dtype),
        "versions": versions(),
        "command": shlex.join(["python", *sys.argv]),
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["rn50x16", "vit-b32"])
    parser.add_argument("--proposals", type=int, default=20)
    parser.add_argument("--expressions", type=int, choices=range(1, len(EXPRESSIONS) + 1), default=len(EXPRESSIONS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(options.models, options.proposals, options.expressions, options.repeats)
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(options.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
