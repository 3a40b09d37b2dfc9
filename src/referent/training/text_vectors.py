"""An auxiliary objective: the text tower's state lands where CLIP puts the same name.

A small tower that only sees the phrases of a few thousand photographs knows a few dozen names. Aimed at CLIP's text
vectors of 1,600 names, a synonym that no photograph was described with ("sofa", "kitten") lands near its neighbour.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.bert import BertEncoder
from referent.encoders.tokenizers import CLIP_VOCABULARY, BertTokenizer, ClipTokenizer, Tokenizer, read_vocabulary
from referent.errors import RecipeError

# The head noun decides; what is said around it must not move the state far from the name's vector.
_TEMPLATES = (
    "{}", "{}", "{}", "a {}", "the {}", "a photo of a {}", "that {}", "{} please", "left {}", "the {} on the right",
    "{} in the middle", "the biggest {}", "small {}", "the red {}", "a black and white {}", "second {} from the left",
    "the {} at the top", "{} in front", "the {} next to the wall", "the {} that is closest to us", "big blue {}",
    "the {} in the background", "{} behind", "all the {}", "any {}?", "the {} with a hole in it",
)  # fmt: skip


class TextVectors:
    """Draws names and longer texts, puts names into templates, and compares the tower's states with their vectors.

    Args:
        path: safetensors with `vectors` (V, E), `vector_of` (T,) and, in its metadata, the T `texts` and their `kinds`
            as JSON lists; a text of kind "name" is put into templates.
        batch: texts a step.
        context_length: longest token row.
        temperature: of the softmax over all V vectors by which teacher and student are compared.
        noise: probability that a token is replaced by a random one, so that unknown words do no harm.
        vocabulary: BERT's word pieces (a file, folder or hub id) for a tower that reads those; None for CLIP's tokens.

    Raises:
        RecipeError: no file at `path`, or another one.
        WeightsError: no vocabulary at `vocabulary`.
    """

    def __init__(
        self,
        path: str,
        batch: int = 128,
        context_length: int = 22,
        temperature: float = 0.1,
        noise: float = 0.05,
        vocabulary: str | None = None,
    ) -> None:
        vectors, self.vector_of, self.texts, self.kinds = _read(path)
        self.vectors = F.normalize(vectors.float(), dim=1)
        self.batch = batch
        self.context_length = context_length
        self.temperature = temperature
        self.noise = noise
        self.tokenizer: Tokenizer = (
            ClipTokenizer() if vocabulary is None else BertTokenizer(read_vocabulary(vocabulary))
        )

    def losses(self, model: nn.Module, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`text_vectors`: 1 - cosine to the name's vector, plus the divergence of the similarities to all vectors.

        Raises:
            RecipeError: the model has no `read`, so its phrases are never encoded alone, or it reads other tokens.
        """
        read: Callable[[Tensor], tuple[Tensor, Tensor]] | None = getattr(model, "read", None)
        if read is None:
            raise RecipeError(f"auxiliary text-vectors: {type(model).__name__} does not read phrases alone")
        encoder = getattr(model, "text_encoder", None)
        wanted = encoder.config.vocabulary if isinstance(encoder, BertEncoder) else CLIP_VOCABULARY
        if encoder is not None and self.tokenizer.size != wanted:
            raise RecipeError(
                f"auxiliary text-vectors: vocabulary: expected the {wanted} tokens that the text encoder reads, found "
                f"{self.tokenizer.size}"
            )
        tokens, rows = self.draw(generator)
        _, state = read(tokens.to(next(model.parameters()).device))
        return {"text_vectors": self.compare(state, rows)}

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(batch, L) tokens, cut to the longest text, and the (batch,) rows of `vectors` they belong to."""
        picks = torch.randint(len(self.texts), (self.batch,), generator=generator)
        forms = torch.randint(len(_TEMPLATES), (self.batch,), generator=generator).tolist()
        texts = [
            _TEMPLATES[form].format(self.texts[pick]) if self.kinds[pick] == "name" else self.texts[pick]
            for pick, form in zip(picks.tolist(), forms, strict=True)
        ]
        tokens = self.tokenizer(texts, self.context_length)
        places = torch.arange(tokens.shape[1])
        ends = (places * (tokens != 0)).amax(1)
        noisy = (torch.rand(tokens.shape, generator=generator) < self.noise) & (places > 1)
        noisy &= places < ends[:, None]
        tokens = torch.where(
            noisy, torch.randint(1, self.tokenizer.size - 2, tokens.shape, generator=generator), tokens
        )
        return tokens[:, : int(ends.max()) + 1], self.vector_of[picks]

    def compare(self, state: Tensor, rows: Tensor) -> Tensor:
        """Scalar loss of (batch, D) states against the vectors at `rows`.

        A tower with fewer channels than the vectors is aimed at their first D principal components.
        """
        vectors = self.within(state.shape[1]).to(state.device)
        state = F.normalize(state.float(), dim=1)
        goal = vectors[rows.to(state.device)]
        teacher = (goal @ vectors.T / self.temperature).softmax(1)
        student = (state @ vectors.T / self.temperature).log_softmax(1)
        divergence = F.kl_div(student, teacher, reduction="batchmean")
        return divergence + (1 - (state * goal).sum(1)).mean()

    @cache  # noqa: B019 (an objective lives as long as its training)
    def within(self, width: int) -> Tensor:
        """(V, width): the vectors for a tower whose state has `width` channels."""
        if width == self.vectors.shape[1]:
            return self.vectors
        main = torch.linalg.svd(self.vectors, full_matrices=False).Vh[:width]
        return F.normalize(self.vectors @ main.T, dim=1)


def _read(path: str) -> tuple[Tensor, Tensor, list[str], list[str]]:
    """`vectors`, `vector_of`, the texts and their kinds."""
    if not Path(path).is_file():
        raise RecipeError(f"auxiliary text-vectors: expected a file at path, found none: {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            texts, kinds = (json.loads(metadata[name]) for name in ("texts", "kinds"))
            return file.get_tensor("vectors"), file.get_tensor("vector_of"), texts, kinds
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RecipeError(
            f"auxiliary text-vectors: {path}: expected safetensors with `vectors` and `vector_of`, and `texts` and "
            f"`kinds` as JSON in its metadata: {type(error).__name__}: {error}"
        ) from error
