from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from referent.errors import DataError
from referent.evaluation import metrics
from referent.evaluation.protocols import PROTOCOLS

SIZE = (4, 5)


@st.composite
def questions(draw, smallest: int = 1):
    """Answers and truths of some phrases about some pictures: (answers, truths, picture, class)."""
    count = draw(st.integers(smallest, 9))
    # Whole masks are often empty, so that absent phrases and empty answers are common.
    keep = draw(arrays(bool, (2, count, 1, 1)))
    masks = draw(arrays(bool, (2, count, *SIZE))) & keep
    picture, classes = draw(arrays(np.int64, (2, count), elements=st.integers(0, 3)))
    return masks[0], masks[1], picture, classes


def counted(answers: np.ndarray, truths: np.ndarray, classes: np.ndarray) -> metrics.Counts:
    both, either = answers & truths, answers | truths
    intersection, union, predicted = (masks.sum(axis=(1, 2)) for masks in (both, either, answers))
    pixels = np.full(len(classes), SIZE[0] * SIZE[1])
    return metrics.Counts(intersection, union, predicted, truths.any(axis=(1, 2)), pixels, classes)


def mean(values):
    return sum(values) / len(values) if values else None


def brute_force(protocol, answers, truths, classes) -> dict[str, float | None]:
    """The definitions again, phrase by phrase and pixel by pixel."""
    ious, intersections, unions, present = [], 0, 0, []
    of_class: dict[int, tuple[int, int]] = {}
    background = [0, 0]
    for answer, truth, group in zip(answers.tolist(), truths.tolist(), classes.tolist(), strict=True):
        pixels = [(a, t) for row in zip(answer, truth, strict=True) for a, t in zip(*row, strict=True)]
        both, either = sum(a and t for a, t in pixels), sum(a or t for a, t in pixels)
        ious.append(both / (either + protocol.epsilon) if either else protocol.both_empty)
        intersections, unions = intersections + both, unions + either
        present.append(any(t for _, t in pixels))
        before = of_class.get(group, (0, 0))
        of_class[group] = before[0] + both, before[1] + either
        background[0] += sum(not a and not t for a, t in pixels)
        background[1] += sum(not a or not t for a, t in pixels)
    drawn = [bool(answer.any()) for answer in answers]
    of_present = [iou for iou, there in zip(ious, present, strict=True) if there]
    expected = {
        "oIoU": intersections / unions if unions else None,
        "mIoU": mean(ious),
        "mIoU-present": mean(of_present),
        "T-acc": mean([d for d, there in zip(drawn, present, strict=True) if there]),
        "N-acc": mean([not d for d, there in zip(drawn, present, strict=True) if not there]),
    }
    for at in (0.5, 0.6, 0.7, 0.8, 0.9):
        expected[f"Pr@{at}"] = mean([iou > at if protocol.strict else iou >= at for iou in of_present])
    expected |= {"gIoU": expected["mIoU"], "cIoU": expected["oIoU"], "accuracy": expected["Pr@0.5"]}
    expected["class-mIoU"] = mean([both / either for both, either in of_class.values() if either])
    halves = [part / whole for part, whole in ((intersections, unions), background) if whole]
    expected["FB-IoU"] = mean(halves)
    return {name: expected[name] for name in protocol.numbers}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
@given(questions())
def test_every_number_equals_brute_force(protocol, asked):
    answers, truths, picture, classes = asked
    numbers = metrics.scores(protocol, counted(answers, truths, classes), picture, replicates=0)
    expected = brute_force(protocol, answers, truths, classes)
    assert list(numbers) == list(expected)
    for name, value in expected.items():
        assert numbers[name].value == (value if value is None else pytest.approx(value, abs=1e-12)), name


@pytest.mark.parametrize("name", ["referent", "fss"])
@given(asked=questions())
@settings(deadline=None)
def test_numbers_and_intervals_stay_in_range_and_order(name, asked):
    answers, truths, picture, classes = asked
    found = metrics.scores(PROTOCOLS[name], counted(answers, truths, classes), picture, replicates=50)
    for number in found.values():
        if number.value is None:
            assert number.low is None
            assert number.high is None
        else:
            assert 0 <= number.value <= 1
            assert 0 <= number.low <= number.high <= 1


