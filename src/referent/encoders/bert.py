"""BERT (Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019), layer by layer."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import TextEncoder
from referent.encoders.vocabulary import rows_in_reduced_table
from referent.layers.attention import Attention

Flow: TypeAlias = "tuple[Tensor, Tensor]"
"""Words (N, L, width), and (N, L) bool, False at padding."""

_NORM_EPS = 1e-12
_INIT_STD = 0.02


class BertConfig(BaseModel):
    """BERT. The defaults are bert-base-uncased.

    Attributes:
        vocabulary: token ids are below this.
        kept: ids that have a row of their own, or None for all. With fewer, which ones is a part of the weights
            (`BertEncoder.kept_ids`), and all others share one further row.
        width: D, channels of a word feature.
        layers, heads: their numbers.
        feedforward: inner width of the feed-forward parts.
        context: rows of the positional table, the longest token row.
        dropout: everywhere, in training.
        mask_id: the id of [MASK].
        special_ids: the ids of [CLS] and [SEP].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["bert"] = "bert"
    vocabulary: int = Field(default=30522, gt=0)
    kept: int | None = Field(default=None, gt=0)
    width: int = Field(default=768, gt=0)
    layers: int = Field(default=12, ge=0)
    heads: int = Field(default=12, gt=0)
    feedforward: int = Field(default=3072, gt=0)
    context: int = Field(default=512, ge=2)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    mask_id: int = Field(default=103, ge=0)
    special_ids: tuple[int, ...] = (101, 102)

    @model_validator(mode="after")
    def _fits(self) -> BertConfig:
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width {self.width}, found {self.heads}")
        if self.kept is not None and self.kept > self.vocabulary:
            raise ValueError(f"kept: expected at most the {self.vocabulary} ids of the vocabulary, found {self.kept}")
        return self

    @classmethod
    def base(cls) -> BertConfig:
        """bert-base-uncased."""
        return cls()


class BertLayer(nn.Module):
    """Post-norm transformer layer whose words do not see padding."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads, dropout=config.dropout)
        self.norm1 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.expand = nn.Linear(config.width, config.feedforward)
        self.contract = nn.Linear(config.feedforward, config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, flow: Flow) -> Flow:
        """Words (N, L, width) and what is no padding -> the same shapes."""
        x, keep = flow
        x = self.norm1(x + self.dropout(self.attention(x, x, x, keep=keep)))
        x = self.norm2(x + self.dropout(self.contract(F.gelu(self.expand(x)))))
        return x, keep


class BertEncoder(TextEncoder):
    """BERT without its pooler; the sentence state is the word at [CLS]. Padding is told by id 0.

    Tokens are the whole vocabulary's ids at every interface, also where the table is reduced.

    Buffers:
        kept_ids: (kept,) int64, only in a reduced table: the ids that have rows 0 .. kept - 1, ascending; all other
            ids share row `kept`.
    """

    kept_ids: Tensor

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.width = self.state_width = config.width
        self.rows = config.vocabulary if config.kept is None else config.kept + 1
        self.mask_id, self.special_ids = config.mask_id, config.special_ids
        self.embedding = nn.Embedding(self.rows, config.width)
        self.positions = nn.Parameter(torch.empty(config.context, config.width))
        # The row of the first sentence and that of the second, which phrases do not have.
        self.sentence = nn.Parameter(torch.empty(2, config.width))
        self.norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.layers))
        if config.kept is not None:
            self.register_buffer("kept_ids", torch.arange(config.kept))
        for table in (self.embedding.weight, self.positions, self.sentence):
            nn.init.normal_(table, std=_INIT_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_INIT_STD)
                nn.init.zeros_(module.bias)

    def embed(self, tokens: Tensor) -> Flow:
        """(N, L) ids, L at most `context` -> words (N, L, width), and (N, L) bool, False at padding."""
        words = self.embedding(self.rows_of(tokens)) + self.sentence[0] + self.positions[: tokens.shape[1]]
        return self.dropout(self.norm(words)), tokens != 0

    def rows_of(self, tokens: Tensor) -> Tensor:
        """(N, L) ids -> (N, L) rows of the table."""
        return tokens if self.config.kept is None else rows_in_reduced_table(tokens, self.kept_ids)

    def get_words(self, flow: Flow) -> Tensor:
        """The words inside (words, what is no padding)."""
        return flow[0]

    def put_words(self, flow: Flow, words: Tensor) -> Flow:
        """The flow with other words."""
        return words, flow[1]

    def finish(self, flow: Flow, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Words (N, L, width) as they are, and the one at [CLS] (N, width)."""
        return flow[0], flow[0][:, 0]
