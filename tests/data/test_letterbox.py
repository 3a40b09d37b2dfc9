"""The letterbox against OpenCV, and its properties for any picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from referent.data.letterbox import Letterbox

BORDER = (123, 117, 104)
SIZE = 416
FIXTURE = np.load(Path(__file__).parent / "letterbox" / "letterbox.npz")

sides = st.integers(1, 300)
# Up to 1 x 3000: beyond any picture that means something.
originals = st.one_of(st.tuples(sides, sides), st.tuples(st.just(1), st.integers(1, 3000)))


def partial(case: str, name: str) -> tuple[int, np.ndarray]:
    key = next(key for key in FIXTURE.files if key.startswith(f"{case}.{name}."))
    return int(key.rsplit(".", 1)[1]), FIXTURE[key]


def original_size(case: str) -> tuple[int, int]:
    height, width = FIXTURE[f"{case}.size"].tolist()
    return height, width


def smooth(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 that varies slowly, whatever the size."""
    rows, columns = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    return np.stack([55 + 100 * rows, 55 + 100 * columns, 60 + 50 * (rows + columns)], axis=-1).astype(np.uint8)


# Against OpenCV


@pytest.mark.parametrize("case", ["wide", "tall"])
def test_a_picture_is_within_one_grey_level_of_opencv(case: str) -> None:
    height, width = original_size(case)
    given_rows = FIXTURE[f"{case}.picture"]
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[: len(given_rows)] = given_rows
    first, expected = partial(case, "warped")
    warped = Letterbox((height, width), SIZE).picture(pixels, BORDER).permute(1, 2, 0).numpy()
    difference = abs(warped[first : first + len(expected)] - expected)
    assert difference.max() <= 1
    assert difference.mean() < 0.001


@pytest.mark.parametrize("case", ["wide", "tall"])
def test_a_mask_equals_that_of_opencv(case: str) -> None:
    warped = Letterbox(original_size(case), SIZE).mask(FIXTURE[f"{case}.mask"] > 0)
    assert (warped.numpy() * 255).round().astype(np.uint8).tolist() == FIXTURE[f"{case}.warped_mask"].tolist()


@pytest.mark.parametrize("case", ["wide", "tall"])
def test_a_restored_map_equals_that_of_opencv(case: str) -> None:
    first, rows = partial(case, "map")
    maps = torch.zeros(1, 1, SIZE, SIZE)
    maps[0, 0, first : first + len(rows)] = torch.from_numpy(rows)
    expected = FIXTURE[f"{case}.restored"].clip(0, 1)
    restored = Letterbox(original_size(case), SIZE).restore(maps)[0, : len(expected)].numpy()
    assert abs(restored - expected).max() < 1e-5


