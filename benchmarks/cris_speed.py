"""Time and memory of CRIS-R50 at 416: the published order of computation, ours, and our inference form.

python benchmarks/cris_speed.py [--threads 2] [--repeats 7] [--out benchmarks/results/cris-speed.json]

"published" is what the official code computes: every phrase alone with its picture, maps channels-first, batch norms
apart, attention in the decoder with its weights returned. The rates of the machine are measured in the same process,
between the others. With one thread its processor time is counted, with several the wall clock. A share above 100 %
means that fewer operations were done than the published order counts.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from referent.encoders.clip import Block
from referent.encoders.tokenizers import ClipTokenizer
from referent.files import atomic_write
from referent.layers.attention import Attention
from referent.models.base import Batch, SegmentationModel
from referent.models.cris import CRIS, CRISConfig
from referent.models.cris.inference import CRISInference

SIDE, LENGTH = 416, 17
PHRASES = (
    *("the man in the red shirt", "left cat", "woman with the bag", "a dog on the grass", "second bus from the left"),
    *("the biggest chair", "boy in blue", "all the cups", "the car on the right", "white horse", "lady in front"),
    *("the pizza", "person next to the door", "black laptop", "the green bottle", "a small bird"),
)
COUNTS = (1, 2, 4, 8, 16)
FORMS = ("published", "plain", "fp32", "bf16")


class TorchAttention(nn.Module):
    """`nn.MultiheadAttention` with the weights of ours, called as the published code calls it."""

    def __init__(self, ours: Attention, need_weights: bool) -> None:
        super().__init__()
        width = ours.query.in_features
        self.inner = nn.MultiheadAttention(width, ours.heads)
        self.out, self.need_weights = ours.out, need_weights
        with torch.no_grad():
            layers = (ours.query, ours.key, ours.value)
            self.inner.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
            self.inner.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """As `Attention.forward`, sequence first inside."""
        inner, length = self.inner, query.shape[1]
        mask = torch.full((length, length), float("-inf")).triu_(1) if causal else None
        result, _ = F.multi_head_attention_forward(
            query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1), inner.embed_dim, inner.num_heads,
            inner.in_proj_weight, inner.in_proj_bias, None, None, False, 0.0, self.out.weight, self.out.bias,
            training=False, key_padding_mask=None if keep is None else ~keep, attn_mask=mask,
            need_weights=self.need_weights,
        )  # fmt: skip
        return result.transpose(0, 1)


def published(model: CRIS) -> CRIS:
    """A copy of `model` that computes as the published code does."""
    copy = CRIS(model.config).eval()
    copy.load_state_dict(model.state_dict())
    for block in copy.text_encoder.layers:
        assert isinstance(block, Block)
        block.attention = TorchAttention(block.attention, need_weights=False)  # type: ignore[assignment]
    for layer in copy.decoder.layers:
        for name in ("self_attention", "cross_attention"):
            setattr(layer, name, TorchAttention(getattr(layer, name), need_weights=True))
    return copy


def batch_of(count: int, seed: int = 0) -> Batch:
    """One picture and the first `count` phrases."""
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return Batch(image, ClipTokenizer()(PHRASES[:count], LENGTH), torch.zeros(count, dtype=torch.int64))


def one_by_one(model: SegmentationModel, batch: Batch) -> Tensor:
    """Every phrase with its picture, as the published evaluation does."""
    logits = [
        model(Batch(batch.image, batch.tokens[row : row + 1], batch.picture[:1])).logits
        for row in range(len(batch.tokens))
    ]
    return torch.cat(logits)


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


def rates() -> dict[str, tuple[float, Callable[[], Any]]]:
    """Name -> (GFLOP, a call that does them): what the machine can do."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    x = torch.randn(1, 256, 52, 52).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    half = (a.bfloat16(), b.bfloat16())
    return {
        "fp32 matmul": (2 * 1024**3 / 1e9, lambda: a @ b),
        "fp32 convolution": (2 * 256 * 256 * 9 * 52 * 52 / 1e9, lambda: F.conv2d(x, kernel, padding=1)),
        "bf16 linear": (2 * 1024**3 / 1e9, lambda: F.linear(*half)),
    }


