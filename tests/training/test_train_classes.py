"""Trainings by class name: class maps, boxes and labels learn, are validated, and are scored by `referent classes`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console
from training_tiny import recipe

import referent as rf
from referent.cli.train import scores
from referent.data.loading import open_classes
from referent.data.scenes.examples import example
from referent.data.scenes.world import COLOURS
from referent.evaluation.class_tasks import ClassResult, evaluate_classes
from referent.rle import encode
from referent.training import loop
from referent.training.recipe import Recipe

SIDE = 64
CONFIG: dict[str, Any] = {
    "image": {"kind": "clip-resnet", "blocks": [1, 1, 1, 1], "width": 8, "embed": 16, "grid": 2},
    "text": {"width": 16, "layers": 3, "heads": 2, "context": 8, "embed": 16},
    "bridger": {"places": [[1, 1], [2, 2], [3, 3]], "width": 16, "heads": 2, "feedforward": 16, "dropout": 0.0},
    "neck": {"width": 32, "heads": 2},
    "decoder": {"layers": 1, "heads": 2, "feedforward": 32, "dropout": 0.0},
    "projector": {"hidden": 16, "width": 16},
    "tuning": "full",
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made pictures: a COCO file whose classes are colours, and the things cut out, in one folder a colour."""
    folder = tmp_path_factory.mktemp("scenes")
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": number, "name": colour} for number, colour in enumerate(COLOURS)]
    for number in range(8):
        made = example(5, number, (SIDE, SIDE))
        picture = Image.fromarray(made.picture)
        picture.save(folder / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
        for thing, mask in zip(made.seen.scene.things, made.seen.masks, strict=True):
            colour, place = thing.look.colour, len(content["annotations"])
            content["annotations"].append(
                {
                    "id": place,
                    "image_id": number,
                    "category_id": list(COLOURS).index(colour),
                    "segmentation": encode(mask),
                }
            )
            own = folder / "cut" / "train" / colour
            own.mkdir(parents=True, exist_ok=True)
            picture.crop(Image.fromarray(mask).getbbox()).resize((SIDE, SIDE)).save(own / f"{place}.png")
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def train(
    source: Path,
    output: Path,
    console: Console,
    loss: dict[str, float],
    select: str,
    steps: int,
    heads: dict[str, Any] | None = None,
) -> tuple[float, float, ClassResult]:
    """Trains on `source`; the mean loss of the first and of the last four steps, and the scores on what was learnt."""
    sources = [{"path": str(source), "split": "train", "class_names": True}]
    settings = recipe(
        source,
        output,
        model={"family": "etris", "name": "tiny-etris", "config": {**CONFIG, **(heads or {})}},
        preparation={"size": SIDE, "context_length": 6},
        data__train=sources,
        data__val=sources,
        data__phrases=4,
        data__present=2,
        loss=loss,
        optimiser={"lr": 3e-3},
        steps=steps,
        validate_every=steps,
        save_every=steps,
        select=select,
    )
    outcome = loop.train(Recipe.model_validate(settings), evaluate=scores, console=console)
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    totals = [line["losses"]["total"] for line in lines if line["event"] == "step"]
    (validation,) = [line for line in lines if line["event"] == "validation"]
    assert outcome.weights is not None
    result = evaluate_classes(rf.load(outcome.weights, device="cpu"), open_classes(source))
    assert validation["selected"] == pytest.approx(result.numbers()[select], abs=1e-6)
    return sum(totals[:4]) / 4, sum(totals[-4:]) / 4, result


def test_class_maps_are_learnt_from_class_names(scenes: Path, tmp_path: Path, console: Console) -> None:
    loss = {"text_to_pixel": 1.0, "dice": 1.0}
    first, last, result = train(scenes / "instances.json", tmp_path, console, loss, "class-mIoU-background", 24)
    assert last < 0.8 * first
    assert set(result.tasks) == {"semantic"}


def test_boxes_are_learnt(scenes: Path, tmp_path: Path, console: Console) -> None:
    loss = {"box_score": 1.0, "box": 1.0, "box_centre": 1.0}
    boxes = {"boxes": {"width": 32, "layers": 1}}
    first, last, result = train(scenes / "instances.json", tmp_path, console, loss, "AP50", 40, boxes)
    assert last < 0.8 * first
    assert result.numbers()["AP50"] > 0.01  # boxes at random are never right


def test_labels_are_learnt(scenes: Path, tmp_path: Path, console: Console) -> None:
    first, last, result = train(scenes / "cut", tmp_path, console, {"label": 1.0}, "top-1", 60, {"label": True})
    assert last < 0.8 * first
    assert result.numbers()["top-1"] > 2 / len(COLOURS)