def test_small_maps_are_enlarged_as_pytorch_does() -> None:
    maps = torch.rand(3, 1, 104, 104, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    box = Letterbox((120, 200), SIZE)
    enlarged = F.interpolate(maps, size=(SIZE, SIZE), mode="bicubic", align_corners=True)
    assert torch.allclose(box.restore(maps), box.restore(enlarged), atol=2e-6)


def test_restoring_is_as_exact_under_autocast() -> None:
    maps, box = torch.rand(1, 1, 26, 26), Letterbox((120, 200), SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        restored = box.restore(maps)
    assert torch.equal(restored, box.restore(maps))


# Any picture


@settings(deadline=None)
@given(originals, st.integers(16, 100))
def test_the_picture_lies_inside_the_square_and_centred(original: tuple[int, int], size: int) -> None:
    box = Letterbox(original, size)
    corners = box.matrix @ np.array([[0, 0, 1], [original[1] - 1, original[0] - 1, 1]]).T
    assert (corners > -1e-9).all()
    assert (corners <= size - 1 + 1e-9 + max(0.0, 1 - box.scale)).all()
    # Centred in the official way: as much before index 0 as after index n (one beyond the last).
    beyond = box.matrix @ np.array([original[1], original[0], 1])
    assert np.allclose(beyond, size - box.matrix[:, 2])
    assert np.isclose(max(beyond - box.matrix[:, 2]), size)


@settings(deadline=None)
@given(originals, st.integers(16, 100))
def test_every_picture_gives_whole_grey_levels_and_keeps_the_border(original: tuple[int, int], size: int) -> None:
    warped = Letterbox(original, size).picture(np.full((*original, 3), 255, dtype=np.uint8), BORDER)
    assert warped.shape == (3, size, size)
    assert warped.dtype == torch.float32
    assert (warped == warped.round()).all()
    assert warped.min() >= min(BORDER) - 30  # the cubic's undershoot beside an edge
    assert warped.max() <= 255
    plain = Letterbox(original, size).picture(np.full((*original, 3), BORDER, dtype=np.uint8), BORDER)
    assert (plain == torch.tensor(BORDER)[:, None, None]).all()


@settings(deadline=None)
@given(originals, st.integers(16, 100), st.integers(0, 2**32))
def test_masks_stay_between_zero_and_one(original: tuple[int, int], size: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random(original) < 0.5
    warped = Letterbox(original, size).mask(mask)
    assert warped.shape == (size, size)
    assert 0 <= warped.min() <= warped.max() <= 1
    assert not Letterbox(original, size).mask(np.zeros(original, dtype=bool)).any()


@settings(deadline=None)
@given(st.tuples(st.integers(8, 60), st.integers(8, 60)), st.integers(120, 200))
def test_enlarging_and_back_is_nearly_the_identity(original: tuple[int, int], size: int) -> None:
    pixels = smooth(*original)
    box = Letterbox(original, size)
    # Channels as maps: what the picture path does forward, the map path undoes.
    back = box.restore((box.picture(pixels, (0, 0, 0)) / 255)[:, None]).permute(1, 2, 0).numpy() * 255
    inside = (slice(2, -2), slice(2, -2))  # at the picture's edge the border takes part
    assert abs(back[inside] - pixels[inside]).max() <= 2.5


@settings(deadline=None)
@given(st.tuples(st.integers(8, 60), st.integers(8, 60)), st.integers(120, 200), st.integers(0, 2**32))
def test_a_mask_enlarged_and_brought_back_is_the_same_mask(original: tuple[int, int], size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(original, dtype=bool)
    (top, bottom), (left, right) = (sorted(rng.integers(0, side + 1, 2)) for side in original)
    mask[top:bottom, left:right] = True
    box = Letterbox(original, size)
    back = box.restore(box.mask(mask)[None, None])[0].numpy() > 0.5
    # The last row or column may lie half a pixel outside the square.
    inside = (slice(1, -1), slice(1, -1))
    assert (back[inside] == mask[inside]).mean() > 0.99


@settings(deadline=None)
@given(originals, st.integers(16, 100), st.integers(1, 3), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_maps_of_any_size_come_back_at_the_pictures_size(
    original: tuple[int, int], size: int, count: int, map_size: tuple[int, int]
) -> None:
    restored = Letterbox(original, size).restore(torch.rand(count, 1, *map_size))
    assert restored.shape == (count, *original)
    assert restored.dtype == torch.float32
    assert 0 <= restored.min() <= restored.max() <= 1


@settings(deadline=None, max_examples=40)
@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(16, 64), st.integers(0, 2**32))
def test_the_banded_products_equal_sampling_pixel_by_pixel(original: tuple[int, int], size: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*original, 3), dtype=np.uint8)
    box = Letterbox(original, size)
    # grid_sample with zero border, on the picture less the border colour, is the plain definition.
    planes = torch.from_numpy(pixels.astype(np.float64) - BORDER).permute(2, 0, 1)
    y, x = (torch.arange(size).double().sub(shift).div(box.scale) for shift in box.shift)
    grid = torch.stack(torch.broadcast_tensors(normal(x, original[1])[None], normal(y, original[0])[:, None]), dim=-1)
    # One-pixel sides have no extent to normalise by: pad by a row and column of border.
    padded = F.pad(planes, (0, 1, 0, 1))[None]
    sampled = F.grid_sample(padded, grid[None], mode="bicubic", padding_mode="zeros", align_corners=True)[0]
    expected = (sampled + torch.tensor(BORDER).double()[:, None, None]).clamp(0, 255)
    assert (box.picture(pixels, BORDER) - expected).abs().max() <= 0.51


def normal(position: torch.Tensor, side: int) -> torch.Tensor:
    """Pixel indices of a side padded by one, as grid_sample counts them with aligned corners."""
    return position / side * 2 - 1
