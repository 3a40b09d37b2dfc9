from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from folded_mobilenet import folded_names
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from referent.encoders.mobilenet import MobileNetV2, MobileNetV2Config, from_folded
from referent.errors import RecipeError, WeightsError
from referent.training.auxiliary import build_auxiliary
from referent.training.class_maps import ClassMaps

CLASSES = 5


@pytest.fixture(scope="module")
def deeplab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    state = folded_names() | {"logits.weight": torch.randn(CLASSES, 256, 1, 1), "logits.bias": torch.randn(CLASSES)}
    path = tmp_path_factory.mktemp("teacher") / "deeplab.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def objective(deeplab: Path, data: Path) -> ClassMaps:
    return ClassMaps(str(deeplab), [{"path": data, "split": "train"}], batch=3, size=64)


class Seeing(nn.Module):
    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.image_encoder = MobileNetV2(MobileNetV2Config())
        self.image_encoder.load_state_dict(state)


@pytest.fixture
def same(deeplab: Path) -> Seeing:
    return Seeing(from_folded(load_file(deeplab)))


def test_the_teacher_itself_has_no_loss(objective: ClassMaps, same: Seeing) -> None:
    loss = objective.losses(same, 0, torch.Generator().manual_seed(0))["class_maps"]
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_of_an_encoder_of_twice_the_stride_every_second_pixel_is_asked(deeplab: Path, data: Path) -> None:
    coarse = nn.Module()
    coarse.image_encoder = MobileNetV2(MobileNetV2Config(deeplab="beside"))
    coarse.image_encoder.load_state_dict(from_folded(load_file(deeplab)))
    heard: list[tuple[Tensor, Tensor]] = []

    class Listening(ClassMaps):
        def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
            heard.append((student, teacher))
            return super().compare(student, teacher)

    # Heads pool over all pixels of their maps; without that both see the same, pixel by pixel.
    nn.init.zeros_(coarse.image_encoder.finish.pool.convolution.weight)
    for size in (64, 80):
        objective = Listening(str(deeplab), [{"path": data}], batch=2, size=size)
        nn.init.zeros_(objective.teacher._network.finish.pool.convolution.weight)
        objective.losses(coarse, 0, torch.Generator().manual_seed(0))["class_maps"].backward()
        torch.testing.assert_close(*heard[-1], atol=1e-4, rtol=1e-4)
    assert coarse.image_encoder.stages[3][-1].project.convolution.weight.grad is not None


def test_of_a_class_that_is_left_out_nothing_is_told(deeplab: Path, data: Path) -> None:
    objective = ClassMaps(str(deeplab), [{"path": data}], without=[2])
    teacher, student = torch.randn(2, CLASSES, 3, 3), torch.randn(2, CLASSES, 3, 3).requires_grad_()
    objective.compare(student, teacher).backward()
    assert student.grad is not None
    assert not student.grad[:, 2].any()
    assert student.grad[:, [0, 1, 3, 4]].all()
    louder = teacher.clone()
    louder[:, 2] += 50
    assert objective.compare(student, louder).item() == pytest.approx(objective.compare(student, teacher).item())


def test_an_encoder_that_has_forgotten_learns_the_teachers_maps_again(objective: ClassMaps, same: Seeing) -> None:
    torch.manual_seed(1)
    for parameter in same.image_encoder.finish.parameters():
        nn.init.normal_(parameter, 0, 0.05)
    optimiser = torch.optim.Adam([*same.parameters(), *objective.parameters()], 2e-3)
    losses = []
    for step in range(25):
        losses.append(objective.losses(same, step, torch.Generator().manual_seed(step))["class_maps"])
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert torch.stack(losses[-5:]).mean() < 0.3 * torch.stack(losses[:2]).mean()


def test_the_teacher_is_neither_trained_nor_saved(objective: ClassMaps) -> None:
    assert objective.state_dict().keys() == {"classify.weight", "classify.bias"}
    assert {name for name, _ in objective.named_parameters()} == {"classify.weight", "classify.bias"}


def test_draws_hang_on_the_generator_alone(objective: ClassMaps) -> None:
    first, again, other = (objective.draw(torch.Generator().manual_seed(seed)) for seed in (4, 4, 5))
    assert first.shape == (3, 3, 64, 64)
    assert first.min() >= -1
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_softer_comparison_hears_more_of_what_is_unlikely(objective: ClassMaps) -> None:
    teacher = torch.tensor([8.0, 0.0, -2.0, -2.0, -2.0])[None, :, None, None]
    student = torch.tensor([8.0, -2.0, 0.0, -2.0, -2.0])[None, :, None, None]
    soft = objective.compare(student, teacher)
    objective.temperature = 1.0
    sharp = objective.compare(student, teacher)
    goal = teacher.softmax(1)
    assert sharp.item() == pytest.approx((goal * (goal.log() - student.log_softmax(1))).sum().item(), rel=1e-4)
    assert soft > 3 * sharp


def test_only_the_named_split_is_drawn_and_weights_count(deeplab: Path, data: Path) -> None:
    train, val = ({"path": data, "split": split, "weight": weight} for split, weight in (("train", 1.0), ("val", 3.0)))
    alone, both = ClassMaps(str(deeplab), [train]), ClassMaps(str(deeplab), [train, val])
    assert not set(alone.pictures) & set(both.pictures[len(alone.pictures) :])
    assert len(both.pictures) > len(alone.pictures)
    share = both._up_to[len(alone.pictures) - 1]
    theirs = 3 * (len(both.pictures) - len(alone.pictures))
    assert share == pytest.approx(len(alone.pictures) / (len(alone.pictures) + theirs))


def test_a_model_without_such_an_encoder_is_refused(objective: ClassMaps) -> None:
    with pytest.raises(RecipeError, match=r"expected a MobileNetV2 with DeepLabV3's head, as .* found NoneType"):
        objective.losses(nn.Linear(2, 2), 0, torch.Generator())
    plain = nn.Module()
    plain.image_encoder = MobileNetV2(MobileNetV2Config(deeplab=False))
    with pytest.raises(RecipeError, match="found MobileNetV2 of Module"):
        objective.losses(plain, 0, torch.Generator())


def test_what_the_recipe_says_wrongly_is_named(deeplab: Path, data: Path, tmp_path: Path) -> None:
    def build(**changes: Any) -> None:
        settings = {"kind": "class-maps", "teacher": str(deeplab), "sources": [{"path": data}]} | changes
        build_auxiliary([settings])

    with pytest.raises(WeightsError, match="no such weight file"):
        build(teacher=str(tmp_path / "none.safetensors"))
    with pytest.raises(RecipeError, match="expected at least one, found none"):
        build(sources=[])
    with pytest.raises(RecipeError, match=r"class-maps: sources\.0\.weigth: "):
        build(sources=[{"path": data, "weigth": 2}])
    with pytest.raises(RecipeError, match=r"without: expected classes from 0 to 4, found \[7\]"):
        build(without=[1, 7])
    headless = tmp_path / "headless.safetensors"
    save_file(folded_names(), headless)
    with pytest.raises(WeightsError, match="expected a classifier"):
        build(teacher=str(headless))
