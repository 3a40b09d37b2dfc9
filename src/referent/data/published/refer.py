"""Data sets in the layout of the `refer` toolbox: refs with their sentences, beside COCO's objects.

RefCOCO, RefCOCO+ (`refs(unc).p`), RefCOCOg (`refs(umd).p`, `refs(google).p`), RefGTA (`refs(utokyo).p`), Ref-ZOM
(`refs(final).p`) and gRefCOCO (`grefs(unc).json`). A ref is

    {ref_id, ann_id, image_id, split, sentences: [{sent_id, sent, raw, ...}]}

`ann_id` is one object's, or a list; gRefCOCO writes [-1] for a ref that is true of nothing, Ref-ZOM `source: "zero"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from referent.data.checking import OnProblem, Problems, kind_of
from referent.data.published.instances import Instances, Object
from referent.data.published.json_files import read_json
from referent.data.published.layout import INSTANCES
from referent.data.published.pickles import read_pickle
from referent.data.published.pictures import Pictures
from referent.data.published.targets import Targets
from referent.data.sample import Dataset, Sample
from referent.errors import BadReferenceError, DataError
from referent.reference import Phrase, Reference

Wording: TypeAlias = Literal["sent", "raw"]
"""Which of a sentence's two texts: the cleaned one (CRIS, ETRIS), or as it was typed (LAVT, MagNet)."""

NO_OBJECT = -1
_FIELDS = ("ref_id", "ann_id", "image_id", "split", "sentences")


def read_refer(
    file: Path,
    split: str | None,
    pictures: Pictures,
    *,
    wording: Wording = "sent",
    on_problem: OnProblem = "raise",
) -> Dataset:
    """The samples of one refs file, one a sentence, in the file's order; id "<ref_id>.<sent_id>".

    Tags: `ref` (its ref_id), `kind` ("plural" and "none" where a ref has several objects or none), `name` (the objects'
    class, where they share one), `same_class` (objects of that class in the picture), `truth` ("box" where the data set
    has no masks: then the targets are filled boxes, and of the numbers only those of protocols on boxes mean anything).

    Args:
        file: `refs(...).p` or `grefs(...).json`; `instances.json` lies beside it.
        split: as the official loaders take it: "testA" is every ref with an A in the name of its split, "test" every
            ref with "test" in it, others by equality; None for all.
        pictures: that finds them; missing ones are left to the caller.
        wording: which text of a sentence.
        on_problem: "raise", or "skip" to leave out wrong refs and go on.

    Raises:
        DataError: a file is missing, damaged, or of another kind; there is no such split; or, unless skipped, the list
            of all that is wrong with its refs.
    """
    chosen, instances = open_refs(file, split)
    problems = Problems(file, on_problem)
    reader = _Refs(instances, pictures, wording, problems)
    samples = [sample for ref in chosen for sample in reader.samples(ref)]
    return Dataset(f"{file.resolve().parent.name}/{file.name}", samples, problems.settle())


def open_refs(file: Path, split: str | None) -> tuple[list[dict[str, Any]], Instances]:
    """The refs of a split as they stand, and the objects that they are about; see `read_refer`.

    Raises:
        DataError: a file is missing, damaged, or of another kind; there is no such split.
    """
    refs = _read_refs(file)
    splits = dict.fromkeys(ref["split"] for ref in refs)
    chosen = [ref for ref in refs if split is None or _belongs(ref["split"], split)]
    if refs and not chosen:
        raise DataError(f"{file}: no split {split!r}; there are: {', '.join(splits)}")
    instances_path = file.parent / INSTANCES
    if not instances_path.exists():
        raise DataError(
            f"{instances_path}: no such file; it comes with {file.name} (COCO's instances_train2014.json, renamed, "
            "serves too)"
        )
    instances = Instances(instances_path)
    if chosen and not any(ref["image_id"] in instances for ref in chosen):
        raise DataError(f"{instances_path}: holds none of the pictures that {file.name} is about: of another data set?")
    return chosen, instances


