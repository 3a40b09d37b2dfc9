"""The page itself: one HTML file with its style and script inside, and its pictures in a folder beside it.

It works from a file, without a server and without the network. Everything that came from data is escaped, and the
page's own security policy lets no script run but its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from referent.evaluation.look.cases import BEST, RANDOM, WORST
from referent.evaluation.look.pictures import FOLDER, Shown
from referent.evaluation.metrics import Interval
from referent.evaluation.protocols import Protocol
from referent.evaluation.result import Failure, Result
from referent.evaluation.worst import AGREED, MISSED, MISTAKEN

BINS = 25
LOW, HIGH = 0.3, 0.7
"""IoUs below the one are marked as bad, from the other on as good."""
FAILURES_SHOWN = 20


@dataclass(frozen=True)
class Content:
    """What a page tells.

    Attributes:
        result: what was measured.
        protocol: the IoUs are under.
        iou, present: (N,) of all phrases, for the histogram.
        shown: the cases.
        notes: what a reader must know, a sentence each.
    """

    result: Result
    protocol: Protocol
    iou: NDArray[np.float64]
    present: NDArray[np.bool_]
    shown: Sequence[Shown]
    notes: Sequence[str] = ()


def page(content: Content) -> str:
    """The whole HTML."""
    result, protocol = content.result, content.protocol
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    colours = {"agreed": AGREED, "missed": MISSED, "mistaken": MISTAKEN}
    kinds = sorted({one.case.tags["kind"] for one in content.shown if one.case.tags.get("kind")})
    shown_failures = result.failed[:FAILURES_SHOWN]
    cards = [_card(one) for one in content.shown] + [_failed_card(one) for one in shown_failures]
    title = f"{result.model} on {result.dataset} ({result.split})"
    lead = (
        f"{result.phrases:,} phrases about {result.pictures:,} pictures, {result.absent:,} of them true of nothing. "
        f"Shown are {len(content.shown)}: the worst, the best, and some drawn at random."
    )
    values = {
        "title": escape(title),
        "lead": escape(lead),
        "script_hash": f"sha256-{digest}",
        "style": _filled(_file("page.css"), {name: f"rgb{colour}" for name, colour in colours.items()}),
        "script": script,
        "numbers": _numbers(result, protocol),
        "about": _about(result, protocol),
        "kinds": _kinds(result, protocol),
        "notes": "\n".join(f'<p class="note">{escape(note)}</p>' for note in content.notes),
        "sets": _sets(content.shown, bool(result.failed)),
        "kind_options": "".join(f'<option value="{escape(kind)}">{escape(kind)}</option>' for kind in kinds),
        "histogram": _histogram(content.iou, content.present),
        "count": str(len(cards)),
        "cases": "\n".join(cards),
    }
    return _filled(_file("page.html"), values)


def _file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8").strip()


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Every {{name}} of the template, and none of those that came in with a value."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _numbers(result: Result, protocol: Protocol) -> str:
    found = {**result.scores[protocol.name].overall.numbers, "AUROC": result.auroc}
    first = [*protocol.headline, *(name for name in found if name not in protocol.headline)]
    return "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{_percent(found[name])}</dd></div>"
        for name in first
        if found[name].value is not None
    )


def _percent(number: Interval) -> str:
    if number.value is None:
        return "-"
    if number.low is None or number.high is None:
        return f"{100 * number.value:.1f}"
    return f"{100 * number.value:.1f}<small>{100 * number.low:.1f} to {100 * number.high:.1f}</small>"


def _about(result: Result, protocol: Protocol) -> str:
    rows = {
        "Protocol": f"{protocol.name} v{protocol.version}; numbers in percent, with 95 % intervals",
        "Rules": protocol.source,
        "Weights": result.weights_sha256 or "not known",
        "Only phrases with": "; ".join(f"{tag} {' or '.join(values)}" for tag, values in result.where.items()),
        "Only the first": str(result.limit or ""),
        "Machine": ", ".join(f"{name} {value}" for name, value in result.machine.items()),
        "Versions": ", ".join(f"{name} {value}" for name, value in result.versions.items()),
        "Command": result.command or "",
    }
    return "\n".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items() if value)


def _kinds(result: Result, protocol: Protocol) -> str:
    kinds = result.scores[protocol.name].kinds
    names = protocol.headline
    if not kinds:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("Kind of phrase", "phrases", *names))
    rows = [
        f'<tr><th scope="row">{escape(kind)}</th><td>{scores.phrases}</td>'
        + "".join(f"<td>{_percent(Interval(scores.numbers[name].value))}</td>" for name in names)
        + "</tr>"
        for kind, scores in kinds.items()
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _sets(shown: Iterable[Shown], failed: bool) -> str:
    used = {name for one in shown for name in one.case.sets}
    sets = ["", *(name for name in (WORST, BEST, RANDOM) if name in used), *(["failed"] if failed else [])]
    return "".join(
        f'<label><input type="radio" name="set" value="{name}"{"" if name else " checked"}>'
        f"<span>{(name or 'all').capitalize()}</span></label>"
        for name in sets
    )


def _histogram(iou: NDArray[np.float64], present: NDArray[np.bool_]) -> str:
    """How the IoUs of all phrases are spread: bars of present phrases with those of absent ones on top."""
    bins = np.linspace(0, 1, BINS + 1)
    counts = [np.histogram(iou[rows], bins)[0] for rows in (present, ~present)]
    # Square roots, or the many phrases at 0 would flatten all others.
    tallest = float(np.sqrt(max(1, (counts[0] + counts[1]).max())))
    bars = []
    for place, (true, absent) in enumerate(zip(*counts, strict=True)):
        whole = 24 * float(np.sqrt(true + absent)) / tallest
        upper = whole * float(absent) / max(1, int(true + absent))
        low, high = 100 * place // BINS, 100 * (place + 1) // BINS
        bars.append(
            f'<g data-low="{low}" data-high="{high}"><title>IoU {low} to {high} %: {true + absent} phrases</title>'
            f'<rect x="{4 * place}" y="{26 - whole + upper:.2f}" width="3.4" height="{whole - upper:.2f}"></rect>'
            f'<rect class="absent" x="{4 * place}" y="{26 - whole:.2f}" width="3.4" height="{upper:.2f}"></rect></g>'
        )
    label = f"How the IoUs of all {len(iou)} phrases are spread (heights are square roots)"
    return (
        f'<svg class="histogram" viewBox="0 0 {4 * BINS} 26" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(bars)}</svg>'
    )


def _card(one: Shown) -> str:
    case = one.case
    grade = "low" if case.iou < LOW else "high" if case.iou >= HIGH else "mid"
    truth, found = "present" if case.present else "absent", "found" if case.found else "not-found"
    kind, search = case.tags.get("kind", ""), f"{case.phrase} {one.picture.name} {case.id}".lower()
    wrong = ' class="wrong"' if case.found != case.present else ""
    tags = [
        *(f'<li class="set">{name}</li>' for name in case.sets),
        *([f"<li>{escape(kind)}</li>"] if kind else []),
        f"<li>{'present' if case.present else 'true of nothing here'}</li>",
        f"<li{wrong}>{found.replace('-', ' ')}, score {case.score:.2f}</li>",
    ]
    return (
        f'<article class="grade-{grade}" data-iou="{case.iou:.4f}" data-score="{case.score:.4f}" data-truth="{truth}" '
        f'data-found="{found}" data-kind="{escape(kind)}" data-sets="{" ".join(case.sets)}" '
        f'data-search="{escape(search)}">'
        f'{_stack(one)}<div class="words">'
        f'<h3><button type="button" class="open"><bdi>{escape(case.phrase)}</bdi></button></h3>'
        f'<ul class="tags">{"".join(tags)}</ul>{_examples(one)}<p class="file">{escape(one.picture.name)}</p></div>'
        f"{_more(one)}</article>"
    )


def _examples(one: Shown) -> str:
    if one.examples is None:
        return ""
    said = escape(f"asked by {one.case.phrase}")
    return f'<img class="examples" src="{FOLDER}/{one.examples}" alt="{said}" loading="lazy" decoding="async">'


def _stack(one: Shown) -> str:
    width, height = one.size
    # Cards are 4 to 3: what is wider fills their width, the others their height.
    shape = "wide" if 3 * width >= 4 * height else "tall"
    said = {"compared": "answer against truth", "answer": "the answer", "truth": "the truth"}
    photograph = (
        f'<img src="{FOLDER}/{one.photograph}" alt="{escape(one.picture.name)}" loading="lazy" decoding="async">'
        if one.photograph
        else ""
    )
    missing = "" if one.photograph else '<p class="absent-picture">The picture cannot be shown</p>'
    layers = "".join(
        f'<img class="layer {kind}" src="{FOLDER}/{name}" alt="{said[kind]}" loading="lazy" decoding="async">'
        for kind, name in one.layers.items()
    )
    return (
        f'<div class="stack{"" if one.photograph else " gone"}">'
        f'<span class="badge"><small>IoU</small> {100 * one.case.iou:.0f} %</span>{missing}'
        f'<div class="frame {shape}" style="--shape: {width} / {height}; --ratio: {width / height:.4f}">'
        f"{photograph}{layers}</div></div>"
    )


def _more(one: Shown) -> str:
    case = one.case
    rows = {
        "IoU": f"{100 * case.iou:.2f} %",
        "Truth": "true of something in the picture" if case.present else "true of nothing in the picture",
        "Answer": f"{'found' if case.found else 'called not found'}, score {case.score:.4f}",
        **{f"Tag {name}": value for name, value in case.tags.items()},
        "Id": case.id,
        "Picture": str(one.picture),
        "Chosen as": ", ".join(case.sets),
        "Missing": "; ".join(one.problems),
    }
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows.items() if value)
    return f'<div class="more"><dl>{facts}</dl></div>'


def _failed_card(failure: Failure) -> str:
    name = Path(failure.picture).name
    return (
        f'<article class="failed" data-truth="" data-found="" data-kind="" data-sets="failed" '
        f'data-search="{escape(failure.picture.lower())}"><div class="words grade-low"><h3>{escape(name)}</h3>'
        f'<ul class="tags"><li class="set">failed</li><li>{failure.phrases} phrases in no number</li></ul>'
        f'<p class="error">{escape(failure.error)}</p><p class="file">{escape(failure.picture)}</p></div></article>'
    )
