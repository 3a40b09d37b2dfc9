"""CLIP's weights in all the forms in which people have them, and files that must be refused."""

import contextlib
import json
import os
import pickle
import random
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from referent.encoders.clip import CLIPResNet, CLIPTextEncoder, CLIPViT
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.clip_weights import load_clip_image, load_clip_text, read_clip
from referent.encoders.foreign import read_foreign
from referent.encoders.keymap import to_theirs
from referent.errors import WeightsError

RESNET = CLIPResNetConfig(blocks=(1, 2, 1, 1), width=8, embed=12, grid=2)
VIT = CLIPViTConfig(patch=8, width=64, depths=(1, 1, 1), embed=12, grid=3)
TEXT = CLIPTextConfig(width=64, layers=1, heads=1, context=9, embed=12)


def openai_state(image: CLIPResNetConfig | CLIPViTConfig) -> dict[str, Tensor]:
    """A random CLIP under OpenAI's names; a ResNet without the `connect` that CLIP lacks."""
    torch.manual_seed(3)
    encoder: nn.Module = CLIPViT(image) if isinstance(image, CLIPViTConfig) else CLIPResNet(image)
    ours = {name: value for name, value in encoder.state_dict().items() if "connect" not in name}
    return to_theirs(ours, image_rows(image)) | to_theirs(CLIPTextEncoder(TEXT).state_dict(), text_rows(TEXT))


def same(found: dict[str, Tensor], image: CLIPResNetConfig | CLIPViTConfig) -> bool:
    expected = openai_state(image)
    is_image = any(name.startswith("stem.") for name in found)
    back = to_theirs(found, image_rows(image) if is_image else text_rows(TEXT))
    return all(torch.equal(value, expected[name]) for name, value in back.items())


class Node(nn.Module):
    """A module tree with the given dotted names, to be scripted."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        children: dict[str, dict[str, Tensor]] = {}
        for name, value in state.items():
            head, dot, rest = name.partition(".")
            if dot:
                children.setdefault(head, {})[rest] = value
            elif value.is_floating_point():
                self.register_parameter(head, nn.Parameter(value))
            else:
                self.register_buffer(head, value)
        for head, part in children.items():
            self.add_module(head, Node(part))

    def forward(self, x: Tensor) -> Tensor:
        return x


def script(state: dict[str, Tensor], path: Path) -> Path:
    facts = {name: torch.tensor(3) for name in ("input_resolution", "context_length", "vocab_size")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but it is how OpenAI's archives were made
        torch.jit.trace(Node(state | facts), torch.zeros(1), check_trace=False).save(str(path))
    return path


@pytest.mark.parametrize("image", [RESNET, VIT], ids=["resnet", "vit"])
def test_a_torchscript_archive_is_read(tmp_path: Path, image: CLIPResNetConfig | CLIPViTConfig) -> None:
    weights = read_clip(script(openai_state(image), tmp_path / "clip.pt"))
    assert (weights.image, weights.text) == (image, TEXT)
    assert same(weights.image_state, image)
    assert same(weights.text_state, image)


def test_half_precision_archives_become_single(tmp_path: Path) -> None:
    state = {name: v.half() if v.is_floating_point() else v for name, v in openai_state(RESNET).items()}
    weights = read_clip(script(state, tmp_path / "clip.pt"))
    assert {value.dtype for value in weights.text_state.values()} == {torch.float32}
    assert torch.equal(weights.image_state["stem.conv1.weight"], state["visual.conv1.weight"].float())


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_plain_state_dict_is_read(tmp_path: Path, wrapped: bool) -> None:
    state = openai_state(RESNET)
    content = {"epoch": 1, "state_dict": {f"module.{k}": v for k, v in state.items()}} if wrapped else state
    torch.save(content, tmp_path / "clip.pth")
    assert same(read_clip(tmp_path / "clip.pth").image_state, RESNET)


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin"])
@pytest.mark.parametrize("quick", [True, False])
def test_a_folder_of_open_clip_is_read(tmp_path: Path, name: str, quick: bool) -> None:
    state = {key: value.contiguous() for key, value in openai_state(VIT).items()}
    if name.endswith("safetensors"):
        save_file(state, tmp_path / name)
    else:
        torch.save(state, tmp_path / name)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"quick_gelu": quick}}))
    weights = read_clip(tmp_path)
    assert same(weights.image_state, VIT)
    assert weights.text.activation == ("quick_gelu" if quick else "gelu")


def transformers_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as transformers' CLIPModel names them, written out by hand."""
    renamed: dict[str, Tensor] = {
        "logit_scale": state["logit_scale"],
        "text_projection.weight": state["text_projection"].T,
        "visual_projection.weight": state["visual.proj"].T,
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "text_model.embeddings.position_ids": torch.arange(9)[None],
        "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"],
    }
    for ours, theirs in (
        ("ln_final", "text_model.final_layer_norm"),
        ("visual.ln_pre", "vision_model.pre_layrnorm"),
        ("visual.ln_post", "vision_model.post_layernorm"),
    ):
        for leaf in ("weight", "bias"):
            renamed[f"{theirs}.{leaf}"] = state[f"{ours}.{leaf}"]
    for tower, count in (("", 1), ("visual.", 3)):
        model = "vision_model" if tower else "text_model"
        for number in range(count):
            block, layer = f"{tower}transformer.resblocks.{number}", f"{model}.encoder.layers.{number}"
            for leaf in ("weight", "bias"):
                packed = state[f"{block}.attn.in_proj_{leaf}"].chunk(3)
                for name, part in zip("qkv", packed, strict=True):
                    renamed[f"{layer}.self_attn.{name}_proj.{leaf}"] = part
                for ours, theirs in (
                    ("attn.out_proj", "self_attn.out_proj"),
                    ("ln_1", "layer_norm1"),
                    ("ln_2", "layer_norm2"),
                    ("mlp.c_fc", "mlp.fc1"),
                    ("mlp.c_proj", "mlp.fc2"),
                ):
                    renamed[f"{layer}.{theirs}.{leaf}"] = state[f"{block}.{ours}.{leaf}"]
    return {name: value.contiguous() for name, value in renamed.items()}


