"""ETRIS against recorded outputs of the official code."""

from typing import Any

import numpy as np
import pytest
import torch
from recording import TOLERANCE, Recording
from torch import Tensor

from referent.models.base import SegmentationModel
from referent.models.etris import ETRIS, ETRISConfig, official

EVALUATIONS = ("eval416", "eval_rect", "eval_wl22")
PUBLISHED = {"etris_r50": ETRISConfig.r50, "etris_r101": ETRISConfig.r101, "etris_vitb16": ETRISConfig.vitb16}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=list(PUBLISHED))
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param, ETRIS, official)


@pytest.fixture(scope="module")
def fast(recording: Recording) -> SegmentationModel:
    return recording.fresh().eval().for_inference()


def test_the_configuration_follows_from_the_checkpoint_and_names_go_to_ours_and_back(recording: Recording) -> None:
    assert recording.config == PUBLISHED[recording.meta["model"]]()
    recording.assert_names_go_to_ours_and_back()


@pytest.mark.parametrize("case", EVALUATIONS)
def test_logits_are_those_of_the_official_code(recording: Recording, case: str, monkeypatch: Any) -> None:
    if case not in recording.meta["cases"]:
        pytest.skip("the official ViT takes square pictures only")
    model = recording.fresh().eval()
    taps: dict[str, Tensor] = {}
    finish = model.text_encoder.finish

    def finish_and_keep(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        taps["word"], taps["state"] = finish(*arguments)
        return taps["word"], taps["state"]

    monkeypatch.setattr(model.text_encoder, "finish", finish_and_keep)
    handles = [model.neck.register_forward_hook(lambda *call: taps.__setitem__("neck", call[-1]))]
    handles.append(model.decoder.register_forward_hook(lambda *call: taps.__setitem__("decoder", call[-1].flatten(2))))
    for number, project in enumerate(model.neck.projects):
        name = f"vis{number + 3}"
        handles.append(project.register_forward_pre_hook(lambda _, given, name=name: taps.__setitem__(name, given[0])))
    with torch.inference_mode():
        logits = model(recording.batch(case)).logits
    for handle in handles:
        handle.remove()
    assert np.abs(logits.numpy() - recording.arrays[f"{case}.logits"]).max() <= TOLERANCE
    recording.assert_taps(case, taps)


@pytest.mark.parametrize("case", EVALUATIONS)
def test_the_inference_form_has_the_logits_of_the_official_code(
    recording: Recording, fast: SegmentationModel, case: str
) -> None:
    if case not in recording.meta["cases"]:
        pytest.skip("the official ViT takes square pictures only")
    logits = fast(recording.batch(case)).logits
    assert np.abs(logits.numpy() - recording.arrays[f"{case}.logits"]).max() <= TOLERANCE


def test_a_training_step_has_the_official_loss_gradients_and_statistics(recording: Recording) -> None:
    recording.assert_training_step()
