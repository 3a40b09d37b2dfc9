from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from few_shot_data import write_coco, write_fss
from small_data import block

from referent.data.few_shot.episodes import episodes
from referent.data.few_shot.opening import open_class_set
from referent.data.few_shot.training import Draw, episode_items
from referent.errors import DataError
from referent.rle import decode


@pytest.fixture
def classes(tmp_path):
    return open_class_set(write_coco(tmp_path, {"cat": range(1, 9), "dog": [2, 3, 4], "cow": [5]}, 8))


def test_an_item_asks_for_what_its_picture_shows_by_other_pictures_of_the_same(classes):
    items = episode_items(classes, Draw(asked=2, shots=(1, 5), said=0.5))
    assert len(items) == 8
    generator = np.random.default_rng(0)
    phrases, shots = Counter(), Counter()
    for item in items * 20:
        samples = item.draw(generator)
        assert len(samples) == 2
        assert len({sample.picture for sample in samples}) == 1
        for sample in samples:
            name, examples = sample.tags["name"], sample.reference.examples
            assert sample.reference.phrase is None or str(sample.reference.phrase) == name
            shown = {other.picture for other in classes.classes[name]}
            assert {example.picture for example in examples} <= shown - {sample.picture}
            assert len({example.picture for example in examples}) == len(examples)
            assert sample.targets
            phrases[sample.reference.phrase is None] += 1
            shots[name, len(examples)] += 1
    assert min(phrases.values()) > 100
    assert {count for name, count in shots if name == "cat"} == {1, 2, 3, 4, 5}
    # A dog has two other pictures.
    assert {count for name, count in shots if name == "dog"} == {1, 2}
    assert not any(name == "cow" for name, _ in shots)


def test_an_example_has_the_mask_of_its_class_in_its_picture(classes):
    (sample,) = episode_items(classes, Draw())[0].draw(np.random.default_rng(1))
    (example,) = sample.reference.examples
    assert np.array_equal(decode(example.mask), block(3, int(example.picture.stem)))


def test_both_classes_of_a_picture_are_asked_before_one_is_asked_twice(classes):
    item = next(item for item in episode_items(classes, Draw(asked=3)) if item.queries[0].picture.stem == "2")
    for seed in range(10):
        names = [sample.tags["name"] for sample in item.draw(np.random.default_rng(seed))]
        assert set(names[:2]) == {"cat", "dog"}


def test_some_questions_are_about_classes_that_the_picture_does_not_show(tmp_path):
    classes = open_class_set(write_coco(tmp_path, {"cat": range(1, 5), "dog": [1, 2], "cow": [3, 4]}, 4))
    generator = np.random.default_rng(0)
    kinds = Counter()
    for item in episode_items(classes, Draw(asked=2, absent=0.5)) * 30:
        for sample in item.draw(generator):
            name, (example,) = sample.tags["name"], sample.reference.examples
            shown = {other.picture for other in classes.classes[name]}
            assert bool(sample.targets) == (sample.picture in shown)
            assert example.picture in shown - {sample.picture}
            kinds[sample.tags["kind"]] += 1
    assert 80 < kinds["none"] < 160
    only = episode_items(open_class_set(tmp_path / "instances.json", classes=["cat"]), Draw(absent=1))
    assert all(sample.targets for item in only for sample in item.draw(generator))


def test_a_draw_depends_on_its_generator_alone(classes):
    item = episode_items(classes, Draw(asked=2, shots=(1, 3)))[1]

    def drawn():
        return [
            (sample.id, [example.picture for example in sample.reference.examples])
            for sample in item.draw(np.random.default_rng(5))
        ]

    assert drawn() == drawn()


def test_a_training_needs_a_class_of_two_pictures(tmp_path):
    classes = open_class_set(write_coco(tmp_path, {"cat": [1]}, 1))
    with pytest.raises(DataError, match="expected classes of at least 2 pictures, found at most 1"):
        episode_items(classes, Draw())


def told(found):
    return [(one.name, one.query.picture.stem, [sample.picture.stem for sample in one.supports]) for one in found]


def test_episodes_are_the_same_for_everybody(classes):
    found = told(episodes(classes.with_pictures(3), 2, seed=0, count=4))
    # Written down: a result file of another machine must name the same episodes.
    assert found == [
        ("cat", "6", ["7", "3"]),
        ("dog", "3", ["4", "2"]),
        ("dog", "2", ["4", "3"]),
        ("dog", "2", ["3", "4"]),
    ]


def test_episodes_are_of_one_class_and_never_show_the_query(classes):
    found = told(episodes(classes.with_pictures(3), 2, seed=3, count=300))
    for name, query, supports in found:
        pictures = [query, *supports]
        assert len(set(pictures)) == 3
        assert {int(stem) for stem in pictures} <= ({*range(1, 9)} if name == "cat" else {2, 3, 4})
    # Classes are drawn evenly, whatever their pictures.
    assert 110 < Counter(name for name, *_ in found)["dog"] < 190


def test_more_shots_ask_the_same_queries_and_begin_with_the_same_example(classes):
    cats = classes.with_pictures(6)
    one, five = (told(episodes(cats, shots, seed=1, count=50)) for shots in (1, 5))
    assert [(name, query, supports[:1]) for name, query, supports in five] == one
    assert told(episodes(cats, 1, seed=2, count=50)) != one


def test_every_picture_is_asked_once_with_drawn_or_with_first_examples(tmp_path):
    write_fss(tmp_path, ["ant", "bus"])
    classes = open_class_set(tmp_path)
    for listing in ("every", "first"):
        found = told(episodes(classes, 5, seed=0, listing=listing))
        assert [(name, query) for name, query, _ in found] == [
            (name, query) for name in ("ant", "bus") for query in ("1", "10", *"23456789")
        ]
        assert all(len({query, *supports}) == 6 for _, query, supports in found)
    # File names in order as text, as UniRef++'s converter has them.
    assert found[0][2] == ["10", "2", "3", "4", "5"]
    assert found[3][2] == ["1", "10", "2", "4", "5"]
    drawn = [told(episodes(classes, 5, seed=seed, listing="every")) for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def test_classes_of_too_few_pictures_are_named(classes):
    with pytest.raises(DataError, match="2 shots need 3 pictures of cow, found 1"):
        episodes(classes, 2, seed=0)
    left = classes.with_pictures(3)
    assert left.notes == ("left out, of fewer than 3 pictures: cow",)
