"""A photograph, a model that finds colours, and a tiny CRIS on disk, for the tests of everything that users touch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import Tensor

from referent.models.base import Batch, Output, SegmentationModel
from referent.preparation import Preparation
from referent.segmenter import Segmenter

# No test measures time; a busy machine must not fail one. People's runs look at new cases each time; where a run
# decides about a change, the same code must get the same answer.
settings.register_profile("untimed", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "untimed")

# Test processes side by side share the cores: threads of each would stand in the others' way.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

SIDE = 128
RED_BOX = (16, 24, 48, 64)
BLUE_BOX = (80, 30, 110, 70)
COLOURS = ("red", "green", "blue")


class ColourModel(SegmentationModel):
    """Finds the colours red, green and blue, and counts what it is asked to do."""

    def __init__(self, presence: bool = False) -> None:
        super().__init__()
        self.has_presence = presence
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.encoded: list[int] = []
        self.asked: list[int] = []

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        self.encoded.append(len(image))
        return (image.clone(),)

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        self.asked.append(len(batch.tokens))
        ids = PREPARATION.tokens(COLOURS)[:, 1]
        asked = (batch.tokens[:, :, None] == ids).any(dim=1).float()
        pixels = sight[0][batch.picture]
        own = (pixels * asked[:, :, None, None]).sum(1, keepdim=True)
        logits = 20 * (2 * own - pixels.sum(1, keepdim=True) - 0.5)
        return Output(logits, logits.amax((1, 2, 3)) if self.has_presence else None)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        raise NotImplementedError


PREPARATION = Preparation.model_validate(
    {
        "size": SIDE,
        "mean": (0, 0, 0),
        "std": (1, 1, 1),
        "border": (0, 0, 0),
        "context_length": 8,
        "threshold": 0.5,
    }
)


def painted(red: tuple[int, int, int, int] = RED_BOX, width: int = SIDE, height: int = 96) -> Image.Image:
    pixels = np.full((height, width, 3), 60, dtype=np.uint8)
    pixels[red[1] : red[3], red[0] : red[2]] = (250, 20, 20)
    pixels[BLUE_BOX[1] : BLUE_BOX[3], BLUE_BOX[0] : BLUE_BOX[2]] = (20, 20, 250)
    return Image.fromarray(pixels)


@pytest.fixture
def red_box() -> tuple[int, int, int, int]:
    return RED_BOX


@pytest.fixture
def paint() -> Callable[..., Image.Image]:
    """Makes a grey picture with a red rectangle (`red` box) and a blue one; there is nothing green in it."""
    return painted


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """`paint()` as a file."""
    path = tmp_path / "street.png"
    painted().save(path)
    return path


@pytest.fixture
def colours() -> Segmenter:
    """A segmenter that finds colours without a presence head."""
    return Segmenter(ColourModel(), PREPARATION, "colours", device="cpu")


@pytest.fixture
def sure_colours() -> Segmenter:
    """The same with a presence head."""
    return Segmenter(ColourModel(presence=True), PREPARATION, "sure-colours", device="cpu")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CRIS of random weights in a file, small enough for every test."""
    from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig
    from referent.layers.decoder import DecoderConfig
    from referent.layers.projector import ProjectorConfig
    from referent.models.cris.config import CRISConfig, NeckConfig
    from referent.models.cris.model import CRIS

    torch.manual_seed(0)
    config = CRISConfig(
        image=CLIPResNetConfig(blocks=(1, 1, 1, 1), width=4, embed=16, grid=2),
        text=CLIPTextConfig(width=16, layers=1, heads=2, context=20, embed=16),
        neck=NeckConfig(channels=(8, 16, 16)),
        decoder=DecoderConfig(layers=1, heads=2, feedforward=16),
        projector=ProjectorConfig(hidden=8, width=8),
        presence=True,
    )
    preparation = Preparation.model_validate({"size": 64})
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    Segmenter(CRIS(config), preparation, "tiny-cris", device="cpu").save(path)
    return path


class Outcome(NamedTuple):
    """What a run of the command line left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `referent ARGUMENTS...` in this process, in the way its console script does."""
    from referent.cli.main import main

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["referent", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Outcome(int(end.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def colour_zoo(monkeypatch: pytest.MonkeyPatch, colours: Segmenter) -> Segmenter:
    """Makes the command line load `colours`, whatever name it is given."""
    monkeypatch.setattr("referent.segmenter.load", lambda name, device=None, dtype=None, clip=None: colours)
    return colours
