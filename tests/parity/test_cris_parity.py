"""CRIS against recorded outputs of the official code."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded
import torch
from torch import Tensor, nn

from referent.models.base import Batch, SegmentationModel
from referent.models.cris import CRIS, CRISConfig
from referent.models.cris.official import config_of, from_official, to_official

HERE = Path(__file__).parent
TOLERANCE = 5e-4
# Statistics over a batch of two magnify the order of summation: 6e-4 on a processor without AVX-512.
TRAINING_TOLERANCE = 1e-3
# Of a gradient's root mean square. Another order of summation flips a few ReLUs near zero: with oneDNN off, or another
# number of threads, single entries move by up to 4 %.
GRADIENT_TOLERANCE = 0.1
EVALUATIONS = ("eval416", "eval_rect", "eval_wl22")

pytestmark = pytest.mark.slow


class Recording:
    """One file of recorded outputs, and our model with the same weights."""

    def __init__(self, name: str) -> None:
        self.arrays = np.load(HERE / "cris" / f"{name}.npz")
        self.meta = json.loads(str(self.arrays["meta"]))
        self.official = seeded.fill(json.loads((HERE / "keys" / f"{name}.json").read_text()), self.meta["seed"])
        self.config = config_of(self.official)
        self.state = from_official(self.official)
        self.model = CRIS(self.config)

    def fresh(self) -> CRIS:
        self.model.load_state_dict(self.state)
        self.model.zero_grad(set_to_none=True)
        return self.model

    @cache  # noqa: B019 - a recording lives as long as its module's tests
    def fast(self) -> SegmentationModel:
        return self.fresh().eval().for_inference()

    def batch(self, case: str) -> Batch:
        about = self.meta["cases"][case]
        count, _, height, width = about["image_shape"]
        tokens = torch.from_numpy(self.arrays[f"{case}.tokens"])
        image, made = seeded.inputs(about["input_seed"], count, width, tokens.shape[1])
        assert torch.equal(made, tokens)
        target = seeded.train_mask(about["input_seed"], count, width) if case == "train" else None
        return Batch.paired(image[:, :, :height].contiguous(), tokens, target)


@pytest.fixture(scope="module", params=["cris_r50", "cris_r101"])
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param)


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


def test_the_seeded_weights_are_those_of_the_recording(recording: Recording) -> None:
    assert seeded.digest(recording.official) == recording.meta["digest"]


def test_the_configuration_follows_from_the_checkpoint(recording: Recording) -> None:
    expected = CRISConfig.r50() if recording.meta["model"] == "cris_r50" else CRISConfig.r101()
    assert recording.config == expected


def test_names_go_to_ours_and_back(recording: Recording) -> None:
    back = to_official(recording.state, recording.config)
    assert set(back) == set(recording.official)
    assert all(torch.equal(back[name], value) for name, value in recording.official.items())


@pytest.mark.parametrize("case", EVALUATIONS)
def test_logits_are_those_of_the_official_code(recording: Recording, case: str) -> None:
    model = recording.fresh().eval()
    taps: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _module, _args, result: taps.__setitem__(name, result)

    named: dict[str, nn.Module] = {"neck": model.neck, "decoder": model.decoder, "vis": model.image_encoder}
    handles = [module.register_forward_hook(keep(name)) for name, module in named.items()]
    handles.append(model.text_encoder.register_forward_hook(keep("text")))
    with torch.inference_mode():
        logits = model(recording.batch(case)).logits
    for handle in handles:
        handle.remove()
    assert np.abs(logits.numpy() - recording.arrays[f"{case}.logits"]).max() <= TOLERANCE
    found = dict(zip(("vis3", "vis4", "vis5"), taps.pop("vis")[-3:], strict=True))  # type: ignore[call-overload]
    found |= dict(zip(("word", "state"), taps.pop("text"), strict=True))
    found |= {"neck": taps["neck"], "decoder": taps["decoder"].flatten(2)}
    for name, expected in recording.meta["cases"][case]["taps"].items():
        assert_brief(found[name], expected, name)


@pytest.mark.parametrize("case", EVALUATIONS)
def test_the_inference_form_has_the_logits_of_the_official_code(recording: Recording, case: str) -> None:
    logits = recording.fast()(recording.batch(case)).logits
    assert np.abs(logits.numpy() - recording.arrays[f"{case}.logits"]).max() <= TOLERANCE


def test_a_training_step_has_the_official_loss_gradients_and_statistics(recording: Recording) -> None:
    model = recording.fresh().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    batch = recording.batch("train")
    output = model(batch)
    loss = model.losses(batch, output)["text_to_pixel"]
    loss.backward()
    assert np.abs(output.logits.detach().numpy() - recording.arrays["train.logits"]).max() <= TRAINING_TOLERANCE
    assert loss.item() == pytest.approx(float(recording.arrays["train.loss"]), rel=1e-4)

    parameters = dict(model.named_parameters())
    gradients = {
        name: parameters[name].grad if name in parameters else torch.zeros_like(value)
        for name, value in model.state_dict().items()
    }
    official = to_official(gradients, recording.config)
    about = recording.meta["cases"]["train"]
    for name, expected in about["grad"].items():
        if expected is None:
            assert float(official[name].abs().max()) == 0, name
            continue
        norm, first = expected
        scale = norm / official[name].numel() ** 0.5
        assert float(official[name].double().norm()) == pytest.approx(norm, rel=1e-2, abs=1e-6), name
        assert np.allclose(official[name].flatten()[:8].numpy(), first, atol=GRADIENT_TOLERANCE * scale + 1e-6), name
    statistics = to_official(model.state_dict(), recording.config)
    for name, expected in about["buffers"].items():
        if name.endswith(("running_mean", "running_var")):
            assert_brief(statistics[name], expected, name)
