"""Classifiers' ResNets, by torchvision's names, as the start of an image encoder and of a mask encoder."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from referent.encoders.resnet import ResNet, ResNetConfig
from referent.encoders.resnet_weights import load_resnet
from referent.errors import WeightsError
from referent.models.unirefpp.config import MaskEncoderConfig
from referent.models.unirefpp.mask_encoder import MaskEncoder
from referent.models.unirefpp.mask_encoder_weights import load_torchvision

WIDTH = 4


def norm(name: str, channels: int, generator: torch.Generator) -> dict[str, Tensor]:
    parts = ("weight", "bias", "running_mean", "running_var")
    state = {f"{name}.{part}": torch.rand(channels, generator=generator) for part in parts}
    return {**state, f"{name}.num_batches_tracked": torch.tensor(7)}


def classifier(kernels: tuple[int, ...], expansion: int) -> dict[str, Tensor]:
    """One block a stage: `kernels` of its convolutions, `expansion` of its channels."""
    generator = torch.Generator().manual_seed(0)

    def convolution(outside: int, inside: int, kernel: int) -> Tensor:
        return torch.randn(outside, inside, kernel, kernel, generator=generator)

    state = {"conv1.weight": convolution(WIDTH, 3, 7), **norm("bn1", WIDTH, generator)}
    inside = WIDTH
    for stage in range(4):
        width = WIDTH << stage
        outside, before, own = width * expansion, inside, f"layer{stage + 1}.0"
        for number, kernel in enumerate(kernels, 1):
            after = outside if number == len(kernels) else width
            state[f"{own}.conv{number}.weight"] = convolution(after, before, kernel)
            state |= norm(f"{own}.bn{number}", after, generator)
            before = after
        if outside != inside or stage:
            state[f"{own}.downsample.0.weight"] = convolution(outside, inside, 1)
            state |= norm(f"{own}.downsample.1", outside, generator)
        inside = outside
    return state | {"fc.weight": torch.zeros(10, inside), "fc.bias": torch.zeros(10)}


def saved(state: dict[str, Tensor], path: Path) -> Path:
    save_file(state, path)
    return path


def test_an_image_encoder_takes_a_classifiers_weights(tmp_path: Path) -> None:
    state = classifier((1, 3, 1), expansion=4)
    encoder = ResNet(ResNetConfig(depths=(1, 1, 1, 1), width=WIDTH))
    load_resnet(encoder, saved(state, tmp_path / "model.safetensors"))
    own = encoder.state_dict()
    assert torch.equal(own["stem.first.convolution.weight"], state["conv1.weight"])
    assert torch.equal(own["stages.2.0.spatial.norm.running_var"], state["layer3.0.bn2.running_var"])
    assert torch.equal(own["stages.1.0.shortcut.convolution.weight"], state["layer2.0.downsample.0.weight"])


def test_a_mask_encoder_takes_them_with_a_channel_more_and_biases_of_zero(tmp_path: Path) -> None:
    state = classifier((3, 3), expansion=1)
    encoder = MaskEncoder(MaskEncoderConfig(depths=(1, 1, 1, 1), width=WIDTH), 32)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    load_torchvision(encoder, saved(state, tmp_path / "model.safetensors"))
    own = encoder.state_dict()
    assert torch.equal(own["stem.weight"][:, :3], state["conv1.weight"])
    assert torch.equal(own["stem.weight"][:, 3:], before["stem.weight"][:, 3:])
    assert not own["stages.3.0.conv2.bias"].any()
    assert torch.equal(own["stages.3.0.norm2.bias"], state["layer4.0.bn2.bias"])
    assert torch.equal(own["stages.1.0.shortcut.1.weight"], state["layer2.0.downsample.1.weight"])
    assert torch.equal(own["fusers.0.first.conv1.weight"], before["fusers.0.first.conv1.weight"])


@pytest.mark.parametrize("fill", [load_torchvision, load_resnet])
def test_another_resnet_is_refused(tmp_path: Path, fill: object) -> None:
    state = classifier((3, 3) if fill is load_resnet else (1, 3, 1), expansion=1 if fill is load_resnet else 4)
    path = saved(state, tmp_path / "model.safetensors")
    encoder = (
        ResNet(ResNetConfig(depths=(1, 1, 1, 1), width=WIDTH))
        if fill is load_resnet
        else MaskEncoder(MaskEncoderConfig(depths=(1, 1, 1, 1), width=WIDTH), 32)
    )
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        fill(encoder, path)  # type: ignore[operator]
