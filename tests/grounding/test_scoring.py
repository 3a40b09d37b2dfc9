from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import files_of_at_most
from PIL import Image, ImageFilter
from torch import Tensor

from referent.encoders.clip_pair import CLIPPair
from referent.encoders.tokenizers import ClipTokenizer
from referent.errors import ReferentError
from referent.grounding.feature_cache import FeatureCache
from referent.grounding.features import ProposalEncoder
from referent.grounding.isolation import Isolation
from referent.grounding.scoring import ProposalScorer

from .tiny import BOXES, picture, resnet, vit


class Counting:
    """A CLIP that remembers how many pictures it was given at a time."""

    def __init__(self, clip: CLIPPair) -> None:
        self.clip, self.batches, self.texts = clip, [], 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.clip, name)

    def encode_images(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return self.clip.encode_images(images)

    def encode_texts(self, tokens: Tensor) -> Tensor:
        self.texts += 1
        return self.clip.encode_texts(tokens)


@torch.no_grad()
def logits_one_by_one(clip: CLIPPair, kind: str, text: str, index: int) -> float:
    """As the official code has it: one proposal, one way of isolation, one text."""
    isolated = Isolation(picture(), BOXES)(index, kind)  # type: ignore[arg-type]
    square = isolated.resize((clip.size, clip.size), Image.Resampling.BICUBIC)
    pixels = torch.tensor(np.asarray(square) / 255, dtype=torch.float32)
    image = ((pixels - torch.tensor(clip.mean)) / torch.tensor(clip.std)).permute(2, 0, 1)[None]
    vector = clip.encode_texts(ClipTokenizer()([text], clip.context))
    return float(clip.text.logit_scale.exp() * (clip.encode_images(image) @ vector.T))


def test_scores_are_the_sum_of_all_logits_of_a_proposal() -> None:
    clips = [resnet(), vit()]
    scores = ProposalScorer(ProposalEncoder(clips, ["blur", "crop"])).look_at(picture(), BOXES)("The Dog")
    expected = [
        sum(logits_one_by_one(clip, kind, "a photo of the dog", index) for clip in clips for kind in ("crop", "blur"))
        for index in range(len(BOXES))
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    assert scores.dtype == np.float32


def test_of_several_kinds_the_best_can_count_instead_of_the_sum() -> None:
    clips = [resnet(), vit()]
    scores = ProposalScorer(ProposalEncoder(clips, ["crop", "blur"]), "max").look_at(picture(), BOXES)("a dog")
    expected = [
        max(
            sum(logits_one_by_one(clip, kind, "a photo of a dog", index) for clip in clips) for kind in ("crop", "blur")
        )
        for index in range(len(BOXES))
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_shaded_proposals_are_asked_for_in_red() -> None:
    clip = vit()
    scores = ProposalScorer(ProposalEncoder([clip], ["shade"])).look_at(picture(), BOXES)("Dog")
    expected = [logits_one_by_one(clip, "shade", "dog is in red color.", index) for index in range(len(BOXES))]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_pictures_go_through_the_encoder_in_bounded_chunks_and_once_for_all_expressions() -> None:
    clip = Counting(vit())
    scorer = ProposalScorer(ProposalEncoder([clip], ["crop", "blur"], chunk=3))
    look = scorer.look_at(picture(), BOXES)
    for text in ("a dog", "a cat", "a dog"):
        look(text)
    assert clip.batches == [3, 3, 2]
    assert clip.texts == 2
    whole = ProposalScorer(ProposalEncoder([vit()], ["crop", "blur"])).look_at(picture(), BOXES)
    np.testing.assert_allclose(look("a cat"), whole("a cat"), rtol=1e-5)


def test_a_picture_is_blurred_once_for_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    blur = ImageFilter.GaussianBlur.filter
    monkeypatch.setattr(ImageFilter.GaussianBlur, "filter", lambda self, image: (calls.append(1), blur(self, image))[1])
    ProposalEncoder([resnet(), vit()], ["crop", "blur"], chunk=2).encode(picture(), BOXES)
    assert len(calls) == 1


def test_scores_that_are_no_numbers_are_an_error() -> None:
    clip = vit()
    clip.image.finish.projection.data[0, 0] = torch.nan
    look = ProposalScorer(ProposalEncoder([clip], ["crop"])).look_at(picture(), BOXES)
    with pytest.raises(ReferentError, match="vit: a score of 'a dog' is not a number; the weights are damaged"):
        look("a dog")


def test_a_text_longer_than_the_window_is_cut_and_known_to_be() -> None:
    scorer = ProposalScorer(ProposalEncoder([vit()], ["crop"]))
    long = "dog " * 120
    assert scorer.truncated(long)
    assert not scorer.truncated("a dog")
    assert np.isfinite(scorer.look_at(picture(), BOXES)(long)).all()


def cached(folder: Path, clip: CLIPPair, **settings: object) -> Counting:
    counting = Counting(clip)
    boxes = settings.pop("boxes", BOXES)
    image = settings.pop("image", picture())
    kinds = settings.pop("kinds", ["crop", "blur"])
    ProposalEncoder([counting], kinds, cache=FeatureCache(folder), **settings).encode(image, boxes)  # type: ignore[arg-type]
    return counting


def test_features_on_disk_are_used_again_and_only_what_is_missing_is_made(tmp_path: Path) -> None:
    assert cached(tmp_path, vit(), boxes=BOXES[:2]).batches == [4]
    assert cached(tmp_path, vit(), boxes=BOXES[:2]).batches == []
    assert cached(tmp_path, vit()).batches == [4]
    assert cached(tmp_path, vit(), kinds=["blur", "crop"]).batches == []
    assert cached(tmp_path, vit(), kinds=["shade", "crop"]).batches == [4]


def test_features_on_disk_are_the_ones_that_were_made(tmp_path: Path) -> None:
    fresh = ProposalEncoder([resnet(), vit()], ["crop", "blur"]).encode(picture(), BOXES)
    for _ in range(2):
        found = ProposalEncoder([resnet(), vit()], ["crop", "blur"], cache=FeatureCache(tmp_path)).encode(
            picture(), BOXES
        )
        for ours, theirs in zip(found, fresh, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_features_on_disk_come_to_the_device_of_the_models(tmp_path: Path) -> None:
    cached(tmp_path, vit(), kinds=["crop"])
    # "meta" stands for a GPU: nothing is computed there, but its tensors do not mix with those of the CPU either.
    (found,) = ProposalEncoder([vit()], ["crop"], device="meta", cache=FeatureCache(tmp_path)).encode(picture(), BOXES)
    assert found.device.type == "meta"
    assert found.shape == (1, len(BOXES), 16)


def test_a_full_disk_is_the_error_that_is_promised(tmp_path: Path) -> None:
    with files_of_at_most(64), pytest.raises(OSError, match="cannot write"):
        cached(tmp_path, vit())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change", [{"sigma": 20}, {"image": picture(65, 48)}, {"boxes": BOXES + 1e-9}, {"dtype": torch.bfloat16}]
)
def test_features_on_disk_are_not_taken_for_those_of_other_settings(tmp_path: Path, change: dict) -> None:
    cached(tmp_path, vit())
    assert sum(cached(tmp_path, vit(), **change).batches) == (4 if "sigma" in change else 8)


def test_features_on_disk_are_not_taken_for_those_of_other_weights(tmp_path: Path) -> None:
    cached(tmp_path, vit())
    assert sum(cached(tmp_path, vit(seed=1)).batches) == 8


def test_a_damaged_cache_file_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cached(tmp_path, vit())
    for file in tmp_path.iterdir():
        file.write_bytes(b"junk")
    with caplog.at_level(logging.WARNING, logger="referent"):
        assert sum(cached(tmp_path, vit()).batches) == 8
    assert "not read, made again" in caplog.text
    assert cached(tmp_path, vit()).batches == []
