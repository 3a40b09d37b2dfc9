"""Pointing with examples, through the segmenter: what users write, what is encoded once, what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from referent.encoders.bert import BertConfig
from referent.encoders.resnet import ResNetConfig
from referent.errors import BadReferenceError, PictureError
from referent.models.unirefpp import UniRef, UniRefConfig
from referent.models.unirefpp.config import DetectorConfig, FusionConfig, MaskEncoderConfig
from referent.preparation import Preparation
from referent.reference import Example, Phrase, Reference
from referent.rle import encode
from referent.segmenter import Segmenter

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "red")
BERT = BertConfig(vocabulary=len(VOCABULARY), width=64, layers=1, heads=1, feedforward=16, context=16)


def segmenter(text: BertConfig | None = BERT, threshold: float = 0.0) -> Segmenter:
    torch.manual_seed(0)
    config = UniRefConfig(
        image=ResNetConfig(depths=(1, 1, 1, 1), width=4),
        width=64,
        text=text,
        mask_encoder=MaskEncoderConfig(depths=(1, 1, 1, 1), width=4),
        fusion=FusionConfig(heads=1),
        detector=DetectorConfig(encoder_layers=1, decoder_layers=1, heads=2, points=2, feedforward=16, queries=10),
    )
    model = UniRef(config)
    torch.nn.init.normal_(model.fusion.modulation.weight, std=0.3)
    preparation = Preparation(
        size=64, longest=106, fit="shortest", context_length=8, tokenizer="bert", vocabulary=VOCABULARY, threshold=0.5
    )
    return Segmenter(model, preparation, "tiny", "cpu", presence_threshold=threshold)


def picture(height: int = 60, width: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def mask(height: int = 60, width: int = 80) -> np.ndarray:
    values = np.zeros((height, width), dtype=np.uint8)
    values[10:40, 20:60] = 255
    return values


def example(seed: int = 1) -> Example:
    return Example(picture(seed=seed), mask())


def test_phrases_examples_several_examples_and_both_are_answered_at_the_pictures_size() -> None:
    both = Reference(Phrase("red dog"), (example(),))
    asked = [Reference.of(item) for item in ("red dog", example(), [example(1), example(2)], both)]
    answers = segmenter().segment(picture(100, 50), asked)
    assert [answer.mask.shape for answer in answers] == [(100, 50)] * 4
    probabilities = [answer.probability for answer in answers]
    for number, first in enumerate(probabilities):
        assert not any(np.allclose(first, second) for second in probabilities[number + 1 :])


def test_an_example_is_encoded_once_however_often_it_is_used() -> None:
    tiny, counted = segmenter(), []
    study = tiny.engine.study
    tiny.engine.study = lambda image, mask: counted.append(1) or study(image, mask)  # type: ignore[method-assign]
    one = example()
    for seed in (3, 4):
        tiny.segment(picture(seed=seed), one)
    tiny.segment(picture(seed=5), [one, example(2)])
    assert len(counted) == 2


def test_an_example_in_files_is_known_by_its_files(tmp_path: Path) -> None:
    tiny, counted = segmenter(), []
    study = tiny.engine.study
    tiny.engine.study = lambda image, mask: counted.append(1) or study(image, mask)  # type: ignore[method-assign]
    Image.fromarray(picture()).save(tmp_path / "support.png")
    Image.fromarray(mask()).save(tmp_path / "mask.png")
    for _ in range(2):
        tiny.segment(picture(seed=3), Example(tmp_path / "support.png", tmp_path / "mask.png"))
    assert len(counted) == 1


def test_pictures_of_several_sizes_are_answered_together_as_alone() -> None:
    tiny = segmenter()
    pictures = [picture(60, 80), picture(90, 40), picture(60, 80, seed=7)]
    together = list(tiny.segment_many(pictures, "red dog", batch_size=3))
    for source, answer in zip(pictures, together, strict=True):
        alone = tiny.segment(source, "red dog")
        assert np.allclose(answer.probability, alone.probability, atol=1e-4)  # type: ignore[union-attr]


def test_nothing_above_the_threshold_is_not_found() -> None:
    answer = segmenter(threshold=0.999).segment(picture(), example())
    assert not answer.found
    assert answer.box is None


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(BadReferenceError, match="found an empty one"):
        segmenter().segment(picture(), Example(picture(), np.zeros((60, 80), dtype=np.uint8)))


def test_a_mask_of_another_size_than_its_picture_is_refused() -> None:
    with pytest.raises(PictureError, match="expected a mask of"):
        segmenter().segment(picture(), Example(picture(), mask(30, 40)))


def test_a_mask_of_more_than_two_values_is_refused_and_of_any_two_taken() -> None:
    three = mask()
    three[0, 0] = 7
    with pytest.raises(PictureError, match="two values"):
        segmenter().segment(picture(), Example(picture(), three))
    two = np.where(mask() > 0, 9, 3).astype(np.uint8)
    tiny = segmenter()
    same = tiny.segment(picture(), Example(picture(seed=1), two))
    assert np.array_equal(same.probability, tiny.segment(picture(), example()).probability)


def test_a_phrase_for_weights_trained_without_text_is_refused() -> None:
    tiny = segmenter(text=None)
    assert tiny.segment(picture(), example()).mask.shape == (60, 80)
    with pytest.raises(BadReferenceError, match="takes examples; for a phrase use"):
        tiny.segment(picture(), "red dog")


def test_pictures_of_one_pixel_are_answered() -> None:
    assert segmenter().segment(picture(1, 1), example()).mask.shape == (1, 1)


def test_a_mask_may_be_run_lengths_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "shown.png"
    Image.fromarray(picture(seed=1)).save(path)
    packed = encode(mask() > 0)["counts"]
    plain = [20 * 60 + 10, *[30, 30] * 39, 30, 20 * 60 + 20]
    tiny = segmenter()
    expected = tiny.segment(picture(), example()).probability
    for counts in (packed, packed.encode(), plain):
        shown = Example(path, {"size": [60, 80], "counts": counts})  # type: ignore[typeddict-item]
        for _ in range(2):
            assert np.array_equal(tiny.segment(picture(), shown).probability, expected)


@pytest.mark.parametrize("counts", [{}, {"counts": None}, {"counts": [[1]]}, {"counts": b"!"}])
def test_run_lengths_that_cannot_be_read_are_named(tmp_path: Path, counts: dict[str, object]) -> None:
    path = tmp_path / "shown.png"
    Image.fromarray(picture()).save(path)
    shown = Example(path, {"size": [60, 80], **counts})  # type: ignore[arg-type]
    with pytest.raises(PictureError, match=r"shown\.png: mask: .*RLE"):
        segmenter().segment(picture(), shown)


def test_a_reference_is_made_of_what_users_write() -> None:
    one = example()
    assert Reference("the dog").phrase == Phrase("the dog")  # type: ignore[arg-type]
    both = Reference("the dog", one)  # type: ignore[arg-type]
    assert (str(both.phrase), both.examples, both.kinds) == ("the dog", (one,), {"phrase", "example"})
    assert Reference(None, [one, one]).examples == (one, one)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((5,), "Phrase for its phrase, found int"),
        ((example(),), "Phrase for its phrase, found Example"),
        ((Phrase("dog"), "dog.png"), "Example for its examples, found str"),
        ((Phrase("dog"), [example(), "dog.png"]), "Example for its examples, found str"),
        ((Phrase("dog"), None), "Example for its examples, found NoneType"),
        ((), "found neither"),
        ((None, []), "found neither"),
        (("  ",), "blank"),
    ],
)
def test_a_reference_of_anything_else_is_refused(arguments: tuple[object, ...], found: str) -> None:
    with pytest.raises(BadReferenceError, match=found):
        Reference(*arguments)  # type: ignore[arg-type]
