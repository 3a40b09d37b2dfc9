"""BERT against transformers', and its weights in every layout."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from referent.encoders.bert import BertConfig, BertEncoder
from referent.encoders.bert_weights import load_bert
from referent.errors import WeightsError

TINY = BertConfig(vocabulary=200, width=16, layers=2, heads=2, feedforward=24, context=12)
TOKENS = torch.tensor([[101, 7, 8, 9, 102, 0, 0], [101, 150, 3, 4, 5, 6, 102]])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A tiny masked language model of transformers and the folder that it was saved into."""
    from transformers import BertConfig as TheirConfig
    from transformers import BertForMaskedLM

    torch.manual_seed(1)
    config = TheirConfig(
        vocab_size=200,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=12,
    )
    model = BertForMaskedLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("bert")
    model.save_pretrained(folder)
    return folder, model


def test_words_are_those_of_transformers(theirs: tuple[Path, torch.nn.Module]) -> None:
    folder, reference = theirs
    ours = BertEncoder(TINY).eval()
    load_bert(ours, folder)
    with torch.no_grad():
        expected = reference.bert(TOKENS, attention_mask=(TOKENS != 0).long()).last_hidden_state  # type: ignore[operator, union-attr]
        words, state = ours(TOKENS)
    assert torch.allclose(words, expected, atol=1e-5)
    assert torch.equal(state, words[:, 0])


def test_norms_under_their_names_of_2019_load(theirs: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    folder, _ = theirs
    state = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in state.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(12)[None]
    torch.save(old, tmp_path / "pytorch_model.bin")
    new, again = BertEncoder(TINY), BertEncoder(TINY)
    load_bert(new, folder)
    load_bert(again, tmp_path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in new.state_dict().items())


def test_another_vocabulary_is_refused_and_named(theirs: tuple[Path, torch.nn.Module]) -> None:
    with pytest.raises(WeightsError, match=r"word_embeddings\.weight is \(200, 16\), expected \(201, 16\)"):
        load_bert(BertEncoder(TINY.model_copy(update={"vocabulary": 201})), theirs[0])


def test_something_else_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a BERT"):
        load_bert(BertEncoder(TINY), tmp_path)


def test_padding_changes_no_word() -> None:
    torch.manual_seed(0)
    model = BertEncoder(TINY).eval()
    with torch.no_grad():
        short = model(TOKENS[:1, :5])[0]
        long = model(torch.nn.functional.pad(TOKENS[:1], (0, 3)))[0]
    assert torch.allclose(short, long[:, :5], atol=1e-6)


def test_ids_without_a_row_of_their_own_share_one() -> None:
    model = BertEncoder(TINY.model_copy(update={"kept": 3}))
    model.kept_ids = torch.tensor([0, 101, 150])
    assert model.rows == 4
    assert model.rows_of(TOKENS).tolist() == [[1, 3, 3, 3, 3, 0, 0], [1, 2, 3, 3, 3, 3, 3]]


def test_the_published_size_is_the_default() -> None:
    with torch.device("meta"):
        model = BertEncoder(BertConfig.base())
    assert sum(parameter.numel() for parameter in model.parameters()) == 108_891_648
