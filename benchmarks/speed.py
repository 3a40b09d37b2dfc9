"""What the benchmarks of speed share: a model's published order of computation beside ours and its inference form.

Every phrase goes alone with its picture in the published order. The rates of the machine are measured in the same
process, between the others. With one thread its processor time is counted, with several the wall clock. A share above
100 % means that fewer operations were done than the published order counts.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from referent.encoders.tokenizers import ClipTokenizer
from referent.files import atomic_write
from referent.layers.attention import Attention
from referent.layers.doubling import doubled
from referent.layers.packed import bf16_is_native
from referent.layers.projector import Projector, dynamic_convolution
from referent.models.base import Batch, SegmentationModel

SIDE, LENGTH = 416, 17
PHRASES = (
    *("the man in the red shirt", "left cat", "woman with the bag", "a dog on the grass", "second bus from the left"),
    *("the biggest chair", "boy in blue", "all the cups", "the car on the right", "white horse", "lady in front"),
    *("the pizza", "person next to the door", "black laptop", "the green bottle", "a small bird"),
)
COUNTS = (1, 2, 4, 8, 16)
FORMS = ("published", "plain", "fp32", "bf16")


def batch_of(count: int, seed: int = 0) -> Batch:
    """One picture and the first `count` phrases."""
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return Batch(image, ClipTokenizer()(PHRASES[:count], LENGTH), torch.zeros(count, dtype=torch.int64))


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        name: of the model.
        plain: makes it, with random weights.
        published: a copy of it that computes as the published code does.
        parts: (form, model in that form, batch) -> name -> a call that does this part alone, on what the parts before
            it returned.
        batch: one picture and so many phrases.
        size: for which inference forms choose their algorithms.
    """

    name: str
    plain: Callable[[], SegmentationModel]
    published: Callable[[Any], SegmentationModel]
    parts: Callable[[str, Any, Batch], dict[str, Callable[[], Any]]]
    batch: Callable[[int], Batch] = batch_of
    size: int = SIDE

    def form(self, form: str, plain: SegmentationModel) -> SegmentationModel:
        """`plain` in one of `FORMS`."""
        match form:
            case "published":
                return self.published(plain)
            case "plain":
                return plain
            case _:
                return plain.for_inference(torch.float32 if form == "fp32" else torch.bfloat16, self.size)


def forms() -> tuple[str, ...]:
    """`FORMS`, without bfloat16 on a processor that only emulates it."""
    return FORMS if bf16_is_native() else FORMS[:-1]


class EnlargedFirst(nn.Module):
    """`Projector` as it is written: maps are enlarged, then convolved."""

    def __init__(self, projector: Projector) -> None:
        super().__init__()
        self.projector = projector

    def forward(self, feature_map: Tensor, state: Tensor, detail: None = None) -> Tensor:
        """As `Projector.forward`, without detail, which no published model has."""
        parts = self.projector
        x = parts.second(doubled(parts.first(doubled(feature_map))))
        return dynamic_convolution(parts.last(x), parts.to_kernel(state), parts.kernel)


class TorchAttention(nn.Module):
    """`nn.MultiheadAttention` with the weights of ours, called as the published codes call it."""

    def __init__(self, ours: Attention, need_weights: bool) -> None:
        super().__init__()
        width = ours.query.in_features
        self.inner = nn.MultiheadAttention(width, ours.heads)
        self.out, self.dropout, self.need_weights = ours.out, ours.dropout, need_weights
        with torch.no_grad():
            layers = (ours.query, ours.key, ours.value)
            self.inner.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
            self.inner.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        self.inner.requires_grad_(ours.value.weight.requires_grad)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """As `Attention.forward`, sequence first inside."""
        inner, length = self.inner, query.shape[1]
        mask = torch.full((length, length), float("-inf")).triu_(1) if causal else None
        result, _ = F.multi_head_attention_forward(
            query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1), inner.embed_dim, inner.num_heads,
            inner.in_proj_weight, inner.in_proj_bias, None, None, False, self.dropout, self.out.weight, self.out.bias,
            training=self.training, key_padding_mask=None if keep is None else ~keep, attn_mask=mask,
            need_weights=self.need_weights,
        )  # fmt: skip
        return result.transpose(0, 1)


def one_by_one(model: SegmentationModel, batch: Batch) -> Tensor:
    """Every phrase with its picture, as the published evaluation does."""
    logits = [
        model(Batch(batch.image, batch.tokens[row : row + 1], batch.picture[:1])).logits
        for row in range(len(batch.tokens))
    ]
    return torch.cat(logits)


def rates() -> dict[str, tuple[float, Callable[[], Any]]]:
    """Name -> (GFLOP, a call that does them): what the machine can do."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    x = torch.randn(1, 256, 52, 52).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    found: dict[str, tuple[float, Callable[[], Any]]] = {
        "fp32 matmul": (2 * 1024**3 / 1e9, lambda: a @ b),
        "fp32 convolution": (2 * 256 * 256 * 9 * 52 * 52 / 1e9, lambda: F.conv2d(x, kernel, padding=1)),
    }
    if bf16_is_native():
        half = (a.bfloat16(), b.bfloat16())
        found["bf16 linear"] = (2 * 1024**3 / 1e9, lambda: F.linear(*half))
    return found


def seconds(call: Callable[[], Any]) -> float:
    """What one call takes. One thread's own time does not see who else is running; with several only the wall tells."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    call()
    return clock() - start


