"""Time and memory of CRIS-R50 at 416: the published order of computation, ours, and our inference form.

python benchmarks/cris_speed.py [--threads 2] [--repeats 7] [--out benchmarks/results/cris-speed.json]

"published" is what the official code computes: every phrase alone with its picture, maps channels-first, batch norms
apart, attention in the decoder with its weights returned. How it is measured is told in `speed.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from speed import EnlargedFirst, Subject, TorchAttention, answer_once, forms, measure, options_of, peak_memory, publish

from referent.encoders.clip import Block
from referent.models.base import Batch
from referent.models.cris import CRIS, CRISConfig


def published(model: CRIS) -> CRIS:
    """A copy of `model` that computes as the published code does."""
    copy = CRIS(model.config)
    copy.load_state_dict(model.state_dict())
    for block in copy.text_encoder.layers:
        assert isinstance(block, Block)
        block.attention = TorchAttention(block.attention, need_weights=False)  # type: ignore[assignment]
    for layer in copy.decoder.layers:
        for name in ("self_attention", "cross_attention"):
            setattr(layer, name, TorchAttention(getattr(layer, name), need_weights=True))
    copy.projector = EnlargedFirst(copy.projector)  # type: ignore[assignment]
    return copy.eval()


def parts_of(form: str, model: Any, batch: Batch) -> dict[str, Callable[[], Any]]:
    """Name -> a call that does this part alone, on what the parts before it returned."""
    keep = batch.tokens != 0
    if form in ("published", "plain"):
        maps = model.image_encoder(batch.image)
        words, state = model.text_encoder(batch.tokens)
        sight = model.neck.project(*maps[-3:])
        fused = model.neck(*sight, state)
        decoded = model.decoder(fused, words, keep)
        return {
            "image encoder": lambda: model.image_encoder(batch.image),
            "text encoder": lambda: model.text_encoder(batch.tokens),
            "neck, picture": lambda: model.neck.project(*maps[-3:]),
            "neck, phrase": lambda: model.neck(*sight, state),
            "decoder": lambda: model.decoder(fused, words, keep),
            "projector": lambda: model.projector(decoded, state),
        }
    image = batch.image.contiguous(memory_format=torch.channels_last).to(model.dtype)
    maps = model._image(image)
    words, state = model.read(batch.tokens)
    sight, words, keep = model._neck.look(*maps[-3:]), words.to(model.dtype), keep[:, : words.shape[1]]
    fused = model._neck(*sight, state)
    decoded = model._decoder(fused, words, keep)
    return {
        "image encoder": lambda: model._image(image),
        "text encoder": lambda: model.read(batch.tokens),
        "neck, picture": lambda: model._neck.look(*maps[-3:]),
        "neck, phrase": lambda: model._neck(*sight, state),
        "decoder": lambda: model._decoder(fused, words, keep),
        "projector": lambda: model._projector(decoded, state, None),
    }


def main() -> None:
    """Measure, print, and write the result."""
    options = options_of(__doc__).parse_args()
    subject = Subject("cris-r50", lambda: CRIS(CRISConfig.r50()), published, parts_of)
    if options.peak:
        answer_once(subject, options.peak)
        return
    result = measure(subject, options.threads, options.repeats, options.counts)
    result["peak memory MiB"] = {form: peak_memory(__file__, form, ()) for form in forms()}
    publish(result, options.out)


if __name__ == "__main__":
    main()
