import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from referent.data.augment import Augment, depends_on_layout, mirrored


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("left cat", "right cat"),
        ("the second from the right", "the second from the left"),
        ("Leftmost dog, not the rightmost", "Rightmost dog, not the leftmost"),
        ("front left door", "front right door"),
        ("a bright copyright sign left over", "a bright copyright sign right over"),
        ("the red bus", "the red bus"),
        ("LEFT one", "RIGHT one"),
    ],
)
def test_left_and_right_change_places_and_nothing_else_does(phrase: str, expected: str) -> None:
    assert mirrored(phrase) == expected


@given(st.lists(st.sampled_from(["left", "right", "Right", "LEFT", "cat", "bright", "leftmost"]), min_size=1))
def test_mirroring_twice_gives_the_phrase_back(words: list[str]) -> None:
    phrase = " ".join(words)
    assert mirrored(mirrored(phrase)) == phrase


@pytest.mark.parametrize(
    "phrase", ["left cat", "biggest dog", "2nd car", "cup on the table", "both dogs", "topmost kite"]
)
def test_phrases_of_place_order_size_and_relation_depend_on_layout(phrase: str) -> None:
    assert depends_on_layout(phrase)


@pytest.mark.parametrize("phrase", ["cat", "the red bus", "all the people", "wine glass"])
def test_names_and_colours_do_not_depend_on_layout(phrase: str) -> None:
    assert not depends_on_layout(phrase)


def scene() -> tuple[Image.Image, np.ndarray]:
    pixels = np.zeros((40, 60, 3), np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[10:20, 5:25] = True
    pixels[mask] = (250, 10, 10)
    return Image.fromarray(pixels), mask


def red(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture).astype(int)
    return pixels[..., 0] > pixels[..., 1] + 60


@given(seed=st.integers(0, 2**32 - 1), phrase=st.sampled_from(["red box", "the left box"]))
def test_the_mask_stays_on_its_object_whatever_is_drawn(seed: int, phrase: str) -> None:
    picture, mask = scene()
    changed, masks, _ = Augment()(picture, [mask], [phrase], np.random.default_rng(seed))
    assert masks[0].shape == changed.size[::-1]
    np.testing.assert_array_equal(red(changed), masks[0])


@given(seed=st.integers(0, 2**32 - 1))
def test_a_phrase_that_names_a_place_is_never_cropped(seed: int) -> None:
    picture, mask = scene()
    _, masks, phrases = Augment(crop=0.3)(picture, [mask], ["box on the left"], np.random.default_rng(seed))
    assert masks[0].sum() == mask.sum()
    centre = np.nonzero(masks[0])[1].mean()
    if phrases == ["box on the right"]:
        assert centre > masks[0].shape[1] / 3
    else:
        assert phrases == ["box on the left"]


def test_a_flip_mirrors_picture_mask_and_phrase_together() -> None:
    picture, mask = scene()
    augment = Augment(flip=1, crop=1, zoom_out=1, colour=0)
    changed, masks, phrases = augment(picture, [mask], ["left box"], np.random.default_rng(0))
    np.testing.assert_array_equal(masks[0], mask[:, ::-1])
    np.testing.assert_array_equal(np.asarray(changed), np.asarray(picture)[:, ::-1])
    assert phrases == ["right box"]


def test_the_same_generator_state_gives_the_same_result() -> None:
    picture, mask = scene()
    first, second = (Augment()(picture, [mask], ["box"], np.random.default_rng(7)) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes()
    np.testing.assert_array_equal(first[1][0], second[1][0])


def test_everything_off_changes_nothing() -> None:
    picture, mask = scene()
    same, masks, phrases = Augment(flip=0, crop=1, zoom_out=1, colour=0)(
        picture, [mask], ["left box"], np.random.default_rng(0)
    )
    assert same.tobytes() == picture.tobytes()
    np.testing.assert_array_equal(masks[0], mask)
    assert phrases == ["left box"]


def test_a_distortion_moves_picture_and_mask_alike_and_leaves_most_of_them() -> None:
    picture, mask = scene()
    changed, (moved,), _ = Augment(flip=0, crop=1, zoom_out=1, affine=0.15, colour=0)(
        picture, [mask], [], np.random.default_rng(3)
    )
    assert changed.size == picture.size
    assert (red(changed) != red(picture)).any()
    assert (red(changed) & moved).sum() > 0.8 * moved.sum() > 0.3 * mask.sum()


def test_a_settled_augmentation_mirrors_always_or_never() -> None:
    settled = [Augment().settled(np.random.default_rng(seed)).flip for seed in range(20)]
    assert set(settled) == {0.0, 1.0}