def interleaved(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each call, best and median, all calls in turn so that a busy moment hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    # One thread's own time does not see who else is running; with several threads only the wall tells.
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = clock()
            call()
            times[name].append(1e3 * (clock() - start))
    return {name: {"best": min(found), "median": statistics.median(found)} for name, found in times.items()}


def peak_memory(form: str) -> float:
    """MiB of resident memory at the peak of one answer, in a process of its own, the plain model thrown away."""
    command = [sys.executable, __file__, "--peak", form]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def answer_once(form: str) -> None:
    """What `peak_memory` runs."""
    model: Any = CRIS(CRISConfig.r50()).eval()
    if form == "published":
        model = published(model)
    elif form != "plain":
        model = CRISInference(model, torch.float32 if form == "fp32" else torch.bfloat16)
    before = _resident()
    _reset_peak()
    with torch.inference_mode():
        model(batch_of(1))
    sys.stdout.write(f"{max(before, _peak()):.0f}")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def measure(threads: int, repeats: int) -> dict[str, Any]:
    """All figures."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = CRIS(CRISConfig.r50()).eval()
    models: dict[str, Any] = {
        "published": published(plain),
        "plain": plain,
        "fp32": CRISInference(plain),
        "bf16": CRISInference(plain, torch.bfloat16),
    }
    result: dict[str, Any] = {
        "model": "cris-r50", "side": SIDE, "threads": threads, "repeats": repeats, "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(), "clock": "processor" if threads == 1 else "wall",
    }  # fmt: skip
    with torch.inference_mode():
        batch = batch_of(1)
        reference = models["published"](batch).logits
        result["largest logit"] = float(reference.abs().max())
        result["logit difference"] = {
            form: float((models[form](batch).logits - reference).abs().max()) for form in FORMS
        }
        work = {name: gflop for name, (gflop, _) in rates().items()}
        calls: dict[str, Callable[[], Any]] = {f"rate/{name}": call for name, (_, call) in rates().items()}
        for form in FORMS:
            for name, call in parts_of(form, models[form], batch).items():
                calls[f"part/{form}/{name}"] = call
            calls[f"one/{form}"] = lambda form=form: models[form](batch)
        times = interleaved(calls, repeats)
        result["rates"] = {name: gflop / times[f"rate/{name}"]["best"] * 1e3 for name, gflop in work.items()}
        result["one phrase"] = {form: times[f"one/{form}"] for form in FORMS}
        result["parts"] = part_table(parts_of("published", models["published"], batch), times, result["rates"])
        result["phrases"] = phrase_table(models, max(1, repeats // 3))
    result["peak memory MiB"] = {form: peak_memory(form) for form in FORMS}
    return result


def part_table(
    reference: dict[str, Callable[[], Any]], times: dict[str, dict[str, float]], rate: dict[str, float]
) -> dict[str, Any]:
    """Part -> its operations in the published order, and of each form milliseconds and share of the machine's rate."""
    table: dict[str, Any] = {}
    for name, call in reference.items():
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            call()
        gflop = counter.get_total_flops() / 1e9
        row: dict[str, Any] = {"GFLOP": gflop}
        for form in FORMS:
            milliseconds = times[f"part/{form}/{name}"]["best"]
            limit = rate["bf16 linear"] if form == "bf16" else max(rate["fp32 matmul"], rate["fp32 convolution"])
            row[form] = {"ms": milliseconds, "share": gflop / milliseconds * 1e3 / limit}
        table[name] = row
    return table


def phrase_table(models: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Number of phrases -> milliseconds of each form; the published order encodes the picture for each."""
    table: dict[str, Any] = {}
    for count in COUNTS:
        batch = batch_of(count)
        calls: dict[str, Callable[[], Any]] = {
            form: lambda form=form, batch=batch: models[form](batch) for form in FORMS[1:]
        }
        if count <= 4:  # beyond, it is a multiple
            calls["published"] = lambda batch=batch: one_by_one(models["published"], batch)
        table[str(count)] = {form: found["best"] for form, found in interleaved(calls, repeats).items()}
    return table


def show(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        f"CRIS-R50, {result['side']} x {result['side']}, {result['threads']} threads, torch {result['torch']}. Rates: "
        + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in result["rates"].items()),
        "",
        "| ms (share of the machine's rate) | GFLOP | " + " | ".join(FORMS) + " |",
        "|---" * (len(FORMS) + 2) + "|",
    ]
    for name, row in result["parts"].items():
        cells = [f"{row[form]['ms']:.0f} ({row[form]['share']:.0%})" for form in FORMS]
        lines.append(f"| {name} | {row['GFLOP']:.1f} | " + " | ".join(cells) + " |")
    one = result["one phrase"]
    base = one["published"]
    for statistic in ("best", "median"):
        cells = [f"{one[form][statistic]:.0f} ({one[form][statistic] / base[statistic]:.2f})" for form in FORMS]
        lines.append(f"| **all, {statistic} (of published)** | | " + " | ".join(cells) + " |")
    lines.append(
        "| largest logit difference | | " + " | ".join(f"{result['logit difference'][f]:.1e}" for f in FORMS) + " |"
    )
    lines.append("| peak memory, MiB | | " + " | ".join(f"{result['peak memory MiB'][f]:.0f}" for f in FORMS) + " |")
    lines += ["", "| phrases on one picture, ms | " + " | ".join(FORMS) + " |", "|---" * (len(FORMS) + 1) + "|"]
    for count, row in result["phrases"].items():
        lines.append(f"| {count} | " + " | ".join(f"{row[f]:.0f}" if f in row else "-" for f in FORMS) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peak", choices=FORMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        answer_once(options.peak)
        return
    result = measure(options.threads, options.repeats)
    sys.stdout.write(show(result))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(options.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
