"""Writing the answers of a run: mask and overlay pictures, lines on the screen, and one COCO file."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from referent.errors import ReferentError
from referent.files import atomic_write, expanded

if TYPE_CHECKING:
    from PIL import Image

    from referent.asking import AnySegmenter
    from referent.reference import Example, PictureSource, Reference
    from referent.segmentation import Segmentation

COCO_NAME = "segmentations.json"
LONGEST_NAME = 60
# Of a picture and a question each; with number, ending and what a temporary name adds, at most 255 in a file name.
MOST_BYTES = 100


class Answers:
    """Writes each answer as it comes, and keeps what the COCO file needs.

    The COCO file reads as a data set again: `annotations` hold what was found, one category a question, and `phrases`
    hold every question with its score, `annotation_ids` empty where nothing was found. A question by examples alone
    is called by their file's name or their number.

    Args:
        out: folder for the files, made when missing.
        model: name of the model.
        quiet: no lines on the screen but errors.
    """

    def __init__(self, out: Path, model: str, quiet: bool = False) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        self.quiet = quiet
        self.failed: list[tuple[str, str]] = []
        self._names: set[str] = set()
        self._examples: dict[Example, Image.Image] = {}
        self._categories: dict[str, int] = {}
        self._document: dict[str, Any] = {
            "info": {"description": "segmentations by referent", "model": model},
            "images": [],
            "annotations": [],
            "phrases": [],
            "failed": [],
        }

    def add(self, picture: str, segmentations: Sequence[Segmentation]) -> None:
        """All answers about one picture.

        Args:
            picture: how the user named it.
            segmentations: at least one.
        """
        from referent.drawing import beside
        from referent.segmentation import overlay, save_png

        stem = self._unique("stdin" if picture == "-" else _slug(Path(picture).stem) or "picture")
        look = self.out / f"{self._unique(f'{stem}.overlay')}.png"
        image = segmentations[0].picture
        drawn = overlay(image, segmentations)
        save_png(drawn, look)
        number = len(self._document["images"]) + 1
        self._document["images"].append(
            {
                "id": number,
                # Whole, so that the file reads as a data set from any folder.
                "file_name": picture if picture == "-" else str(expanded(picture).absolute()),
                "width": image.width,
                "height": image.height,
                "picture": picture,
                "overlay": str(look),
            }
        )
        examples = self._drawn(segmentations)
        if examples:
            sheet = self.out / f"{self._unique(f'{stem}.sheet')}.png"
            save_png(beside(examples, drawn), sheet)
            self._document["images"][-1]["sheet"] = str(sheet)
            self._say(f"{picture}: examples and answers side by side {sheet}")
        for segmentation in segmentations:
            question = _slug(_question(segmentation.reference)) or "phrase"
            mask = self.out / f"{self._unique(f'{stem}.{question}')}.png"
            self._record(number, segmentation, mask)
            self._say(_line(picture, segmentation, mask))
        self._say(f"{picture}: overlay {look}")

    def fail(self, picture: str, error: ReferentError) -> None:
        """A picture that could not be used; said at once, and again at the end."""
        self.failed.append((picture, str(error)))
        self._document["failed"].append({"picture": picture, "error": str(error)})
        print(f"referent: {error}", file=sys.stderr)

    def close(self) -> dict[str, Any]:
        """Writes the COCO file, names what failed, and gives back the file's content."""
        self._document["categories"] = [{"id": number, "name": phrase} for phrase, number in self._categories.items()]
        path = self.out / COCO_NAME
        atomic_write(path, json.dumps(self._document))
        self._say(f"COCO file {path}")
        if self.failed:
            total = len(self.failed) + len(self._document["images"])
            names = ", ".join(picture for picture, _ in self.failed)
            print(f"referent: {len(self.failed)} of {total} pictures failed: {names}", file=sys.stderr)
        return self._document

    def _drawn(self, segmentations: Sequence[Segmentation]) -> list[Image.Image]:
        """The examples that were shown, each read and drawn once in a run."""
        from referent.segmentation import drawn_example

        examples = dict.fromkeys(one for segmentation in segmentations for one in segmentation.reference.examples)
        for example in examples:
            if example not in self._examples:
                self._examples[example] = drawn_example(example)
        return [self._examples[example] for example in examples]

    def _record(self, image: int, segmentation: Segmentation, mask: Path) -> None:
        from PIL import Image

        question = _question(segmentation.reference)
        annotations = self._document["annotations"]
        ids = []
        if segmentation.found:
            segmentation.save(mask)
            ids.append(len(annotations) + 1)
            category = self._categories.setdefault(question, len(self._categories) + 1)
            annotations.append(
                {"id": ids[0], "image_id": image, "category_id": category, "iscrowd": 0, **segmentation.to_coco()}
            )
        else:
            # Whatever the model drew, it says that this is not it.
            from referent.segmentation import save_png

            save_png(Image.new("L", segmentation.picture.size), mask)
        self._document["phrases"].append(
            {
                "id": len(self._document["phrases"]) + 1,
                "image_id": image,
                "phrase": question,
                "examples": [
                    {"picture": str(one.picture), "mask": str(one.mask)} for one in segmentation.reference.examples
                ],
                "annotation_ids": ids,
                "found": segmentation.found,
                "score": segmentation.score,
                "box": segmentation.box,
                "mask": str(mask),
                "notes": segmentation.notes,
            }
        )

    def _unique(self, name: str) -> str:
        """`name`, or with a number behind it where this run has used it; file systems may ignore case."""
        candidate, count = name, 1
        while candidate.casefold() in self._names:
            count += 1
            candidate = f"{name}-{count}"
        self._names.add(candidate.casefold())
        return candidate

    def _say(self, line: str) -> None:
        if not self.quiet:
            typer.echo(line)


