import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.clip import CLIPTextEncoder
from referent.encoders.clip_config import CLIPTextConfig
from referent.errors import RecipeError
from referent.training.auxiliary import build_auxiliary
from referent.training.text_vectors import TextVectors

NAMES = ["cat", "dog", "couch", "bus", "wine glass", "umbrella"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.safetensors"
    vectors = F.normalize(torch.randn(len(NAMES), 16, generator=torch.Generator().manual_seed(0)), dim=1)
    texts = [*NAMES, "a piece of furniture for two to sit on"]
    kinds = ["name"] * len(NAMES) + ["definition"]
    save_file(
        {"vectors": vectors, "vector_of": torch.tensor([*range(len(NAMES)), 2])},
        path,
        {"texts": json.dumps(texts), "kinds": json.dumps(kinds)},
    )
    return path


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text_encoder = CLIPTextEncoder(CLIPTextConfig(width=32, layers=1, heads=2, context=22, embed=16))

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.text_encoder(tokens)


def test_states_of_names_come_to_lie_on_their_vectors(table: Path) -> None:
    torch.manual_seed(0)
    tower, objective = Tower(), TextVectors(str(table), batch=24, noise=0)
    optimiser = torch.optim.Adam(tower.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(60):
        loss = objective.losses(tower, step, generator)["text_vectors"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        _, state = tower.read(objective.tokenizer(NAMES, 22))
    nearest = (F.normalize(state, dim=1) @ objective.vectors.T).argmax(1)
    assert nearest.tolist() == list(range(len(NAMES)))


def test_a_state_on_its_vector_has_no_loss(table: Path) -> None:
    objective = TextVectors(str(table))
    rows = torch.arange(len(NAMES))
    assert objective.compare(5 * objective.vectors[rows], rows).item() == pytest.approx(0, abs=1e-5)
    assert objective.compare(objective.vectors[rows.flip(0)], rows).item() > 0.5


def test_names_are_put_into_templates_and_definitions_are_not(table: Path) -> None:
    objective = TextVectors(str(table), batch=200, noise=0)
    tokens, rows = objective.draw(torch.Generator().manual_seed(1))
    definition = objective.tokenizer([objective.texts[-1]], 22)[0, : tokens.shape[1]]
    sofas = tokens[rows == 2]
    same = (sofas == definition).all(1)
    assert same.any()
    assert not same.all()
    assert len(torch.unique(tokens[rows == 0], dim=0)) > 5


def test_noise_never_touches_the_first_word_the_markers_or_the_padding(table: Path) -> None:
    quiet, noisy = (TextVectors(str(table), batch=100, noise=noise) for noise in (0, 0.9))
    plain, _ = quiet.draw(torch.Generator().manual_seed(3))
    changed, _ = noisy.draw(torch.Generator().manual_seed(3))
    assert (plain != changed).any()
    assert (plain[:, :2] == changed[:, :2]).all()
    assert (plain.argmax(1) == changed.argmax(1)).all()
    assert ((plain == 0) <= (changed == 0)).all()


def test_the_same_generator_draws_the_same_texts(table: Path) -> None:
    objective = TextVectors(str(table))
    first, second = (objective.draw(torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_a_recipe_names_it_and_a_missing_file_is_an_error_that_says_so(table: Path) -> None:
    (objective,) = build_auxiliary([{"kind": "text-vectors", "path": str(table), "batch": 4}])
    assert isinstance(objective, TextVectors)
    with pytest.raises(RecipeError, match=r"nowhere\.safetensors"):
        TextVectors("nowhere.safetensors")


def test_another_file_is_an_error_that_says_what_was_expected(table: Path) -> None:
    tensors, metadata = load_file(table), {"texts": "[]", "kinds": "[]"}
    for found, told, message in (
        ({"vectors": tensors["vectors"]}, metadata, "vector_of"),
        (tensors, {"texts": "[]"}, "KeyError: 'kinds'"),
        (tensors, None, "KeyError: 'texts'"),
        (tensors, {**metadata, "texts": "no JSON"}, "JSONDecodeError"),
    ):
        save_file(found, table, told)
        with pytest.raises(RecipeError, match=rf"vectors\.safetensors: expected safetensors with `vectors`.*{message}"):
            TextVectors(str(table))
    table.write_bytes(b"no weights")
    with pytest.raises(
        RecipeError, match=r"vectors\.safetensors: expected safetensors with `vectors`.*SafetensorError"
    ):
        TextVectors(str(table))


def test_a_model_that_does_not_read_phrases_alone_is_an_error(table: Path) -> None:
    with pytest.raises(RecipeError, match="does not read phrases alone"):
        TextVectors(str(table)).losses(nn.Linear(1, 1), 0, torch.Generator())


def test_a_bert_is_aimed_at_the_main_components(table: Path, tmp_path: Path) -> None:
    words = sorted({word for text in NAMES for word in text.split()})
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    objective = TextVectors(str(table), batch=8, vocabulary=str(vocabulary))
    tokens, rows = objective.draw(torch.Generator().manual_seed(0))
    assert set(tokens[:, 0].tolist()) == {2}
    assert int(tokens.max()) < objective.tokenizer.size
    goal = objective.within(4)
    assert goal.shape == (len(NAMES), 4)
    assert objective.compare(5 * goal[rows], rows).item() == pytest.approx(0, abs=1e-5)


def test_words_of_another_vocabulary_are_refused(table: Path, tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat"]))
    objective = TextVectors(str(table), batch=8, vocabulary=str(vocabulary))
    with pytest.raises(RecipeError, match="expected the 49408 tokens that the text encoder reads, found 6"):
        objective.losses(Tower(), 0, torch.Generator())
