"""Pictures resized until their shortest side has a given length."""

import numpy as np
import pytest
import torch

from referent.data.shortest import Shortest


@pytest.mark.parametrize(
    ("original", "fitted"),
    [((480, 640), (800, 1067)), ((640, 480), (1067, 800)), ((300, 1000), (400, 1333)), ((1, 5000), (1, 1333))],
)
def test_the_shortest_side_is_as_asked_unless_the_longest_would_pass_its_limit(
    original: tuple[int, int], fitted: tuple[int, int]
) -> None:
    assert Shortest(original, 800, 1333).fitted == fitted


def test_picture_mask_and_what_comes_back_have_their_sizes() -> None:
    fit = Shortest((30, 60), 20, 50)
    pixels = np.random.default_rng(0).integers(0, 255, (30, 60, 3), dtype=np.uint8)
    mask = np.zeros((30, 60), dtype=bool)
    mask[10:20, 30:45] = True
    assert fit.picture(pixels, (0, 0, 0)).shape == (3, 20, 40)
    small = fit.mask(mask)
    assert small.shape == (20, 40)
    assert set(small.unique().tolist()) == {0, 1}
    restored = fit.restore(small[None, None])
    assert restored.shape == (1, 30, 60)
    assert ((restored[0] > 0.5) != torch.from_numpy(mask)).float().mean() < 0.03
