"""From a result file to a page on disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from referent.data.sample import Dataset
from referent.errors import DataError
from referent.evaluation.look.cases import choose, ious
from referent.evaluation.look.page import FAILURES_SHOWN, Content, page
from referent.evaluation.look.pictures import FOLDER, SUFFIX, Shown, draw_cases
from referent.evaluation.protocols import Protocol
from referent.evaluation.reading import Predictions, read_masks, read_predictions
from referent.evaluation.result import Result
from referent.files import atomic_write

INDEX = "index.html"
CASES = 60
_OURS = re.compile(rf"\d{{4}}(?:-[a-z]+)?{re.escape(SUFFIX)}")

Progress = Callable[[Iterable[Shown], int], Iterable[Shown]]


def write_page(
    result: Result,
    name: str,
    dataset: Dataset,
    out: Path,
    *,
    protocol: str | None = None,
    cases: int = CASES,
    seed: int = 0,
    progress: Progress = lambda shown, total: shown,
) -> Path:
    """Chooses cases of a result, and writes a page with them.

    Args:
        result: with predictions, see `reading.read_result`.
        name: of its file, for messages.
        dataset: what was asked, for truths and pictures; samples of missing pictures may be missing.
        out: folder, made where it is missing; one with another page of this kind is written over.
        protocol: name; the result's first when None.
        cases: how many phrases at most.
        seed: of the random ones.
        progress: passes the cases through, and says how far it is.

    Returns:
        The page.

    Raises:
        DataError: no predictions, an unknown protocol, data that were not asked, or a folder with other files.
    """
    rules = _protocol(result, protocol, name)
    predictions = read_predictions(result, name)
    found = ious(predictions, rules)
    chosen = choose(predictions, found, cases, seed)
    samples = {sample.id: sample for sample in dataset.samples}
    # Samples of missing pictures may all be missing; that is shown and no mistake.
    if not any(case.id in samples for case in chosen) and any(Path(case.picture).is_file() for case in chosen):
        raise DataError(
            f"{dataset.name}: holds none of the phrases of {name}; give the data that was asked with --data"
        )
    masks = read_masks(result, name, {case.id for case in chosen})
    folder = _emptied(out)
    drawn = draw_cases(chosen, masks, samples, rules.refusal != "ignored", folder)
    shown = list(progress(drawn, len(chosen)))
    notes = tuple(_notes(result, predictions, rules))
    content = Content(result, rules, found.values, predictions.present[found.rows], shown, notes)
    atomic_write(out / INDEX, page(content))
    return out / INDEX


def _protocol(result: Result, asked: str | None, name: str) -> Protocol:
    chosen = asked or next(iter(result.scores))
    if chosen not in result.scores:
        raise DataError(f"protocol: expected one that {name} has ({', '.join(result.scores)}), found {chosen!r}")
    return result.scores[chosen].protocol


def _emptied(out: Path) -> Path:
    """The folder of the pictures, without those of an earlier page."""
    folder = out / FOLDER
    if out.is_dir() and any(out.iterdir()) and not (out / INDEX).is_file():
        raise DataError(f"{out}: holds other files; give a new folder, or one with an earlier page")
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name):
            path.unlink()
    return folder


def _notes(result: Result, predictions: Predictions, rules: Protocol) -> Iterator[str]:
    own = predictions.header.threshold
    if rules.compared == "boxes":
        yield f"Protocol {rules.name} compares boxes; the masks shown are those that the boxes are around."
    elif rules.threshold is not None and rules.threshold != own:
        yield (
            f"Protocol {rules.name} cuts at a probability of {rules.threshold:g}; the masks shown are those at the "
            f"model's own threshold, {own:g}, which were saved. IoUs are the protocol's."
        )
    if len(predictions) != result.phrases:
        yield (
            f"The saved predictions hold {len(predictions)} phrases, the numbers are of {result.phrases}: the file was "
            "continued by another run. Cases are chosen from all of them."
        )
    if result.failed:
        phrases = sum(failure.phrases for failure in result.failed)
        shown = min(len(result.failed), FAILURES_SHOWN)
        more = "" if shown == len(result.failed) else f", of which {shown} are listed here"
        yield f"{len(result.failed)} pictures ({phrases} phrases) could not be answered and are in no number{more}."
