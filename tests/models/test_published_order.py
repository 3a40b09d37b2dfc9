"""The benchmarks' published order of computation gives the answers that ours gives."""

from pathlib import Path

import pytest
import torch

from referent.models.base import Batch
from referent.models.cris import CRIS
from referent.models.etris import ETRIS
from referent.models.magnet import MagNet, MagNetConfig
from referent.models.unirefpp import UniRef
from referent.training.optimiser import training_mode

from .test_cris import TestCRIS as CRISCases
from .test_etris import TestETRIS as ETRISCases
from .test_etris import narrow
from .test_magnet import TINY
from .test_magnet import TestMagNet as MagNetCases
from .test_unirefpp import BERT, MASK_ENCODER, PHRASES, awake, config, pictures

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_etris_in_the_published_order_answers_the_same(name: str) -> None:
    from etris_published import published  # type: ignore[import-not-found]

    model, batch = ETRISCases().model(name).eval(), ETRISCases().batch(2, 3)
    with torch.no_grad():
        assert torch.allclose(published(model)(batch).logits, model(batch).logits, atol=1e-4)


def test_cris_in_the_published_order_answers_the_same() -> None:
    from cris_speed import published  # type: ignore[import-not-found]

    config = CRISCases.configurations["resnet"]
    words = config.text.model_copy(update={"width": config.neck.channels[1]})  # as wide as pixels, as published
    model, batch = CRIS(config.model_copy(update={"text": words})).eval(), CRISCases().batch(2, 3)
    with torch.no_grad():
        assert torch.allclose(published(model)(batch).logits, model(batch).logits, atol=1e-4)


def test_unirefpp_follows_objects_by_the_published_procedure_with_the_same_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import video_speed  # type: ignore[import-not-found]

    monkeypatch.setattr(video_speed, "SIZE", (80, 90))
    model = awake(UniRef(config(text=BERT.model_copy(update={"context": 77}), mask_encoder=MASK_ENCODER)))
    runs = video_speed.Published(model, 3), video_speed.Ours(model, 3, torch.float32)
    with torch.inference_mode():
        first, *others = pictures(3, 80, 90)
        for run in runs:
            run.first(first)
        for image in others:
            found = [run.next(image) for run in runs]
        assert torch.allclose(*found, atol=1e-5)
    assert found[0].std() > 1e-3


def test_unirefpp_in_the_published_order_answers_the_same() -> None:
    from unirefpp_published import published  # type: ignore[import-not-found]

    model = awake(UniRef(config(text=BERT.model_copy(update={"context": 77}))))
    batch = Batch.paired(pictures(1, 80, 96), PHRASES[:1])
    with torch.no_grad():
        expected, found = model(batch), published(model)(batch)
    assert torch.allclose(found.logits, expected.logits, atol=1e-4)
    assert expected.presence is not None
    assert torch.allclose(found.presence, expected.presence, atol=1e-5)


def test_the_published_order_has_the_same_gradients() -> None:
    from etris_published import published

    model: ETRIS = ETRISCases().model("resnet").eval()  # without dropout
    batch = ETRISCases().batch()
    found = {}
    for name, form in (("ours", model), ("published", published(model))):
        sum(form.losses(batch, form(batch)).values()).backward()  # type: ignore[union-attr]
        found[name] = form.text_encoder.positions.grad
        assert form.text_encoder.layers[0].mlp[0].weight.grad is None
    assert torch.allclose(found["ours"], found["published"], atol=1e-5)


def test_an_economical_training_keeps_less_than_a_faithful_one_and_that_less_than_a_full_one() -> None:
    from training_economy import kept_for_backward  # type: ignore[import-not-found]

    batch, sizes = ETRISCases().batch(), []
    for tuning in ("economical", "faithful", "full"):
        model = ETRIS(narrow().model_copy(update={"tuning": tuning}))
        training_mode(model)
        with kept_for_backward(model) as kept:
            logits = model(batch).logits
        assert logits.requires_grad
        sizes.append(sum(kept.values()))
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("training", [False, True])
def test_magnet_in_the_published_order_answers_the_same(training: bool) -> None:
    from magnet_published import published  # type: ignore[import-not-found]

    torch.manual_seed(0)
    model = MagNet(MagNetConfig(**TINY, module="released", grounding="none")).eval()
    image = MagNetCases().batch(2, 2).image[:1]
    batch = Batch.paired(image, MagNetCases().batch(2, 2).tokens[:1])
    twin = published(model)
    if training:
        torch.manual_seed(0)
        first = twin.train()(batch).taps["masks"]
        torch.manual_seed(0)
        second = model.train()(batch).taps["masks"]
        assert torch.allclose(first, second, atol=1e-4)
        return
    with torch.no_grad():
        assert torch.allclose(twin(batch).logits, model(batch).logits, atol=1e-4)
