"""CLIP's encoders for inference on a CPU: norms folded, weights packed, 3x3 convolutions by Winograd where it pays."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import ImageEncoder
from referent.encoders.clip import (
    Block,
    Bottleneck,
    CLIPResNet,
    CLIPTextEncoder,
    CLIPViT,
    MapAttentionPool,
    QuickGELU,
    ResNetStem,
    ViTFinish,
    ViTStage,
    ViTStem,
)
from referent.layers.fast import Norm, attend, conv1, conv3, folded, fused, map_of, rows_of
from referent.layers.packed import PackedConv, PackedLinear
from referent.layers.position import resize_table


class _Block(nn.Module):
    """`Block`. QuickGELU is SiLU between two scales, which the linear layers around it take over."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        super().__init__()
        attention, (expand, activation, contract) = block.attention, block.mlp
        assert isinstance(expand, nn.Linear)
        assert isinstance(contract, nn.Linear)
        self.heads, self.causal = attention.heads, block.causal
        self.norm1, self.norm2 = Norm(block.norm1, dtype), Norm(block.norm2, dtype)
        self.qkv = fused([attention.query, attention.key, attention.value], dtype)
        self.out = PackedLinear.of(attention.out, dtype)
        self.quick = isinstance(activation, QuickGELU)
        scale = QuickGELU.scale if self.quick else 1.0
        self.expand = PackedLinear((expand.weight * scale).to(dtype), (expand.bias * scale).to(dtype))
        self.contract = PackedLinear((contract.weight / scale).to(dtype), contract.bias.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        x = self.out(attend(q, k, v, self.heads, causal=self.causal), other=x)
        inner = self.expand(self.norm2(x))
        return self.contract(F.silu(inner, inplace=True) if self.quick else F.gelu(inner), other=x)


class FastText(CLIPTextEncoder):
    """The text encoder with its layers in `dtype`; what comes before and after them stays float32."""

    def __init__(self, encoder: CLIPTextEncoder, dtype: torch.dtype) -> None:
        super().__init__(encoder.config.model_copy(update={"layers": 0}))
        own = self.state_dict()
        self.load_state_dict({name: value for name, value in encoder.state_dict().items() if name in own})
        self.dtype = dtype
        self.layers = nn.ModuleList(_Block(block, dtype) for block in encoder.layers if isinstance(block, Block))

    def embed(self, tokens: Tensor) -> Tensor:
        """As `CLIPTextEncoder.embed`, in `dtype`."""
        return super().embed(tokens).to(self.dtype)

    def finish(self, flow: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """As `CLIPTextEncoder.finish`, float32."""
        return super().finish(flow.float(), tokens)


class _Bottleneck(nn.Module):
    def __init__(self, block: Bottleneck, side: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.pool = int(block.pool.kernel_size) if isinstance(block.pool, nn.AvgPool2d) else 1  # type: ignore[arg-type]
        self.conv1 = conv1(*folded(block.conv1, block.bn1), side, dtype)
        self.conv2 = conv3(*folded(block.conv2, block.bn2), side, dtype)
        side //= self.pool
        self.conv3 = conv1(*folded(block.conv3, block.bn3), side, dtype)
        shortcut = block.shortcut
        self.shortcut = None
        if isinstance(shortcut, nn.Sequential):
            self.shortcut = conv1(*folded(shortcut[1], shortcut[2]), side, dtype, relu=False)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        if self.pool != 1:
            y, x = F.avg_pool2d(y, self.pool), F.avg_pool2d(x, self.pool)
        return self.conv3(y, x if self.shortcut is None else self.shortcut(x))


class _AttentionPool(nn.Module):
    def __init__(self, pool: MapAttentionPool, dtype: torch.dtype) -> None:
        super().__init__()
        attention = pool.attention
        self.heads, self.dtype = attention.heads, dtype
        self.positions = pool.positions.detach()[1:]
        self._resized: dict[tuple[int, int], Tensor] = {}
        self.qkv = fused([attention.query, attention.key, attention.value], dtype)
        self.out = PackedLinear.of(attention.out, dtype)
        weight, bias = folded(pool.connect[0], pool.connect[1])  # type: ignore[arg-type]
        self.connect = PackedLinear(weight.flatten(1).to(dtype), bias.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        pixels = rows_of(x)
        q, k, v = self.qkv(pixels + self._places(height, width)).chunk(3, dim=-1)
        return map_of(self.out(attend(q, k, v, self.heads), other=self.connect(pixels)).relu_(), height, width)

    def _places(self, height: int, width: int) -> Tensor:
        if (height, width) not in self._resized:
            self._resized = {(height, width): resize_table(self.positions, height, width).to(self.dtype)}
        return self._resized[height, width]


class _Stem(nn.Module):
    def __init__(self, stem: ResNetStem, size: int, dtype: torch.dtype) -> None:
        super().__init__()
        weight, bias = folded(stem.conv1, stem.bn1)
        self.convolutions = [
            PackedConv(weight.to(dtype), bias.to(dtype), relu=True, side=size, stride=2, padding=1),
            conv3(*folded(stem.conv2, stem.bn2), size // 2, dtype),
            conv3(*folded(stem.conv3, stem.bn3), size // 2, dtype),
        ]

    def forward(self, image: Tensor) -> Tensor:
        x = image
        for convolution in self.convolutions:
            x = convolution(x)
        return F.avg_pool2d(x, 2)


class FastResNet(ImageEncoder):
    """CLIP's ResNet in `dtype` for pictures of about `size` pixels a side, channels-last."""

    def __init__(self, encoder: CLIPResNet, size: int, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(encoder.stem, ResNetStem)
        assert isinstance(encoder.finish, MapAttentionPool)
        self.stem = _Stem(encoder.stem, size, dtype)
        self.stages = nn.ModuleList()
        for number, stage in enumerate(encoder.stages):
            blocks = []
            for index, block in enumerate(stage.children()):
                assert isinstance(block, Bottleneck)
                before_pool = number > 0 and index == 0
                side = size // (encoder.strides[number - 1] if before_pool else encoder.strides[number])
                blocks.append(_Bottleneck(block, side, dtype))
            self.stages.append(nn.Sequential(*blocks))
        self.finish = _AttentionPool(encoder.finish, dtype)
        self.widths, self.channels, self.strides = encoder.widths, encoder.channels, encoder.strides


class _ViTStem(nn.Module):
    def __init__(self, stem: ViTStem, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.patch = dtype, int(stem.patches.stride[0])
        self.patches = PackedLinear(stem.patches.weight.permute(0, 2, 3, 1).flatten(1).to(dtype), None)
        self.positions, self.norm = stem.positions.detach()[1:], Norm(stem.norm, dtype)
        self.token = stem.norm(stem.class_token + stem.positions[0]).detach().to(dtype)
        self._resized: dict[tuple[int, int], Tensor] = {}

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        count, _, height, width = image.shape
        size = (height // self.patch, width // self.patch)
        if size not in self._resized:  # of one size only: pictures come letterboxed to one size
            self._resized = {size: resize_table(self.positions, *size).to(self.dtype)}
        pixels = image.permute(0, 2, 3, 1).reshape(count, size[0], self.patch, size[1], self.patch, -1)
        patches = pixels.transpose(2, 3).reshape(count, size[0] * size[1], -1)
        rows = self.norm(self.patches(patches).add_(self._resized[size]))
        return map_of(rows, *size), self.token.expand(count, 1, -1)


class _ViTStage(nn.Module):
    def __init__(self, stage: ViTStage, dtype: torch.dtype) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(block, dtype) for block in stage.blocks if isinstance(block, Block))

    def forward(self, flow: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        feature_map, token = flow
        tokens = torch.cat((token, rows_of(feature_map)), dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return map_of(tokens[:, 1:], *feature_map.shape[-2:]), tokens[:, :1]


class _ViTFinish(nn.Module):
    def __init__(self, finish: ViTFinish, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm = Norm(finish.norm, dtype)
        self.projection = PackedLinear(finish.projection.T.to(dtype), None)

    def forward(self, flow: tuple[Tensor, Tensor]) -> Tensor:
        return map_of(self.projection(self.norm(rows_of(flow[0]))), *flow[0].shape[-2:])


class FastViT(CLIPViT):
    """CLIP's vision transformer in `dtype`, its maps channels-last."""

    def __init__(self, encoder: CLIPViT, dtype: torch.dtype) -> None:
        with torch.device("meta"):  # all of it is replaced
            super().__init__(encoder.config)
        assert isinstance(encoder.stem, ViTStem)
        assert isinstance(encoder.finish, ViTFinish)
        self.stem = _ViTStem(encoder.stem, dtype)
        self.stages = nn.ModuleList(_ViTStage(stage, dtype) for stage in encoder.stages if isinstance(stage, ViTStage))
        self.finish = _ViTFinish(encoder.finish, dtype)
