"""Sizes of CLIP's encoders, the published ones by name."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from referent.encoders.tokenizers import CLIP_VOCABULARY

HEAD_WIDTH = 64  # channels per attention head in every published CLIP
Activation = Literal["quick_gelu", "gelu"]


class CLIPResNetConfig(BaseModel):
    """ModifiedResNet. The defaults are RN50.

    Attributes:
        blocks: bottlenecks in each of the four layers.
        width: channels after the stem; the last layer has 32 times as many.
        embed: E, channels of the final map and of CLIP's shared space.
        grid: side of the stored positional table of the attention pool.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["clip-resnet"] = "clip-resnet"
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = Field(default=64, gt=0, multiple_of=2)
    embed: int = Field(default=1024, gt=0)
    grid: int = Field(default=7, gt=0)

    @classmethod
    def rn50(cls) -> CLIPResNetConfig:
        """CLIP RN50."""
        return cls()

    @classmethod
    def rn101(cls) -> CLIPResNetConfig:
        """CLIP RN101."""
        return cls(blocks=(3, 4, 23, 3), embed=512)

    @classmethod
    def rn50x16(cls) -> CLIPResNetConfig:
        """CLIP RN50x16."""
        return cls(blocks=(6, 8, 18, 8), width=96, embed=768, grid=12)


class CLIPViTConfig(BaseModel):
    """Vision transformer. The defaults are ViT-B/16.

    Attributes:
        patch: side of a patch in pixels.
        width: channels of a token.
        depths: blocks in each stage; the sum is the number of layers.
        embed: E, channels of the final map and of CLIP's shared space.
        grid: side of the stored positional table.
        activation: of the MLPs; OpenAI's weights use "quick_gelu".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["clip-vit"] = "clip-vit"
    patch: int = Field(default=16, gt=0)
    width: int = Field(default=768, gt=0, multiple_of=HEAD_WIDTH)
    depths: tuple[int, ...] = (4, 4, 4)
    embed: int = Field(default=512, gt=0)
    grid: int = Field(default=14, gt=0)
    activation: Activation = "quick_gelu"

    @classmethod
    def b32(cls) -> CLIPViTConfig:
        """CLIP ViT-B/32."""
        return cls(patch=32, grid=7)


class CLIPTextConfig(BaseModel):
    """Text transformer. The defaults are that of RN50.

    Attributes:
        vocabulary: V, ids that have a row of their own. Below 49408 the table is reduced: the ids that have a row are
            a part of the weights (`CLIPTextEncoder.kept_ids`), all others share one further row.
        width: D, channels of a word feature.
        layers: number of layers.
        heads: attention heads.
        context: rows of the positional table, the longest token row.
        embed: E, channels of the sentence state.
        activation: of the MLPs; OpenAI's weights use "quick_gelu".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["clip-text"] = "clip-text"
    vocabulary: int = Field(default=CLIP_VOCABULARY, gt=0, le=CLIP_VOCABULARY)
    width: int = Field(default=512, gt=0)
    layers: int = Field(default=12, ge=0)
    heads: int = Field(default=8, gt=0)
    context: int = Field(default=77, ge=2)
    embed: int = Field(default=1024, gt=0)
    activation: Activation = "quick_gelu"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> CLIPTextConfig:
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width {self.width}, found {self.heads}")
        return self

    @property
    def reduced(self) -> bool:
        """Whether the table holds a part of CLIP's vocabulary only."""
        return self.vocabulary < CLIP_VOCABULARY
