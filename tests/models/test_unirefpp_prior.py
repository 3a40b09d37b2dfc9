"""The prior mask: where a picture looks like an example's target to the image encoder alone."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from referent.models.base import Examples, Studied
from referent.models.unirefpp import UniRef
from referent.models.unirefpp.prior import PriorMask, marked, signature_of, similarities

from .test_unirefpp_small import WIDTH, batch, config


def a_model(awake: bool = True) -> UniRef:
    torch.manual_seed(0)
    model = UniRef(config(prior=True)).eval()
    if awake:
        torch.nn.init.normal_(model.prior.widen[-1].weight, std=0.1)  # type: ignore[arg-type]
        torch.nn.init.normal_(model.fusion.modulation.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    return model


def signature(colours: Tensor) -> Tensor:
    """(h, w) of numbers 0, 1 or 2 -> (1, 3, h, w): pixels of a number are alike, and of two numbers are not."""
    return torch.nn.functional.one_hot(colours, 3).permute(2, 0, 1)[None].float()


def test_pixels_like_the_target_and_not_like_the_rest_stand_out() -> None:
    shown = signature(torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]]))
    mask = torch.zeros(1, 1, 32, 64)
    mask[..., 32:] = 1
    target, more = similarities(
        signature(torch.tensor([[1, 2], [0, 1]])), marked(shown, mask, torch.ones(1, 2, 4, dtype=torch.bool))
    )[0]
    assert target.tolist() == [[10, 0], [0, 10]]
    assert more.tolist() == [[10, 0], [-10, 10]]


def test_padding_of_an_example_is_like_nothing() -> None:
    shown = signature(torch.tensor([[0, 1]]))
    mask = torch.zeros(1, 1, 16, 32)
    mask[..., :16] = 1
    asked = signature(torch.tensor([[1, 0]]))
    inside = torch.tensor([[[True, False]]])
    _, more = similarities(asked, marked(shown, mask, inside))[0]
    assert more.tolist() == [[10, 20]]  # without a rest, -1 is the cosine to it


def test_a_target_smaller_than_a_pixel_of_the_map_is_where_most_of_it_is() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :4, 14:24] = 1  # 2 columns of the left pixel, 8 of the right one
    values = marked(torch.zeros(1, 3, 2, 2), mask, torch.ones(1, 2, 2, dtype=torch.bool)).values[0]
    assert values[:, 0].tolist() == [0, 1, 0, 0]
    assert values[:, 1].tolist() == [1, 0, 1, 1]


def test_signatures_have_the_length_one_and_ignore_brightness() -> None:
    maps = [torch.randn(2, 8, 8, 8), torch.randn(2, 16, 4, 4)]
    first = signature_of(maps)
    assert first.shape == (2, 24, 8, 8)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(2, 8, 8))
    torch.testing.assert_close(signature_of([maps[0] * 3, maps[1] * 0.2]), first)


def test_before_training_it_changes_nothing() -> None:
    torch.manual_seed(0)
    plain = UniRef(config()).eval()
    model = a_model(awake=False)
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("prior.") for name in missing)
    with torch.no_grad():
        assert torch.equal(model(batch()).logits, plain(batch()).logits)


def test_rows_without_example_stay_as_they_are() -> None:
    prior = PriorMask(8)
    torch.nn.init.ones_(prior.widen[-1].weight)  # type: ignore[arg-type]
    examples = marked(torch.randn(2, 3, 2, 2), torch.ones(2, 1, 32, 32), torch.ones(2, 2, 2, dtype=torch.bool))
    examples = examples._replace(keep=torch.tensor([[True] * 4, [False] * 4]))
    levels = [torch.zeros(2, 8, 4, 4), torch.zeros(2, 8, 1, 1)]
    for level in prior(torch.randn(2, 3, 2, 2), examples, levels):
        assert level[0].any()
        assert not level[1].any()


def test_examples_studied_before_and_the_inference_form_answer_alike() -> None:
    model, given = a_model(), batch()
    examples = Examples(torch.randn(2, 3, 128, 64), torch.zeros(2, 1, 128, 64), torch.tensor([2, 2]))
    examples.mask[..., 20:90, 10:40] = 1
    given = replace(given, examples=examples)
    fast = model.for_inference()
    with torch.no_grad():
        expected = model(given).logits
        for form in (model, fast):
            studied = [form.study(examples.image[row, None], examples.mask[row, None]) for row in range(2)]
            shown_before = replace(given, examples=Studied(tuple(studied), examples.reference))
            torch.testing.assert_close(form(shown_before).logits, expected, rtol=1e-3, atol=1e-3)
            remembered = form.remember(form.look_at(examples.image[:1]), examples.image[:1], examples.mask)
            known = form.study(examples.image[:1].expand(2, -1, -1, -1), examples.mask)
            torch.testing.assert_close(remembered, known, rtol=1e-3, atol=1e-3)


def test_it_learns_and_teaches_the_image_encoder_what_looks_alike() -> None:
    model = a_model().train()
    losses = model.losses(batch(), model(batch()))
    torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.prior.parameters())

    maps = [torch.randn(1, 8, 4, 4, requires_grad=True), torch.randn(1, 16, 2, 2, requires_grad=True)]
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1
    known = signature_of([part.detach() for part in maps])
    examples = marked(known, mask, torch.ones(1, 4, 4, dtype=torch.bool))
    (level,) = model.prior(signature_of(maps).roll(1, 3), examples, [torch.zeros(1, WIDTH, 8, 8)])
    level.square().sum().backward()
    assert all(part.grad is not None and part.grad.any() for part in maps)


def test_it_needs_examples() -> None:
    with pytest.raises(ValidationError, match="prior: expected a mask_encoder"):
        config(prior=True, mask_encoder=None)
