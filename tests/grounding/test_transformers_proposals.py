"""Detectors and SAM through `transformers`: tiny ones with random weights, saved to a folder."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import pytest
import torch

from referent.errors import WeightsError
from referent.grounding.proposals.detector import DetectorProposals
from referent.grounding.proposals.sam import Sam, SamProposals
from referent.rle import decode

from .tiny import picture

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("detr")
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        num_queries=7,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_labels=3,
    )
    transformers.DetrForObjectDetection(config).save_pretrained(folder)
    transformers.DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("owl")
    letters = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase)]
    vocabulary = {token: number for number, token in enumerate(["!", *letters, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    count = len(vocabulary)
    text = {"vocab_size": count, "bos_token_id": count - 2, "eos_token_id": count - 1, "max_position_embeddings": 16}
    config = transformers.Owlv2Config(
        text_config={**small, **text}, vision_config={**small, "image_size": 32, "patch_size": 16}, projection_dim=16
    )
    transformers.Owlv2ForObjectDetection(config).save_pretrained(folder)
    pixels = transformers.Owlv2ImageProcessor(size={"height": 32, "width": 32})
    words = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    transformers.Owlv2Processor(pixels, words).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("sam")
    vision = transformers.SamVisionConfig(
        hidden_size=16,
        output_channels=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
        mlp_dim=16,
        global_attn_indexes=[0],
        window_size=2,
        num_pos_feats=8,
    )
    prompt = transformers.SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = transformers.SamMaskDecoderConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, mlp_dim=16, iou_head_hidden_dim=16, iou_head_depth=2
    )
    config = transformers.SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    transformers.SamModel(config).save_pretrained(folder)
    processor = transformers.SamImageProcessor(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    transformers.SamProcessor(processor).save_pretrained(folder)
    return folder


def test_a_detector_in_a_folder_proposes_its_boxes(detr: Path) -> None:
    proposals = DetectorProposals(detr, min_score=0.0).propose(picture(), "any.jpg")
    assert len(proposals) == 7
    assert proposals.masks == (None,) * 7
    centres = proposals.boxes[:, :2] + proposals.boxes[:, 2:] / 2
    assert ((centres > 0) & (centres < [64, 48])).all()


def test_what_a_detector_is_not_sure_of_is_no_proposal(detr: Path) -> None:
    proposals = DetectorProposals(detr, min_score=0.99).propose(picture(), "any.jpg")
    assert proposals.notes == ("no proposals: the answer is the whole picture",)


def test_a_detector_that_is_asked_in_words_proposes_its_boxes(owl: Path) -> None:
    source = DetectorProposals(owl, min_score=0.0, labels=("dog", "cat"))
    proposals = source.propose(picture(), "any.jpg")
    assert len(proposals) >= 1
    assert source.labels == ["dog", "cat"]
    assert (proposals.boxes[:, 2:] > 0).all()


def test_sam_draws_what_is_in_a_box(sam: Path) -> None:
    model = Sam(sam)
    first, second = (model.mask_in(picture(), box) for box in ((3, 4, 20, 17), (30, 10, 30, 30)))
    assert first.shape == second.shape == (48, 64)
    assert first.dtype == bool


def test_sam_proposes_every_distinct_mask_of_a_grid_of_points(sam: Path) -> None:
    source = SamProposals(Sam(sam), points_a_side=3, min_quality=-9.0, min_stability=0.0)
    proposals = source.propose(picture(), "any.jpg")
    assert source.name == f"masks of {sam}"
    for box, mask in zip(proposals.boxes, proposals.masks, strict=True):
        assert mask is not None
        x, y, width, height = box.astype(int)
        inside = decode(mask)[y : y + height, x : x + width]
        assert inside.sum() == decode(mask).sum() > 0
    strict = SamProposals(Sam(sam), points_a_side=3, min_quality=99.0)
    assert strict.propose(picture(), "any.jpg").notes == ("no proposals: the answer is the whole picture",)


def test_a_mask_of_sam_covers_the_picture_and_not_its_padding(sam: Path) -> None:
    model = Sam(sam)
    logits = torch.full((16, 16), -1.0)
    logits[:12] = 1.0  # the upper 48 of 64 rows: where a 64 x 48 picture lies
    assert model.full_size(logits, picture()).mean() > 0.9
    assert np.array_equal(model.full_size(-logits, picture()), ~model.full_size(logits, picture()))


@pytest.mark.parametrize("kind", [DetectorProposals, Sam])
def test_what_is_no_such_model_is_named(tmp_path: Path, kind: type) -> None:
    with pytest.raises(WeightsError, match=r"expected a (detector|SAM) that transformers can load"):
        kind(tmp_path)


def test_a_detector_is_no_sam_and_a_sam_no_detector(detr: Path, sam: Path) -> None:
    with pytest.raises(WeightsError, match="expected a SAM, found detr"):
        Sam(detr)
    with pytest.raises(WeightsError, match="expected a detector that transformers can load"):
        DetectorProposals(sam)
