from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from referent.grounding.isolation import Isolation

from .tiny import BOXES, picture

FIXTURES = json.loads((Path(__file__).parents[1] / "parity" / "reclip" / "reclip_ips.json").read_text())["items"]


@pytest.mark.parametrize("item", FIXTURES, ids=lambda item: f"{item['method']}-{item['sigma']}-{item['box']}")
def test_isolated_proposals_are_the_official_ones_bit_for_bit(item: dict[str, Any]) -> None:
    isolation = Isolation(picture(), np.array([item["box"]], dtype=np.float64), item["sigma"] or 100)
    image = isolation(0, item["method"])
    resized = image.resize((32, 32), Image.Resampling.BICUBIC)
    assert list(image.size) == item["size"]
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == item["sha16"]
    assert hashlib.sha256(resized.tobytes()).hexdigest()[:16] == item["resize32_sha16"]


def box_blurred(values: NDArray[np.int64], sigma: float) -> NDArray[np.int64]:
    """Three extended box filters along the first axis, each rounded to 8 bit; edges repeat."""
    variance = sigma**2 / 3
    low = math.floor((math.sqrt(12 * variance + 1) - 1) / 2)
    rest = (2 * low + 1) * (low * (low + 1) - 3 * variance) / (6 * (variance - (low + 1) ** 2))
    radius = np.float32(low + rest)
    whole = int(radius)
    weight = int(np.float32(2**24) / (2 * radius + 1))
    edge = (2**24 - (2 * whole + 1) * weight) // 2
    for _ in range(3):
        rows = np.arange(len(values))

        def at(offset: int, values: NDArray[np.int64] = values, rows: NDArray[Any] = rows) -> NDArray[np.int64]:
            return values[np.clip(rows + offset, 0, len(values) - 1)]

        inside = sum(at(offset) for offset in range(-whole, whole + 1))
        values = (weight * inside + edge * (at(-whole - 1) + at(whole + 1)) + 2**23) >> 24
    return values


@pytest.mark.parametrize("sigma", [1, 5, 20, 100])
def test_the_blur_is_six_box_filters_in_whole_numbers(sigma: int) -> None:
    image = picture(70, 90)
    across = box_blurred(np.asarray(image).astype(np.int64).swapaxes(0, 1), sigma).swapaxes(0, 1)
    expected = box_blurred(across, sigma)
    np.testing.assert_array_equal(np.asarray(Isolation(image, BOXES, sigma).blurred), expected)


def test_a_picture_is_blurred_once_however_many_proposals_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    blur = ImageFilter.GaussianBlur.filter
    monkeypatch.setattr(ImageFilter.GaussianBlur, "filter", lambda self, image: (calls.append(1), blur(self, image))[1])
    isolation = Isolation(picture(), BOXES)
    for index in range(len(BOXES)):
        isolation(index, "blur")
    assert len(calls) == 1


@pytest.mark.parametrize("box", [[5.2, 5.2, 0.2, 9], [63.6, 47.6, 0.3, 0.3], [-3, 10, 3.2, 4], [64, 48, 0, 0]])
def test_a_sliver_keeps_a_pixel(box: list[float]) -> None:
    isolation = Isolation(picture(), np.array([box]))
    assert min(isolation(0, "crop").size) == 1
    assert isolation(0, "blur").size == isolation(0, "shade").size == (64, 48)
