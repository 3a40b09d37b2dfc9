"""The word pieces of magnet-pocket's BERT, learnt from the texts that it is trained on.

    python examples/magnet_pocket/vocabulary.py VECTORS.safetensors OUT.txt --phrases FILE... [--size 4000]

VECTORS is what `examples/cris_pocket/text_vectors.py` wrote: names, definitions and expressions. The files are what
`referent describe` wrote. BERT has 30,522 pieces, which would be most of a 15 MB file. With these, whole words are
those that training shows, and all others are spelt in pieces.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from safetensors import safe_open
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

MARKERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # ids 0 to 4, as the recipe says


def texts(vectors: Path, phrases: list[Path]) -> list[str]:
    """Every text once, so that the words of frequent patterns do not crowd out the others."""
    with safe_open(vectors, "pt") as file:
        found = set(json.loads(file.metadata()["texts"]))
    for path in phrases:
        found |= {entry["phrase"] for entry in json.loads(path.read_text())["phrases"]}
    return sorted(found)


def main() -> None:
    """Learn and write, a piece a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phrases", type=Path, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=4000)
    arguments = parser.parse_args()
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    found = texts(arguments.vectors, arguments.phrases)
    trainer = WordPieceTrainer(vocab_size=arguments.size, special_tokens=MARKERS, show_progress=False)
    tokenizer.train_from_iterator(found, trainer)
    # In the order of the alphabet: that of the trainer changes from run to run.
    pieces = [*MARKERS, *sorted(tokenizer.get_vocab().keys() - set(MARKERS))]
    arguments.out.write_text("".join(f"{piece}\n" for piece in pieces))
    longest = max(len(tokenizer.encode(text).ids) for text in found)
    print(f"{len(pieces)} pieces from {len(found)} texts, of which the longest has {longest}; in {arguments.out}")


if __name__ == "__main__":
    main()
