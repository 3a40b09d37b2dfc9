"""The pocket CLIP: its file, where it stands in for a CLIP, and its training at debug size."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import referent as rf
from referent import weights
from referent.encoders.clip_config import CLIPTextConfig
from referent.encoders.clip_pocket import CLIPPocket, CLIPPocketConfig, open_clip
from referent.encoders.tokenizers import ClipTokenizer
from referent.errors import DataError, WeightsError
from referent.grounding.config import GroundingConfig
from referent.grounding.load import put_together
from referent.rle import encode
from referent.training.text_vectors import TextVectors

EXAMPLES = Path(__file__).parents[2] / "examples" / "clip_pocket"
SMALL = CLIPPocketConfig(size=32, text=CLIPTextConfig(width=64, layers=1, heads=1, context=22, embed=16))
COLOURS = {"strawberry": (220, 30, 40), "broccoli": (30, 160, 50), "banana": (240, 220, 60)}


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"clip_pocket_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model() -> CLIPPocket:
    torch.manual_seed(0)
    return CLIPPocket(SMALL, "tiny-pocket").eval()


@pytest.fixture
def file(model: CLIPPocket, tmp_path: Path) -> Path:
    model.save(tmp_path / "clip.safetensors", torch.float32)
    return tmp_path / "clip.safetensors"


def test_a_saved_model_loads_as_it_was(model, file):
    loaded = open_clip(file)
    assert isinstance(loaded, CLIPPocket)
    assert (loaded.name, loaded.size, loaded.context) == ("tiny-pocket", 32, 22)
    images, tokens = torch.randn(2, 3, 32, 32), ClipTokenizer()(["a photo of a cat"], 22)
    with torch.inference_mode():
        assert torch.equal(loaded.encode_images(images), model.encode_images(images))
        assert torch.equal(loaded.encode_texts(tokens), model.encode_texts(tokens))
        assert loaded.encode_images(images).norm(dim=1) == pytest.approx(torch.ones(2))
    assert loaded.digest() == model.digest()
    with torch.no_grad():
        loaded.project.weight += 1
    assert loaded.digest() != model.digest()


def test_other_files_are_told_apart(tiny_weights, tmp_path):
    with pytest.raises(WeightsError, match=r"tiny\.safetensors: expected a clip-pocket, found a model of the family"):
        open_clip(tiny_weights)
    weights.write(tmp_path / "odd.safetensors", {}, weights.Header("odd", "clip-pocket", {"size": 33}, {}))
    with pytest.raises(WeightsError, match=r"odd\.safetensors: configuration: .*size"):
        open_clip(tmp_path / "odd.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match=r"foreign\.safetensors"):
        open_clip(tmp_path / "foreign.safetensors")


def test_it_stands_in_a_grounding_system_but_for_gradcam(file, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "boxes.json").write_text(json.dumps({"a": [[3, 4, 20, 17], [30, 10, 12, 9]]}))
    (tmp_path / "mine.yaml").write_text("clips: [clip.safetensors]\nproposals: boxes.json\nmethod: ips\n")
    answer = rf.load(tmp_path / "mine.yaml", device="cpu").segment(tmp_path / "a.png", "a cat")
    assert answer.exact_box in [(3, 4, 20, 17), (30, 10, 12, 9)]
    config = GroundingConfig(name="x", clips=(str(file),), proposals=str(tmp_path / "boxes.json"), method="gradcam")
    with pytest.raises(DataError, match="x: method gradcam needs CLIPs with attention, found tiny-pocket"):
        put_together(config, "cpu")


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Pictures of plain colour, in a COCO file and in folders."""
    annotations, images = [], []
    for number, (name, colour) in enumerate(COLOURS.items(), 1):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 40, "height": 40, "split": "train"})
        mask = np.zeros((40, 40), dtype=bool)
        mask[4:36, 6:30] = True
        for place, crowd in enumerate((0, 1)):
            record = {"id": 10 * number + place, "image_id": number, "category_id": number, "iscrowd": crowd}
            annotations.append({**record, "segmentation": encode(mask), "bbox": [6, 4, 24, 32]})
        (tmp_path / "folders" / name).mkdir(parents=True)
        for place in range(10):
            picture = Image.new("RGB", (20 + place, 24), tuple(max(0, value - 3 * place) for value in colour))
            picture.save(tmp_path / "folders" / name / f"{place}.jpg")
    categories = [{"id": number, "name": name} for number, name in enumerate(COLOURS, 1)]
    (tmp_path / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return tmp_path / "crops.jsonl"


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    values = torch.nn.functional.normalize(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    metadata = {"texts": json.dumps(list(COLOURS)), "kinds": json.dumps(["name"] * 3)}
    save_file({"vectors": values, "vector_of": torch.arange(3)}, tmp_path / "vectors.safetensors", metadata)
    return tmp_path / "vectors.safetensors"


def test_training_puts_things_and_their_names_together(model, crops, vectors, tmp_path, monkeypatch):
    arguments = ["crops", crops, "--coco", tmp_path / "instances.json", "--folders", tmp_path / "folders"]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    example("crops").main()
    lines = [json.loads(line) for line in crops.read_text().splitlines()]
    boxed = [line for line in lines if line["box"]]
    assert [(line["name"], line["box"]) for line in boxed] == [(name, [6, 4, 24, 32]) for name in COLOURS]
    assert [line["split"] for line in lines].count("val") == 3
    script, objective = example("train"), TextVectors(str(vectors), 8, 22)
    train, val = (script.Crops(crops, split, objective) for split in ("train", "val"))
    # Without norms and without its public weights the tower needs a start that keeps the signal.
    for layer in model.image.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    losses = script.train(model.train(), train, objective, steps=20, batch=6)
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert script.right_names(model.eval(), val, sorted(COLOURS)) == [True] * 3
    assert model.scale == pytest.approx(1 / objective.temperature)
    assert script.right_names(model, script.Crops(crops, "held-out", objective), sorted(COLOURS)) == []
