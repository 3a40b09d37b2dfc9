"""CLIP's encoders for inference on a CPU: norms folded, weights packed, 3x3 convolutions by Winograd where it pays."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.clip import Block, Bottleneck, CLIPResNet, CLIPTextEncoder, MapAttentionPool, ResNetStem
from referent.layers.fast import Norm, attend, conv1, conv3, folded, fused, map_of, rows_of
from referent.layers.packed import PackedConv, PackedLinear
from referent.layers.position import resize_table


class _TextBlock:
    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        attention, mlp = block.attention, block.mlp
        self.heads = attention.heads
        self.norm1, self.norm2 = Norm(block.norm1, dtype), Norm(block.norm2, dtype)
        self.qkv = fused([attention.query, attention.key, attention.value], dtype)
        self.out = PackedLinear.of(attention.out, dtype)
        self.expand = PackedLinear.of(mlp[0], dtype)  # type: ignore[arg-type]
        self.activation = mlp[1]
        self.contract = PackedLinear.of(mlp[2], dtype)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        x = self.out(attend(q, k, v, self.heads, causal=True), other=x)
        return self.contract(self.activation(self.expand(self.norm2(x))), other=x)


class FastText:
    """The text encoder; its table, final norm and projection are copies, since the rest is packed."""

    def __init__(self, encoder: CLIPTextEncoder, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.blocks = [_TextBlock(block, dtype) for block in encoder.layers if isinstance(block, Block)]
        self.ends = CLIPTextEncoder(encoder.config.model_copy(update={"layers": 0})).eval()
        own = self.ends.state_dict()
        self.ends.load_state_dict({name: value for name, value in encoder.state_dict().items() if name in own})

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) ids -> words (N, L, D), state (N, E), both float32."""
        x = self.ends.embed(tokens).to(self.dtype)
        for block in self.blocks:
            x = block(x)
        return self.ends.finish(x.float(), tokens)


class _Bottleneck:
    def __init__(self, block: Bottleneck, side: int, dtype: torch.dtype) -> None:
        self.pool = int(block.pool.kernel_size) if isinstance(block.pool, nn.AvgPool2d) else 1  # type: ignore[arg-type]
        self.conv1 = conv1(*folded(block.conv1, block.bn1), side, dtype)
        self.conv2 = conv3(*folded(block.conv2, block.bn2), side, dtype)
        side //= self.pool
        self.conv3 = conv1(*folded(block.conv3, block.bn3), side, dtype)
        shortcut = block.shortcut
        self.shortcut = None
        if isinstance(shortcut, nn.Sequential):
            self.shortcut = conv1(*folded(shortcut[1], shortcut[2]), side, dtype, relu=False)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        if self.pool != 1:
            y, x = F.avg_pool2d(y, self.pool), F.avg_pool2d(x, self.pool)
        return self.conv3(y, x if self.shortcut is None else self.shortcut(x))


class _AttentionPool:
    def __init__(self, pool: MapAttentionPool, dtype: torch.dtype) -> None:
        attention = pool.attention
        self.heads, self.dtype = attention.heads, dtype
        self.positions = pool.positions.detach()[1:]
        self._resized: dict[tuple[int, int], Tensor] = {}
        self.qkv = fused([attention.query, attention.key, attention.value], dtype)
        self.out = PackedLinear.of(attention.out, dtype)
        weight, bias = folded(pool.connect[0], pool.connect[1])  # type: ignore[arg-type]
        self.connect = PackedLinear(weight.flatten(1).to(dtype), bias.to(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        pixels = rows_of(x)
        q, k, v = self.qkv(pixels + self._places(height, width)).chunk(3, dim=-1)
        return map_of(self.out(attend(q, k, v, self.heads), other=self.connect(pixels)).relu_(), height, width)

    def _places(self, height: int, width: int) -> Tensor:
        if (height, width) not in self._resized:
            self._resized = {(height, width): resize_table(self.positions, height, width).to(self.dtype)}
        return self._resized[height, width]


class FastResNet:
    """CLIP's ResNet: image -> the maps of all stages."""

    def __init__(self, encoder: CLIPResNet, size: int, dtype: torch.dtype) -> None:
        stem, finish = encoder.stem, encoder.finish
        assert isinstance(stem, ResNetStem)
        assert isinstance(finish, MapAttentionPool)
        weight, bias = folded(stem.conv1, stem.bn1)
        self.stem = [
            PackedConv(weight.to(dtype), bias.to(dtype), relu=True, side=size, stride=2, padding=1),
            conv3(*folded(stem.conv2, stem.bn2), size // 2, dtype),
            conv3(*folded(stem.conv3, stem.bn3), size // 2, dtype),
        ]
        self.stages = []
        for number, stage in enumerate(encoder.stages):
            blocks = []
            for index, block in enumerate(stage.children()):
                assert isinstance(block, Bottleneck)
                before_pool = number > 0 and index == 0
                side = size // (encoder.strides[number - 1] if before_pool else encoder.strides[number])
                blocks.append(_Bottleneck(block, side, dtype))
            self.stages.append(blocks)
        self.finish = _AttentionPool(finish, dtype)

    def __call__(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) channels-last -> the maps of all stages, as `CLIPResNet`."""
        x = image
        for convolution in self.stem:
            x = convolution(x)
        x = F.avg_pool2d(x, 2)
        maps = []
        for blocks in self.stages:
            for block in blocks:
                x = block(x)
            maps.append(x)
        return [*maps[:-1], self.finish(x)]
