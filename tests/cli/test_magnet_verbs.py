"""MagNet on the command line: segment with a file that brings its vocabulary, convert by name and by file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from full_disk import files_of_at_most
from PIL import Image

from referent import load, weights
from referent.models.magnet import MagNet, MagNetConfig
from referent.models.magnet.official import to_official
from referent.preparation import Preparation
from referent.segmenter import Segmenter

PIECES = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"the red green blue left right cup square of a".split())
TEXT = {"kind": "bert", "vocabulary": len(PIECES), "width": 64, "layers": 4, "heads": 1, "feedforward": 24}
TINY: dict[str, Any] = {
    "image": {"kind": "swin", "width": 8, "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 2], "window": 4},
    "text": {**TEXT, "context": 24, "mask_id": 3, "special_ids": [1, 2]},
    "pixel_decoder": {"width": 32, "layers": 1, "heads": 1, "feedforward": 24},
    "mask_decoder": {"layers": 2, "heads": 1, "feedforward": 24},
    "predictor": {"layers": 1, "heads": 1, "feedforward": 24},
}


def tiny(**changes: Any) -> MagNet:
    torch.manual_seed(0)
    return MagNet(MagNetConfig.model_validate({**TINY, **changes}))


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES))
    return path


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """A checkpoint as the official code would write it, command line included."""
    from argparse import Namespace

    config = MagNetConfig.model_validate({**TINY, "module": "released", "grounding": "none"})
    path = tmp_path / "magnet.pth"
    torch.save({"model": to_official(tiny(**config.model_dump()).state_dict(), config), "args": Namespace(lr=1)}, path)
    return path


def test_a_weight_file_brings_its_vocabulary_and_its_squash(run: Any, saved: Path, photo: Path, tmp_path: Path) -> None:
    outcome = run("segment", photo, "-p", "the red square", "-m", saved, "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    masks = [file for file in (tmp_path / "out").rglob("*.png") if Image.open(file).mode in ("1", "L")]
    assert masks
    assert Image.open(masks[0]).size == Image.open(photo).size


def test_a_checkpoint_converts_with_its_vocabulary_and_loads(
    run: Any, official: Path, vocabulary: Path, photo: Path, tmp_path: Path
) -> None:
    target = tmp_path / "ours.safetensors"
    outcome = run("convert", official, target, "--vocabulary", vocabulary)
    assert outcome.code == 0, outcome.err
    header = weights.read_header(target)
    assert (header.name, header.family) == ("magnet", "magnet")
    prepared = header.preparation
    assert (prepared["fit"], prepared["size"], prepared["context_length"]) == ("squash", 480, 20)
    assert tuple(prepared["vocabulary"]) == PIECES
    assert run("convert", target, tmp_path / "back.pth", "--to", "official").code == 0
    again = torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    from argparse import Namespace

    with torch.serialization.safe_globals([Namespace]):
        before = torch.load(official, weights_only=True)["model"]
    assert all(torch.equal(again[name], value) for name, value in before.items())


def test_a_full_disk_ends_the_way_back_in_one_line_and_leaves_the_earlier_file(
    run: Any, official: Path, vocabulary: Path, tmp_path: Path
) -> None:
    ours, back = tmp_path / "ours.safetensors", tmp_path / "back.pth"
    run("convert", official, ours, "--vocabulary", vocabulary)
    back.write_text("earlier")
    before = sorted(tmp_path.iterdir())
    with files_of_at_most(5000):
        outcome = run("convert", ours, back, "--to", "official")
    assert outcome.code == 2
    assert outcome.err.startswith(f"referent: {back}: cannot write; is the disk full? ")
    assert outcome.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
    assert back.read_text() == "earlier"


def test_the_licence_is_said_before_weights_are_fetched(
    run: Any, official: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def download(repository: str, *, file: str) -> Path:
        asked.append((repository, file))
        return official

    monkeypatch.setattr("referent.hub.download", download)
    target = tmp_path / "all.safetensors"
    outcome = run("convert", "magnet-all", target, "--vocabulary", vocabulary)
    assert outcome.code == 0, outcome.err
    assert asked == [("yxchng/magnet_weights", "magnet_all.pth")]
    assert "AGPL-3.0" in outcome.err
    header = weights.read_header(target)
    assert (header.name, header.preparation["size"]) == ("magnet-all", 448)


def test_the_name_alone_says_the_licence_and_what_to_do(run: Any, photo: Path) -> None:
    outcome = run("segment", photo, "-p", "the cup", "-m", "magnet-refcoco")
    assert outcome.code == 2
    assert "AGPL-3.0" in outcome.err
    assert "referent convert magnet-refcoco magnet-refcoco.safetensors" in outcome.err


def test_another_vocabulary_is_refused(run: Any, official: Path, vocabulary: Path, tmp_path: Path) -> None:
    vocabulary.write_text("\n".join((*PIECES, "more")))
    outcome = run("convert", official, tmp_path / "ours.safetensors", "--vocabulary", vocabulary)
    assert outcome.code == 2
    assert f"expected the {len(PIECES)} pieces" in outcome.err
    preparation = Preparation.model_validate({"size": 64})
    path = Segmenter(tiny(), preparation, "tiny-magnet", device="cpu").save(tmp_path / "clip.safetensors")
    outcome = run("segment", tmp_path / "no.png", "-p", "the cup", "-m", path)
    assert outcome.code == 2
    assert "preparation.tokenizer: expected 'bert'" in outcome.err


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    preparation = Preparation.model_validate(
        {"size": 64, "fit": "squash", "tokenizer": "bert", "vocabulary": PIECES, "threshold": 0.01}
    )
    return Segmenter(tiny(), preparation, "tiny-magnet", device="cpu").save(tmp_path / "tiny.safetensors")


def test_a_hidden_word_is_guessed_with_and_without_a_mask(run: Any, saved: Path, photo: Path, tmp_path: Path) -> None:
    picture = Image.open(photo)
    mask = Image.new("L", picture.size)
    mask.paste(255, (2, 2, 20, 20))
    mask.save(tmp_path / "mask.png")
    outcome = run("explain", photo, "the red square", "-m", saved, "--hide", "red", "--mask", tmp_path / "mask.png")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "in place of red:"
    assert len(lines) == 11
    assert {line.split()[1] for line in lines[1:]} <= set(PIECES)
    shares = [float(line.split()[0]) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True)
    (guess,) = json.loads(run("explain", photo, "the red square", "-m", saved, "--hide", "red", "--json").out)
    assert guess["hidden"] == "red"
    assert len(guess["guesses"]) == 10


def test_what_cannot_be_hidden_is_said(run: Any, saved: Path, photo: Path, tmp_path: Path) -> None:
    outcome = run("explain", photo, "the red square", "-m", saved, "--hide", "blue")
    assert (outcome.code, "(the, red, square)" in outcome.err) == (2, True)
    outcome = run("explain", photo, " ".join(["red"] * 30 + ["cup"]), "-m", saved, "--hide", "cup")
    assert (outcome.code, "beyond the 17 tokens" in outcome.err) == (2, True)
    model = tiny(grounding="none")
    plain = Segmenter(model, load(saved).preparation, "plain", device="cpu").save(tmp_path / "plain.safetensors")
    outcome = run("explain", photo, "the red square", "-m", plain, "--hide", "red")
    assert (outcome.code, "trained with grounding" in outcome.err) == (2, True)
