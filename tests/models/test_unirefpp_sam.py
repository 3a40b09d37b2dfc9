"""UniFusion inside SAM at a tiny size: what every model must do, and what is its own."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from referent.errors import WeightsError
from referent.models.base import Batch, Examples, SegmentationModel, Studied
from referent.models.unirefpp.config import FusionConfig
from referent.models.unirefpp.sam import UniRefSam, UniRefSamConfig
from referent.models.unirefpp.sam.config import CoarseMaskEncoderConfig, SamConfig
from referent.models.unirefpp.sam.losses import mask_losses
from referent.models.unirefpp.sam.official import config_of, from_official, to_official
from referent.preparation import Preparation
from referent.reference import Example, Phrase, Reference
from referent.segmenter import Segmenter

from .base import EOT, SOT, ModelTester
from .test_unirefpp import BERT, PHRASES, VOCABULARY, examples_of, pictures

CONFIG = UniRefSamConfig(
    sam=SamConfig(
        side=64,
        channels=16,
        layers=2,
        heads=2,
        feedforward=32,
        window=3,
        global_layers=(1,),
        width=32,
        decoder_feedforward=32,
        mask_channels=4,
    ),
    text=BERT,
    text_dropout=0,
    mask_encoder=CoarseMaskEncoderConfig(depths=(1, 1, 1), width=8),
    fusion=FusionConfig(heads=2, dropout=0),
)


def awake(model: SegmentationModel) -> UniRefSam:
    """With gates of the fusion that do something, and a SAM whose logits are of order one."""
    assert isinstance(model, UniRefSam)
    generator = torch.Generator().manual_seed(3)
    torch.nn.init.normal_(model.fusion.modulation.weight, generator=generator)
    for name, parameter in model.sam.named_parameters():
        if parameter.dim() > 1 and "positional_embedding" not in name:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=generator)
    return model.eval()


def tiny() -> UniRefSam:
    torch.manual_seed(0)
    return awake(UniRefSam(CONFIG))


class TestUniRefSam(ModelTester):
    model_class = UniRefSam
    configurations: ClassVar = {"tiny": CONFIG}
    stride = 1
    official = (from_official, to_official)
    official_configurations = ("tiny",)

    def model(self, configuration: str) -> UniRefSam:
        return awake(super().model(configuration))

    def preparation(self, configuration: str) -> Preparation:
        return Preparation(size=self.size, context_length=self.length, tokenizer="bert", vocabulary=VOCABULARY)

    def batch(self, pictures: int = 2, references: int = 4) -> Batch:
        batch = super().batch(pictures, references)
        # The ids of the tester's rows, in a vocabulary of nine.
        tokens = torch.where(batch.tokens > 0, batch.tokens % 4 + 5, 0)
        tokens[batch.tokens == SOT], tokens[batch.tokens == EOT] = 2, 3
        return replace(batch, tokens=tokens)

    def test_every_trainable_parameter_gets_a_finite_gradient_and_no_frozen_one(self, configuration: str) -> None:
        model = self.model(configuration).train()
        batch = replace(self.batch(), examples=examples_of([0, 2]))
        losses = model.losses(batch, model(batch))
        torch.stack(list(losses.values())).sum().backward()
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) is parameter.requires_grad, name
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_what_sam_knows_stays_as_it_is_but_for_the_mask_decoder() -> None:
    frozen = {name for name, parameter in tiny().named_parameters() if not parameter.requires_grad}
    parts = ("sam.image_encoder.", "sam.prompt_encoder.", "sam.mask_decoder.iou_prediction_head.")
    assert all(any(name.startswith(part) for name in frozen) for part in parts)
    assert "sam.mask_decoder.mask_tokens.weight" not in frozen
    assert {name.split(".")[0] for name in frozen} == {"sam"}


def test_before_training_the_picture_is_the_one_that_sam_sees() -> None:
    model = UniRefSam(CONFIG).eval()
    with torch.no_grad():
        sight = model.look_at(pictures(1))
        kept: dict[str, Tensor] = {}
        model.fusion.register_forward_hook(lambda _m, _g, result: kept.update(fused=result))
        model.answer(sight, Batch.paired(pictures(1), PHRASES[:1]))
    assert torch.equal(kept["fused"], sight[0])


def test_references_of_every_kind_in_one_batch_answer_as_alone() -> None:
    model = tiny()
    examples = examples_of([1, 2, 1])
    image = pictures(1)
    with torch.no_grad():
        together = model(Batch(image, PHRASES, torch.zeros(3).long(), examples=examples)).logits
        assert together.std(0).mean() > 0.01
        for row in range(3):
            own = (examples.reference == row).nonzero()[:, 0]
            given = Examples(examples.image[own], examples.mask[own], torch.zeros(len(own)).long())
            alone = Batch(image, PHRASES[row : row + 1], torch.zeros(1).long(), examples=given if len(own) else None)
            assert torch.allclose(model(alone).logits[0], together[row], atol=1e-4), row


def test_examples_studied_one_by_one_answer_as_those_of_the_batch() -> None:
    model = tiny()
    examples = examples_of([0, 0])
    blank = torch.zeros(1, 3).long()
    with torch.no_grad():
        given = model(Batch(pictures(1), blank, torch.zeros(1).long(), examples=examples)).logits
        features = tuple(model.study(examples.image[row][None], examples.mask[row][None]) for row in range(2))
        studied = Studied(features, torch.zeros(2).long())
        again = model(Batch(pictures(1), blank, torch.zeros(1).long(), examples=studied)).logits
    assert torch.allclose(again, given, atol=1e-4)


def test_the_padding_of_an_example_is_not_read() -> None:
    model = tiny()
    examples = examples_of([0], height=64, width=32)
    keep = model.study(examples.image, examples.mask)[2]
    assert keep.reshape(4, 4).tolist() == [[True, True, False, False]] * 4


def test_a_phrase_beside_an_example_is_what_the_decoder_is_asked_with() -> None:
    model = tiny()
    asked: list[Tensor] = []
    model.sam.mask_decoder.register_forward_hook(
        lambda _m, _g, given, _r: asked.append(given["sparse_prompt_embeddings"][:, 0, 0]), with_kwargs=True
    )
    image, one = pictures(1), torch.zeros(1).long()
    with torch.no_grad():
        model(Batch(image, PHRASES[:1], one))
        model(Batch(image, PHRASES[:1], one, examples=examples_of([0])))
        model(Batch(image, torch.zeros(1, 3).long(), one, examples=examples_of([0])))
    phrase, both, example = asked
    assert torch.allclose(phrase, both)
    assert not torch.allclose(example, both, atol=1e-3)


def tiny_segmenter() -> Segmenter:
    fitted = Preparation(
        size=64, longest=64, fit="shortest", context_length=7, tokenizer="bert", vocabulary=VOCABULARY, threshold=0.5
    )
    return Segmenter(tiny(), fitted, "tiny", "cpu")


def test_a_segmenter_takes_phrases_and_examples_and_both() -> None:
    segmenter = tiny_segmenter()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 48, 3), dtype=np.uint8))
    mask = np.zeros((30, 48), dtype=bool)
    mask[5:20, 5:20] = True
    example = Example(picture, mask)
    found = [
        segmenter.segment(picture, reference)
        for reference in ("a red dog", example, [example, example], Reference(Phrase("a red dog"), (example,)))
    ]
    assert all(one.mask.shape == (30, 48) for one in found)
    # Without a head for it, the score is read off the mask.
    assert all(one.score == 0 or 0.5 < one.score <= 1 for one in found)
    phrase, shown, _, both = (one.probability for one in found)
    assert not np.allclose(phrase, shown)
    assert not np.allclose(phrase, both)


def test_a_tracker_scores_what_it_follows_as_the_segmenter_does() -> None:
    segmenter = tiny_segmenter()
    # Of the size that the model sees: a tracker brings its masks back to another one in its own way.
    frames = np.random.default_rng(0).integers(0, 255, (2, 40, 64, 3), dtype=np.uint8)
    mask = np.zeros((40, 64), dtype=bool)
    mask[5:20, 5:20] = True
    tracker = segmenter.track({"shown": None, "said": "a red dog"}, procedure="ref-davis")
    assert tracker.step(frames[0], {"shown": mask})["shown"].score == 1
    answers = tracker.step(frames[1])
    alone = {
        "shown": segmenter.segment(frames[1], Example(frames[0], mask)),
        "said": segmenter.segment(frames[1], "a red dog"),
    }
    assert {name: answer.score for name, answer in answers.items()} == pytest.approx(
        {name: answer.score for name, answer in alone.items()}, abs=1e-5
    )
    remembering = segmenter.track("a red dog")
    assert [remembering.step(frame).mask.shape for frame in frames] == [(40, 64)] * 2


@pytest.mark.parametrize(("height", "width"), [(64, 40), (1, 64), (30, 64)])
def test_pictures_that_do_not_fill_the_square_are_answered_at_their_own_size(height: int, width: int) -> None:
    with torch.no_grad():
        logits = tiny()(Batch.paired(pictures(1, height, width), PHRASES[:1])).logits
    assert logits.shape == (1, 1, height, width)
    assert torch.isfinite(logits).all()


def test_a_picture_larger_than_the_square_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        tiny().look_at(pictures(1, 80, 64))


def test_losses_are_those_worked_out_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 0.0]]]])
    losses = mask_losses(logits, torch.tensor([[[[1.0, 0.0]]]]))
    assert float(losses["mask_bce"]) == pytest.approx(0.693147, abs=1e-5)
    # Areas 1 and 1, overlap a half, each divided by 1000: 1 - (0.001 + 1e-6) / (0.002 + 1e-6).
    assert float(losses["dice"]) == pytest.approx(1 - 0.001001 / 0.002001, abs=1e-6)


def test_the_inference_form_answers_alike_in_passes_of_bounded_size() -> None:
    model = tiny()
    fast = model.for_inference()
    tokens, picture = PHRASES.repeat(2, 1), torch.tensor([0, 1, 1, 0, 0, 1])
    batch = Batch(pictures(2, 64, 50), tokens, picture, examples=examples_of([1, 4, 1]))
    shapes: list[int] = []
    fast.get_submodule("fusion").register_forward_hook(lambda _m, given, _r: shapes.append(len(given[0])))
    with torch.no_grad():
        assert torch.allclose(fast(batch).logits, model(batch).logits, atol=1e-4)
    assert shapes == [4, 2]
    assert fast.get_submodule("sam") is model.sam
    with pytest.raises(NotImplementedError, match="cannot train"):
        fast.losses(batch, fast(batch))


def test_the_inference_form_in_bfloat16_answers_in_float32_and_nearly_alike() -> None:
    model = tiny()
    batch = Batch(pictures(1), PHRASES, torch.zeros(3).long(), examples=examples_of([1]))
    with torch.no_grad():
        exact, rounded = model(batch).logits, model.for_inference(torch.bfloat16)(batch).logits
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert float((rounded - exact).abs().mean()) < 0.1 * float(exact.std())


class TestOfficialCheckpoints:
    def checkpoint(self) -> dict[str, Tensor]:
        return to_official(tiny().state_dict(), CONFIG)

    def test_the_configuration_follows_from_the_weights(self) -> None:
        found = config_of({"model": self.checkpoint(), "iteration": 3})
        assert (found.sam, found.mask_encoder, found.fusion.heads) == (CONFIG.sam, CONFIG.mask_encoder, 2)
        # Heads do not show in weights: 64 channels each are assumed.
        assert found.text.model_copy(update={"dropout": 0}) == CONFIG.text

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda state: state.pop("model.sam.mask_decoder.iou_token.weight"),
            lambda state: state.update({"model.surplus": torch.zeros(1)}),
            lambda state: state.update({"model.resizer.fc.bias": torch.zeros(3)}),
            lambda state: state.pop("model.sam.image_encoder.pos_embed"),
        ],
    )
    def test_names_missing_left_over_or_of_another_shape_are_refused(self, spoil: Any) -> None:
        state = self.checkpoint()
        spoil(state)
        with pytest.raises(WeightsError, match=r"not a checkpoint of UniRef\+\+'s SAM"):
            from_official(state)
