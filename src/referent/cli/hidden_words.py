"""`referent explain --hide`: what MagNet's grounding head takes a hidden word for, given the mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from referent.errors import BadReferenceError

if TYPE_CHECKING:
    from torch import Tensor

    from referent.encoders.base import TextEncoder
    from referent.encoders.tokenizers import Tokenizer

SHOWN = 10
UNKNOWN = "(any word outside the model's vocabulary)"


@dataclass(frozen=True)
class Guess:
    """What one hidden token could be.

    Attributes:
        hidden: the token that was hidden, as text.
        words: the likeliest tokens with their probabilities, best first.
    """

    hidden: str
    words: tuple[tuple[str, float], ...]


def hidden_words(
    model: str, photo: Path, expression: str, word: str, mask: Path | None, device: str | None
) -> list[Guess]:
    """Guesses for every token of a hidden word.

    Args:
        model: a model of family "magnet" that was trained with grounding.
        photo: the picture.
        expression: holds `word`.
        word: one of the expression's words, as it stands there; the first of equal ones is hidden.
        mask: what the expression means, of the picture's size; the model's own answer when None.
        device: where to run.

    Raises:
        BadReferenceError: the word is not in the expression, or the model has no grounding head.
        PictureError, WeightsError: a file that cannot be used.
    """
    import torch

    from referent.models.base import Batch
    from referent.models.magnet import MagNet
    from referent.picture import read_mask, read_picture
    from referent.segmenter import load

    segmenter = load(model, device=device)
    system, preparation = segmenter.model, segmenter.preparation
    if not isinstance(system, MagNet) or system.grounding is None:
        raise BadReferenceError(
            f"{segmenter.name}: expected a MagNet trained with grounding, which guesses hidden words"
        )
    picture = read_picture(photo)
    pixels = (
        segmenter.segment(picture, expression).mask
        if mask is None
        else read_mask(mask, (picture.height, picture.width))
    )
    tokens = preparation.tokens([expression])
    place = _places(expression, word, preparation.words, preparation.context_length)
    hidden = torch.zeros_like(tokens, dtype=torch.bool)
    hidden[0, place.start : place.stop] = True
    target = preparation.mask(pixels)[None]
    batch = Batch.paired(preparation.picture(picture)[None], tokens, target).to(segmenter.engine.device)
    with torch.inference_mode():
        scores = system.guess(system.look_at(batch.image), batch, hidden.to(segmenter.engine.device))
    words = preparation.words
    return [
        Guess(
            words.piece(int(tokens[0, column])), _likeliest(scores[0, column].softmax(-1), system.text_encoder, words)
        )
        for column in place
    ]


def _places(expression: str, word: str, words: Tokenizer, length: int) -> range:
    """Columns of the token row in which the word stands."""
    written = expression.split()
    if word not in written:
        raise BadReferenceError(
            f"--hide: expected one of the expression's words ({', '.join(written)}), found {word!r}"
        )
    before = 1 + len(words.encode(" ".join(written[: written.index(word)])))
    columns = range(before, min(before + len(words.encode(word)), length - 1))
    if not columns:
        raise BadReferenceError(f"--hide: {word!r} lies beyond the {length} tokens that the model reads")
    return columns


def _likeliest(probability: Tensor, encoder: TextEncoder, words: Tokenizer) -> tuple[tuple[str, float], ...]:
    kept = getattr(encoder, "kept_ids", None)
    found = []
    for share, row in zip(*(values.tolist() for values in probability.topk(min(SHOWN, len(probability)))), strict=True):
        known = kept is None or row < len(kept)
        text = words.piece(row if kept is None else int(kept[row])) if known else UNKNOWN
        found.append((text, float(share)))
    return tuple(found)
