"""CLIP's encoders: stages, positions, reduced vocabulary."""

import pytest
import torch
from torch import nn

from referent.encoders.base import ImageEncoder
from referent.encoders.build import build_image_encoder
from referent.encoders.clip import CLIPTextEncoder
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.layers.position import resize_table, sinusoids, sinusoids_2d

RESNET = CLIPResNetConfig(blocks=(1, 2, 1, 1), width=8, embed=12, grid=2)
VIT = CLIPViTConfig(patch=8, width=64, depths=(1, 2, 1), embed=12, grid=3)
TEXT = CLIPTextConfig(vocabulary=6, width=16, layers=2, heads=2, context=9, embed=10)


@pytest.mark.parametrize("config", [RESNET, VIT], ids=["resnet", "vit"])
def test_stages_give_maps_of_the_stated_channels_and_strides(config: CLIPResNetConfig | CLIPViTConfig) -> None:
    encoder = build_image_encoder(config).eval()
    maps = encoder(torch.randn(2, 3, 64, 96))
    expected = [(2, c, 64 // s, 96 // s) for c, s in zip(encoder.channels, encoder.strides, strict=True)]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize("config", [RESNET, VIT], ids=["resnet", "vit"])
def test_code_between_the_stages_sees_and_changes_the_maps(config: CLIPResNetConfig | CLIPViTConfig) -> None:
    encoder = build_image_encoder(config).eval()
    image = torch.randn(1, 3, 64, 64)

    def run(add: float) -> list[torch.Tensor]:
        flow, maps = encoder.stem(image), []
        for stage in encoder.stages:
            flow = stage(flow)
            maps.append(encoder.get_map(flow))
            flow = encoder.put_map(flow, encoder.get_map(flow) + add)
        return [*maps[:-1], encoder.finish(flow)]

    assert all(torch.equal(a, b) for a, b in zip(run(0.0), encoder(image), strict=True))
    assert not torch.allclose(run(1.0)[-1], encoder(image)[-1])


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        # OpenAI's visual towers, counted from the published archives; the ResNets have `connect` on top.
        (CLIPResNetConfig.rn50(), 38_316_896 + 2_099_200),
        (CLIPResNetConfig.rn101(), 56_259_936 + 1_049_600),
        (CLIPViTConfig(), 86_192_640),
        (CLIPViTConfig.b32(), 87_849_216),
    ],
)
def test_published_sizes(config: CLIPResNetConfig | CLIPViTConfig, parameters: int) -> None:
    with torch.device("meta"):
        encoder = build_image_encoder(config)
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_rn50x16_has_its_published_shapes() -> None:
    with torch.device("meta"):
        shapes = {
            name: tuple(p.shape) for name, p in build_image_encoder(CLIPResNetConfig.rn50x16()).named_parameters()
        }
    assert shapes["finish.positions"] == (145, 3072)
    assert shapes["finish.attention.out.weight"] == (768, 3072)
    assert sum(name.startswith("stages.2.") and name.endswith("conv2.weight") for name in shapes) == 18


@pytest.mark.parametrize("config", [RESNET, VIT], ids=["resnet", "vit"])
def test_the_pooled_vector_has_the_shared_width(config: CLIPResNetConfig | CLIPViTConfig) -> None:
    encoder = build_image_encoder(config).eval()
    assert isinstance(encoder, ImageEncoder)
    assert encoder.vector(torch.randn(2, 3, 64, 64)).shape == (2, 12)  # type: ignore[operator]


def tokens() -> torch.Tensor:
    return torch.tensor([[49406, 5, 49407, 0, 0], [49406, 7, 9, 320, 49407]])


def test_the_state_is_taken_at_the_end_marker_and_padding_changes_nothing() -> None:
    encoder = CLIPTextEncoder(TEXT).eval()
    words, state = encoder(tokens())
    assert words.shape == (2, 5, 16)
    assert torch.equal(state[0], words[0, 2] @ encoder.projection)
    longer = torch.nn.functional.pad(tokens(), (0, 3))
    assert torch.allclose(encoder(longer)[1], state, atol=1e-5)


def test_a_word_sees_only_the_words_before_it() -> None:
    encoder = CLIPTextEncoder(TEXT).eval()
    other = tokens()
    other[1, 3] = 9
    assert torch.allclose(encoder(tokens())[0][1, :3], encoder(other)[0][1, :3], atol=1e-5)


def test_a_reduced_table_finds_kept_ids_and_shares_one_row_among_the_others() -> None:
    encoder = CLIPTextEncoder(TEXT).eval()
    kept = torch.tensor([0, 5, 9, 320, 49406, 49407])
    encoder.kept_ids.copy_(kept)
    with torch.no_grad():
        encoder.positions.zero_()
    assert encoder.embedding.weight.shape == (7, 16)
    embedded = encoder.embed(tokens())
    assert torch.equal(embedded[0, 1], encoder.embedding.weight[1])
    assert torch.equal(embedded[1, 1], encoder.embedding.weight[6])  # 7 is not kept
    assert torch.equal(encoder.embed(torch.tensor([[49400, 49407]]))[0], encoder.embedding.weight[[6, 5]])


def test_a_whole_table_is_read_by_id() -> None:
    encoder = CLIPTextEncoder(CLIPTextConfig(width=4, layers=0, heads=1, embed=4))
    assert "kept_ids" not in encoder.state_dict()
    expected = encoder.embedding.weight[[49406, 49407]] + encoder.positions[:2]
    assert torch.equal(encoder.embed(torch.tensor([[49406, 49407]]))[0], expected)


def test_activation_follows_the_configuration() -> None:
    for activation, kind in (("quick_gelu", "QuickGELU"), ("gelu", "GELU")):
        encoder = CLIPTextEncoder(TEXT.model_copy(update={"activation": activation}))
        assert kind in {type(module).__name__ for module in encoder.modules()}


def test_a_table_of_the_pictures_own_grid_is_not_touched() -> None:
    table = torch.randn(9, 4)
    assert resize_table(table, 3, 3) is table
    assert resize_table(table, 5, 2).shape == (10, 4)


def test_sinusoids_encode_columns_in_the_first_half_and_rows_in_the_second() -> None:
    grid = sinusoids_2d(3, 5, 8, like=torch.zeros(1)).reshape(3, 5, 8)
    line = sinusoids(5, 4, like=torch.zeros(1))
    assert torch.equal(grid[2, :, :4], line)
    assert torch.equal(grid[:, 4, 4:], line[:3])
    assert torch.allclose(
        line[1],
        torch.tensor([1.0, 1.0, 0.01, 0.01]).sin() * torch.tensor([1.0, 0, 1, 0])
        + torch.tensor([1.0, 1.0, 0.01, 0.01]).cos() * torch.tensor([0.0, 1, 0, 1]),
    )


def test_attention_starts_as_torchs_own_does() -> None:
    from referent.layers.attention import Attention

    torch.manual_seed(0)
    ours, theirs = Attention(64, 4), nn.MultiheadAttention(64, 4)
    assert ours.query.weight.std().item() == pytest.approx(theirs.in_proj_weight.std().item(), rel=0.05)


def test_attention_is_torchs_own() -> None:
    from referent.layers.attention import Attention

    torch.manual_seed(0)
    ours = Attention(16, 4).eval()
    theirs = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat((ours.query.weight, ours.key.weight, ours.value.weight)))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    keep = torch.ones(2, 7, dtype=torch.bool)
    keep[1, 3:] = False
    expected, _ = theirs(query, memory, memory, key_padding_mask=~keep)
    assert torch.allclose(ours(query, memory, memory, keep=keep), expected, atol=1e-6)
