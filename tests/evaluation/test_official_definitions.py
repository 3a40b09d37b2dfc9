"""Each protocol against its published definition, written here a second time, plainly, from the description alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from evaluation_stub import Stub, data_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask

from referent.data.sample import Sample
from referent.evaluation.run import evaluate
from referent.reference import Reference
from referent.rle import encode

OWN_THRESHOLD = 0.45
LEVELS = np.array([0.0, 0.2, 0.35, 0.36, 0.44, 0.46, 0.5, 0.51, 0.9], dtype=np.float32)
"""Probabilities on and beside every threshold."""


@dataclass(frozen=True)
class Case:
    """One phrase: (h, w) probability, whether the model says that it found it, its truth as polygons of each target."""

    probability: np.ndarray
    found: bool
    targets: list[list[np.ndarray]]
    ref: str
    name: str

    @property
    def size(self) -> tuple[int, int]:
        return self.probability.shape

    def parts(self, target: list[np.ndarray]) -> np.ndarray:
        """(h, w, parts) of 0 and 1."""
        return coco_mask.decode(coco_mask.frPyObjects([part.tolist() for part in target], *self.size))

    def union(self) -> np.ndarray:
        truth = np.zeros(self.size, dtype=bool)
        for target in self.targets:
            truth |= self.parts(target).any(axis=2)
        return truth


@st.composite
def cases(draw, most_targets: int = 1, least_targets: int = 1, polygons: int = 3):
    """A few phrases, with coarse answers near the truth so that IoUs on both sides of every X occur."""
    made = []
    for _ in range(draw(st.integers(1, 5))):
        height, width = draw(st.integers(2, 20)), draw(st.integers(2, 20))
        targets = []
        for _ in range(draw(st.integers(least_targets, most_targets))):
            parts = []
            for _ in range(draw(st.integers(1, polygons))):
                x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
                right, bottom = draw(st.integers(x + 1, width)), draw(st.integers(y + 1, height))
                parts.append(np.array([x, y, right, y, right, bottom, x, bottom], dtype=float))
            targets.append(parts)
        case = Case(np.zeros((height, width)), draw(st.booleans()), targets, *draw(st.sampled_from(["aA", "bA", "cB"])))
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        right = np.where(case.union(), random.choice(LEVELS[-4:], case.size), random.choice(LEVELS[:5], case.size))
        wrong = draw(arrays(bool, (height, width), fill=st.just(value=False)))
        probability = np.where(wrong, random.choice(LEVELS, case.size), right)
        made.append(Case(probability.astype(np.float32), case.found, targets, case.ref, case.name))
    return made


def scored(asked: list[Case], protocol: str) -> dict[str, float | None]:
    """Through the whole of `evaluate`, each phrase on a picture of its own."""
    samples = [
        Sample(
            str(number), Path(f"{number}.png"), case.size, Reference.of(f"phrase {number}"),
            tuple(encode(case.parts(target).any(axis=2)) for target in case.targets), "val",
            {"ref": case.ref, "name": case.name}, case.targets,
        )
        for number, case in enumerate(asked)
    ]  # fmt: skip
    found = {sample.picture: case for sample, case in zip(samples, asked, strict=True)}

    def reply(picture, phrase):
        case = found[picture]
        # As a segmenter: what is empty is never found.
        return case.probability, 0.9, case.found and bool((case.probability > OWN_THRESHOLD).any())

    result = evaluate(Stub(reply, OWN_THRESHOLD), data_of(samples), (protocol,), replicates=0)
    return {name: number.value for name, number in result.scores[protocol].overall.numbers.items()}


def check(asked: list[Case], protocol: str, expected: dict[str, float]) -> None:
    found = scored(asked, protocol)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def precision(ious: list[float], at: list[float], strict: bool) -> dict[str, float]:
    return {f"Pr@{x}": float(np.mean([iou > x if strict else iou >= x for iou in ious])) for x in at}


ALL = [0.5, 0.6, 0.7, 0.8, 0.9]


def cris_ious(asked: list[Case]) -> list[float]:
    ious = []
    for case in asked:
        drawn, truth = case.probability > 0.35, case.union()
        ious.append(np.logical_and(drawn, truth).sum() / (np.logical_or(drawn, truth).sum() + 1e-6))
    return ious


@given(cases())
@settings(deadline=None, max_examples=40)
def test_cris_is_a_mean_over_sentences_at_the_pictures_size(asked):
    ious = cris_ious(asked)
    expected = {"mIoU": np.mean(ious)} | precision(ious, ALL, strict=True)
    check(asked, "cris", expected)
    check(asked, "etris", expected)


@given(cases())
@settings(deadline=None, max_examples=40)
def test_the_log_of_a_cris_training_takes_the_first_sentence_of_each_referred_object(asked):
    refs = [case.ref for case in asked]
    ious = [iou for place, iou in enumerate(cris_ious(asked)) if refs[place] not in refs[:place]]
    check(asked, "cris-val", {"mIoU": np.mean(ious)} | precision(ious, ALL, strict=True))


@pytest.mark.parametrize(("protocol", "side"), [("lavt", 480), ("magnet", 480), ("magnet-448", 448)])
@given(asked=cases())
@settings(deadline=None, max_examples=15)
def test_lavt_and_magnet_compare_squashed_masks_without_what_several_polygons_cover(protocol, side, asked):
    ious, intersections, unions = [], 0, 0
    for case in asked:
        truth = (case.parts(case.targets[0]).sum(axis=2) == 1).astype(np.uint8)
        masks = [truth, (case.probability > 0.5).astype(np.uint8)]
        squashed = [np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)) for mask in masks]
        both, either = (squashed[0] & squashed[1]).sum(), (squashed[0] | squashed[1]).sum()
        ious.append(both / either if either else 0.0)
        intersections, unions = intersections + both, unions + either
    expected = {"mIoU": np.mean(ious)}
    if unions:
        expected["oIoU"] = intersections / unions
    found = scored(asked, protocol)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert {name: found[name] for name in precision(ious, ALL, strict=False)} == precision(ious, ALL, strict=False)


@given(cases(least_targets=0))
@settings(deadline=None, max_examples=40)
def test_unirefpp_takes_the_iou_of_pycocotools_and_always_one_mask(asked):
    ious, intersections, unions = [], 0, 0
    for case in asked:
        drawn, truth = (
            coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            for mask in (case.probability > 0.5, case.union())
        )
        ious.append(float(coco_mask.iou([drawn], [truth], [0])[0, 0]))
        intersections += coco_mask.area(coco_mask.merge([drawn, truth], intersect=True))
        unions += coco_mask.area(coco_mask.merge([drawn, truth]))
    expected = {"mIoU": np.mean(ious)} | ({"oIoU": intersections / unions} if unions else {})
    if all(case.targets for case in asked):
        expected |= precision(ious, ALL, strict=True)
    check(asked, "unirefpp", expected)


@pytest.mark.parametrize(("protocol", "side", "examples"), [("grefcoco", None, 60), ("grefcoco-480", 480, 10)])
def test_grefcoco_scores_absent_phrases_by_what_the_model_refuses(protocol, side, examples):
    @given(cases(least_targets=0, most_targets=3))
    @settings(deadline=None, max_examples=examples)
    def compare(asked):
        check(asked, protocol, grefcoco(asked, side))

    compare()


def at_side(mask: np.ndarray, side: int | None) -> np.ndarray:
    if side is None:
        return mask
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)) > 0


def grefcoco(asked: list[Case], side: int | None) -> dict[str, float]:
    ious, of_present, intersections, unions = [], [], 0, 0
    right_present, right_absent = [], []
    for case in asked:
        drawn, truth = case.probability > OWN_THRESHOLD, case.union()
        refused = not (case.found and drawn.any())
        drawn, truth = at_side(drawn, side), at_side(truth, side)
        both, either = int((drawn & truth).sum()), int((drawn | truth).sum())
        if not case.targets:
            right_absent.append(refused)
            ious.append(1.0 if refused else 0.0)
            unions += 0 if refused else either
            continue
        right_present.append(not refused)
        both = 0 if refused else both
        intersections, unions = intersections + both, unions + either
        ious.append(both / either)
        of_present.append(both / either)
    expected = {"gIoU": np.mean(ious)}
    if unions:
        expected["cIoU"] = intersections / unions
    if right_absent:
        expected["N-acc"] = np.mean(right_absent)
    if of_present:
        expected |= {"T-acc": np.mean(right_present)} | precision(of_present, [0.7, 0.8, 0.9], strict=False)
    return expected


@given(cases(most_targets=3, polygons=1))
@settings(deadline=None, max_examples=60)
def test_reclip_is_right_when_the_box_fits_any_target_by_more_than_half(asked):
    right = []
    for case in asked:
        rows, columns = np.nonzero(case.probability > OWN_THRESHOLD)
        hit = False
        for target in case.targets if len(rows) else []:
            # Rectangles on whole pixels: the drawn box is the polygon's.
            corners = target[0].reshape(4, 2)
            x, y, w, h = *corners.min(axis=0), *np.ptp(corners, axis=0)
            left, top = columns.min(), rows.min()
            width, height = columns.max() + 1 - left, rows.max() + 1 - top
            across = max(0.0, min(x + w, left + width) - max(x, left))
            down = max(0.0, min(y + h, top + height) - max(y, top))
            hit |= across * down / (w * h + width * height - across * down) > 0.5
        right.append(hit)
    check(asked, "reclip", {"accuracy": np.mean(right)})


@given(cases())
@settings(deadline=None, max_examples=40)
def test_fss_sums_pixels_of_a_class_before_it_divides(asked):
    names = sorted({case.name for case in asked})
    intersection, union = np.zeros((2, len(names))), np.zeros((2, len(names)))
    for case in asked:
        drawn, truth, place = case.probability > 0.5, case.union(), names.index(case.name)
        for ground, (one, other) in enumerate([(~drawn, ~truth), (drawn, truth)]):
            intersection[ground, place] += (one & other).sum()
            union[ground, place] += (one | other).sum()
    by_ground = intersection.sum(axis=1), union.sum(axis=1)
    expected = {"class-mIoU": (intersection[1] / union[1]).mean()}
    if by_ground[1].all():
        expected["FB-IoU"] = (by_ground[0] / by_ground[1]).mean()
    check(asked, "fss", expected)
