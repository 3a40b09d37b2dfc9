"""Clips: what a training sees of a video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from miniatures import Film, film, write_davis, write_flat

from referent.data.videos.clips import WINDOW, Clip, clips
from referent.data.videos.davis import read_davis
from referent.data.videos.video import Expression, VideoSet
from referent.errors import DataError
from referent.picture import read_mask
from referent.rle import decode


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> VideoSet:
    root = tmp_path_factory.mktemp("davis")
    write_davis(root, {"bear-1": film(0, every=1), "dogs": film(1)})
    return read_davis(root)


def test_an_earlier_frame_with_its_mask_shows_what_to_find_in_a_later_one(davis: VideoSet) -> None:
    item, one = clips(davis)[0], film(0, every=1)
    for seed in range(30):
        (sample,) = item.draw(np.random.default_rng(seed))
        (example,) = sample.reference.examples
        number = int(sample.id.rsplit("/", 1)[1])
        earlier, later = int(Path(str(example.picture)).stem), int(sample.picture.stem)
        assert 0 < later - earlier <= WINDOW
        assert (read_mask(example.mask, sample.size) == (one.labels[earlier] == number)).all()
        assert (decode(sample.targets[0]) == (one.labels[later] == number)).all()
        assert sample.reference.phrase is None


def test_all_objects_and_both_ends_of_the_window_occur(davis: VideoSet) -> None:
    item = clips(davis)[0]
    drawn = [item.draw(np.random.default_rng(seed))[0] for seed in range(200)]
    assert {int(sample.id.rsplit("/", 1)[1]) for sample in drawn} == set(item.numbers)
    ways = {int(sample.picture.stem) - int(Path(str(sample.reference.examples[0].picture)).stem) for sample in drawn}
    assert ways == set(range(1, WINDOW + 1))


def test_the_same_generator_draws_the_same_clip(davis: VideoSet) -> None:
    first, second = (clips(davis)[1].draw(np.random.default_rng(3))[0] for _ in range(2))
    assert (first.id, first.targets) == (second.id, second.targets)


def test_expressions_make_an_item_of_each_object_and_may_replace_the_example(davis: VideoSet) -> None:
    said = (
        Expression("0", "the red one", (1,)),
        Expression("1", "what is red", (1,)),
        Expression("2", "both", (1, 3)),
        Expression("3", "the third", (3,)),
    )
    videos = replace(davis, videos=[replace(davis.videos[0], expressions=said)])
    items = clips(videos, phrase_only=0.4)
    assert [item.numbers for item in items] == [(1,), (3,)]
    references = [items[0].draw(np.random.default_rng(seed))[0].reference for seed in range(300)]
    assert {str(reference.phrase) for reference in references} == {"the red one", "what is red"}
    alone = sum(not reference.examples for reference in references) / len(references)
    assert 0.32 < alone < 0.48


def test_a_spoken_name_is_the_phrase_of_a_single_object(tmp_path: Path) -> None:
    write_flat(tmp_path, {"scooter-gray2": film(0)})
    videos = read_davis(tmp_path, "train")
    (item,) = clips(videos, spoken_names=True)
    (sample,) = item.draw(np.random.default_rng(0))
    assert str(sample.reference.phrase) == "scooter gray"
    assert sample.reference.examples
    assert clips(videos)[0].draw(np.random.default_rng(0))[0].reference.phrase is None


def test_an_object_that_no_frame_shows_is_said(davis: VideoSet) -> None:
    item = Clip(davis.videos[0], numbers=(9,))
    with pytest.raises(DataError, match="video bear-1: no frame shows object 9"):
        item.draw(np.random.default_rng(0))


def test_an_object_of_a_single_frame_is_shown_and_asked_in_that_frame(tmp_path: Path) -> None:
    one = film(0)
    write_davis(tmp_path, {"bear": Film(one.frames, (one.labels[0], *(0 * labels for labels in one.labels[1:])))})
    (item,) = clips(read_davis(tmp_path))
    (sample,) = item.draw(np.random.default_rng(0))
    assert sample.picture == sample.reference.examples[0].picture


def test_a_set_with_first_masks_alone_cannot_be_trained_on(tmp_path: Path) -> None:
    write_davis(tmp_path, {"bear": film(0)})
    for path in sorted((tmp_path / "Annotations" / "480p" / "bear").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match="expected videos with masks on two frames or more"):
        clips(read_davis(tmp_path))