class _Refs:
    """Turns refs into samples; what the sentences of a ref have in common, they share."""

    def __init__(self, instances: Instances, pictures: Pictures, wording: Wording, problems: Problems) -> None:
        self._instances, self._pictures, self._wording, self._problems = instances, pictures, wording, problems
        self._paths: dict[int, Path] = {}
        self._ids: set[str] = set()

    def samples(self, ref: dict[str, Any]) -> Iterator[Sample]:
        where = f"ref {ref['ref_id']}"
        try:
            image = self._instances.picture(ref["image_id"])
            objects = self._objects(ref)
        except DataError as error:
            self._problems.add(where, str(error))
            return
        path = self._path(ref["image_id"], image.file_name)
        targets = Targets([item.target for item in objects])
        tags, boxes = self._tags(ref["ref_id"], objects), tuple(item.box for item in objects)
        for place, sentence in enumerate(ref["sentences"], 1):
            try:
                name, phrase = self._sentence(ref["ref_id"], sentence)
            except (DataError, BadReferenceError) as error:
                self._problems.add(f"{where}, sentence {place}", str(error))
                continue
            yield Sample(
                name,
                path,
                image.size,
                Reference(phrase),
                targets,
                ref["split"],
                tags,
                targets.polygons,
                boxes=boxes,
            )

    def _objects(self, ref: dict[str, Any]) -> list[Object]:
        found = [self._instances.object(number, ref["image_id"]) for number in target_ids(ref)]
        # As ReLA's loader: a crowd among several objects is none of them.
        return [item for item in found if not item.crowd] or found

    def _sentence(self, ref_id: Any, sentence: Any) -> tuple[str, Phrase]:
        if not isinstance(sentence, dict) or type(sentence.get("sent_id")) is not int:
            raise DataError("expected {sent_id, sent, raw}")
        name = f"{ref_id}.{sentence['sent_id']}"
        if name in self._ids:
            raise DataError(f"duplicate id {name} (ref_id.sent_id)")
        self._ids.add(name)
        other = "raw" if self._wording == "sent" else "sent"
        return name, Phrase(sentence.get(self._wording) or sentence.get(other) or "")

    def _path(self, image_id: int, file_name: str) -> Path:
        if image_id not in self._paths:
            self._paths[image_id] = self._pictures.find(file_name)
        return self._paths[image_id]

    def _tags(self, ref_id: Any, objects: list[Object]) -> Mapping[str, str]:
        tags = {"ref": str(ref_id)}
        if len(objects) != 1:
            tags["kind"] = "plural" if objects else "none"
        if len({item.category for item in objects}) == 1 and objects[0].category:
            tags |= {"name": objects[0].category, "same_class": str(objects[0].alike)}
        if objects and self._instances.boxes_only:
            tags["truth"] = "box"
        return tags


def target_ids(ref: dict[str, Any]) -> list[Any]:
    """The annotations that a ref means, each once; empty for a ref that is true of nothing.

    Raises:
        DataError: it names none and does not say so.
    """
    numbers = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
    if numbers == [NO_OBJECT] or ref.get("source") == "zero":
        return []
    if not numbers:
        raise DataError(f"`ann_id`: expected an id or a list of them ([{NO_OBJECT}]: true of nothing), found []")
    return list(dict.fromkeys(numbers))


def _read_refs(file: Path) -> list[dict[str, Any]]:
    content = read_pickle(file) if file.suffix == ".p" else read_json(file, list[Any], "a list of refs")
    if not isinstance(content, list):
        raise DataError(f"{file}: expected a list of refs, found {kind_of(content)}")
    for position, ref in enumerate(content):
        missing = [key for key in _FIELDS if not isinstance(ref, dict) or key not in ref]
        if missing:
            found = ", ".join(map(str, ref)) if isinstance(ref, dict) else kind_of(ref)
            raise DataError(f"{file}: ref at {position}: expected {', '.join(_FIELDS)}, found {found}; other data?")
        if not isinstance(ref["split"], str) or not isinstance(ref["sentences"], list):
            raise DataError(f"{file}: ref {ref['ref_id']}: expected `split` as text and `sentences` as a list")
    return content


def _belongs(own: str, asked: str) -> bool:
    """As the `refer` toolbox decides; data sets with refs in "testAB" exist."""
    if asked in ("testA", "testB", "testC"):
        return asked[-1] in own
    return asked in own if asked == "test" else own == asked
