"""Train the pocket text tower on names alone, before it sees a photograph.

    python examples/cris_pocket/pretrain_text.py VECTORS.safetensors OUT.safetensors [--steps 500]
        [--phrases FILE... | --pieces VOCABULARY.txt]

VECTORS is what text_vectors.py wrote. The vocabulary is the part of CLIP's that its texts, and the phrases that
`referent describe` writes, are made of. With --pieces, which examples/magnet_pocket/vocabulary.py wrote, the tower is a
BERT.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track
from safetensors.torch import save_file
from torch.nn import functional as F

from referent.encoders.base import TextEncoder
from referent.encoders.bert import BertConfig
from referent.encoders.build import build_text_encoder
from referent.encoders.clip import CLIPTextEncoder
from referent.encoders.clip_config import CLIPTextConfig
from referent.encoders.tokenizers import ClipTokenizer
from referent.training.text_vectors import TextVectors

WIDTH, LAYERS, HEADS, CONTEXT, EMBED = 192, 4, 6, 22, 512
# Words of place, order, size, colour and number that no name or definition may hold.
WORDS = """
left right leftmost rightmost topmost bottommost top bottom upper lower middle center centre centred corner edge
side far near nearest closest furthest farthest front behind back background foreground above below under beneath
over beside next between inside outside around against touching first second third fourth fifth sixth seventh eighth
ninth tenth last 1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th one two three four five six seven eight nine ten both all
every each any other another single only alone pair couple group big bigger biggest large larger largest small
smaller smallest tiny huge tall taller tallest short shorter shortest wide wider widest narrow thin thinnest thick
long longest little great red orange yellow green blue purple violet pink magenta brown black white grey gray beige
tan golden silver cyan teal turquoise navy maroon cream dark light bright pale coloured colored standing sitting
lying walking running holding wearing looking facing riding jumping playing eating sleeping the a an of to in on at
by with without from and or not no is are that which who this these those thing things object something someone
somebody picture photo image please find show me where
"""
PEAK_LR, WARMUP = 1e-3, 100


class Tower(torch.nn.Module):
    """The text encoder, read as a model is."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def read(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Words and state."""
        words, state = self.encoder(tokens)
        return words, state


def clip(texts: list[str], phrases: list[Path]) -> tuple[TextEncoder, CLIPTextConfig]:
    """cris-pocket's tower, which has rows for the tokens of these texts."""
    kept = vocabulary(texts, phrases)
    config = CLIPTextConfig(vocabulary=len(kept), width=WIDTH, layers=LAYERS, heads=HEADS, context=CONTEXT, embed=EMBED)
    encoder = CLIPTextEncoder(config)
    encoder.kept_ids.copy_(kept)
    return encoder, config


def bert(size: int) -> tuple[TextEncoder, BertConfig]:
    """magnet-pocket's, for so many word pieces that begin with [PAD], [UNK], [CLS], [SEP] and [MASK]."""
    config = BertConfig(
        vocabulary=size,
        width=160,
        layers=LAYERS,
        heads=5,
        feedforward=480,
        context=CONTEXT,
        dropout=0.0,
        mask_id=4,
        special_ids=(2, 3),
    )
    return build_text_encoder(config), config


def vocabulary(texts: list[str], phrases: list[Path]) -> torch.Tensor:
    """Ascending CLIP ids of every token in the texts and phrase files, the padding and the two markers included."""
    texts = [*texts, *WORDS.split()]
    for path in phrases:
        texts += [entry["phrase"] for entry in json.loads(path.read_text())["phrases"]]
    tokens = ClipTokenizer()(texts, 77)
    return torch.unique(tokens)


def retrieval(tower: Tower, objective: TextVectors) -> tuple[float, float]:
    """Share of names whose nearest vector is their own (or one at cosine above 0.9 to it), and their mean cosine."""
    names = [i for i, kind in enumerate(objective.kinds) if kind == "name"]
    with torch.inference_mode():
        _, state = tower.read(objective.tokenizer([objective.texts[i] for i in names], CONTEXT))
    state = F.normalize(state, dim=1)
    vectors = objective.within(state.shape[1])
    goal = vectors[objective.vector_of[names]]
    nearest = vectors[(state @ vectors.T).argmax(1)]
    return ((nearest * goal).sum(1) > 0.9).float().mean().item(), (state * goal).sum(1).mean().item()


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phrases", type=Path, nargs="*", default=[])
    parser.add_argument("--pieces", type=str)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    objective = TextVectors(str(arguments.vectors), arguments.batch, CONTEXT, vocabulary=arguments.pieces)
    encoder, config = bert(objective.tokenizer.size) if arguments.pieces else clip(objective.texts, arguments.phrases)
    tower = Tower(encoder)
    optimiser = torch.optim.AdamW(tower.parameters(), lr=PEAK_LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [
            torch.optim.lr_scheduler.LinearLR(optimiser, 0.01, total_iters=WARMUP),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, arguments.steps - WARMUP),
        ],
        [WARMUP],
    )
    generator = torch.Generator().manual_seed(0)
    for step in track(range(arguments.steps), description="names"):
        loss = objective.losses(tower, step, generator)["text_vectors"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            share, cosine = retrieval(tower, objective)
            print(f"step {step}: loss {loss.item():.3f}, names found {share:.3f}, mean cosine {cosine:.3f}", flush=True)
    share, cosine = retrieval(tower, objective)
    print(f"names found {share:.3f}, mean cosine {cosine:.3f}, vocabulary {config.vocabulary}")
    save_file(encoder.state_dict(), arguments.out, {"config": config.model_dump_json()})


if __name__ == "__main__":
    main()
