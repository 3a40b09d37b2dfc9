"""Tables of trainings that differ in a few settings: row after row, and a table that was cut short goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import Field, ValidationError, field_validator
from rich.console import Console

from referent import zoo
from referent.errors import RecipeError, TrainingError
from referent.files import atomic_write
from referent.training.checkpoint import Checkpoints, check_same
from referent.training.journal import LOG
from referent.training.loop import train
from referent.training.optimiser import freeze
from referent.training.part import Part
from referent.training.plan import model_config
from referent.training.recipe import Recipe, load_recipe
from referent.training.validation import Evaluate

LINE = "row.json"


class Row(Part):
    """One row of a table.

    Attributes:
        name: as it stands in the table.
        set: settings laid over the recipe, by dotted key.
    """

    name: str = Field(min_length=1)
    set: dict[str, Any] = Field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the row's output folder."""
        return re.sub(r"\W+", "-", self.name.lower()).strip("-") or "row"


class Table(Part):
    """What is compared.

    Attributes:
        rows: trainings, in order.
    """

    rows: list[Row] = Field(min_length=1)

    @field_validator("rows")
    @classmethod
    def _folders_differ(cls, rows: list[Row]) -> list[Row]:
        folders = [row.folder for row in rows]
        same = sorted({folder for folder in folders if folders.count(folder) > 1})
        if same:
            raise ValueError(f"names must differ in letters or digits, found twice: {', '.join(same)}")
        return rows


@dataclass(frozen=True)
class Line:
    """A row that has been trained.

    Attributes:
        name: of the row.
        set: its settings.
        parameters, trained: of the model, and how many of them moved.
        scores: of the last validation, by data set and name.
    """

    name: str
    set: Mapping[str, Any]
    parameters: int
    trained: int
    scores: Mapping[str, Mapping[str, float]]


def load_table(path: Path) -> Table:
    """A table of rows from YAML.

    Raises:
        RecipeError: no such file, not YAML, or not a table.
    """
    try:
        return Table.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RecipeError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def recipes(source: str, table: Table, overrides: Sequence[str], folder: Path) -> list[Recipe]:
    """The recipe of every row, all of them checked before the first is trained.

    Args:
        source: the recipe that all rows share.
        table: rows.
        overrides: `key=value` for all rows.
        folder: rows get folders inside it.

    Raises:
        RecipeError: a row's settings do not fit, or there is nothing to validate on.
    """
    made = []
    for row in table.rows:
        settings = [f"{key}={json.dumps(value)}" for key, value in row.set.items()]
        try:
            recipe = load_recipe(source, [*overrides, *settings, f"output={json.dumps(str(folder / row.folder))}"])
            if not recipe.data.val:
                raise RecipeError("data.val: a table needs validation data, found none")
            _sizes(recipe)
        except RecipeError as error:
            raise RecipeError(f"row {row.name!r}: {error}") from error
        made.append(recipe)
    return made


def run_row(row: Row, recipe: Recipe, evaluate: Evaluate, console: Console | None = None) -> Line | None:
    """One row: trained, trained to its end, or read where it is done.

    Returns:
        The line, or None where the training was interrupted; the same call goes on.

    Raises:
        TrainingError: what lies in the row's folder is of another recipe.
    """
    path = recipe.output / LINE
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            check_same(content.pop("recipe"), recipe.plain(), recipe.output)
            return Line(**content)
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{path}: cannot be read: {error}; remove it to train the row again") from error
    resume = bool(Checkpoints(recipe.output, recipe.keep).all())
    outcome = train(recipe, resume=resume, evaluate=evaluate, console=console)
    if outcome.interrupted:
        return None
    parameters, trained = _sizes(recipe)
    line = Line(row.name, row.set, parameters, trained, _last_scores(recipe.output / LOG))
    atomic_write(path, json.dumps({**vars(line), "recipe": recipe.plain()}, indent=1))
    return line


def markdown(lines: Sequence[Line], numbers: Sequence[str]) -> str:
    """The lines as a Markdown table: parameters, and for each data set the asked `numbers` in percent."""
    sets = list(dict.fromkeys(name for line in lines for name in line.scores))
    titles = [f"{number} {name}" if len(sets) > 1 else number for name in sets for number in numbers]
    table = [["", "trained parameters", "all parameters", *titles], ["---", *["--:"] * (2 + len(titles))]]
    for line in lines:
        cells = [line.scores.get(name, {}).get(number) for name in sets for number in numbers]
        shown = ["-" if cell is None else f"{100 * cell:.1f}" for cell in cells]
        table.append([line.name, f"{line.trained:,}", f"{line.parameters:,}", *shown])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def _sizes(recipe: Recipe) -> tuple[int, int]:
    """All parameters of a recipe's model, and those that are trained."""
    if recipe.model.family not in zoo.FAMILIES:
        raise RecipeError(f"model.family: expected one of {', '.join(zoo.FAMILIES)}, found {recipe.model.family!r}")
    family = zoo.FAMILIES[recipe.model.family]
    with torch.device("meta"):
        model = family.model(model_config(recipe, family.config))
    freeze(model, recipe.optimiser.frozen)
    parameters = list(model.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return sum(parameter.numel() for parameter in parameters), trained


def _last_scores(log: Path) -> dict[str, dict[str, float]]:
    lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    scores: dict[str, dict[str, float]] = [line["scores"] for line in lines if line["event"] == "validation"][-1]
    return scores
