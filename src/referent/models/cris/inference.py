"""CRIS for answering on a CPU: the same function in fewer operations.

Exact changes (up to rounding), in the order of what they save:

* 3x3 convolutions in float32 by Winograd (`layers/winograd.py`): about half of their time;
* all that no phrase enters is computed once a picture. A 1x1 convolution of concatenated maps is the sum of one for
  each map, so the picture's share of `merge4` and `merge3` is computed in `look_at`;
* a 1x1 convolution and a bilinear resize commute, so what comes from the coarsest map is convolved before it is enlarged;
* the projector's last 1x1 convolution is linear, and so is the sentence's kernel that follows: the kernel is folded
  through it, and applied to all pixels as one matrix product;
* batch norms folded into convolutions and linear layers, weights packed once for oneDNN, ReLU and residual sums fused;
* q, k and v in one product; the share of the positional encodings in them is a constant;
* token rows are cut after the last end marker: later words are masked anyway.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.clip import Block, Bottleneck, CLIPResNet, CLIPTextEncoder, MapAttentionPool, QuickGELU, ResNetStem
from referent.layers.attention import Attention
from referent.layers.convolution import coordinates
from referent.layers.decoder import Decoder, DecoderLayer
from referent.layers.packed import PackedConv, PackedLinear, affine, folded
from referent.layers.position import resize_table, sinusoids, sinusoids_2d
from referent.layers.projector import Projector
from referent.layers.winograd import WinogradConv
from referent.models.base import Batch, Output, SegmentationModel
from referent.models.cris.model import CRIS
from referent.models.cris.neck import Neck

# Multiplications from which Winograd's transforms pay for themselves, measured in benchmarks/cris_speed.py.
_WINOGRAD_FROM = 128 * 128 * 52 * 52


def _conv3(weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype) -> WinogradConv | PackedConv:
    """A 3x3 convolution with ReLU for maps of about `side` pixels a side."""
    out_channels, in_channels = weight.shape[:2]
    if dtype == torch.float32 and out_channels * in_channels * side * side >= _WINOGRAD_FROM and in_channels >= 128:
        return WinogradConv(weight, bias, relu=True)
    return PackedConv(weight.to(dtype), bias.to(dtype), relu=True, padding=1)


def _conv1(weight: Tensor, bias: Tensor, dtype: torch.dtype, relu: bool) -> PackedConv:
    return PackedConv(weight.to(dtype), bias.to(dtype), relu)


def _block(sequential: nn.Module) -> tuple[Tensor, Tensor]:
    """The folded weight and bias of a `conv_bn_relu`."""
    assert isinstance(sequential, nn.Sequential)
    convolution, norm = sequential[0], sequential[1]
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return folded(convolution, norm)


def _rows(feature_map: Tensor) -> Tensor:
    """(N, C, h, w) channels-last -> (N, h * w, C), without a copy."""
    return feature_map.permute(0, 2, 3, 1).flatten(1, 2)


def _map(rows: Tensor, height: int, width: int) -> Tensor:
    """(N, h * w, C) -> (N, C, h, w) channels-last, without a copy."""
    return rows.reshape(len(rows), height, width, -1).permute(0, 3, 1, 2)


class _Norm:
    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.weight, self.bias = norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


def _fused(layers: list[nn.Linear], dtype: torch.dtype) -> PackedLinear:
    """Several linear layers of one input as one."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    return PackedLinear(weight.to(dtype), torch.cat([layer.bias.detach() for layer in layers]).to(dtype))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, keep: Tensor | None = None, causal: bool = False) -> Tensor:
    def split(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)

    mask = None if keep is None else keep[:, None, None, :]
    mixed = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask, is_causal=causal)
    return mixed.transpose(1, 2).flatten(2)


