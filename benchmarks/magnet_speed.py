"""Time and memory of MagNet at 480: the published order of computation, ours, and our inference form.

python benchmarks/magnet_speed.py [--threads 2] [--repeats 7] [--counts 1 2 4] [--train 1] [--out benchmarks/results]

"published" is the official code's order as our notes on it tell, written anew in `magnet_published.py`; it is not the
authors' code. How it is measured is told in `speed.py`. Weights are random, offsets of some spread, the gates of the
language side zero, as they must be in every released checkpoint. A training step is forward and backward of the
released model with the mask losses and the alignment loss; the authors published none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from magnet_published import published
from speed import Subject, answer_once, forms, interleaved, measure, options_of, peak_memory, publish
from torch import nn
from unirefpp_speed import batch_of as phrases_about

from referent.models.base import Batch
from referent.models.magnet import MagNet, MagNetConfig

SIDE = 480
_SPREAD = 0.02  # of offsets, so that pixels look at different places


def made() -> MagNet:
    """The released model with random weights."""
    model = MagNet(MagNetConfig.released())
    for name, parameter in model.named_parameters():
        if "offsets.weight" in name:
            nn.init.normal_(parameter, std=_SPREAD)
    return model


def batch_of(count: int) -> Batch:
    """One picture and `count` phrases."""
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return replace(phrases_about(count), image=image)


def parts_of(form: str, model: Any, batch: Batch) -> dict[str, Callable[[], Any]]:
    """Name -> a call that does this part alone, on what the parts before it returned."""
    sight, tokens = model.look_at(batch.image), model._tokens(batch.tokens)
    flow = model.image_encoder.whole([batch.per_reference(part) for part in sight[:-1]])
    maps, _ = model._encode(flow, tokens)
    features, decoded = model.pixel_decoder(maps)
    return {
        "first stage": lambda: model.look_at(batch.image),
        "both encoders with alignment": lambda: model._encode(flow, tokens),
        "pixel decoder": lambda: model.pixel_decoder(maps),
        "mask decoder": lambda: model.mask_decoder(features, decoded),
    }


def step(model: MagNet, batch: Batch) -> None:
    """Forward and backward."""
    model.zero_grad(set_to_none=True)
    sum(model.losses(batch, model(batch)).values(), start=torch.zeros(())).backward()  # type: ignore[no-untyped-call]


def train_step(count: int, repeats: int) -> dict[str, Any]:
    """Seconds of a training step of `count` references, each with its picture."""
    ours = made()
    theirs = published(ours.eval()).train()
    ours.train()
    batch = Batch.paired(
        torch.randn(count, 3, SIDE, SIDE), batch_of(count).tokens, torch.rand(count, 1, SIDE, SIDE).round()
    )
    times = interleaved({"published": partial(step, theirs, batch), "ours": partial(step, ours, batch)}, repeats)
    seconds = {name: round(found["median"] / 1e3, 3) for name, found in times.items()}
    return {"batch": count, **seconds, "of published": round(seconds["ours"] / seconds["published"], 3)}


def main() -> None:
    """Measure, print, and write the result."""
    parser = options_of(__doc__)
    parser.add_argument("--train", type=int, default=1, help="batch of a training step; 0 leaves it out")
    parser.add_argument("--note", help="written into the result: what else the machine was doing")
    parser.set_defaults(counts=(1, 2, 4))
    options = parser.parse_args()
    subject = Subject("magnet", made, published, parts_of, batch_of, SIDE)
    if options.peak:
        answer_once(subject, options.peak)
        return
    publish(_measured(subject, options), options.out and options.out / "magnet-speed.json")


def _measured(subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    result = measure(subject, options.threads, options.repeats, options.counts)
    result["note"] = options.note
    result["peak memory MiB"] = {form: peak_memory(__file__, form, ()) for form in forms()}
    if options.train:
        result["train step"] = train_step(options.train, max(1, options.repeats // 3))
        sys.stderr.write(f"training step: {result['train step']}\n")
    return result


if __name__ == "__main__":
    main()
