from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from referent.encoders.bert import BertConfig
from referent.encoders.resnet import ResNetConfig
from referent.models.unirefpp.config import DetectorConfig, FusionConfig, MaskEncoderConfig, UniRefConfig
from referent.models.unirefpp.model import UniRef
from referent.preparation import Preparation
from referent.segmenter import Segmenter

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog")
TEXT = BertConfig(vocabulary=len(VOCABULARY), width=64, layers=1, heads=1, feedforward=32, context=16, dropout=0)


def weights(folder: Path, text: BertConfig | None) -> Path:
    """A UniRef++ of random weights, small enough for every test."""
    torch.manual_seed(0)
    config = UniRefConfig(
        image=ResNetConfig(depths=(1, 1, 1, 1), width=4),
        width=64,
        text=text,
        text_dropout=0.0,
        mask_encoder=MaskEncoderConfig(depths=(1, 1, 1, 1), width=4),
        fusion=FusionConfig(heads=2),
        detector=DetectorConfig(encoder_layers=1, decoder_layers=2, heads=2, points=2, feedforward=32, queries=12),
    )
    words = {} if text is None else {"tokenizer": "bert", "vocabulary": VOCABULARY, "context_length": 16}
    path = folder / "tiny.safetensors"
    Segmenter(UniRef(config), Preparation.model_validate({"size": 96, **words}), "tiny-unirefpp", "cpu").save(path)
    return path


@pytest.fixture
def shown(tmp_path: Path) -> tuple[Path, Path]:
    picture, mask = tmp_path / "support.jpg", tmp_path / "mask.png"
    Image.new("RGB", (50, 40), "red").save(picture)
    inside = np.zeros((40, 50), dtype=np.uint8)
    inside[5:20, 5:30] = 255
    Image.fromarray(inside).save(mask)
    return picture, mask


def test_small_pictures_are_asked_by_small_examples_and_phrases(run, shown, tmp_path):
    small = tmp_path / "small.png"
    Image.new("RGB", (23, 17), "blue").save(small)
    pair = ("--example", shown[0], "--mask", shown[1])
    out = tmp_path / "out"
    ended = run("segment", small, *pair, *pair, "--model", weights(tmp_path, TEXT), "-o", out, "--json")
    assert (ended.code, ended.err) == (0, "")
    (asked,) = json.loads(ended.out)["phrases"]
    # Random weights are sure of nothing.
    assert (asked["found"], asked["box"], len(asked["examples"])) == (False, None, 2)
    assert run("segment", small, *pair, "-p", "a dog", "--model", tmp_path / "tiny.safetensors", "-o", out).code == 0


def test_weights_without_text_take_examples_and_name_models_for_phrases(run, shown, photo, tmp_path):
    path = weights(tmp_path, None)
    pair = ("--example", shown[0], "--mask", shown[1])
    assert run("segment", photo, *pair, "--model", path, "-o", tmp_path / "out").code == 0
    ended = run("segment", photo, "-p", "a dog", "--model", path)
    assert ended.code == 2
    assert "tiny-unirefpp takes examples; for a phrase use cris-pocket" in ended.err


def test_few_shot_episodes_run_through(run, shown, tmp_path):
    path = weights(tmp_path, None)
    for number in range(3):
        for name in shown:
            target = tmp_path / "set" / "thing" / f"{number}{name.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(name.read_bytes())
    ended = run("evaluate", path, tmp_path / "set", "--split", "all", "--shots", 2, "--seeds", 2, "--json")
    assert (ended.code, ended.err) == (0, "")
    result = json.loads(ended.out)
    # Three pictures of the class: each is asked about once a seed.
    assert [len(episodes) for episodes in result["few_shot"]["episodes"].values()] == [3, 3]
    assert 0 <= result["few_shot"]["spreads"]["fss"]["FB-IoU"]["mean"] <= 1
