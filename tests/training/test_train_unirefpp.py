"""UniRef++'s published stages at debug size: every recipe on small files of the true formats, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from detection_data import write_coco, write_objects365
from rich.console import Console
from unirefpp_sets import (
    VOCABULARY,
    write_fss,
    write_lvos,
    write_ovis,
    write_ref_youtube_vos,
    write_refcoco,
    write_youtube_vos,
)

from referent.cli.train import scores
from referent.encoders.bert import BertConfig
from referent.errors import RecipeError, WeightsError
from referent.models.base import Batch
from referent.training.loading import Batches
from referent.training.loop import train
from referent.training.objective import Objective
from referent.training.optimiser import training_mode
from referent.training.plan import Plan, make_plan
from referent.training.recipe import Recipe, load_recipe

STAGES = (
    "unirefpp-r50-objects365",
    "unirefpp-r50-image-1",
    "unirefpp-r50-image-2",
    "unirefpp-r50-video",
)
SIZES = {"sizes": [48, 56, 64], "longest": 96}
BERT = BertConfig(vocabulary=len(VOCABULARY), width=64, layers=1, heads=1, feedforward=32, context=16).model_dump()
TINY: dict[str, Any] = {
    "image": {"kind": "resnet", "depths": [1, 1, 1, 1], "width": 4},
    "width": 64,
    "text": BERT,
    # With 4 channels in channels_last, oneDNN's gradient of a strided convolution writes beyond its memory.
    "mask_encoder": {"depths": [1, 1, 1, 1], "width": 8},
    "fusion": {"heads": 2},
    "detector": {"encoder_layers": 1, "decoder_layers": 2, "heads": 2, "points": 2, "feedforward": 32, "queries": 12},
}
CHANGES: dict[str, dict[str, Any]] = {
    STAGES[0]: {"text": None, "mask_encoder": None, "detector": {**TINY["detector"], "classes": 3}},
    STAGES[1]: {"mask_encoder": None},
    STAGES[2]: {},
    STAGES[3]: {},
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each of the recipes' paths is in miniature."""
    root = tmp_path_factory.mktemp("data")
    refcoco, fss = write_refcoco(root / "refs" / "refcoco"), write_fss(root / "fss-1000")
    objects365 = write_objects365(root / "objects365")
    return {
        "data/objects365/zhiyuan_objv2_train.json": objects365,
        "data/objects365/zhiyuan_objv2_val.json": objects365,
        "data/coco/annotations/instances_train2017.json": write_coco(root / "coco"),
        "data/refcoco": refcoco,
        "data/refcoco+": refcoco,
        "data/refcocog/refs(umd).p": refcoco,
        "data/fss-1000": fss,
        "data/ytbvos19": write_youtube_vos(root / "ytbvos19"),
        "data/lvos": write_lvos(root / "lvos"),
        "data/ovis": write_ovis(root / "ovis"),
        "data/ref-youtube-vos": write_ref_youtube_vos(root / "ref-youtube-vos"),
    }


def debug(name: str, sets: dict[str, Path], output: Path, *overrides: str) -> Recipe:
    """The shipped recipe on small files, with a tiny model, from random weights."""
    plain = load_recipe(name)
    preparation = plain.preparation | {"size": 64, "longest": 96}
    if "vocabulary" in preparation:
        preparation["vocabulary"] = VOCABULARY
    changed = [
        "model.preset=null",
        f"model.config={json.dumps(TINY | CHANGES[name])}",
        f"preparation={json.dumps(preparation)}",
        f"data.augment={json.dumps(plain.data.augment | SIZES)}",
        *(f"start.{part}=null" for part in ("weights", "image", "text", "mask")),
        "batch=2",
        "steps=2",
        "workers=0",
        "validate_every=2",
        "save_every=2",
        "log_every=1",
        f"output={output}",
    ]
    for kind, sources in (("train", plain.data.train), ("val", plain.data.val)):
        changed += [
            f"data.{kind}.{place}.path={json.dumps(str(sets[str(one.path)]))}" for place, one in enumerate(sources)
        ]
    for turn, share in plain.data.tasks.items():
        if share.augment is not None:
            changed.append(f"data.tasks.{turn}.augment={json.dumps(share.augment | SIZES)}")
    return load_recipe(name, [*changed, *overrides])


