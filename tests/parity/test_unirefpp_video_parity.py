"""UniRef++ on videos against recorded outputs of the official code: masks with memory, a phrase with memory.

Each frame is shown what the official code remembered of the frame before, so that a pixel that falls otherwise does not
grow over frames.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import seeded_magnet
import seeded_unirefpp
import torch
from torch import Tensor
from unirefpp_recording import MASK, SHARE, recorded

from referent.engine import Encoded, Engine
from referent.models.unirefpp import UniRef
from referent.preparation import Preparation
from referent.tracking.follower import Followed, Follower
from referent.tracking.objects import Name
from referent.tracking.procedure import PROCEDURES

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _as_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inference form rounds otherwise, by which proposals change places; it is held to the model elsewhere."""
    monkeypatch.setattr(UniRef, "for_inference", lambda self, *_: self)


class Taught(Follower):
    """Remembers recorded masks, not its own."""

    def __init__(self, model: UniRef, procedure: str) -> None:
        model.fusion.in_bfloat16 = False
        preparation = Preparation(size=240, longest=1333, fit="shortest", threshold=0.5)
        super().__init__(Engine(model, "cpu"), preparation, PROCEDURES[procedure])
        self.recorded: dict[Name, Tensor] = {}

    def _remember(self, encoded: Encoded, masks: Mapping[Name, Tensor], given: Mapping[Name, Tensor]) -> None:
        super()._remember(encoded, self.recorded, given)


class Frame:
    """One answered frame, with what the model drew at stride 4."""

    def __init__(self, follower: Follower, image: Tensor, size: tuple[int, int], given: Mapping[Name, Tensor]) -> None:
        drawn: list[Tensor] = []
        head = follower.engine.model.get_submodule("mask_head")
        handle = head.register_forward_hook(lambda _module, _given, result: drawn.append(result))
        self.followed: Followed = follower.step(image, size, given)
        handle.remove()
        self.drawn = drawn[0][:, 0].numpy() if drawn else np.zeros(0)

    def assert_as_recorded(self, arrays: Any, prefix: str, row: int) -> None:
        assert self.followed.scores[row] == pytest.approx(float(arrays[f"{prefix}/score"][0]), abs=SHARE)
        assert np.abs(self.drawn[row] - arrays[f"{prefix}/mask_low"]).max() <= MASK


def test_two_objects_are_followed_by_their_masks_as_the_official_code_follows_them(r50: UniRef) -> None:
    arrays, meta = recorded("r50_vos")
    about = meta["cases"]["vos"]
    size = (about["height"], about["width"])
    images, masks = seeded_unirefpp.clip(meta["seed"], *about["net_size"], frames=4, objects=2)
    follower = Taught(r50, "davis-2017")
    assert follower.procedure.threshold == about["threshold"]
    for number in (1, 2):
        follower.begin(number, torch.zeros(77, dtype=torch.int64))
    for index, image in enumerate(images):
        labels = arrays[f"fp32/vos/f{index}/labels"]
        follower.recorded = {number: torch.from_numpy(labels == number) for number in (1, 2)}
        given = {number: masks[0][number - 1 : number] for number in (1, 2)} if index == 0 else {}
        frame = Frame(follower, image, size, given)
        found = frame.followed.masks[0].numpy() + 2 * frame.followed.masks[1].numpy()
        assert (found != labels).mean() <= meta["tolerance"]["binary_fraction"]
        for number in (1, 2) if index else ():
            frame.assert_as_recorded(arrays, f"fp32/vos/f{index}/o{number}", number - 1)


def test_a_phrase_is_followed_with_its_first_and_previous_mask_as_the_official_code_does(r50: UniRef) -> None:
    arrays, meta = recorded("r50_rvos")
    about = meta["cases"]["rvos"]
    size = (about["height"], about["width"])
    images, _ = seeded_unirefpp.clip(meta["seed"], *about["net_size"], frames=4, objects=2)
    follower = Taught(r50, "ref-youtube-vos")
    assert follower.procedure.threshold == about["threshold"]
    follower.begin("it", seeded_magnet.bert_ids(meta["seed"], "rvos/e0", about["words"], 77))
    for index, image in enumerate(images[:3]):
        bits = arrays[f"bits:fp32/rvos/f{index}/binary"]
        binary = np.unpackbits(bits, count=size[0] * size[1]).reshape(size).astype(bool)
        follower.recorded = {"it": torch.from_numpy(binary)}
        frame = Frame(follower, image, size, {})
        assert (frame.followed.masks[0].numpy() != binary).mean() <= meta["tolerance"]["binary_fraction"]
        frame.assert_as_recorded(arrays, f"fp32/rvos/f{index}", 0)
