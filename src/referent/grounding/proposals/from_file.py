"""Proposals from a JSON file: ground truth, or what a detector found elsewhere.

Four forms are told apart by what is in them:

* a COCO file (`images`, `annotations`), and what `referent segment` writes: pictures by file name;
* COCO results: a list of {`image_id`, `bbox`, `score`, perhaps `segmentation`};
* ReCLIP's list of {`image_id`, `box`}, and its {image id: [box, ...]}.

Boxes are [x, y, width, height]. Where a file has ids only, a picture's id is the last number in its file name
("COCO_train2014_000000581857.jpg"), or the whole name without its ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from referent.data.checking import kind_of, parse_json, read_text
from referent.errors import DataError, listed
from referent.grounding.proposals.base import Candidate, Proposals
from referent.rle import BadMaskError, read_segmentation

if TYPE_CHECKING:
    from PIL import Image

    from referent.reference import PictureSource

Record = dict[str, Any]


class FileProposals:
    """The boxes of one file.

    Args:
        path: of any of the forms above.
        min_score: records with a lower `score` are left out.

    Raises:
        DataError: missing, no JSON, of no form, or a box that is none; the message names the file and the record.
    """

    def __init__(self, path: str | Path, min_score: float = 0.0) -> None:
        self.path = Path(path)
        self.name = self.path.name
        content = parse_json(read_text(self.path), str(self.path))
        self._by_picture: dict[str, list[Record]] = {}
        for picture, where, record in _records(content, self.path):
            found = self._by_picture.setdefault(picture, [])
            if record is not None and _score(record, f"{self.path}: {where}") >= min_score:
                found.append({"box": _box(record, f"{self.path}: {where}"), "segmentation": record.get("segmentation")})

    def propose(self, picture: Image.Image, source: PictureSource) -> Proposals:
        """See `ProposalSource.propose`.

        Raises:
            DataError: a picture that is no file, one that the file does not know, or a mask of another size.
        """
        size = (picture.height, picture.width)
        return Proposals.of([self._candidate(record, size) for record in self._about(source)], size)

    def _about(self, source: PictureSource) -> list[Record]:
        if not isinstance(source, (str, Path)):
            raise DataError(f"{self.path}: knows pictures by file name; expected a path, found {kind_of(source)}")
        for name in _names(Path(source)):
            if name in self._by_picture:
                return self._by_picture[name]
        known = listed(self._by_picture) or "none"
        raise DataError(f"{self.path}: no proposals for {Path(source).name}; the file is about other pictures: {known}")

    def _candidate(self, record: Record, size: tuple[int, int]) -> Candidate:
        try:
            mask = read_segmentation(record["segmentation"], size) if record["segmentation"] else None
        except BadMaskError as error:
            raise DataError(f"{self.path}: proposal {list(record['box'])}: {error}") from None
        return Candidate(record["box"], mask)


def _names(path: Path) -> Iterator[str]:
    """What a file may call a picture, the surest first."""
    yield path.name
    yield path.stem
    if numbers := re.findall(r"\d+", path.stem):
        yield str(int(numbers[-1]))


def _records(content: Any, path: Path) -> Iterator[tuple[str, str, Record | None]]:
    """(picture, place in the file, record) of every box; a None record tells of a picture without boxes."""
    match content:
        case {"images": list(images), "annotations": list(annotations)}:
            yield from _coco(images, annotations, path)
        case list():
            for number, record in enumerate(content):
                if not isinstance(record, dict) or "image_id" not in record:
                    raise DataError(
                        f"{path}: record {number}: expected an object with `image_id`, found {record!r:.80}"
                    )
                yield str(record["image_id"]), f"record {number}", record
        case dict() if all(isinstance(boxes, list) for boxes in content.values()):
            for name, boxes in content.items():
                yield name, f"picture {name}", None
                for number, box in enumerate(boxes):
                    yield name, f"picture {name}, box {number}", {"box": box}
        case _:
            raise DataError(
                f"{path}: expected a COCO file, COCO results, a list of {{image_id, box}}, or {{image id: boxes}}, "
                f"found {kind_of(content)}"
            )


def _coco(images: list[Any], annotations: list[Any], path: Path) -> Iterator[tuple[str, str, Record | None]]:
    names: Mapping[Any, str] = {
        image["id"]: Path(image["file_name"]).name
        for image in images
        if isinstance(image, dict) and isinstance(image.get("file_name"), str) and isinstance(image.get("id"), int)
    }
    for name in names.values():
        yield name, f"picture {name}", None
    for number, record in enumerate(annotations):
        image = record.get("image_id") if isinstance(record, dict) else None
        if type(image) is not int or image not in names:
            raise DataError(
                f"{path}: annotation {number}: expected the `image_id` of a picture of the file, found {image!r:.40}"
            )
        yield names[image], f"annotation {number}", record


def _score(record: Record, where: str) -> float:
    score = record.get("score", 1.0)
    if type(score) not in (int, float):
        raise DataError(f"{where}: `score`: expected a number, found {score!r:.40}")
    return float(score)


def _box(record: Record, where: str) -> tuple[float, float, float, float]:
    values = record.get("bbox", record.get("box"))
    if not isinstance(values, list) or len(values) != 4 or not all(type(value) in (int, float) for value in values):
        raise DataError(f"{where}: expected a box [x, y, width, height], found {values!r:.80}")
    x, y, width, height = values
    return float(x), float(y), float(width), float(height)
