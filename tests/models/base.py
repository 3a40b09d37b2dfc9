"""What every trained model must do, as one class that a model's test file inherits from."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from referent.models.base import Batch, SegmentationModel
from referent.preparation import Preparation
from referent.segmenter import Segmenter

SOT, EOT = 49406, 49407


def token_rows(count: int, length: int, seed: int = 0) -> Tensor:
    """(count, length) rows: start, a few ids, end, padding; no two rows of one text."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros(count, length, dtype=torch.int64)
    for number, row in enumerate(rows):
        words = 1 + number % (length - 2)
        row[0], row[words + 1] = SOT, EOT
        row[1 : words + 1] = torch.randint(1, SOT, (words,), generator=generator)
    return rows


class ModelTester:
    """Inherit, set the class attributes, and pytest runs all tests below once a configuration.

    Attributes:
        model_class: takes one configuration.
        configurations: name -> tiny configuration.
        size: side of the test pictures.
        length: of a token row.
        stride: picture pixels per logit.
        official: (from_official, to_official) where the system has official weights; `to_official` takes the state
            dict and the configuration.
        official_configurations: names of the configurations that the official code could have.
    """

    model_class: ClassVar[Callable[[Any], SegmentationModel]]
    configurations: ClassVar[Mapping[str, Any]]
    size: ClassVar[int] = 64
    length: ClassVar[int] = 7
    stride: ClassVar[int] = 4
    official: ClassVar[tuple[Callable[..., Any], Callable[..., Any]] | None] = None
    official_configurations: ClassVar[tuple[str, ...]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "configuration" in metafunc.fixturenames:
            metafunc.parametrize("configuration", list(self.configurations))

    def model(self, configuration: str) -> SegmentationModel:
        torch.manual_seed(0)
        model = type(self).model_class(self.configurations[configuration])
        for module in model.modules():  # statistics that are not those of a fresh BatchNorm
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
        return model.eval()

    def preparation(self, configuration: str) -> Preparation:
        """Fits the model; a system whose phrases are not CLIP's tokens has another."""
        return Preparation(size=self.size, context_length=self.length, border=(1, 2, 3))

    def batch(self, pictures: int = 2, references: int = 4) -> Batch:
        generator = torch.Generator().manual_seed(1)
        image = torch.randn(pictures, 3, self.size, self.size, generator=generator)
        picture = torch.arange(references) * pictures // references
        target = (torch.rand(references, 1, self.size, self.size, generator=generator) > 0.7).float()
        target[0] = 0
        return Batch(image, token_rows(references, self.length), picture, target)

    def test_logits_have_the_stated_shape(self, configuration: str) -> None:
        output = self.model(configuration)(self.batch(2, 4))
        side = self.size // self.stride
        assert output.logits.shape == (4, 1, side, side)
        assert output.presence is None or output.presence.shape == (4,)
        assert torch.isfinite(output.logits).all()

    def test_every_trainable_parameter_gets_a_finite_gradient_and_no_frozen_one(self, configuration: str) -> None:
        model = self.model(configuration).train()
        batch = self.batch(2, 4)
        losses = model.losses(batch, model(batch))
        assert all(loss.dim() == 0 and torch.isfinite(loss) for loss in losses.values())
        torch.stack(list(losses.values())).sum().backward()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, name
                assert torch.isfinite(parameter.grad).all(), name
            else:
                assert parameter.grad is None, name

    def test_saving_and_loading_changes_nothing(self, configuration: str) -> None:
        model = self.model(configuration)
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        torch.manual_seed(5)
        other = type(self).model_class(self.configurations[configuration]).eval()
        other.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(model(self.batch()).logits, other(self.batch()).logits)

    def test_what_is_saved_for_the_hub_comes_back(self, configuration: str, tmp_path: Path) -> None:
        preparation = self.preparation(configuration)
        saved = Segmenter(self.model(configuration), preparation, "tiny", "cpu")
        again = Segmenter.from_pretrained(saved.save_pretrained(tmp_path), device="cpu")
        assert (again.name, again.preparation) == ("tiny", preparation)
        assert type(again.model) is type(saved.model)
        before, after = saved.model.state_dict(), again.model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        # Tensors of a file lie elsewhere in memory, where some kernels round differently.
        assert torch.allclose(saved.model(self.batch()).logits, again.model(self.batch()).logits, atol=1e-4)

    def test_the_exported_program_gives_the_same_logits(self, configuration: str) -> None:
        model = self.model(configuration)
        batch = self.batch(1, 2)

        class Plain(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, image: Tensor, tokens: Tensor, picture: Tensor) -> Tensor:
                logits: Tensor = self.model(Batch(image, tokens, picture)).logits
                return logits

        arguments = (batch.image, batch.tokens, batch.picture)
        with torch.no_grad():
            program = torch.export.export(Plain(), arguments)
            assert torch.allclose(program.module()(*arguments), model(batch).logits, atol=1e-4)

    def test_a_batch_answers_as_its_members_alone(self, configuration: str) -> None:
        model = self.model(configuration)
        batch = self.batch(2, 4)
        with torch.no_grad():
            together = model(batch).logits
            for row, picture in enumerate(batch.picture.tolist()):
                alone = Batch(batch.image[picture : picture + 1], batch.tokens[row : row + 1], torch.zeros(1).long())
                assert torch.allclose(model(alone).logits[0], together[row], atol=1e-4)

    def test_a_picture_is_looked_at_once_for_many_references(self, configuration: str) -> None:
        model = self.model(configuration)
        batch = self.batch(2, 4)
        with torch.no_grad():
            sight = model.look_at(batch.image)
            assert all(len(tensor) == 2 for tensor in sight)
            assert torch.equal(model.answer(sight, batch).logits, model(batch).logits)

    def test_padding_changes_the_answer_of_a_model_that_reads_it_and_of_no_other(self, configuration: str) -> None:
        model = self.model(configuration)
        batch = self.batch(2, 4)
        longer = Batch(batch.image, torch.nn.functional.pad(batch.tokens, (0, 3)), batch.picture)
        with torch.no_grad():
            same = torch.allclose(model(longer).logits, model(batch).logits, atol=1e-4)
        assert same is not model.reads_padding

    def test_official_names_round_trip(self, configuration: str) -> None:
        if self.official is None or configuration not in self.official_configurations:
            pytest.skip("the official code has no such configuration")
        from_official, to_official = self.official
        state = self.model(configuration).state_dict()
        again = from_official(to_official(state, self.configurations[configuration]))
        assert set(again) == set(state)
        assert all(torch.equal(again[name], value) for name, value in state.items())