def answer_all(
    segmenter: AnySegmenter,
    pictures: Sequence[tuple[str, PictureSource]],
    questions: Iterable[list[str] | list[Reference]],
    answers: Answers,
) -> dict[str, Any]:
    """Asks every picture its questions, and writes what comes back.

    Interrupted, it still writes the COCO file of what was done.

    Args:
        segmenter: the model.
        pictures: (how the user named it, source) pairs.
        questions: one list a picture.
        answers: where answers go.

    Returns:
        The content of the COCO file.
    """
    from rich.console import Console
    from rich.progress import Progress

    from referent.segmenter import Failure

    console = Console(stderr=True)
    # Pictures encoded together help a GPU; a CPU is busy with one, and answers sooner.
    batch_size = 1 if segmenter.engine.device.type == "cpu" else 8
    try:
        with Progress(console=console, transient=True, disable=len(pictures) < 2 or not console.is_terminal) as bar:
            task = bar.add_task("segmenting", total=len(pictures))
            found = segmenter.segment_many([source for _, source in pictures], questions, batch_size)
            for (name, _), answer in zip(pictures, found, strict=True):
                if isinstance(answer, Failure):
                    answers.fail(name, answer.error)
                else:
                    answers.add(name, answer if isinstance(answer, list) else [answer])
                bar.advance(task)
    finally:
        document = answers.close()
    return document


def _line(picture: str, segmentation: Segmentation, mask: Path) -> str:
    phrase = json.dumps(str(segmentation.reference), ensure_ascii=False)
    where = "box " + ",".join(map(str, segmentation.box)) if segmentation.box else "not found"
    notes = "".join(f" ({note})" for note in segmentation.notes)
    return f"{picture}: {phrase} score {segmentation.score:.2f} {where} mask {mask}{notes}"


def _question(reference: Reference) -> str:
    """What a question is called: its phrase, or its examples where it has none."""
    from referent.segmentation import label_of

    return str(reference.phrase) if reference.phrase else label_of(reference)


def _slug(text: str) -> str:
    """Letters and digits of any script, all else as single dashes; cut between characters."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text))
    return "-".join(words)[:LONGEST_NAME].encode()[:MOST_BYTES].decode(errors="ignore").strip("-")
