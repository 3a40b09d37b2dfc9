"""Tables of trainings that differ in a few settings: row after row, and a table that was cut short goes on."""

from __future__ import annotations

import json
import math
import re
import statistics
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
# Student's t for 95 %, by degrees of freedom from 1 on.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class Row(Part):
    """One row of a table.

    Attributes:
        name: as it stands in the table.
        set: settings laid over the recipe, by dotted key.
        seed: of this training, or None for the recipe's own.
    """

    name: str = Field(min_length=1)
    set: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = Field(default=None, ge=0)

    @property
    def folder(self) -> str:
        """Name of the row's output folder."""
        name = re.sub(r"\W+", "-", self.name.lower()).strip("-") or "row"
        return name if self.seed is None else f"{name}-seed-{self.seed}"


class Table(Part):
    """What is compared.

    Attributes:
        rows: what is trained, in order.
        seeds: every row is trained once with each of them, and the table then holds means and their intervals; none
            for once with the recipe's own.
    """

    rows: list[Row] = Field(min_length=1)
    seeds: list[int] = Field(default_factory=list, max_length=len(_T) + 1)

    @property
    def trainings(self) -> list[Row]:
        """All rows with the first seed, then all with the next."""
        if not self.seeds:
            return self.rows
        return [row.model_copy(update={"seed": seed}) for seed in self.seeds for row in self.rows]

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds must differ, found {seeds}")
        return seeds

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
        seed: of the training, where the table says one.
    """

    name: str
    set: Mapping[str, Any]
    parameters: int
    trained: int
    scores: Mapping[str, Mapping[str, float]]
    seed: int | None = None


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
    """The recipe of each of `table.trainings`, all of them checked before the first is trained.

    Args:
        source: the recipe that all rows share.
        table: rows.
        overrides: `key=value` for all rows.
        folder: rows get folders inside it.

    Raises:
        RecipeError: a row's settings do not fit, or there is nothing to validate on.
    """
    made = []
    for row in table.trainings:
        settings = [f"{key}={json.dumps(value)}" for key, value in row.set.items()]
        settings += [] if row.seed is None else [f"seed={row.seed}"]
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
    line = Line(row.name, row.set, parameters, trained, _last_scores(recipe.output / LOG), row.seed)
    atomic_write(path, json.dumps({**vars(line), "recipe": recipe.plain()}, indent=1))
    return line


def markdown(lines: Sequence[Line], numbers: Sequence[str]) -> str:
    """The lines as a Markdown table: parameters, and for each data set the asked `numbers` in percent.

    Lines of one name, which differ in their seed, are one row: the mean, and half the width of its 95 % interval.
    """
    sets = list(dict.fromkeys(name for line in lines for name in line.scores))
    titles = [f"{number} {name}" if len(sets) > 1 else number for name in sets for number in numbers]
    table = [["", "trained parameters", "all parameters", *titles], ["---", *["--:"] * (2 + len(titles))]]
    for title, same in _by_name(lines).items():
        cells = [_values(same, name, number) for name in sets for number in numbers]
        table.append([title, f"{same[0].trained:,}", f"{same[0].parameters:,}", *map(_shown, cells)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def summary(lines: Sequence[Line], numbers: Sequence[str]) -> list[dict[str, Any]]:
    """What `markdown` shows, for a result file.

    Returns:
        Of each row its name, settings, sizes, number of trainings, and under the name of each data set (without suffix)
        the `numbers`, each with the ends of its 95 % interval, None without one.
    """
    sets = dict.fromkeys(name for line in lines for name in line.scores)
    return [
        {
            "name": title,
            "set": same[0].set,
            "trained": same[0].trained,
            "parameters": same[0].parameters,
            "trainings": len(same),
            "numbers": {
                str(Path(name).with_suffix("")): {number: _interval(_values(same, name, number)) for number in numbers}
                for name in sets
            },
        }
        for title, same in _by_name(lines).items()
    ]


def _by_name(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Lines that differ in their seed alone, together."""
    return {
        title: [line for line in lines if line.name == title] for title in dict.fromkeys(line.name for line in lines)
    }


def _values(lines: Sequence[Line], data: str, number: str) -> list[float]:
    found = (line.scores.get(data, {}).get(number) for line in lines)
    return [value for value in found if value is not None]


def _half_width(values: Sequence[float]) -> float | None:
    """Of the 95 % interval of the mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    return _T[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))


def _interval(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"value": None, "low": None, "high": None}
    mean, half = statistics.mean(values), _half_width(values)
    return {"value": mean, "low": None if half is None else mean - half, "high": None if half is None else mean + half}


def _shown(values: Sequence[float]) -> str:
    """In percent; "-" for none, and with several the half width of the interval."""
    if not values:
        return "-"
    mean, half = f"{100 * statistics.mean(values):.1f}", _half_width(values)
    return mean if half is None else f"{mean} ± {100 * half:.1f}"


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
