"""CRIS against recorded outputs of the official code."""

from typing import Any

import numpy as np
import pytest
import torch
from recording import TOLERANCE, Recording
from torch import Tensor, nn

from referent.models.base import SegmentationModel
from referent.models.cris import CRIS, CRISConfig, official

EVALUATIONS = ("eval416", "eval_rect", "eval_wl22")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["cris_r50", "cris_r101"])
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param, CRIS, official)


@pytest.fixture(scope="module")
def fast(recording: Recording) -> SegmentationModel:
    return recording.fresh().eval().for_inference()


def test_the_configuration_follows_from_the_checkpoint(recording: Recording) -> None:
    expected = CRISConfig.r50() if recording.meta["model"] == "cris_r50" else CRISConfig.r101()
    assert recording.config == expected


def test_names_go_to_ours_and_back(recording: Recording) -> None:
    recording.assert_names_go_to_ours_and_back()


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
    recording.assert_taps(case, {**found, "neck": taps["neck"], "decoder": taps["decoder"].flatten(2)})


@pytest.mark.parametrize("case", EVALUATIONS)
def test_the_inference_form_has_the_logits_of_the_official_code(
    recording: Recording, fast: SegmentationModel, case: str
) -> None:
    logits = fast(recording.batch(case)).logits
    assert np.abs(logits.numpy() - recording.arrays[f"{case}.logits"]).max() <= TOLERANCE


def test_a_training_step_has_the_official_loss_gradients_and_statistics(recording: Recording) -> None:
    recording.assert_training_step()