def batches(plan: Plan) -> Iterator[Batch]:
    """One of each turn."""
    loaded = Batches(plan.items, plan.order, plan.preparation, plan.visits, 1)
    steps = {plan.order.task(step): step for step in range(60)}
    assert set(steps) == {source.turns for source in plan.recipe.data.train}
    yield from (loaded[step, 0] for step in steps.values())


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_teaches_all_that_is_not_frozen(name: str, sets: dict[str, Path], tmp_path: Path) -> None:
    plan = make_plan(debug(name, sets, tmp_path), start=False)
    objective = Objective(plan.model, (), plan.recipe.loss, bf16=False, seed=0)
    training_mode(objective)
    for batch in batches(plan):
        total = objective(batch, 0, 0)["total"]
        assert torch.isfinite(total)
        total.backward()
    for parameter_name, parameter in plan.model.named_parameters():
        assert (parameter.grad is not None) is parameter.requires_grad, parameter_name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), parameter_name
    frozen = {part for part, parameter in plan.model.named_parameters() if not parameter.requires_grad}
    own = {part for part in frozen if not part.startswith(("image_encoder.stem", "image_encoder.stages.0"))}
    assert all(part.startswith("text_encoder.") for part in own)
    assert bool(own) is (name == STAGES[3])


def test_each_stage_begins_where_the_one_before_it_ended(
    sets: dict[str, Path], tmp_path: Path, console: Console
) -> None:
    before: Path | None = None
    for number, name in enumerate(STAGES):
        overrides = [] if before is None else [f"start.weights={before}"]
        outcome = train(debug(name, sets, tmp_path / str(number), *overrides), evaluate=scores, console=console)
        assert outcome.weights is not None
        before = outcome.weights


def test_weights_that_were_not_said_to_be_fresh_must_be_there(
    sets: dict[str, Path], tmp_path: Path, console: Console
) -> None:
    first = train(debug(STAGES[0], sets, tmp_path / "0", "data.val=[]"), console=console)
    recipe = debug(STAGES[1], sets, tmp_path / "1", f"start.weights={first.weights}", 'start.fresh=["score"]')
    with pytest.raises(WeightsError, match="fusion"):
        make_plan(recipe)


def test_boxes_alone_teach_a_detector(sets: dict[str, Path], tmp_path: Path, console: Console) -> None:
    recipe = debug(STAGES[0], sets, tmp_path, "steps=24", "optimiser.lr=2e-3", "optimiser.clip=1", "data.val=[]")
    train(recipe, console=console)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    totals = [line["losses"]["total"] for line in lines if line["event"] == "step"]
    assert sum(totals[-4:]) < 0.8 * sum(totals[:4])


def test_pictures_that_a_set_tests_on_can_be_held_out_of_all_sources(sets: dict[str, Path], tmp_path: Path) -> None:
    held_out = f"data.held_out=[{json.dumps(str(sets['data/refcoco']))}]"
    coco = json.dumps(str(sets["data/coco/annotations/instances_train2017.json"]))
    few_shot = [f"data.train.4.path={coco}"]
    plans = [make_plan(debug(STAGES[2], sets, tmp_path, *few_shot, *more), start=False) for more in ([], [held_out])]
    # The fourth picture of COCO is that of RefCOCO's split "val".
    assert [len(plan.sources[0]) for plan in plans] == [4, 3]
    assert [len(plan.sources[1]) for plan in plans] == [6, 6]
    assert [len(plan.sources[4]) for plan in plans] == [4, 3]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.config.detector.classes=7", "objects of 3 classes, and the model detects 7"),
        ("data.augment={flip: 0.5}", "data.augment: task objects takes settings with `sizes`"),
        ("data.tasks={phrases: {}}", "no source of `train` is of task phrases"),
        ("data.tasks={objects: {shots: 2}}", "objects has no setting shots; it has augment, ratio"),
    ],
)
def test_what_does_not_fit_detection_is_said(
    override: str, message: str, sets: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError) as caught:
        make_plan(debug(STAGES[0], sets, tmp_path, override), start=False)
    assert message in str(caught.value)


def test_boxes_and_masks_do_not_share_a_turn(sets: dict[str, Path], tmp_path: Path) -> None:
    sources = [{"task": "objects", "path": str(sets[name])} for name in sorted(sets) if name.endswith("n2017.json")]
    sources.append({"task": "objects", "path": str(sets["data/objects365/zhiyuan_objv2_train.json"])})
    with pytest.raises(RecipeError, match="others of task objects have masks"):
        make_plan(debug(STAGES[0], sets, tmp_path, f"data.train={json.dumps(sources)}"), start=False)


def test_published_stages_take_turns_as_published() -> None:
    image, more, video = (load_recipe(name).data for name in STAGES[1:])
    assert [image.share(source).ratio for source in image.train[:2]] == [1, 1]
    assert more.share(more.train[-1]).ratio == 0.05
    assert {source.turns: video.share(source).ratio for source in video.train} == {
        "coco": 0.8,
        "ytvos": 0.6,
        "lvos": 0.4,
        "ovis": 0.2,
        "refcoco": 1,
        "ref-ytvos": 1,
    }