def test_a_folder_of_transformers_is_read(tmp_path: Path) -> None:
    save_file(transformers_state(openai_state(VIT)), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"hidden_act": "gelu"}}))
    weights = read_clip(tmp_path)
    assert same(weights.image_state, VIT)
    assert same(weights.text_state, VIT)
    assert weights.image == VIT.model_copy(update={"activation": "gelu"})


def test_our_encoders_compute_what_transformers_does(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={
            "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 1,
            "max_position_embeddings": 9, "projection_dim": 12, "vocab_size": 49408, "eos_token_id": 49407,
        },
        vision_config={
            "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 1,
            "image_size": 24, "patch_size": 8, "projection_dim": 12,
        },
        projection_dim=12,
    )  # fmt: skip
    theirs = transformers.CLIPModel(config).eval()
    theirs.save_pretrained(tmp_path)
    weights = read_clip(tmp_path)
    image_encoder, text_encoder = CLIPViT(weights.image).eval(), CLIPTextEncoder(weights.text).eval()  # type: ignore[arg-type]
    load_clip_image(image_encoder, weights)
    load_clip_text(text_encoder, weights)
    image, tokens = torch.randn(2, 3, 24, 24), torch.tensor([[49406, 5, 49407, 0], [49406, 9, 320, 49407]])
    with torch.no_grad():
        seen = theirs.visual_projection(theirs.vision_model(image).pooler_output)
        read = theirs.text_projection(theirs.text_model(tokens).pooler_output)
        assert torch.allclose(image_encoder.vector(image), seen, atol=1e-5)
        assert torch.allclose(text_encoder(tokens)[1], read, atol=1e-5)


def test_loading_keeps_the_connection_that_clip_lacks_at_its_start(tmp_path: Path) -> None:
    torch.save(openai_state(RESNET), tmp_path / "clip.pth")
    encoder = CLIPResNet(RESNET)
    before = encoder.finish.connect[0].weight.clone()  # type: ignore[index, union-attr]
    load_clip_image(encoder, read_clip(tmp_path / "clip.pth"))
    assert torch.equal(encoder.finish.connect[0].weight, before)  # type: ignore[index, union-attr]
    assert torch.equal(encoder.stem.conv1.weight, openai_state(RESNET)["visual.conv1.weight"])  # type: ignore[union-attr]


