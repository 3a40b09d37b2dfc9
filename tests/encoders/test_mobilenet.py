from typing import Literal

import pytest
import torch
from folded_mobilenet import folded_names
from torch.nn import functional as F

from referent.encoders.mobilenet import Conv, MobileNetV2, MobileNetV2Config, PyramidPooling, from_folded


@pytest.mark.parametrize("deeplab", [True, False, "beside"])
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_stages_have_the_channels_and_strides_they_state(
    deeplab: bool | Literal["beside"], size: tuple[int, int]
) -> None:
    encoder = MobileNetV2(MobileNetV2Config(deeplab=deeplab)).eval()
    with torch.inference_mode():
        maps = encoder(torch.rand(2, 3, *size))
    for feature_map, channels, stride in zip(maps, encoder.channels, encoder.strides, strict=True):
        assert feature_map.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize(("size", "before", "after"), [(8, 0, 1), (9, 1, 1)])
def test_a_stride_of_two_pads_as_tensorflow_does(size: int, before: int, after: int) -> None:
    conv = Conv(1, 1, 3, stride=2, relu6=False)
    picture = torch.rand(1, 1, size, size)
    padded = F.pad(picture, (before, after, before, after))
    expected = F.conv2d(padded, conv.convolution.weight, conv.convolution.bias, stride=2)
    torch.testing.assert_close(conv(picture), expected)


def test_the_activation_is_clipped_at_six() -> None:
    conv = Conv(1, 1)
    torch.nn.init.constant_(conv.convolution.weight, 100.0)
    assert conv(torch.ones(1, 1, 2, 2)).max() == 6


def test_public_names_fill_every_parameter_and_the_classifier_is_left_out() -> None:
    state = folded_names() | {"logits.weight": torch.zeros(21, 256, 1, 1), "logits.bias": torch.zeros(21)}
    assert "blocks.0.depthwise.weight" in state
    assert "blocks.16.project.bias" in state
    assert "aspp.pool.weight" in state
    encoder = MobileNetV2(MobileNetV2Config())
    encoder.load_state_dict(from_folded(state))
    torch.testing.assert_close(
        encoder.stages[3][3].project.convolution.bias, state["blocks.16.project.bias"].float(), rtol=0, atol=0
    )


def test_what_the_head_makes_stands_beside_what_it_reads() -> None:
    beside = MobileNetV2(MobileNetV2Config(deeplab="beside"))
    beside.load_state_dict(from_folded(folded_names()))
    plain = MobileNetV2(MobileNetV2Config(deeplab=False))
    plain.load_state_dict({name: beside.state_dict()[name] for name in plain.state_dict()})
    image = torch.rand(1, 3, 64, 96)
    both, alone = beside(image)[-1], plain(image)[-1]
    torch.testing.assert_close(both[:, :320], alone)
    torch.testing.assert_close(both[:, 320:], PyramidPooling.forward(beside.finish, alone))


def test_dilation_takes_the_place_of_the_last_stride() -> None:
    encoder = MobileNetV2(MobileNetV2Config(deeplab=True))
    depthwise = [block.depthwise.convolution for block in encoder.stages[3]]
    assert [conv.dilation[0] for conv in depthwise] == [1, 2, 2, 2]
    assert all(conv.stride[0] == 1 for conv in depthwise)
