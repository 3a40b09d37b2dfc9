from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_stub import Stub, columns, data_of, sample
from PIL import Image

from referent.data.few_shot.questions import FewShot
from referent.errors import BadReferenceError, DataError
from referent.evaluation.few_shot import Spread
from referent.evaluation.reading import read_result
from referent.evaluation.run import evaluate
from referent.evaluation.source import Source
from referent.rle import encode

SIZE = (6, 8)
SHOWN = {"cat": (0, 1, 2, 3, 4, 5, 6), "dog": (1, 3, 5), "cow": (2,)}


def truth(name: str, number: int) -> np.ndarray:
    random = np.random.default_rng((len(name), ord(name[0]), number))
    mask = random.random(SIZE) < 0.4
    mask[0, 0] = True
    return mask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(7):
        Image.new("RGB", SIZE[::-1]).save(tmp_path / f"{number}.png")
    shown = [(category, name, number) for category, (name, own) in enumerate(SHOWN.items()) for number in own]
    content = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1], "split": "val"}
            for number in range(7)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(SHOWN)],
        "annotations": [
            {"id": row, "image_id": number, "category_id": category, "segmentation": encode(truth(name, number))}
            for row, (category, name, number) in enumerate(shown)
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def answer(picture: Path, examples: str) -> tuple[np.ndarray, float, bool]:
    """Depends on what is asked, by no more than its name."""
    random = np.random.default_rng([ord(letter) for letter in f"{picture.stem} {examples}"])
    return random.random(SIZE), 0.7, True


def naive(samples, protocol_threshold=0.5) -> dict[str, float]:
    """The definition of few-shot papers, one pixel after the other."""
    per_class: dict[str, list[int]] = {}
    totals = [0, 0, 0, 0]
    ious = []
    for one in samples:
        probability, *_ = answer(one.picture, str(one.reference))
        right = wrong = missed = rest = 0
        mask = truth(one.tags["name"], int(one.picture.stem))
        for row in range(SIZE[0]):
            for column in range(SIZE[1]):
                drawn, true = probability[row, column] > protocol_threshold, mask[row, column]
                right += drawn and true
                wrong += drawn and not true
                missed += true and not drawn
                rest += not true and not drawn
        sums = per_class.setdefault(one.tags["name"], [0, 0])
        sums[0] += right
        sums[1] += right + wrong + missed
        for place, value in enumerate((right, right + wrong + missed, rest, rest + wrong + missed)):
            totals[place] += value
        ious.append(right / (right + wrong + missed))
    return {
        "class-mIoU": sum(both / either for both, either in per_class.values()) / len(per_class),
        "FB-IoU": (totals[0] / totals[1] + totals[2] / totals[3]) / 2,
        "mIoU": sum(ious) / len(ious),
    }


@pytest.mark.parametrize("shots", [1, 2])
def test_numbers_over_seeds_are_those_counted_pixel_by_pixel(data, shots):
    dataset = FewShot(shots, seeds=3, episodes=20).open(data, "val")
    result = evaluate(Stub(answer), dataset, ["fss"], replicates=0)
    spreads = result.few_shot.spreads["fss"]
    each = [naive([one for one in dataset.samples if one.tags["seed"] == str(seed)]) for seed in range(3)]
    for name, spread in spreads.items():
        expected = [one[name] for one in each]
        assert spread.seeds == pytest.approx(expected)
        assert spread.mean == pytest.approx(statistics.fmean(expected))
        assert spread.deviation == pytest.approx(statistics.stdev(expected))
        assert len(set(expected)) == 3
    assert set(result.few_shot.classes) == {"cat", "dog"}
    assert (result.phrases, result.absent) == (60, 0)


def test_the_result_names_every_episode_the_same_for_everybody_and_is_read_back(data, tmp_path):
    source = Source(str(data), few_shot=FewShot(2, seeds=2, episodes=3))
    result = evaluate(Stub(answer), source.open("val"), ["fss"], source=source, replicates=0)
    assert result.few_shot.episodes == {
        seed: [
            f"{number} {one.tags['name']}/{one.picture.stem}: {one.reference}"
            for number, one in enumerate(source.open("val").samples[3 * int(seed) : 3 * int(seed) + 3])
        ]
        for seed in ("0", "1")
    }
    assert str(tmp_path) not in json.dumps(result.to_json()["few_shot"])
    result.save(tmp_path / "result.json")
    read = read_result(tmp_path / "result.json")
    assert read.few_shot.spreads == result.few_shot.spreads
    assert [one.id for one in read.source.open("val").samples] == [one.id for one in source.open("val").samples]
    assert "left out, of fewer than 3 pictures: cow" in read.scores["fss"].notes


def test_a_class_is_named_beside_its_examples_where_that_is_asked(data):
    (one, *_) = FewShot(1, named=True).open(data, "val").samples
    assert str(one.reference) == f"{one.tags['name']} + {one.reference.examples[0]}"
    assert one.tags["kind"] == "both"
    (one, *_) = FewShot(1).open(data, "val").samples
    assert one.reference.phrase is None


def test_examples_that_several_episodes_show_are_one_object_and_drawn_when_read(data):
    samples = FewShot(1, seeds=1, episodes=30).open(data, "val").samples
    examples = {str(example): example for one in samples for example in one.reference.examples}
    assert all(examples[str(example)] is example for one in samples for example in one.reference.examples)
    assert all("mask" not in vars(example) for example in examples.values())


def test_pixels_that_nobody_judged_count_nowhere(data):
    dataset = FewShot(1, seeds=1, episodes=8).open(data, "val")
    border = np.zeros(SIZE, dtype=bool)
    border[:, :3] = True
    outside = [
        replace(
            one,
            targets=(encode(truth(one.tags["name"], int(one.picture.stem)) & ~border),),
            void=(encode(border),),
        )
        for one in dataset.samples
    ]
    bordered = evaluate(Stub(answer), data_of(outside), ["fss"], replicates=0)
    cropped = [
        replace(one, size=(6, 5), targets=(encode(truth(one.tags["name"], int(one.picture.stem))[:, 3:]),))
        for one in dataset.samples
    ]

    def answer_there(picture, examples):
        probability, *rest = answer(picture, examples)
        return probability[:, 3:], *rest

    same = evaluate(Stub(answer_there), data_of(cropped), ["fss"], replicates=0)
    assert bordered.few_shot.spreads == same.few_shot.spreads


def test_a_bad_example_costs_its_own_episodes_and_a_bad_picture_those_about_it(data):
    dataset = FewShot(1, seeds=1, episodes=40).open(data, "val")
    bad = str(dataset.samples[0].reference)

    def sometimes(picture, examples):
        if examples == bad:
            raise BadReferenceError(f"{examples}: expected a mask of something, found an empty one")
        return answer(picture, examples)

    result = evaluate(Stub(sometimes), dataset, ["fss"], replicates=0)
    lost = sum(str(one.reference) == bad for one in dataset.samples)
    assert sum(failure.phrases for failure in result.failed) == lost < 40
    assert result.phrases == 40 - lost
    assert all("empty one" in failure.error for failure in result.failed)

    result = evaluate(Stub(answer, unreadable=frozenset({"3.png"})), dataset, ["fss"], replicates=0)
    (failure,) = result.failed
    assert failure.phrases == sum(one.picture.name == "3.png" for one in dataset.samples) > 1


def test_an_interrupted_run_continues_and_episodes_of_other_data_are_not_mixed_in(data, tmp_path):
    dataset, save = FewShot(1, seeds=2, episodes=10).open(data, "val"), tmp_path / "predictions.jsonl"
    whole = evaluate(Stub(answer), dataset, ["fss"], replicates=0)
    left = 4

    def stops(picture, examples):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return answer(picture, examples)

    with pytest.raises(KeyboardInterrupt):
        evaluate(Stub(stops), dataset, ["fss"], save=save, replicates=0, weights_sha256="w")
    continued = evaluate(Stub(answer), dataset, ["fss"], save=save, replicates=0, weights_sha256="w")
    assert continued.resumed > 0
    assert continued.few_shot == whole.few_shot
    with pytest.raises(DataError, match="holds predictions of another run"):
        evaluate(Stub(answer), FewShot(2, 2, 10).open(data, "val"), ["fss"], save=save, weights_sha256="w")
    content = json.loads(data.read_text())
    del content["annotations"][6]
    data.write_text(json.dumps(content))
    with pytest.raises(DataError, match="the data set has changed since"):
        evaluate(Stub(answer), FewShot(1, 2, 10).open(data, "val"), ["fss"], save=save, weights_sha256="w")


def test_a_spread_needs_every_seed_and_a_deviation_two():
    assert Spread.of([0.25]) == Spread(0.25, None, (0.25,))
    assert Spread.of([0.25, None]) == Spread(None, None, (0.25, None))
    assert Spread.of([0.2, 0.4]).deviation == pytest.approx(0.2 / 2**0.5)


def test_results_without_examples_have_no_seeds():
    asked = data_of([sample("a", "a.png", "cat", columns(1), name="cat")])
    assert evaluate(Stub(lambda *_: (columns(1) * 1.0, 0.9, True)), asked, ["fss"], replicates=0).few_shot is None
