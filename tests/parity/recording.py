"""Recorded outputs of the official CRIS and ETRIS code, and what it is to agree with them."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import seeded
import torch
from torch import Tensor, nn

from referent.models.base import Batch, SegmentationModel

HERE = Path(__file__).parent
TOLERANCE = 5e-4
# Statistics over a batch of two magnify the order of summation: 6e-4 on a processor without AVX-512.
TRAINING_TOLERANCE = 1e-3
# Of a gradient's root mean square. Another order of summation flips a few ReLUs near zero: with oneDNN off, or another
# number of threads, single entries move by up to 4 %.
GRADIENT_TOLERANCE = 0.1


class Recording:
    """One file of recorded outputs, and our model with the same weights.

    Args:
        name: of the file and of the list of names, "cris_r50".
        model_class: built from the configuration that follows from the weights.
        code: the family's `official` module.
    """

    def __init__(self, name: str, model_class: type[SegmentationModel], code: ModuleType) -> None:
        self.code = code
        self.arrays = np.load(HERE / name.split("_")[0] / f"{name}.npz")
        self.meta = json.loads(str(self.arrays["meta"]))
        self.official = seeded.fill(json.loads((HERE / "keys" / f"{name}.json").read_text()), self.meta["seed"])
        self.config = code.config_of(self.official)
        self.state = code.from_official(self.official)
        self.model: Any = model_class(self.config)  # type: ignore[call-arg]

    def fresh(self) -> Any:
        self.model.load_state_dict(self.state)
        self.model.zero_grad(set_to_none=True)
        return self.model

    def batch(self, case: str) -> Batch:
        about = self.meta["cases"][case]
        count, _, height, width = about["image_shape"]
        tokens = torch.from_numpy(self.arrays[f"{case}.tokens"])
        image, made = seeded.inputs(about["input_seed"], count, width, tokens.shape[1])
        assert torch.equal(made, tokens)
        target = seeded.train_mask(about["input_seed"], count, width) if case == "train" else None
        return Batch.paired(image[:, :, :height].contiguous(), tokens, target)

    def assert_names_go_to_ours_and_back(self) -> None:
        assert seeded.digest(self.official) == self.meta["digest"]
        back = self.code.to_official(self.state, self.config)
        assert set(back) == set(self.official)
        assert all(torch.equal(back[name], value) for name, value in self.official.items())

    def assert_taps(self, case: str, found: dict[str, Tensor]) -> None:
        for name, expected in self.meta["cases"][case]["taps"].items():
            assert_brief(found[name], expected, name)

    def assert_training_step(self) -> None:
        """Logits, loss, gradients, which parameters get none, and running statistics, with every dropout at 0."""
        model = self.fresh().train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(getattr(module, "dropout", None), float):
                module.dropout = 0.0
        batch = self.batch("train")
        output = model(batch)
        loss = model.losses(batch, output)["text_to_pixel"]
        loss.backward()
        assert np.abs(output.logits.detach().numpy() - self.arrays["train.logits"]).max() <= TRAINING_TOLERANCE
        assert loss.item() == pytest.approx(float(self.arrays["train.loss"]), rel=1e-4)
        about = self.meta["cases"]["train"]
        self._assert_gradients(about["grad"])
        statistics = self.code.to_official(model.state_dict(), self.config)
        for name, expected in about["buffers"].items():
            if name.endswith(("running_mean", "running_var")):
                assert_brief(statistics[name], expected, name)

    def _assert_gradients(self, expected: dict[str, Any]) -> None:
        given = {name: parameter.grad for name, parameter in self.model.named_parameters()}
        state = self.model.state_dict()
        # A packed tensor may be given a gradient in a part of its rows only.
        here = {name: torch.full_like(value, given.get(name) is not None) for name, value in state.items()}
        reached = self.code.to_official(here, self.config)
        filled = {
            name: torch.zeros_like(value) if (gradient := given.get(name)) is None else gradient
            for name, value in state.items()
        }
        official = self.code.to_official(filled, self.config)
        for name, about in expected.items():
            assert bool(reached[name].any()) == (about is not None), name
            if about is None:
                continue
            norm, first = about
            scale = norm / official[name].numel() ** 0.5
            assert float(official[name].double().norm()) == pytest.approx(norm, rel=1e-2, abs=1e-6), name
            assert np.allclose(
                official[name].flatten()[: len(first)].numpy(), first, atol=GRADIENT_TOLERANCE * scale + 1e-6
            ), name


def brief(tensor: Tensor) -> np.ndarray:
    """Norm, mean and 64 evenly spaced entries."""
    flat = tensor.detach().double().flatten()
    places = torch.arange(64, dtype=torch.float64) * ((flat.numel() - 1) / 63)
    return torch.cat([flat.norm()[None], flat.mean()[None], flat[places.round().long()]]).numpy()


def briefly(tensor: Tensor, count: int) -> tuple[float, float, Tensor]:
    flat = tensor.detach().double().flatten()
    places = torch.linspace(0, flat.numel() - 1, count).round().long()
    return float(flat.norm()), float(flat.mean()), flat[places]


def assert_brief(tensor: Tensor, expected: dict[str, Any], what: str) -> None:
    assert list(tensor.shape) == expected["shape"], what
    norm, mean, samples = briefly(tensor, len(expected["samples"]))
    scale = norm / max(1, tensor.numel()) ** 0.5 + 1e-6
    assert norm == pytest.approx(expected["norm"], rel=1e-4), what
    assert mean == pytest.approx(expected["mean"], abs=1e-4 * scale + 1e-6), what
    assert np.allclose(samples.numpy(), expected["samples"], atol=1e-3 * scale, rtol=1e-3), what
