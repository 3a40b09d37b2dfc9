"""UniFusion inside SAM ViT-H against recorded outputs of the official code.

The model has 760 million parameters and sees pictures of 1024 pixels: the masks are compared only where the environment
sets REFERENT_LARGE_PARITY=1 (8 GiB of memory, some minutes of one core).
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded
import seeded_magnet
import seeded_sam
import seeded_unirefpp
import torch
from recording import brief
from torch import Tensor
from torch.nn import functional as F

from referent.models.base import Batch, Studied
from referent.models.unirefpp.sam import UniRefSam, UniRefSamConfig
from referent.models.unirefpp.sam.official import config_of, from_official, to_official

HERE = Path(__file__).parent
# A tenth of it is what the recording's own repetition on another path differs by.
MASK, FEATURES = 2e-3, 5e-4
SIDE = 1024

pytestmark = pytest.mark.slow


def shapes() -> dict[str, list[int]]:
    content: dict[str, list[int]] = json.loads((HERE / "keys" / "unirefpp_sam_h.json").read_text())
    return content


def test_all_names_go_to_ours_and_back() -> None:
    kinds = {name: torch.long if name.endswith("num_batches_tracked") else torch.float for name in shapes()}
    official = {name: torch.empty(shape, dtype=kinds[name], device="meta") for name, shape in shapes().items()}
    config = config_of(official)
    assert config == UniRefSamConfig.vit_h()
    back = to_official(from_official(official), config)
    assert {name: list(value.shape) for name, value in back.items()} == shapes()
    with torch.device("meta"):
        model = UniRefSam(config)
    # The 256 numbers of the places' encoding are a buffer in Meta's code.
    assert sum(parameter.numel() for parameter in model.parameters()) == 759_998_947 + 256


class Recorded:
    """The recording, our model with its weights, and one look at its picture."""

    def __init__(self) -> None:
        self.arrays = np.load(HERE / "unirefpp" / "unirefpp_sam_h.npz")
        self.meta: dict[str, Any] = json.loads(str(self.arrays["meta"]))
        self.seed: int = self.meta["seed"]
        official = seeded_sam.fill(shapes(), self.seed)
        assert seeded.digest(official) == self.meta["weights"]["sha256"]
        with torch.device("meta"):
            self.model = UniRefSam(config_of(official))
        self.model.load_state_dict(from_official(official), assign=True)
        self.model.eval()
        self.image = seeded_magnet.rgb(self.seed, "sam/image", *self.meta["cases"]["sam/ris"]["net_size"])[None]
        self.sight = self.model.look_at(self.image)

    def check(self, name: str, found: Tensor) -> None:
        assert np.abs(brief(found)[1:] - self.arrays[f"brief:{name}"][1:]).max() <= FEATURES, name

    def assert_answers(self, case: str, batch: Batch) -> None:
        kept: dict[str, Any] = {}
        handles = [
            self.model.fusion.register_forward_hook(lambda _m, _g, result: kept.update(fused=result)),
            self.model.sam.mask_decoder.register_forward_hook(
                lambda _m, _g, given, result: kept.update(given, masks=result[0], iou=result[1]), with_kwargs=True
            ),
        ]
        logits = self.model.answer(self.sight, batch).logits
        for handle in handles:
            handle.remove()
        self.check(f"{case}/image_embedding", self.sight[0])
        self.check(f"{case}/fused", kept["fused"])
        self.check(f"{case}/sparse", kept["sparse_prompt_embeddings"])
        assert np.abs(kept["masks"][0, 0, 0].numpy() - self.arrays[f"{case}/mask_low"]).max() <= MASK
        assert float(kept["iou"]) == pytest.approx(float(self.arrays[f"{case}/iou"][0]), abs=1e-4)
        about = self.meta["cases"][case.removeprefix("fp32/")]
        final = F.interpolate((logits > 0).float(), (about["height"], about["width"]))[0, 0].numpy()
        expected = np.unpackbits(self.arrays[f"bits:{case}/final"], count=final.size).reshape(final.shape)
        assert (final != expected).mean() <= self.meta["tolerance"]["binary_fraction"]


@pytest.mark.skipif(os.environ.get("REFERENT_LARGE_PARITY") != "1", reason="set REFERENT_LARGE_PARITY=1 to run it")
@torch.inference_mode()
def test_masks_of_a_phrase_and_of_an_example_are_those_of_the_official_code() -> None:
    recorded = Recorded()
    seed, about = recorded.seed, recorded.meta["cases"]
    tokens = seeded_magnet.bert_ids(seed, "sam/e0", about["sam/ris"]["words"], 77)
    recorded.assert_answers("fp32/sam/ris", Batch.paired(recorded.image, tokens[None]))
    height, width = about["sam/fss"]["support_size"]
    support = seeded_magnet.rgb(seed, "sam/support", height, width)[None]
    mask = seeded_unirefpp.box_mask(seed, "sam/mask", height, width)[None]
    # Their mask of the padding misses it, so that all of the square is read: as if the picture filled it.
    filled = (F.pad(picture, (0, SIDE - width, 0, SIDE - height)) for picture in (support, mask))
    studied = recorded.model.study(*filled, torch.tensor([[SIDE, SIDE]]))
    recorded.check("fp32/sam/fss/ref_values", studied[1].transpose(1, 2).reshape(1, -1, 64, 64))
    one = torch.zeros(1, dtype=torch.int64)
    asked = Batch(recorded.image, torch.zeros(1, 3).long(), one, examples=Studied((studied,), one))
    recorded.assert_answers("fp32/sam/fss", asked)
