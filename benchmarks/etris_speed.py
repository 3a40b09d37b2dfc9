"""Time and memory of an ETRIS at 416: the published order of computation, ours, and our inference form.

python benchmarks/etris_speed.py [--model r50] [--threads 2] [--repeats 7] [--train 8] [--out benchmarks/results]

"published" is the official code's order as our notes on it tell, written anew in `etris_published.py`; it is not the
authors' code. How it is measured is told in `speed.py`. A training step is forward and backward as the recipe has it:
the published order channels-first, ours channels-last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from etris_published import published
from speed import (
    SIDE,
    Subject,
    answer_once,
    batch_of,
    forms,
    interleaved,
    measure,
    options_of,
    peak_memory,
    publish,
)
from torch import Tensor

from referent.layers.fast import selected
from referent.models.base import Batch
from referent.models.etris import ETRIS, ETRISConfig

MODELS = {"r50": ETRISConfig.r50, "r101": ETRISConfig.r101, "vitb16": ETRISConfig.vitb16}


def parts_of(form: str, model: Any, batch: Batch) -> dict[str, Callable[[], Any]]:
    """Name -> a call that does this part alone, on what the parts before it returned."""
    image = batch.image
    if form not in ("published", "plain"):
        image = image.contiguous(memory_format=torch.channels_last).to(model.dtype)
    sight, reading = model.look_at(image), model._read_alone(batch.tokens)

    def fuse() -> tuple[list[Tensor], Any]:
        maps: list[Tensor] = []
        return maps, model._fuse(reading, [selected(part, batch.picture) for part in sight], maps, None)

    maps, read = fuse()
    words, state = model.text_encoder.finish(read, batch.tokens)
    aligned = model.neck(list(maps), state)
    decoded = model.decoder(aligned, words, batch.tokens != 0)
    return {
        "image, before the first Bridger": lambda: model.look_at(image),
        "text, before the first Bridger": lambda: model._read_alone(batch.tokens),
        "both encoders with Bridgers": fuse,
        "neck": lambda: model.neck(list(maps), state),
        "decoder": lambda: model.decoder(aligned, words, batch.tokens != 0),
        "projector": lambda: model.projector(decoded, state),
    }


def step(model: ETRIS, batch: Batch) -> None:
    """Forward and backward."""
    model.zero_grad(set_to_none=True)
    sum(model.losses(batch, model(batch)).values(), start=torch.zeros(())).backward()  # type: ignore[no-untyped-call]


def train_step(config: ETRISConfig, count: int, repeats: int) -> dict[str, Any]:
    """Seconds of a training step of `count` references, each with its picture."""
    ours = ETRIS(config)
    theirs = published(ours).train()
    ours.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    one = batch_of(count)
    image = torch.randn(count, 3, SIDE, SIDE)
    batch = Batch.paired(image, one.tokens, torch.rand(count, 1, SIDE, SIDE).round())
    last = Batch.paired(image.contiguous(memory_format=torch.channels_last), batch.tokens, batch.target)
    times = interleaved({"published": partial(step, theirs, batch), "ours": partial(step, ours, last)}, repeats)
    seconds = {name: round(found["median"] / 1e3, 3) for name, found in times.items()}
    return {"batch": count, **seconds, "of published": round(seconds["ours"] / seconds["published"], 3)}


def main() -> None:
    """Measure, print, and write the result."""
    parser = options_of(__doc__)
    parser.add_argument("--model", choices=MODELS, default="r50")
    parser.add_argument("--train", type=int, default=8, help="batch of a training step; 0 leaves it out")
    parser.add_argument("--note", help="written into the result: what else the machine was doing")
    options = parser.parse_args()
    config = MODELS[options.model]()
    subject = Subject(f"etris-{options.model}", lambda: ETRIS(config), published, parts_of)
    if options.peak:
        answer_once(subject, options.peak)
        return
    publish(_measured(subject, config, options), options.out and options.out / f"etris-speed-{options.model}.json")


def _measured(subject: Subject, config: ETRISConfig, options: argparse.Namespace) -> dict[str, Any]:
    result = measure(subject, options.threads, options.repeats, options.counts)
    result["note"] = options.note
    result["peak memory MiB"] = {form: peak_memory(__file__, form, ("--model", options.model)) for form in forms()}
    result["train step"] = train_step(config, options.train, max(1, options.repeats // 3)) if options.train else None
    if options.train:
        sys.stderr.write(f"training step: {result['train step']}\n")
    return result


if __name__ == "__main__":
    main()
