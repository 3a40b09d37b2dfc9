"""UniRef++'s matching, losses and gradients against those of the official code in training mode."""

from typing import Any

import numpy as np
import pytest
import seeded_magnet
import seeded_unirefpp
import torch
from recording import brief
from test_unirefpp_parity import model_of, padded, recorded, shapes
from torch import Tensor

from referent.models.base import Batch, Examples
from referent.models.unirefpp import UniRef
from referent.models.unirefpp.criterion import Answers, layer_losses, match, objects_of
from referent.models.unirefpp.matching import best_proposal
from referent.models.unirefpp.official import to_official

OURS = {
    "ce": "class",
    "bbox": "l1",
    "giou": "giou",
    "mask": "mask",
    "dice": "dice",
    "mask_cls": "hard_pixels",
    "mask_iou": "soft_iou",
}
RELATIVE, GRADIENT = 1e-3, 0.03
# Where the official gradient is rounding around zero (a key's bias changes no softmax).
NO_GRADIENT = 1e-3

pytestmark = pytest.mark.slow


def training_batch(case: str, about: dict[str, Any], seed: int) -> Batch:
    if case == "ris":
        image, mask, sizes = padded(seed, "loss/ loss/mask", about["sizes"])
        tokens = [seeded_magnet.bert_ids(seed, f"loss/e{row}", about["words"][row], 77) for row in range(2)]
        return Batch(image, torch.stack(tokens), torch.arange(2), mask, sizes=sizes)
    height, width = about["size"]
    clips = [seeded_unirefpp.clip(seed + row, height, width) for row in range(2)]
    sizes = torch.tensor([[height, width]] * 2)

    def stacked(kind: int, frame: int) -> Tensor:
        tensor = torch.stack([clip[kind][frame] for clip in clips])
        return torch.nn.functional.pad(tensor, (0, -width % 32, 0, -height % 32))

    examples = Examples(stacked(0, 0), stacked(1, 0), torch.arange(2), sizes)
    return Batch(
        stacked(0, 1), torch.zeros(2, 3).long(), torch.arange(2), stacked(1, 1), examples=examples, sizes=sizes
    )


def without_dropout(model: UniRef) -> UniRef:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0  # type: ignore[assignment]
    return model.train()


def term(layers: list[dict[str, Tensor]], official: str) -> Tensor:
    """`loss_mask_cls_3` -> that loss of layer 3; without a number that of the last layer, `_enc` that of proposals."""
    name, _, suffix = official.removeprefix("loss_").rpartition("_")
    if suffix == "enc":
        return layers[-1][OURS[name]]
    if suffix.isdigit():
        return layers[int(suffix)][OURS[name]]
    return layers[-2][OURS[official.removeprefix("loss_")]]


@pytest.mark.parametrize(("case", "full_resolution"), [("ris", False), ("vos", True)])
def test_matching_losses_and_gradients_are_those_of_the_official_code(case: str, full_resolution: bool) -> None:
    arrays, meta = recorded("losses")
    about, seed = meta["cases"][case], meta["seed"]
    model = without_dropout(model_of(seeded_unirefpp.fill(shapes(about["model"]), seed)))
    batch = training_batch(case, about, seed)
    output = model(batch)
    assert batch.target is not None
    answers = Answers(**{name: tap for name, tap in output.taps.items() if name != "sizes"})
    objects = objects_of(batch.target, output.taps["sizes"])

    for layer, own in enumerate(match(answers, objects)):
        assert torch.cat([pairs.queries for pairs in own]).tolist() == arrays[f"{case}/match{layer}/pred"].tolist()
    proposed = [
        best_proposal(scores, boxes, own).queries
        for scores, boxes, own in zip(answers.proposal_scores, answers.proposal_boxes, objects, strict=True)
    ]
    assert torch.cat(proposed).tolist() == arrays[f"{case}/match_enc/pred"].tolist()

    layers = layer_losses(answers, objects, model.mask_head, full_resolution)
    terms = [term(layers, name) for name in about["terms"]]
    assert [loss.item() for loss in terms] == pytest.approx(arrays[f"fp32/{case}/losses"].tolist(), rel=RELATIVE)
    total = sum(weight * loss for weight, loss in zip(about["weights"], terms, strict=True))
    assert isinstance(total, Tensor)
    total.backward()
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
    }
    official = to_official(gradients, model.config)
    for name, expected in meta["grad_norm"][case].items():
        found = float(official[name].norm())
        assert found == pytest.approx(expected or 0.0, rel=GRADIENT, abs=NO_GRADIENT), name
    if case == "vos":
        statistics = model.get_submodule("mask_encoder").get_buffer("stem_norm.running_mean")
        assert np.abs(brief(statistics) - arrays["brief:fp32/vos/after/value_encoder.bn1.running_mean"]).max() < 1e-5
