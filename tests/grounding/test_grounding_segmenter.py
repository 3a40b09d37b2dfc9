"""Grounding systems from configuration to answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import referent as rf
from referent.errors import BadReferenceError, DataError, PictureError, WeightsError
from referent.grounding.config import GroundingConfig, read_config
from referent.grounding.load import put_together
from referent.grounding.proposals.base import Candidate, Proposals
from referent.grounding.segmenter import GroundingSegmenter, Place, share, whole_pixels
from referent.parsing.precomputed import PrecomputedParses
from referent.rle import encode

from .tiny import BOXES, picture, resnet, vit

ORACLE = Path(__file__).parents[1] / "parity" / "reclip" / "reclip_trees.jsonl"
CPU = Place(torch.device("cpu"), torch.float32)


class Fixed:
    """A source that knows the boxes beforehand."""

    name = "known boxes"

    def __init__(self, candidates: list[Candidate] | None = None) -> None:
        self.candidates = candidates or [Candidate(tuple(box)) for box in BOXES.tolist()]
        self.asked = 0

    def propose(self, image: Image.Image, source: object) -> Proposals:
        self.asked += 1
        return Proposals.of(self.candidates, (image.height, image.width))


def system(source: Any = None, sam: Any = None, **settings: Any) -> GroundingSegmenter:
    config = GroundingConfig(name="tiny-reclip", clips=("a", "b"), parser=str(ORACLE), **settings)
    needs = config.method in ("reclip", "ips-head")
    parser = PrecomputedParses(ORACLE) if needs else None
    return GroundingSegmenter(config, [resnet(), vit()], CPU, source or Fixed(), parser, sam)


def test_an_expression_gets_the_box_of_a_proposal_and_a_mask() -> None:
    model = system()
    answer = model.segment(picture(), "Guy on the left")
    boxes = [whole_pixels(box, (64, 48)) for box in BOXES]
    assert answer.box in boxes
    x0, y0, x1, y1 = answer.box
    assert answer.mask.sum() == (x1 - x0) * (y1 - y0)
    assert answer.mask[y0:y1, x0:x1].all()
    assert answer.found
    assert 0 < answer.score <= 1
    assert answer.model == "tiny-reclip (compat; parses of reclip_trees.jsonl; known boxes)"


def test_many_expressions_are_answered_as_each_alone() -> None:
    model = system(mode="fixed")
    texts = ["guy on the left", "bus behind bus", "the cat inside the box", "middle person"]
    together = model.look_at(picture()).segment(texts)
    for text, answer in zip(texts, together, strict=True):
        alone = model.segment(picture(), text)
        assert (alone.box, alone.score) == (answer.box, answer.score)
        assert "fixed" in alone.model


def test_a_picture_is_proposed_and_encoded_once_for_many_expressions(tmp_path: Path) -> None:
    source = Fixed()
    picture().save(tmp_path / "a.png")
    model = system(source)
    model.segment(tmp_path / "a.png", ["guy on the left", "bus behind bus"])
    model.segment(tmp_path / "a.png", "middle person")
    assert source.asked == 1


def test_the_mask_is_the_proposals_own_where_it_has_one() -> None:
    mask = np.zeros((48, 64), dtype=bool)
    mask[5:9, 7:12] = mask[10, 10] = True
    answer = system(Fixed([Candidate((7, 5, 5, 6), encode(mask))])).segment(picture(), "guy on the left")
    assert np.array_equal(answer.mask, mask)
    assert answer.box == (7, 5, 12, 11)


def test_the_mask_is_sams_where_there_is_a_sam_and_no_mask() -> None:
    class Drawing:
        def __init__(self, mask: np.ndarray) -> None:
            self.mask, self.boxes = mask, []

        def mask_in(self, image: Image.Image, box: tuple[float, ...]) -> np.ndarray:
            self.boxes.append(box)
            return self.mask

    some = np.zeros((48, 64), dtype=bool)
    some[6, 8] = True
    sam = Drawing(some)
    answer = system(Fixed([Candidate((7.5, 5, 5, 6))]), sam).segment(picture(), "guy on the left")
    assert np.array_equal(answer.mask, some)
    assert answer.box == (8, 5, 12, 11)
    # Nothing of the mask is in the first row of its box.
    assert answer.overlay().size == (64, 48)
    assert sam.boxes == [(7.5, 5, 5, 6)]
    nothing = system(Fixed([Candidate((7, 5, 5, 6))]), Drawing(np.zeros_like(some)))
    assert nothing.segment(picture(), "guy on the left").mask.sum() == 30


@pytest.mark.parametrize("method", ["ips", "ips-head", "cpt", "gradcam", "random", "reclip"])
def test_every_method_answers_with_a_distribution_over_the_proposals(method: str) -> None:
    look = system(method=method).look_closely(picture())
    resolution = look.resolve(0, "guy on the left")
    assert resolution.probabilities.shape == (4,)
    assert np.isfinite(resolution.probabilities).all()
    assert resolution.best == resolution.probabilities.argmax()
    assert resolution.mode == {"reclip": "compat", "ips-head": "ips, head"}.get(method, method)
    np.testing.assert_allclose(resolution.expression.sum(), 1, rtol=1e-5)


def test_methods_see_different_things() -> None:
    found = {
        method: system(method=method).look_closely(picture()).resolve(0, "guy on the left").probabilities.tolist()
        for method in ("ips", "ips-head", "cpt", "gradcam", "random", "reclip")
    }
    assert len({tuple(each) for each in found.values()}) == len(found)


def test_reclip_is_isolated_proposal_scoring_times_the_resolvers_root() -> None:
    alone = system(method="ips").look_closely(picture()).resolve(0, "guy on the left")
    whole = system().look_closely(picture()).resolve(0, "guy on the left")
    np.testing.assert_allclose(whole.expression, alone.probabilities, rtol=1e-5)
    np.testing.assert_allclose(whole.probabilities, whole.expression * whole.steps[-1].probabilities, rtol=1e-6)
    assert whole.queries == ("guy on the left", "guy")


def test_a_random_answer_follows_from_its_seed_whatever_was_asked_before() -> None:
    def answers(texts: list[str], seed: int) -> dict[str, int]:
        look = system(method="random", seed=seed).look_closely(picture())
        return {text: look.resolve(0, text).best for text in texts}

    texts = [f"thing {number}" for number in range(40)]
    first = answers(texts, 0)
    assert answers(texts[::-1], 0) == first
    assert answers(texts, 1) != first
    counts = np.bincount(list(first.values()), minlength=4)
    assert counts.min() > 0


def test_many_pictures_are_answered_in_order_and_a_bad_one_does_not_end_the_run(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    answers = list(system().segment_many([tmp_path / "a.png", tmp_path / "none.png", picture()], "guy on the left"))
    assert [type(answer).__name__ for answer in answers] == ["Segmentation", "Failure", "Segmentation"]
    assert answers[0].box == answers[2].box


def test_a_picture_that_the_proposals_do_not_know_does_not_end_the_run(folder: Path) -> None:
    picture().save(folder / "other.png")
    model = rf.load(folder / "mine.yaml", device="cpu")
    answers = list(model.segment_many([folder / "picture.png", folder / "other.png"], "guy on the left"))
    assert [type(answer).__name__ for answer in answers] == ["Segmentation", "Failure"]
    assert "no proposals for other.png" in str(answers[1].error)


def test_long_expressions_are_answered_and_said_to_be_cut() -> None:
    answer = system(method="ips").segment(picture(), "a dog " * 60)
    assert "longer than the text window" in answer.notes[0]
    assert answer.box is not None


def test_an_expression_that_contradicts_itself_is_answered_with_a_word_about_it() -> None:
    source = Fixed([Candidate((0, 20, 10, 10)), Candidate((30, 0, 10, 10))])
    answer = system(source).segment(picture(), "top left pizza slice")
    assert answer.score == 0
    assert answer.box == (0, 20, 10, 30)
    assert "contradicted itself" in answer.notes[0]
    mended = system(source, mode="fixed").segment(picture(), "top left pizza slice")
    assert mended.notes == ()
    assert mended.score > 0


def test_no_proposals_give_the_whole_picture() -> None:
    answer = system(Fixed([Candidate((90, 90, 5, 5))])).segment(picture(), "guy on the left")
    assert answer.box == (0, 0, 64, 48)
    assert answer.notes == (
        "1 of 1 proposals left out: empty, or outside the picture",
        "no proposals: the answer is the whole picture",
    )


def test_an_example_is_no_reference_for_it() -> None:
    with pytest.raises(BadReferenceError, match=r"tiny-reclip .* takes phrases; for an example use unirefpp-pocket"):
        system().segment(picture(), rf.Example("a.png", "m.png"))


def test_a_text_without_a_parse_is_named() -> None:
    with pytest.raises(DataError, match=r"reclip_trees.jsonl: no parse of 'a zebra in the bath'"):
        system().segment(picture(), "A zebra in the bath")


def test_the_official_counters_are_counted() -> None:
    answers = system().segment(picture(), ["guy on the left", "bus behind bus", "right", "2nd from right"])
    assert sum((Counter(answer.counters) for answer in answers), Counter()) == {
        "n_total": 4, "n_rec": 3, "n_full_expr": 1, "n_0th_noun": 1, "n_rec_sup": 2, "n_sup": 2, "n_sup_left": 1,
        "n_sup_right": 1, "n_rec_rel": 1, "n_rel": 1, "n_rel_above": 1,
    }  # fmt: skip


def test_the_exact_box_is_the_proposals_own() -> None:
    answer = system().segment(picture(), "guy on the left")
    assert list(answer.exact_box) in BOXES.tolist()
    assert answer.box == whole_pixels(np.array(answer.exact_box), (64, 48))


def test_boxes_become_whole_pixels_inside_the_picture() -> None:
    assert whole_pixels(np.array([-3, 2.5, 10, 5]), (64, 48)) == (0, 2, 7, 8)
    assert whole_pixels(np.array([63.9, 47.9, 9, 9]), (64, 48)) == (63, 47, 64, 48)
    assert whole_pixels(np.array([5.2, 5.2, 0.1, 0.1]), (64, 48)) == (5, 5, 6, 6)


def test_a_share_of_nothing_is_nothing() -> None:
    assert share(np.array([0.1, 0.3]), 1) == pytest.approx(0.75)
    assert share(np.array([np.nan, np.nan]), 0) == share(np.zeros(2), 0) == 0


def test_a_system_loads_from_its_yaml_file_with_the_files_beside_it(folder: Path) -> None:
    model = rf.load(folder / "mine.yaml", device="cpu")
    answer = model.segment(folder / "picture.png", "guy on the left")
    assert answer.model == "mine (compat; parses of parses.jsonl; boxes.json)"
    assert answer.box in [whole_pixels(box, (64, 48)) for box in BOXES]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clips: []", "clips: .*at least 1"),
        ("parser: x", "clips: Field required"),
        ("clips: [a]\ncolour: red", "colour: Extra inputs"),
        ("clips: [a]\nmethod: magic", "method: "),
        ("clips: [a]\nsettings: {magic: true}", "settings: .*magic"),
        ("clips: [a]\nsettings: {superlative_threshold: 0.5}", "superlative_threshold: expected above 1"),
        ("clips: [a]\nproposals: sam", "expected `sam`, the hub id or folder"),
        ("[1, 2]", "expected settings of a grounding system"),
        ("clips: [", "broken YAML"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"mine\.yaml: .*{message}"):
        read_config(path)


def test_settings_change_the_mode_that_results_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("clips: [a]\nmode: fixed\nsettings: {area_threshold: 0.05, gate: false}")
    assert read_config(path).resolver.mode == "fixed, area_threshold=0.05, gate=False"


def test_missing_parts_are_named_before_weights_are_read(tmp_path: Path) -> None:
    config = GroundingConfig(name="x", clips=("none.pt",), parser="none.jsonl", proposals="none.json")
    with pytest.raises(DataError, match=r"none\.jsonl: No such file"):
        put_together(config, "cpu")
    with pytest.raises(DataError, match="no_such_pipeline: expected the name of an installed spaCy pipeline"):
        put_together(config.model_copy(update={"parser": "no_such_pipeline"}), "cpu")
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        put_together(config.model_copy(update={"parser": str(ORACLE)}), "cpu")
    (tmp_path / "boxes.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"none\.pt"):
        put_together(config.model_copy(update={"method": "ips", "proposals": str(tmp_path / "boxes.json")}), "cpu")


def test_an_unreadable_picture_is_named() -> None:
    with pytest.raises(PictureError, match="no such file"):
        system().segment("none.png", "guy on the left")


def test_the_named_systems_are_configurations_that_can_be_read() -> None:
    from referent import zoo

    names = [row.name for row in rf.list_models() if row.family in zoo.COMPOSED]
    assert {"reclip", "reclip-pocket", "reclip-rn50x16", "reclip-vit-b32"} <= set(names)
    for name in names:
        assert zoo.is_system(name)
        assert read_config(zoo.find(name)).name == name
    assert not zoo.is_system("cris-pocket")


def test_the_pocket_system_answers_with_what_is_in_the_package() -> None:
    model = rf.load("reclip-pocket")
    picture = np.full((96, 128, 3), 120, np.uint8)
    picture[30:70, 20:60] = (200, 40, 40)
    seg = model.segment(picture, "the red thing on the left")
    assert seg.mask.shape == (96, 128)
    assert "en_referent_pocket" in seg.model
