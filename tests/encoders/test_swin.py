"""Swin against transformers', and its weights in every layout."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from referent.encoders.keymap import to_theirs
from referent.encoders.swin import DropPath, Swin, SwinConfig
from referent.encoders.swin_weights import load_swin, swin_config, swin_rows
from referent.errors import WeightsError

TINY = SwinConfig(width=8, depths=(2, 2), heads=(1, 2), window=4)


def tiny(config: SwinConfig = TINY) -> Swin:
    torch.manual_seed(0)
    model = Swin(config).eval()
    for parameter in model.parameters():  # larger than at the start, so that every part shows
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A tiny Swin of transformers and the folder that it was saved into."""
    from transformers import SwinConfig as TheirConfig
    from transformers import SwinModel

    torch.manual_seed(1)
    config = TheirConfig(embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=4, image_size=64)
    model = SwinModel(config, add_pooling_layer=False).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("swin")
    model.save_pretrained(folder)
    return folder, model


@pytest.mark.parametrize("size", [(64, 64), (50, 66), (40, 72)])
def test_maps_are_those_of_transformers(theirs: tuple[Path, torch.nn.Module], size: tuple[int, int]) -> None:
    folder, reference = theirs
    ours = Swin(TINY).eval()
    load_swin(ours, folder)
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    seen: list[Tensor] = []
    for layer in reference.encoder.layers:  # type: ignore[union-attr]
        layer.blocks[-1].register_forward_hook(lambda _module, _args, out: seen.append(out))
    with torch.no_grad():
        reference(image)
        maps = ours(image)
    assert len(maps) == len(seen) == 2
    for found, expected in zip(maps, seen, strict=True):
        expected = expected[0] if isinstance(expected, tuple) else expected
        assert torch.allclose(found.flatten(2).transpose(1, 2), expected, atol=1e-4)


def test_stages_halve_the_map_and_double_the_channels() -> None:
    maps = tiny()(torch.randn(1, 3, 50, 66))
    assert [tuple(m.shape) for m in maps] == [(1, 8, 13, 17), (1, 16, 7, 9)]
    assert (tiny().channels, tiny().strides) == ((8, 16), (4, 8))


@pytest.mark.parametrize("wrap", ["", "module.", "backbone.", "encoder."])
def test_microsofts_files_load_with_any_wrapping(tmp_path: Path, wrap: str) -> None:
    model = tiny()
    state = {wrap + name: value for name, value in to_theirs(model.state_dict(), swin_rows(TINY)).items()}
    state[f"{wrap}layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
    state[f"{wrap}layers.0.blocks.1.attn_mask"] = torch.zeros(4, 16, 16)
    state |= {f"{wrap}norm.weight": torch.zeros(16), f"{wrap}head.weight": torch.zeros(3, 16)}
    path = tmp_path / "swin.pth"
    torch.save({"model": state, "epoch": 3}, path)
    again = Swin(TINY)
    load_swin(again, path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_tables_of_another_window_are_resized(tmp_path: Path) -> None:
    save_file(to_theirs(tiny().state_dict(), swin_rows(TINY)), tmp_path / "model.safetensors")
    wider = Swin(TINY.model_copy(update={"window": 6}))
    load_swin(wider, tmp_path)
    assert wider.state_dict()["stages.0.blocks.0.attention.position_bias"].shape == (121, 1)


def test_another_swin_is_refused_and_named(tmp_path: Path) -> None:
    save_file(to_theirs(tiny().state_dict(), swin_rows(TINY)), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="width=8"):
        load_swin(Swin(TINY.model_copy(update={"width": 16})), tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a Swin"):
        load_swin(Swin(TINY), tmp_path)
    with pytest.raises(WeightsError, match="expected one of"):
        load_swin(Swin(TINY), tmp_path / "..")


def test_the_configuration_follows_from_names_and_shapes() -> None:
    assert swin_config(to_theirs(tiny().state_dict(), swin_rows(TINY))) == TINY
    with torch.device("meta"):
        large = Swin(SwinConfig.large())
    assert swin_config(to_theirs(large.state_dict(), swin_rows(SwinConfig.large()))) == SwinConfig.large()


def test_an_impossible_configuration_is_refused() -> None:
    with pytest.raises(ValidationError, match="divisor"):
        SwinConfig(width=10)
    with pytest.raises(ValidationError, match="one entry a stage"):
        SwinConfig(heads=(4, 8))


def test_stochastic_depth_leaves_branches_out_in_training_only() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.5)
    x = torch.ones(400, 2)
    dropped = drop.train()(x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert 0.3 < (dropped == 0).float().mean() < 0.7
    assert torch.equal(drop.eval()(x), x)