class _Text:
    """The text encoder."""

    def __init__(self, encoder: CLIPTextEncoder, dtype: torch.dtype) -> None:
        self.encoder, self.dtype = encoder, dtype
        self.blocks = [self._packed(block, dtype) for block in encoder.layers if isinstance(block, Block)]

    @staticmethod
    def _packed(block: Block, dtype: torch.dtype) -> tuple[_Norm, PackedLinear, PackedLinear, _Norm, PackedLinear, bool, PackedLinear, int]:
        attention, mlp = block.attention, block.mlp
        return (
            _Norm(block.norm1, dtype),
            _fused([attention.query, attention.key, attention.value], dtype),
            PackedLinear.of(attention.out, dtype),
            _Norm(block.norm2, dtype),
            PackedLinear.of(mlp[0], dtype),  # type: ignore[arg-type]
            isinstance(mlp[1], QuickGELU),
            PackedLinear.of(mlp[2], dtype),  # type: ignore[arg-type]
            attention.heads,
        )

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encoder.embed(tokens).to(self.dtype)
        for norm1, qkv, out, norm2, expand, quick, contract, heads in self.blocks:
            q, k, v = qkv(norm1(x)).chunk(3, dim=-1)
            x = out(_attend(q, k, v, heads, causal=True), other=x)
            y = expand(norm2(x))
            y = y * torch.sigmoid(1.702 * y) if quick else F.gelu(y)
            x = contract(y, other=x)
        return self.encoder.finish(x.float(), tokens)


class _Bottleneck:
    def __init__(self, block: Bottleneck, side: int, dtype: torch.dtype) -> None:
        self.conv1 = _conv1(*folded(block.conv1, block.bn1), dtype, relu=True)
        self.conv2 = _conv3(*folded(block.conv2, block.bn2), side, dtype)
        self.conv3 = _conv1(*folded(block.conv3, block.bn3), dtype, relu=True)
        self.pool = block.pool.kernel_size if isinstance(block.pool, nn.AvgPool2d) else 1
        shortcut = block.shortcut
        self.shortcut = None
        if isinstance(shortcut, nn.Sequential):
            self.shortcut = _conv1(*folded(shortcut[1], shortcut[2]), dtype, relu=False)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        if self.pool != 1:
            y, x = F.avg_pool2d(y, self.pool), F.avg_pool2d(x, self.pool)
        return self.conv3(y, x if self.shortcut is None else self.shortcut(x))


