from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from training_tiny import recipe

from referent import zoo
from referent.errors import RecipeError
from referent.training.plan import model_config
from referent.training.recipe import Cosine, load_recipe, shipped


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe(tmp_path / "data.jsonl", tmp_path / "out")))
    return path


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    read = load_recipe(name)
    assert model_config(read, zoo.FAMILIES[read.model.family].config)


def test_overrides_reach_into_groups_and_lists(file: Path) -> None:
    read = load_recipe(file, ["optimiser.lr=3e-4", "data.train.0.weight=2", "schedule={kind: cosine, warmup: 7}"])
    assert read.optimiser.lr == 3e-4
    assert read.data.train[0].weight == 2
    assert read.schedule == Cosine(kind="cosine", warmup=7)


def test_an_override_makes_groups_that_the_file_leaves_out(file: Path) -> None:
    assert load_recipe(file, ["start.clip=RN50.pt"]).start.clip == Path("RN50.pt")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimiser.learning_rate=1", "unknown key `optimiser.learning_rate`; did you mean `optimiser"),
        ("bach=8", "unknown key `bach`; did you mean `batch`?"),
        ("warmup=8", "unknown key `warmup`; did you mean `schedule.warmup`?"),
        ("data.train.0.wieght=8", "unknown key `data.train.0.wieght`; did you mean `data.train.weight`?"),
        ("schedule.warmpu=8", "unknown key `schedule.warmpu`; did you mean `schedule.warmup`?"),
        ("batch=0", "`batch`: Input should be greater than 0, found 0"),
        ("epochs=3", "exactly one of `epochs` and `steps`"),
        ("batch", "expected key=value"),
        ("batch=[", "the value is not YAML"),
        ("batch.size=3", "batch is a value, not a group"),
        ("data.train.7.path=x", "expected a number from 0 to 0"),
        ("optimiser.frozen=['(']", "not a regular expression"),
        ("data.group=target", "leave `phrases` at 1"),
        ("schedule={kind: multistep, first_epoch: published}", "needs a length in `epochs`"),
        ("auxiliary=[{path: x}]", "needs a `kind`"),
        ("model=null", "`model`"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(file: Path, override: str, expected: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(file, [override])
    assert expected in str(error.value)


def test_a_missing_setting_is_named(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    del content["optimiser"]["lr"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(RecipeError, match=r"`optimiser\.lr` is missing"):
        load_recipe(file)


@pytest.mark.parametrize("text", ["a: [", "- 1", "just words", "\x00"])
def test_junk_is_a_recipe_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "junk.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="junk"):
        load_recipe(path)


def test_an_unknown_recipe_lists_those_that_ship() -> None:
    with pytest.raises(RecipeError, match="cris-r50-refcoco"):
        load_recipe("cris-r51-refcoco")


def test_numbers_without_a_dot_are_numbers(file: Path) -> None:
    assert load_recipe(file, ["optimiser.lr=1e-4"]).optimiser.lr == 1e-4


def test_the_plain_form_reads_back_as_the_same_recipe(file: Path) -> None:
    read = load_recipe(file)
    assert type(read).model_validate(read.plain()) == read
