from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from referent.encoders.clip import CLIPResNet, CLIPViT
from referent.encoders.clip_config import CLIPResNetConfig, CLIPViTConfig
from referent.models.reclip.gradcam import Sight

TEXT = F.normalize(torch.randn(16, generator=torch.Generator().manual_seed(3)), dim=0)
SCALE = torch.tensor(50.0)
IMAGE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))


def encoder(kind: str) -> CLIPResNet | CLIPViT:
    torch.manual_seed(1)
    if kind == "resnet":
        return CLIPResNet(CLIPResNetConfig(blocks=(1, 1, 1, 1), width=4, embed=16, grid=2)).eval()
    return CLIPViT(CLIPViTConfig(patch=16, width=128, depths=(1, 2), embed=16, grid=4)).eval()


def by_hooks_resnet(model: CLIPResNet) -> Tensor:
    """GradCAM as it is usually written: the last stage's output and its gradient, caught by a hook."""
    caught: list[Tensor] = []

    def catch(_: object, __: object, output: Tensor) -> None:
        output.retain_grad()
        caught.append(output)

    handle = model.stages[-1].register_forward_hook(catch)
    (SCALE * F.normalize(model.vector(IMAGE), dim=-1) @ TEXT).sum().backward()
    handle.remove()
    gradient = caught[0].grad
    assert gradient is not None
    return F.relu((gradient.mean((2, 3), keepdim=True) * caught[0]).sum(1))[0].detach()


def by_hooks_vit(model: CLIPViT) -> Tensor:
    """The last layer's attention probabilities by `nn.MultiheadAttention`'s own definition, on the whole graph."""
    attention = model.stages[-1].blocks[-1].attention
    caught: list[Tensor] = []

    def explicit(query: Tensor, key: Tensor, value: Tensor, **_: object) -> Tensor:
        heads = [
            projection(x).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for projection, x in ((attention.query, query), (attention.key, key), (attention.value, value))
        ]
        probabilities = (heads[0] @ heads[1].transpose(-2, -1) / heads[0].shape[-1] ** 0.5).softmax(-1)
        probabilities.retain_grad()
        caught.append(probabilities)
        return attention.out((probabilities @ heads[2]).transpose(1, 2).flatten(2))

    attention.forward = explicit
    (SCALE * F.normalize(model.vector(IMAGE), dim=-1) @ TEXT).sum().backward()
    gradient = caught[0].grad
    assert gradient is not None
    relevance = torch.eye(17) + (gradient * caught[0]).clamp(min=0).mean(1)[0]
    return relevance[0, 1:].reshape(4, 4).detach()


@pytest.mark.parametrize(("kind", "expected"), [("resnet", by_hooks_resnet), ("vit", by_hooks_vit)])
def test_the_map_is_what_hooks_on_the_whole_graph_give(kind: str, expected: object) -> None:
    found = Sight(encoder(kind), IMAGE).map(TEXT, SCALE)
    wanted = expected(copy.deepcopy(encoder(kind)))  # type: ignore[operator]
    assert wanted.abs().max() > 0
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_nothing_stays_behind_in_the_model(kind: str) -> None:
    model = encoder(kind)
    sight = Sight(model, IMAGE)
    first = sight.map(TEXT, SCALE)
    for _ in range(3):
        torch.testing.assert_close(sight.map(TEXT, SCALE), first, rtol=0, atol=0)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())


def test_texts_are_seen_at_different_places_from_one_forward_pass() -> None:
    sight = Sight(encoder("vit"), IMAGE)
    assert not torch.equal(sight.map(TEXT, SCALE), sight.map(-TEXT, SCALE))