def test_a_positional_table_of_another_grid_is_resized(tmp_path: Path) -> None:
    torch.save(openai_state(VIT), tmp_path / "clip.pth")
    encoder = CLIPViT(VIT.model_copy(update={"grid": 5}))
    load_clip_image(encoder, read_clip(tmp_path / "clip.pth"))
    assert encoder.stem.positions.shape == (26, 64)


def test_weights_of_another_clip_do_not_load(tmp_path: Path) -> None:
    torch.save(openai_state(VIT), tmp_path / "clip.pth")
    weights = read_clip(tmp_path / "clip.pth")
    with pytest.raises(WeightsError, match="another image encoder"):
        load_clip_image(CLIPResNet(RESNET), weights)
    with pytest.raises(WeightsError, match="another text encoder"):
        load_clip_text(CLIPTextEncoder(TEXT.model_copy(update={"layers": 2})), weights)


@pytest.mark.parametrize(
    "name", ["ln_final.weight", "visual.layer2.1.bn1.bias", "transformer.resblocks.0.attn.in_proj_bias"]
)
def test_a_missing_name_is_named(tmp_path: Path, name: str) -> None:
    state = openai_state(RESNET)
    del state[name]
    torch.save(state, tmp_path / "clip.pth")
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        read_clip(tmp_path / "clip.pth")


def test_a_name_left_over_is_named(tmp_path: Path) -> None:
    torch.save(openai_state(RESNET) | {"head.weight": torch.zeros(2)}, tmp_path / "clip.pth")
    with pytest.raises(WeightsError, match=r"unexpected head\.weight"):
        read_clip(tmp_path / "clip.pth")


@pytest.mark.parametrize(
    "content", [{"conv.weight": torch.zeros(3)}, {}, {"visual.proj": torch.zeros(3)}, {"a": "text"}, [torch.zeros(1)]]
)
def test_something_else_is_not_a_clip(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth"):
        read_clip(tmp_path / "other.pth")


class Bomb:
    """Runs code when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_with_code_never_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"a": Bomb(mark)}, tmp_path / "bomb.pth")
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps(Bomb(mark)))
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w") as archive:  # dressed as a TorchScript archive
        archive.writestr("archive/constants.pkl", b"")
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(mark), protocol=2))
    for name in ("bomb.pth", "bomb.pkl", "bomb.pt"):
        with pytest.raises(WeightsError, match=name):
            read_foreign(tmp_path / name)
    assert not mark.exists()


def test_damaged_and_absent_files_are_named(tmp_path: Path) -> None:
    whole = script(openai_state(RESNET), tmp_path / "whole.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 9)
    for name in ("half.pt", "empty.pt", "junk.safetensors", "absent.pt"):
        with pytest.raises(WeightsError, match=name):
            read_clip(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError, match="expected one of"):
        read_clip(tmp_path / "folder")


@pytest.mark.parametrize("form", ["TorchScript", "torch.save", "old torch.save", "safetensors"])
def test_random_damage_gives_tensors_or_our_error(tmp_path: Path, form: str) -> None:
    state = {"weight": torch.ones(3, 4)}
    path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pt")
    if form == "TorchScript":
        script(state, path)
    elif form == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=form == "torch.save")
    whole = path.read_bytes()
    chance = random.Random(0)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 2, 5, 30))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        with contextlib.suppress(WeightsError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_foreign(path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    path = script({"weight": torch.zeros(4)}, tmp_path / "small.pt")
    assert set(read_foreign(path)) == {"weight", "input_resolution", "context_length", "vocab_size"}
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "cut.pt", "w") as cut:
        for name in archive.namelist():
            content = archive.read(name)
            cut.writestr(name, content[:8] if "/data/" in name and len(content) == 16 else content)
    with pytest.raises(WeightsError, match="damaged"):
        read_foreign(tmp_path / "cut.pt")