class _AttentionPool:
    def __init__(self, pool: MapAttentionPool, dtype: torch.dtype) -> None:
        attention = pool.attention
        self.heads = attention.heads
        self.positions = pool.positions.detach()[1:].to(dtype)
        self.qkv = _fused([attention.query, attention.key, attention.value], dtype)
        self.out = PackedLinear.of(attention.out, dtype)
        weight, bias = folded(pool.connect[0], pool.connect[1])  # type: ignore[arg-type]
        self.connect = PackedLinear(weight.flatten(1).to(dtype), bias.to(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        pixels = _rows(x)
        q, k, v = self.qkv(pixels + resize_table(self.positions, height, width)).chunk(3, dim=-1)
        return _map(self.out(_attend(q, k, v, self.heads), other=self.connect(pixels)).relu_(), height, width)


class _ResNet:
    """CLIP's ResNet: image -> the maps of all stages."""

    def __init__(self, encoder: CLIPResNet, size: int, dtype: torch.dtype) -> None:
        stem, finish = encoder.stem, encoder.finish
        assert isinstance(stem, ResNetStem) and isinstance(finish, MapAttentionPool)
        weight, bias = folded(stem.conv1, stem.bn1)
        self.stem = [
            PackedConv(weight.to(dtype), bias.to(dtype), relu=True, stride=2, padding=1),
            _conv3(*folded(stem.conv2, stem.bn2), size // 2, dtype),
            _conv3(*folded(stem.conv3, stem.bn3), size // 2, dtype),
        ]
        self.stages = []
        for number, stage in enumerate(encoder.stages):
            blocks = []
            for index, block in enumerate(stage):  # type: ignore[arg-type]
                before_pool = number > 0 and index == 0
                side = size // (encoder.strides[number - 1] if before_pool else encoder.strides[number])
                blocks.append(_Bottleneck(block, side, dtype))
            self.stages.append(blocks)
        self.finish = _AttentionPool(finish, dtype)

    def __call__(self, image: Tensor) -> list[Tensor]:
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


class _Neck:
    def __init__(self, neck: Neck, sides: tuple[int, int, int], dtype: torch.dtype) -> None:
        self.dtype, self.shrink = dtype, neck.shrink
        linear, norm = neck.text[0], neck.text[1]
        assert isinstance(linear, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
        scale, shift = affine(norm)
        self.text = PackedLinear(linear.weight.detach() * scale[:, None], shift, relu=True)
        self.scale5, self.shift5 = affine(neck.mix5[0])  # type: ignore[arg-type]
        self.shift5 = self.shift5[:, None, None].to(dtype)
        self.project5 = _conv1(*_block(neck.project5), dtype, relu=True)
        self.project4 = _conv3(*_block(neck.project4), sides[1], dtype)
        self.project3 = _conv3(*_block(neck.project3), sides[0], dtype)
        fine, width = neck.project3[0].out_channels, neck.project4[0].out_channels  # type: ignore[union-attr]
        self.merge4_picture, self.merge4_phrase = self._split(neck.merge4, [width], dtype)
        self.merge3_picture, self.merge3_phrase = self._split(neck.merge3, [fine], dtype)
        self.aggregate3, self.aggregate4, self.aggregate5 = self._split(neck.aggregate, [width, width], dtype)
        self.smooth5 = _conv3(*_block(neck.smooth5), sides[2], dtype)
        self.smooth4 = _conv3(*_block(neck.smooth4), sides[1], dtype)
        self.smooth3 = _conv3(*_block(neck.smooth3), sides[1], dtype)
        self.place = _conv3(*_block(neck.place), sides[1], dtype)
        self.settle = _conv3(*_block(neck.settle), sides[1], dtype)

    @staticmethod
    def _split(block: nn.Module, widths: list[int], dtype: torch.dtype) -> list[PackedLinear]:
        """A 1x1 convolution of concatenated maps as one linear layer a map; the first holds the bias."""
        weight, bias = _block(block)
        parts = weight.flatten(1).split([*widths, weight.shape[1] - sum(widths)], dim=1)
        return [
            PackedLinear(part.to(dtype), bias.to(dtype) if index == 0 else None) for index, part in enumerate(parts)
        ]

    def look(self, v3: Tensor, v4: Tensor, v5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The picture's shares of `merge3` and `merge4`, and f5."""
        height, width = v4.shape[-2:]
        f3 = self.project3(v3)
        f3 = F.avg_pool2d(f3, self.shrink) if self.shrink > 1 else f3
        share3 = _map(self.merge3_picture(_rows(f3)), height, width)
        share4 = _map(self.merge4_picture(_rows(self.project4(v4))), height, width)
        return share3, share4, self.project5(v5)

    def __call__(self, share3: Tensor, share4: Tensor, f5: Tensor, state: Tensor) -> Tensor:
        height, width = share4.shape[-2:]
        gate = (self.text(state) * self.scale5).to(self.dtype)
        f5 = torch.addcmul(self.shift5, f5, gate[:, :, None, None]).relu_()
        f5 = f5.contiguous(memory_format=torch.channels_last)
        f4 = self._enlarged(self.merge4_phrase(_rows(f5)), f5, height, width).add_(share4).relu_()
        f3 = _map(self.merge3_phrase(_rows(f4), other=_rows(share3)).relu_(), height, width)
        q5 = self._enlarged(self.aggregate5(_rows(self.smooth5(f5))), f5, height, width)
        fused = self.aggregate3(_rows(self.smooth3(f3)), other=_rows(q5))
        fused = self.aggregate4(_rows(self.smooth4(f4)), other=fused).relu_()
        grid = coordinates(height, width, like=fused).flatten(1).T.expand(len(fused), -1, -1)
        return self.settle(self.place(_map(torch.cat((fused, grid), dim=-1), height, width)))

    @staticmethod
    def _enlarged(rows: Tensor, like: Tensor, height: int, width: int) -> Tensor:
        small = _map(rows, *like.shape[-2:])
        if small.shape[-2:] == (height, width):
            return small
        return F.interpolate(small, (height, width), mode="bilinear").contiguous(memory_format=torch.channels_last)


class _DecoderLayer:
    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        own, cross = layer.self_attention, layer.cross_attention
        self.heads = own.heads
        self.dtype = dtype
        self.norm1, self.norm2, self.norm3 = (_Norm(norm, dtype) for norm in (layer.norm1, layer.norm2, layer.norm3))
        self.own_norm = _Norm(layer.self_attention_norm, dtype)
        self.cross_norm = _Norm(layer.cross_attention_norm, dtype)
        self.inner_norm = _Norm(layer.feedforward_norm, dtype)
        self.own_qkv = _fused([own.query, own.key, own.value], dtype)
        self.own_out = PackedLinear.of(own.out, dtype)
        self.cross_query = PackedLinear.of(cross.query, dtype)
        self.cross_key, self.cross_value = PackedLinear.of(cross.key, dtype), PackedLinear.of(cross.value, dtype)
        self.cross_out = PackedLinear.of(cross.out, dtype)
        self.expand = PackedLinear.of(layer.expand, dtype, relu=True)
        self.contract = PackedLinear.of(layer.contract, dtype)
        self._own, self._cross = own, cross

    def places(self, pixel_places: Tensor) -> tuple[Tensor, Tensor]:
        """The positional encodings' share of (q, k) of the first and of q of the second attention."""
        weight = torch.cat((self._own.query.weight, self._own.key.weight))
        return (pixel_places @ weight.T).to(self.dtype), (pixel_places @ self._cross.query.weight.T).to(self.dtype)

    def __call__(
        self, pixels: Tensor, words: Tensor, placed_words: Tensor, keep: Tensor, places: tuple[Tensor, Tensor]
    ) -> Tensor:
        width = pixels.shape[-1]
        qkv = self.own_qkv(self.norm1(pixels))
        qkv[..., : 2 * width] += places[0]
        q, k, v = qkv.chunk(3, dim=-1)
        pixels = self.own_norm(self.own_out(_attend(q, k, v, self.heads))).add_(pixels)
        q = self.cross_query(self.norm2(pixels)).add_(places[1])
        attended = _attend(q, self.cross_key(placed_words), self.cross_value(words), self.heads, keep)
        pixels = self.cross_norm(self.cross_out(attended)).add_(pixels)
        return self.contract(self.inner_norm(self.expand(self.norm3(pixels))), other=pixels)


class _Decoder:
    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.layers = [_DecoderLayer(layer, dtype) for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self.norm = _Norm(decoder.norm, dtype)
        self._places: tuple[tuple[int, ...], list[tuple[Tensor, Tensor]]] = ((), [])

    def __call__(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        _, channels, height, width = feature_map.shape
        key = (height, width)
        if self._places[0] != key:
            pixel_places = sinusoids_2d(height, width, channels, like=words.float())
            self._places = (key, [layer.places(pixel_places) for layer in self.layers])
        placed_words = words + sinusoids(words.shape[1], words.shape[2], like=words)
        pixels = _rows(feature_map)
        for layer, places in zip(self.layers, self._places[1], strict=True):
            pixels = layer(pixels, words, placed_words, keep, places)
        return _map(self.norm(pixels), height, width)


class _Projector:
    def __init__(self, projector: Projector, side: int, dtype: torch.dtype) -> None:
        self.dtype, self.kernel = dtype, projector.kernel
        self.first = _conv3(*_block(projector.first), 2 * side, dtype)
        self.second = _conv3(*_block(projector.second), 4 * side, dtype)
        bias = projector.last.bias
        assert bias is not None
        self.last_weight, self.last_bias = projector.last.weight.detach().flatten(1), bias.detach()
        self.to_kernel = PackedLinear.of(projector.to_kernel, torch.float32)

    def __call__(self, feature_map: Tensor, state: Tensor, detail: tuple[Tensor, Tensor] | None) -> Tensor:
        x = self.first(_doubled(feature_map))
        if detail is not None:
            x = x + detail[0]
        x = _doubled(x)
        if detail is not None:
            x = x + detail[1]
        return self._dynamic(self.second(x), state)

    def _dynamic(self, x: Tensor, state: Tensor) -> Tensor:
        """The last 1x1 convolution and the sentence's kernel as one product, then a sum of nine shifted maps."""
        count, _, height, width = x.shape
        made = self.to_kernel(state)
        kernels = made[:, :-1].reshape(count, self.last_weight.shape[0], self.kernel**2)
        folded_kernels = (self.last_weight.T @ kernels).to(x.dtype)
        taps = torch.bmm(_rows(x), folded_kernels).float() + (self.last_bias @ kernels)[:, None]
        taps = taps.reshape(count, height, width, -1).permute(0, 3, 1, 2)
        reach = self.kernel // 2
        taps = F.pad(taps, (reach, reach, reach, reach))
        logits = made[:, -1, None, None].expand(count, height, width).clone()
        for tap in range(self.kernel**2):
            row, column = divmod(tap, self.kernel)
            logits += taps[:, tap, row : row + height, column : column + width]
        return logits[:, None]


def _doubled(feature_map: Tensor) -> Tensor:
    return F.interpolate(feature_map, scale_factor=2, mode="bilinear")


class CRISInference(SegmentationModel):
    """A trained `CRIS` in the form described above. It shares no weights with the model it was made of, and cannot train.

    Args:
        model: in evaluation, on the CPU, float32.
        dtype: float32 or bfloat16 for the large products; norms, the text's end and the dynamic kernel stay float32.
        size: side of the pictures for which the algorithms are chosen; other sizes work too.
    """

    def __init__(self, model: CRIS, dtype: torch.dtype = torch.float32, size: int = 416) -> None:
        super().__init__()
        self.config, self.dtype = model.config, dtype
        encoder = model.image_encoder
        side3, side4, side5 = (max(1, size // stride) for stride in encoder.strides[-3:])
        with torch.no_grad():
            self._image = (
                _ResNet(encoder, size, dtype)
                if isinstance(encoder, CLIPResNet)
                else encoder.to(memory_format=torch.channels_last)
            )
            self._text = _Text(model.text_encoder, dtype)
            self._neck = _Neck(model.neck, (side3, side4, side5), dtype)
            self._decoder = _Decoder(model.decoder, dtype)
            self._projector = _Projector(model.projector, side4, dtype)
            self._detail = (
                [_conv1(*_block(block), dtype, relu=True) for block in model.detail] if model.detail is not None else []
            )
        self.presence = model.presence

    @torch.inference_mode()
    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """See `CRIS.look_at`; the maps differ from that one's and belong to this class's `answer`."""
        image = image.contiguous(memory_format=torch.channels_last)
        if isinstance(self._image, _ResNet):
            maps = self._image(image.to(self.dtype))
        else:
            maps = [part.to(self.dtype).contiguous(memory_format=torch.channels_last) for part in self._image(image)]
        sight = self._neck.look(*maps[-3:])
        if not self._detail:
            return sight
        return *sight, self._detail[0](maps[-3]), self._detail[1](maps[-4])

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """See `CRIS.read`; words after the last end marker of all rows are left out."""
        length = int(tokens.argmax(dim=1).max()) + 1
        return self._text(tokens[:, :length])

    @torch.inference_mode()
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """See `CRIS.answer`."""
        words, state = self.read(batch.tokens)
        keep = batch.tokens[:, : words.shape[1]] != 0
        share3, share4, f5, *detail = (
            part.index_select(0, batch.picture).contiguous(memory_format=torch.channels_last) for part in sight
        )
        fused = self._neck(share3, share4, f5, state)
        decoded = self._decoder(fused, words.to(self.dtype), keep)
        logits = self._projector(decoded, state, (detail[0], detail[1]) if detail else None)
        presence = self.presence(decoded.float(), state, logits) if self.presence is not None else None
        return Output(logits, presence)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Not available.

        Raises:
            NotImplementedError: always: train the model that this one was made of.
        """
        raise NotImplementedError("the inference form cannot train; use the model that it was made of")
