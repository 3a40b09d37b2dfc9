"""GradCAM and its like for CLIP: where in a picture the logit of a text comes from (section 4.2's baseline).

What the official code takes from hooks is a leaf of the graph here, so that nothing stays behind in the model.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from referent.encoders.clip import Block, CLIPResNet, CLIPViT, MapAttentionPool, ViTFinish

Rest = Callable[[Tensor], Tensor]


class Sight:
    """One picture, kept up to the place at which the gradient is taken.

    Args:
        encoder: CLIP's image encoder; its weights need no gradient.
        image: (1, 3, S, S) float32, normalised.
    """

    def __init__(self, encoder: CLIPResNet | CLIPViT, image: Tensor) -> None:
        self._combine = _channels if isinstance(encoder, CLIPResNet) else _heads
        with torch.no_grad():
            if isinstance(encoder, CLIPResNet):
                self._leaf, self._rest = _last_map(encoder, image)
            else:
                self._leaf, self._rest = _last_attention(encoder, image)
        self._leaf.requires_grad_()

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._leaf.nbytes

    def map(self, text: Tensor, scale: Tensor) -> Tensor:
        """Where a text is seen.

        Args:
            text: (E,) of length 1.
            scale: what a cosine is multiplied by to make a logit.

        Returns:
            (h, w) float32, at least 0: for a ResNet the positive part of its last map's channels, weighted by their
            mean gradient; for a ViT the last layer's attention from the class token, times its positive gradient.
        """
        with torch.enable_grad():
            vector = torch.nn.functional.normalize(self._rest(self._leaf), dim=-1)
            logit = (scale.detach() * vector @ text).sum()
            (gradient,) = torch.autograd.grad(logit, self._leaf)
        return self._combine(self._leaf.detach(), gradient)


def _last_map(encoder: CLIPResNet, image: Tensor) -> tuple[Tensor, Rest]:
    x = encoder.stem(image)
    for stage in encoder.stages:
        x = stage(x)
    assert isinstance(encoder.finish, MapAttentionPool)
    return x, encoder.finish.pool


def _last_attention(encoder: CLIPViT, image: Tensor) -> tuple[Tensor, Rest]:
    """The last block's (1, heads, L, L) attention probabilities, and the way from there to the embedding."""
    feature_map, token = encoder.stem(image)
    for stage in encoder.stages:
        size = feature_map.shape[-2:]
        tokens = torch.cat((token, feature_map.flatten(2).transpose(1, 2)), dim=1)
        last: Block = stage.blocks[-1]  # type: ignore[index, assignment]
        for block in stage.blocks[:-1]:  # type: ignore[index]
            tokens = block(tokens)
        before, tokens = tokens, last(tokens)
        feature_map, token = tokens[:, 1:].transpose(1, 2).unflatten(2, size), tokens[:, :1]
    y, attention = last.norm1(before), last.attention
    q, k, v = (
        projection(y).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
        for projection in (attention.query, attention.key, attention.value)
    )
    probabilities = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)

    def rest(leaf: Tensor) -> Tensor:
        x = before + attention.out((leaf @ v).transpose(1, 2).flatten(2))
        x = x + last.mlp(last.norm2(x))
        assert isinstance(encoder.finish, ViTFinish)
        return encoder.finish.pool((x[:, 1:], x[:, :1]))

    return probabilities, rest


def _channels(activation: Tensor, gradient: Tensor) -> Tensor:
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * activation).sum(1).clamp(min=0)[0]


def _heads(attention: Tensor, gradient: Tensor) -> Tensor:
    # The class token's own column is left out, so the identity that the official code adds never shows.
    relevance = (gradient * attention).clamp(min=0).mean(1)[0, 0, 1:]
    side = round(len(relevance) ** 0.5)
    return relevance.reshape(side, side)
