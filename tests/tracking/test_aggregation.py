import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from referent.tracking.aggregation import each_alone, inside_means, shared_out

PROBABILITIES = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    elements=st.floats(0, 1, width=32),
)


@given(PROBABILITIES)
def test_a_pixel_belongs_to_the_most_probable_object_or_to_the_background(values: np.ndarray) -> None:
    masks = shared_out(torch.from_numpy(values)).numpy()
    for y, x in np.ndindex(values.shape[1:]):
        objects = [float(value) for value in values[:, y, x]]
        background = 1.0
        for value in objects:
            background *= np.float32(1) - np.float32(value)
        best = max(objects)
        expected = [False] * len(objects)
        if best > np.float32(background):
            expected[objects.index(best)] = True
        if abs(best - background) > 1e-6:
            assert masks[:, y, x].tolist() == expected


def test_one_object_needs_more_than_a_half() -> None:
    values = torch.tensor([[[0.0, 0.5, 0.500001, 1.0]]])
    assert shared_out(values).tolist() == [[[False, False, True, True]]]
    assert each_alone(values).tolist() == [[[False, False, True, True]]]


def test_of_two_that_are_equal_the_first_wins_and_together_they_beat_the_background_early() -> None:
    values = torch.full((2, 1, 1), 0.4)
    assert shared_out(values).flatten().tolist() == [True, False]


def test_there_may_be_more_objects_than_a_palette_has_colours() -> None:
    probabilities = torch.zeros(300, 1, 3)
    probabilities[[0, 1, 299], 0, [0, 1, 2]] = 0.9
    assert shared_out(probabilities).nonzero().tolist() == [[0, 0, 0], [1, 0, 1], [299, 0, 2]]


def test_the_mean_inside_a_mask_is_that_of_what_is_above_the_threshold() -> None:
    values = torch.tensor([[[0.2, 0.75], [1.0, 0.5]], [[0.5, 0.4], [0.0, 0.1]]])
    assert inside_means(values, 0.5).tolist() == [0.875, 0.0]