def interleaved(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each call, best and median, all calls in turn so that a busy moment hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(1e3 * seconds(call))
    return {name: {"best": min(found), "median": statistics.median(found)} for name, found in times.items()}


def peak_memory(script: str, form: str, arguments: tuple[str, ...]) -> float:
    """MiB of resident memory at the peak of one answer, in a process of its own, the plain model thrown away."""
    command = [sys.executable, script, "--peak", form, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def answer_once(subject: Subject, form: str) -> None:
    """What `peak_memory` runs."""
    model = subject.form(form, subject.plain().eval())
    before = resident()
    reset_peak()
    with torch.inference_mode():
        model(subject.batch(1))
    sys.stdout.write(f"{max(before, peak()):.0f}")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    return _status("VmRSS")


def peak() -> float:
    return _status("VmHWM")


def reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def measure(subject: Subject, threads: int, repeats: int, counts: Sequence[int]) -> dict[str, Any]:
    """All figures but memory."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = subject.plain().eval()
    models: dict[str, Any] = {form: subject.form(form, plain) for form in forms()}
    result: dict[str, Any] = {
        "model": subject.name, "sides": sides_of(subject), "threads": threads, "repeats": repeats,
        "torch": torch.__version__, "machine": processor(), "clock": "processor" if threads == 1 else "wall",
    }  # fmt: skip
    with torch.inference_mode():
        batch = subject.batch(1)
        reference = models["published"](batch).logits
        result["largest logit"] = float(reference.abs().max())
        result["logit difference"] = {
            form: float((model(batch).logits - reference).abs().max()) for form, model in models.items()
        }
        work = {name: gflop for name, (gflop, _) in rates().items()}
        calls: dict[str, Callable[[], Any]] = {f"rate/{name}": call for name, (_, call) in rates().items()}
        for form, model in models.items():
            for name, call in subject.parts(form, model, batch).items():
                calls[f"part/{form}/{name}"] = call
            calls[f"one/{form}"] = partial(model, batch)
        times = interleaved(calls, repeats)
        result["rates"] = {name: gflop / times[f"rate/{name}"]["best"] * 1e3 for name, gflop in work.items()}
        one = {form: times[f"one/{form}"] for form in models}
        result["one phrase"] = one
        result["of published"] = {
            form: round(found["median"] / one["published"]["median"], 3) for form, found in one.items()
        }
        # The counter of operations hooks into gradients of whatever a module returns that could have one: a parameter.
        models["published"].requires_grad_(False)
        result["parts"] = part_table(subject.parts("published", models["published"], batch), times, result["rates"])
        result["phrases"] = phrase_table(subject, models, max(1, repeats // 3), counts)
    return result


def sides_of(subject: Subject) -> list[int]:
    """Height and width of the picture that is asked about."""
    return list(subject.batch(1).image.shape[-2:])


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


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
        for form in forms():
            milliseconds = times[f"part/{form}/{name}"]["best"]
            limit = rate["bf16 linear"] if form == "bf16" else max(rate["fp32 matmul"], rate["fp32 convolution"])
            row[form] = {"ms": milliseconds, "share": gflop / milliseconds * 1e3 / limit}
        table[name] = row
    return table


def phrase_table(subject: Subject, models: dict[str, Any], repeats: int, counts: Sequence[int]) -> dict[str, Any]:
    """Number of phrases -> milliseconds of each form; the published order encodes the picture for each."""
    table: dict[str, Any] = {}
    for count in counts:
        batch = subject.batch(count)
        calls: dict[str, Callable[[], Any]] = {form: partial(models[form], batch) for form in list(models)[1:]}
        if count <= 4:  # beyond, it is a multiple
            calls["published"] = partial(one_by_one, models["published"], batch)
        table[str(count)] = {form: found["best"] for form, found in interleaved(calls, repeats).items()}
    return table


def show(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    measured = tuple(result["one phrase"])
    height, width = result["sides"]
    lines = [
        f"{result['model']}, {height} x {width}, {result['threads']} threads, {result['machine']}, "
        f"torch {result['torch']}. Rates: "
        + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in result["rates"].items()),
        "",
        "| ms (share of the machine's rate) | GFLOP | " + " | ".join(measured) + " |",
        "|---" * (len(measured) + 2) + "|",
    ]
    for name, row in result["parts"].items():
        cells = [f"{row[form]['ms']:.0f} ({row[form]['share']:.0%})" for form in measured]
        lines.append(f"| {name} | {row['GFLOP']:.1f} | " + " | ".join(cells) + " |")
    one = result["one phrase"]
    base = one["published"]
    for statistic in ("best", "median"):
        cells = [f"{one[form][statistic]:.0f} ({one[form][statistic] / base[statistic]:.2f})" for form in measured]
        lines.append(f"| **all, {statistic} (of published)** | | " + " | ".join(cells) + " |")
    lines.append(
        "| largest logit difference | | " + " | ".join(f"{result['logit difference'][f]:.1e}" for f in measured) + " |"
    )
    lines.append("| peak memory, MiB | | " + " | ".join(f"{result['peak memory MiB'][f]:.0f}" for f in measured) + " |")
    lines += ["", "| phrases on one picture, ms | " + " | ".join(measured) + " |", "|---" * (len(measured) + 1) + "|"]
    for count, row in result["phrases"].items():
        lines.append(f"| {count} | " + " | ".join(f"{row[f]:.0f}" if f in row else "-" for f in measured) + " |")
    return "\n".join(lines) + "\n"


def options_of(description: str | None) -> argparse.ArgumentParser:
    """The options that all of these benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="phrases on one picture")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peak", choices=FORMS, help=argparse.SUPPRESS)
    return parser


def publish(result: dict[str, Any], out: Path | None) -> None:
    """Print, and write the result where `out` says."""
    sys.stdout.write(show(result))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(out, json.dumps(result, indent=1) + "\n")
