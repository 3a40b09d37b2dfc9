"""MagNet's alignment loss against the printed formula, the hiding of words, and where masks are."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from referent.encoders.bert import BertConfig, BertEncoder
from referent.layers.losses import dice
from referent.models.magnet import losses
from referent.models.magnet.config import AlignmentLossConfig, PredictorConfig
from referent.models.magnet.grounding import Grounding, centres, hide

CONFIG = AlignmentLossConfig(pixel_temperature=0.2, text_temperature=0.5, pixels=10_000)


def by_formula(pixels: Tensor, text: Tensor, mask: Tensor) -> Tensor:
    """One reference, pair by pair: pixels (C, K), text (C,), mask (K,) bool."""

    def cosine(a: Tensor, b: Tensor) -> Tensor:
        return F.cosine_similarity(a, b, dim=0)

    positive, negative = pixels[:, mask].T, pixels[:, ~mask].T
    to_positive = [
        (torch.exp(cosine(i, positive.mean(0)) / 0.2), sum(torch.exp(cosine(i, j) / 0.2) for j in negative))
        for i in positive
    ]
    to_negative = [
        (torch.exp(cosine(j, negative.mean(0)) / 0.2), sum(torch.exp(cosine(j, i) / 0.2) for i in positive))
        for j in negative
    ]
    to_text = [
        (torch.exp(cosine(i, text) / 0.5), sum(torch.exp(cosine(i, j) / 0.5) for j in negative)) for i in positive
    ]
    means = [
        torch.stack([-torch.log(own / (own + rest)) for own, rest in pairs]).mean()
        for pairs in (to_positive, to_negative, to_text)
    ]
    return torch.stack(means).sum()


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_the_alignment_loss_is_the_printed_formula(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    text = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    target = (torch.rand(2, 1, 3, 3, generator=generator) > 0.5).double()
    target[:, 0, 0, 0], target[:, 0, 2, 2] = 1, 0
    expected = torch.stack(
        [by_formula(pixels[row].flatten(1), text[row], target[row].flatten() > 0.5) for row in range(2)]
    ).mean()
    assert torch.allclose(losses.alignment(pixels, text, target, CONFIG), expected)


def test_references_without_both_kinds_of_pixels_do_not_count() -> None:
    torch.manual_seed(0)
    pixels, text = torch.randn(3, 4, 3, 3, requires_grad=True), torch.randn(3, 4)
    target = torch.zeros(3, 1, 3, 3)
    target[1] = 1
    target[2, 0, :2] = 1
    alone = losses.alignment(pixels[2:], text[2:], target[2:], CONFIG)
    assert torch.allclose(losses.alignment(pixels, text, target, CONFIG), alone)
    nothing = losses.alignment(pixels[:2], text[:2], target[:2], CONFIG)
    assert nothing.item() == 0
    nothing.backward()
    assert pixels.grad is not None
    assert not pixels.grad.any()


def test_few_drawn_pixels_stand_for_all() -> None:
    torch.manual_seed(0)
    pixels, text = torch.randn(1, 8, 32, 32), torch.randn(1, 8)
    target = torch.zeros(1, 1, 32, 32)
    target[:, :, :16] = 1
    whole = losses.alignment(pixels, text, target, CONFIG)
    drawn = [losses.alignment(pixels, text, target, CONFIG.model_copy(update={"pixels": 64})) for _ in range(30)]
    assert float(torch.stack(drawn).mean()) == pytest.approx(float(whole), rel=0.02)


def test_the_alignment_loss_bounds_its_memory() -> None:
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        sizes: list[int] = []
        pixels = torch.randn(1, 4, 100, 100, requires_grad=True)
        target = torch.zeros(1, 1, 100, 100)
        target[:, :, :50] = 1
        losses.alignment(pixels, torch.randn(1, 4), target, CONFIG.model_copy(update={"pixels": 32}))
    assert max(sizes) <= 4 * 100 * 100


def test_dice_is_zero_for_the_target_and_asks_for_nothing_where_nothing_is_meant() -> None:
    target = torch.zeros(2, 1, 4, 4)
    target[1, 0, :2] = 1
    right = torch.where(target > 0, 20.0, -20.0).expand(-1, 3, -1, -1)
    assert float(dice(right, target)) < 1e-3
    assert float(losses.cross_entropy(right, target)) < 1e-3
    assert float(dice(-right, target)) > 0.9


def tokens() -> Tensor:
    rows = torch.randint(5, 60, (200, 12))
    rows[:, 0], rows[:, 7], rows[:, 8:] = 1, 2, 0
    return rows


def test_words_are_chosen_by_share_and_never_a_marker() -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig(vocabulary=60, width=8, layers=0, heads=1, mask_id=3, special_ids=(1, 2)))
    rows = tokens()
    seen, chosen = hide(rows, encoder, PredictorConfig(share=0.5, kept=0.2))
    assert not chosen[:, [0, 7, 8, 9, 10, 11]].any()
    assert float(chosen[:, 1:7].float().mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.equal(seen[~chosen], rows[~chosen])
    hidden = seen[chosen] == 3
    assert float(hidden.float().mean()) == pytest.approx(0.8, abs=0.05)
    assert torch.equal(seen[chosen][~hidden], rows[chosen][~hidden])


def test_the_centre_of_a_mask_is_its_centroid() -> None:
    target = torch.zeros(3, 1, 4, 8)
    target[0, 0, 1, 2] = 1
    target[1] = 1
    places, there = centres(target)
    assert places[0].tolist() == pytest.approx([2.5 / 8, 1.5 / 4])
    assert places[1].tolist() == pytest.approx([0.5, 0.5])
    assert there.tolist() == [True, True, False]
    assert torch.isfinite(places).all()


def grounded(sources: str, **change: Tensor) -> Tensor:
    """Scores of a predictor without dropout, with one of its inputs changed."""
    torch.manual_seed(0)
    config = PredictorConfig(layers=1, heads=2, feedforward=16, dropout=0.0)
    head = Grounding(sources, 6, 8, 20, config)  # type: ignore[arg-type]
    given = {
        "words": torch.randn(2, 5, 6),
        "keep": torch.ones(2, 5, dtype=torch.bool),
        "feature_map": torch.randn(2, 8, 3, 3),
        "target": F.pad(torch.ones(2, 1, 2, 2), (0, 6, 0, 6)),
    }
    return head(**{**given, **change})


@pytest.mark.parametrize("sources", ["mlm", "masked-vl", "mask"])
def test_each_grounding_reads_its_own_sources_and_no_others(sources: str) -> None:
    plain = grounded(sources)
    other_map = grounded(sources, feature_map=torch.ones(2, 8, 3, 3))
    other_mask = grounded(sources, target=F.pad(torch.ones(2, 1, 2, 2), (6, 0, 6, 0)))
    assert plain.shape == (2, 5, 20)
    assert torch.equal(plain, other_map) == (sources == "mlm")
    assert torch.equal(plain, other_mask) == (sources != "mask")


def test_the_grounding_loss_counts_chosen_words_of_masks_that_exist() -> None:
    torch.manual_seed(0)
    head = Grounding("mask", 6, 8, 20, PredictorConfig(layers=1, heads=2, feedforward=16, dropout=0.0))
    words, keep, feature_map = torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 8, 3, 3)
    target = torch.stack((torch.ones(1, 8, 8), torch.zeros(1, 8, 8)))
    rows, chosen = torch.randint(0, 20, (2, 5)), torch.zeros(2, 5, dtype=torch.bool)
    chosen[:, 1] = True
    expected = F.cross_entropy(head(words, keep, feature_map, target)[:1, 1], rows[:1, 1])
    assert torch.allclose(head.loss(words, keep, feature_map, target, rows, chosen), expected)
    nothing = head.loss(words, keep, feature_map, target, rows, chosen & False)
    nothing.backward()
    assert nothing.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in head.parameters())