@pytest.mark.parametrize("name", ["referent", "grefcoco", "fss"])
@given(asked=questions(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_the_bootstrap_equals_resampling_pictures_one_by_one(name, asked, seed):
    answers, truths, picture, classes = asked
    protocol = PROTOCOLS[name]
    found = metrics.scores(protocol, counted(answers, truths, classes), picture, replicates=20, seed=seed)
    pictures = np.unique(picture)
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for chosen in random.integers(0, len(pictures), (20, len(pictures))):
        rows = np.concatenate([np.flatnonzero(picture == pictures[index]) for index in chosen])
        for number, value in brute_force(protocol, answers[rows], truths[rows], classes[rows]).items():
            if value is not None:
                drawn[number].append(value)
    for number, interval in found.items():
        if interval.low is not None:
            expected = [pytest.approx(bound, abs=1e-12) for bound in np.quantile(drawn[number], [0.025, 0.975])]
            assert [interval.low, interval.high] == expected, number


@st.composite
def scored(draw):
    count = draw(st.integers(0, 10))
    # Few distinct scores, so that ties are common.
    score = draw(arrays(float, count, elements=st.sampled_from([0.0, 0.1, 0.5, 0.50001, 1.0])))
    return score, draw(arrays(bool, count)), draw(arrays(np.int64, count, elements=st.integers(0, 3)))


def brute_force_auroc(score, present) -> float | None:
    return mean(
        [(s > t) + (s == t) / 2 for s, p in zip(score, present, strict=True) if p
         for t, q in zip(score, present, strict=True) if not q]
    )  # fmt: skip


@given(scored())
def test_auroc_equals_counting_all_pairs(case):
    score, present, picture = case
    expected = brute_force_auroc(score, present)
    found = metrics.auroc(score, present, picture, replicates=0).value
    assert found == (expected if expected is None else pytest.approx(expected))


@given(scored(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_auroc_bootstrap_equals_resampling_pictures_one_by_one(case, seed):
    score, present, picture = case
    found = metrics.auroc(score, present, picture, replicates=20, seed=seed)
    pictures = np.unique(picture)
    if found.value is None:
        assert found.low is None
        return
    drawn = []
    for chosen in np.random.default_rng(seed).integers(0, len(pictures), (20, len(pictures))):
        rows = np.concatenate([np.flatnonzero(picture == pictures[index]) for index in chosen])
        drawn.append(brute_force_auroc(score[rows], present[rows]))
    drawn = [value for value in drawn if value is not None]
    if drawn:
        assert (found.low, found.high) == tuple(pytest.approx(q) for q in np.quantile(drawn, [0.025, 0.975]))
    else:
        assert found.low is None


def test_parts_of_bounded_size_give_the_same_intervals(monkeypatch):
    random = np.random.default_rng(0)
    score, present, picture = random.random(300), random.random(300) < 0.7, random.integers(0, 40, 300)
    union = random.integers(1, 100, 300)
    counts = metrics.Counts(union // 2, union, union, present, union * 9, random.integers(0, 12, 300))

    def both():
        return (
            metrics.scores(PROTOCOLS["referent"], counts, picture, 200, seed=3)
            | metrics.scores(PROTOCOLS["fss"], counts, picture, 200, seed=3),
            metrics.auroc(score, present, picture, 200, seed=3),
        )

    at_once = both()
    monkeypatch.setattr(metrics, "HELD_AT_ONCE", 1000)
    in_parts = both()
    assert at_once[0].keys() == in_parts[0].keys()
    for name, number in at_once[0].items():
        assert vars(in_parts[0][name]) == pytest.approx(vars(number)), name
    assert vars(in_parts[1]) == pytest.approx(vars(at_once[1]))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Pictures differ, phrases of one picture are alike: resampling phrases would give far too short intervals.
    random = np.random.default_rng(1)
    covered = 0
    for trial in range(100):
        level = np.repeat(random.random(60), 10)
        union = np.full(600, 1000)
        counts = metrics.Counts((level * 1000).astype(np.int64), union, union, np.ones(600, dtype=bool))
        found = metrics.scores(PROTOCOLS["referent"], counts, np.repeat(np.arange(60), 10), 200, seed=trial)["mIoU"]
        covered += found.low <= 0.4995 <= found.high
    assert covered >= 85


def test_one_picture_gives_an_interval_of_no_length():
    counts = metrics.Counts(np.array([1, 2]), np.array([2, 2]), np.array([1, 2]), np.array([True, True]))
    number = metrics.scores(PROTOCOLS["referent"], counts, np.array([5, 5]), 10)["mIoU"]
    assert (number.low, number.value, number.high) == (0.75, 0.75, 0.75)


def test_a_mean_over_classes_weighs_classes_alike_whatever_their_number_of_phrases():
    # Class 7: (2 + 0) / (4 + 2) over two phrases; class 9: 1 / 1. Background: 10 + 8 + 9 of 12 + 10 + 9.
    counts = metrics.Counts(
        np.array([2, 0, 1]), np.array([4, 2, 1]), np.array([3, 1, 1]), np.ones(3, bool),
        np.array([14, 10, 10]), np.array([7, 7, 9]),
    )  # fmt: skip
    found = metrics.scores(PROTOCOLS["fss"], counts, np.arange(3), replicates=0)
    assert found["class-mIoU"].value == pytest.approx((2 / 6 + 1) / 2)
    assert found["FB-IoU"].value == pytest.approx((3 / 7 + 27 / 31) / 2)
    assert found["mIoU"].value == pytest.approx((2 / 4 + 0 + 1) / 3)


def test_means_over_classes_without_classes_are_an_error():
    counts = metrics.Counts(*np.ones((3, 1), dtype=np.int64), np.ones(1, bool))
    with pytest.raises(DataError, match="the class and the size of every picture must be known"):
        metrics.scores(PROTOCOLS["fss"], counts, np.zeros(1, dtype=np.int64))
