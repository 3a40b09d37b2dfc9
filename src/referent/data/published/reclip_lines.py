"""The expressions that ReCLIP's official code reads, from the published refs and COCO's objects.

Its authors' files cannot be had any more. One JSON object a line, one line a referred object:

    {image_id, file_name, anns: [{id, bbox, ...}], ann_id, sentences: [{sent_id, raw, sent}]}

`anns` are all ground-truth boxes of the picture, `ann_id` the target's id, or a list of several. Where a name holds
"coco" the official code drops what follows the last "_" and adds ".jpg", so those names get an ending to lose.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from referent.data.checking import Problems
from referent.data.published.instances import Instances
from referent.data.published.layout import find_layout
from referent.data.published.refer import open_refs, target_ids
from referent.errors import DataError
from referent.files import atomic_write


@dataclass(frozen=True)
class Written:
    """How many objects and expressions were written, and how many refs left out as they are true of nothing."""

    objects: int
    expressions: int
    nothing: int


def write_reclip_lines(path: Path, split: str, out: Path) -> Written:
    """One split of a data set in the layout of `refer`; atomic.

    Args:
        path: its folder, or the refs file in it.
        split: see `read_refer`.
        out: the .jsonl file; its folder exists.

    Raises:
        DataError: another kind of data, a damaged file, no such split, or the list of all refs that cannot be used.
    """
    layout = find_layout(path)
    if layout is None or layout.kind != "refer":
        raise DataError(f"{path}: expected a folder with refs(...).p or grefs(...).json and instances.json")
    (file,) = layout.one().files.values()
    refs, instances = open_refs(file, split)
    problems = Problems(file, "raise")
    lines: list[dict[str, Any]] = []
    nothing = 0
    for ref in refs:
        try:
            targets = target_ids(ref)
            if targets:
                lines.append(_line(ref, targets, instances))
            else:
                nothing += 1
        except DataError as error:
            problems.add(f"ref {ref['ref_id']}", str(error))
    problems.settle()
    atomic_write(out, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return Written(len(lines), sum(len(line["sentences"]) for line in lines), nothing)


def _line(ref: dict[str, Any], targets: list[Any], instances: Instances) -> dict[str, Any]:
    image_id = ref["image_id"]
    name, boxes = instances.picture(image_id).file_name, instances.boxes(image_id)
    known = {one.id for one in boxes}
    for number in targets:
        if number not in known:
            where = f"image {image_id} with a `bbox` in {instances.path.name}"
            raise DataError(f"`ann_id` {number!r} is no annotation of {where}")
    return {
        "image_id": image_id,
        "file_name": f"{Path(name).stem}_{targets[0]}.jpg" if "coco" in name.lower() else name,
        "anns": [
            {"id": one.id, "bbox": list(one.box), "category_id": one.category_id, "iscrowd": int(one.crowd)}
            for one in boxes
        ],
        "ann_id": targets[0] if len(targets) == 1 else targets,
        "sentences": [_sentence(sentence) for sentence in ref["sentences"]],
    }


def _sentence(sentence: Any) -> dict[str, Any]:
    texts = [sentence.get(key) for key in ("raw", "sent")] if isinstance(sentence, dict) else []
    if not any(isinstance(text, str) and text.strip() for text in texts):
        raise DataError(f"sentence: expected {{sent_id, raw, sent}}, found {sentence!r:.80}")
    raw, sent = texts
    return {"sent_id": sentence.get("sent_id"), "raw": raw or sent, "sent": sent or raw}
