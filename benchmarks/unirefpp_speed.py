"""Time and memory of a UniRef++ on a picture of 640 x 480: the published order, ours, and our inference form.

python benchmarks/unirefpp_speed.py [--model r50] [--threads 2] [--repeats 7] [--shots 1 5] [--out benchmarks/results]

"published" is the official code's order as our notes on it tell, written anew in `unirefpp_published.py`; it is not the
authors' code. How it is measured is told in `speed.py`. Weights are random, fusion and sampling places of some spread.
Examples are timed apart, in ours and in our inference form: what one costs when it is studied, and what the answer
costs then.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from speed import Subject, answer_once, forms, interleaved, measure, options_of, peak_memory, publish
from torch import nn
from unirefpp_published import PublishedUniRef, published

from referent.models.base import Batch, Studied
from referent.models.unirefpp import UniRef, UniRefConfig

MODELS = {"r50": UniRefConfig.r50, "swin-l": UniRefConfig.swin_l}
HEIGHT, WIDTH = 480, 640
# Tokens of a phrase, both markers included, in turn: as long as RefCOCO's.
LENGTHS = (7, 4, 6, 9, 5)
CLS, SEP, FIRST_WORD = 101, 102, 1000


def made(config: UniRefConfig) -> UniRef:
    """Random weights under which the reference and the places count, as in a trained model.

    And under which rounding does not decide: proposals whose scores are equal get equal contents, and pixels where none
    may be, whose scores are all the same, get low ones.
    """
    model = UniRef(config)
    for name, parameter in model.named_parameters():
        if "modulation.weight" in name or "offsets.weight" in name:
            nn.init.normal_(parameter, std=0.02)
    with torch.no_grad():
        model.proposer.content.copy_(model.proposer.content[:1].expand_as(model.proposer.content))
        model.proposer.project.bias.copy_(-model.proposer.score.weight[0])
    return model


def batch_of(count: int) -> Batch:
    """One picture and `count` phrases."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.zeros(count, max(LENGTHS), dtype=torch.int64)
    for row in range(count):
        length = LENGTHS[row % len(LENGTHS)]
        tokens[row, 1 : length - 1] = torch.randint(FIRST_WORD, 30522, (length - 2,), generator=generator)
        tokens[row, 0], tokens[row, length - 1] = CLS, SEP
    image = torch.randn(1, 3, HEIGHT, WIDTH, generator=generator)
    return Batch(image, tokens, torch.zeros(count, dtype=torch.int64))


def parts_of(form: str, model: Any, batch: Batch) -> dict[str, Callable[[], Any]]:
    """Name -> a call that does this part alone, on what the parts before it returned."""
    sight = model.look_at(batch.image)
    finest, *levels, sizes, _ = sight
    phrases = model._phrases(batch.tokens)
    fused = model._fused(levels, phrases, None)
    extent = PublishedUniRef.extent(finest, fused, sizes)
    memory = model.encoder(fused, extent)
    maps = PublishedUniRef.maps(memory, extent)[:3]
    features = model.mask_features(maps, finest)
    decoded = model.decoder(model.proposer(memory, extent), memory, extent)

    def decode() -> Any:
        if isinstance(model, PublishedUniRef):
            return model.decoded(memory, extent)
        return model.decoder(model.proposer(memory, extent), memory, extent)

    def masks() -> Any:
        if isinstance(model, PublishedUniRef):
            return model.masks(decoded, features, sizes)
        return model.mask_head(decoded.states[-1][:, :1], decoded.references[-2][:, :1, :2], features)

    return {
        "picture": lambda: model.look_at(batch.image),
        "phrase": lambda: model._phrases(batch.tokens),
        "UniFusion": lambda: model._fused(levels, phrases, None),
        "encoder": lambda: model.encoder(fused, extent),
        "proposals and decoder": decode,
        "mask features": lambda: model.mask_features(maps, finest),
        "masks": masks,
    }


def with_examples(subject: Subject, shots: Sequence[int], repeats: int) -> dict[str, Any]:
    """Number of examples -> milliseconds of each form: studying one, and answering with all."""
    plain = subject.plain().eval()
    models = {form: subject.form(form, plain) for form in forms()[1:]}
    image = batch_of(1).image
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., HEIGHT // 4 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] = 1
    table: dict[str, Any] = {}
    with torch.inference_mode():
        times = interleaved({form: partial(model.study, image, mask) for form, model in models.items()}, repeats)
        table["study"] = {form: found["best"] for form, found in times.items()}
        for count in shots:
            calls: dict[str, Callable[[], Any]] = {}
            for form, model in models.items():
                studied = Studied((model.study(image, mask),) * count, torch.zeros(count, dtype=torch.int64))
                asked = Batch(image, torch.zeros(1, 3).long(), torch.zeros(1).long(), examples=studied)
                calls[form] = partial(model.answer, model.look_at(image), asked)
            table[str(count)] = {form: found["best"] for form, found in interleaved(calls, repeats).items()}
    return table


def main() -> None:
    """Measure, print, and write the result."""
    parser = options_of(__doc__)
    parser.add_argument("--model", choices=MODELS, default="r50")
    parser.add_argument("--shots", type=int, nargs="*", default=(1, 5), help="examples of one reference")
    parser.add_argument("--note", help="written into the result: what else the machine was doing")
    options = parser.parse_args()
    config = MODELS[options.model]()
    subject = Subject(f"unirefpp-{options.model}", partial(made, config), published, parts_of, batch_of, HEIGHT)
    if options.peak:
        answer_once(subject, options.peak)
        return
    publish(_measured(subject, options), options.out and options.out / f"unirefpp-speed-{options.model}.json")


def _measured(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    result = measure(subject, options.threads, options.repeats, options.counts)
    result["note"] = options.note
    result["peak memory MiB"] = {form: peak_memory(__file__, form, ("--model", options.model)) for form in forms()}
    if options.shots:
        result["examples"] = with_examples(subject, options.shots, max(1, options.repeats // 3))
        sys.stderr.write(f"examples, ms: {result['examples']}\n")
    return result


if __name__ == "__main__":
    main()
