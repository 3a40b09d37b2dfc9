"""The recipe of a training: one YAML file, checked before anything runs.

Every field of a recipe stands here once, with its meaning. A key that is not here is an error that names it and the
nearest key that is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from referent.errors import RecipeError
from referent.training.data_part import Data
from referent.training.part import Part

RECIPES = resources.files("referent.recipes")


class ModelChoice(Part):
    """Which system is trained.

    Attributes:
        family: the published system, a key of `zoo.FAMILIES` ("cris").
        preset: a named configuration of the family ("r50"), or None to start from the family's defaults.
        config: settings of the family's configuration, laid over the preset.
        name: what the trained weights call themselves.
        adapter: write the weights as an adapter of `start.clip`, of `start.image` and `start.text`, or of what the
            adapter in `start.weights` belongs to; the encoders are then frozen but for positional tables.
    """

    family: str
    preset: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    name: str = "trained"
    adapter: bool = False


class Start(Part):
    """Weight files that the model starts from; parts that no file fills keep their random initialisation.

    Attributes:
        weights: the whole model: a file of referent's (an adapter too), or the authors' own checkpoint.
        clip: CLIP's image and text encoders (OpenAI's archive, a state dict, safetensors, or a hub layout).
        image: the image encoder alone: from a model of ours, a file of CLIP's, the public folded file for MobileNetV2,
            or any layout of Swin's.
        mask: the encoder of examples alone (UniRef++'s), from torchvision's or timm's ResNet-18.
        sam: the SAM around UniFusion, from Meta's file or in transformers' layout.
        fresh: regular expressions; what `weights` holds of such names is not used, and what it lacks keeps its random
            initialisation.
        text: the text encoder alone, from a model of ours, a file of CLIP's, of its own state dict, or transformers'
            layout of BERT. Here, in `image` and in `weights`, the name of a model in the package means its file.
    """

    weights: Path | None = None
    clip: Path | None = None
    image: Path | None = None
    text: Path | None = None
    mask: Path | None = None
    sam: Path | None = None
    fresh: list[str] = Field(default_factory=list)

    @field_validator("fresh")
    @classmethod
    def _compile(cls, values: list[str]) -> list[str]:
        return [_regular(value) for value in values]


class Group(Part):
    """Parameters that learn at their own rate.

    Attributes:
        match: regular expression searched in the parameter's name; the first group that matches takes it.
        lr_scale: factor on the learning rate.
        weight_decay: instead of the optimiser's, or None for the same.
    """

    match: str
    lr_scale: float = Field(default=1.0, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return _regular(value)


class Optimiser(Part):
    """How the parameters move.

    Attributes:
        kind: Adam, or Adam with decoupled weight decay.
        lr: base learning rate, for every parameter that no group takes.
        betas: Adam's.
        weight_decay: Adam adds it to the gradient, AdamW takes it off the parameter.
        clip: largest norm of the whole gradient; 0 turns clipping off.
        groups: parameters with rates of their own.
        frozen: regular expressions; parameters whose name matches are not trained, and a batch normalisation that is
            frozen keeps its statistics too.
    """

    kind: Literal["adam", "adamw"] = "adamw"
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=0.0, ge=0)
    groups: list[Group] = Field(default_factory=list)
    frozen: list[str] = Field(default_factory=list)

    @field_validator("frozen")
    @classmethod
    def _compile(cls, values: list[str]) -> list[str]:
        return [_regular(value) for value in values]


class MultiStep(Part):
    """The rate falls by `gamma` at each milestone.

    Attributes:
        milestones: in epochs where the recipe counts `epochs`, in steps where it counts `steps`; [35] with 50 epochs
            means that the 36th epoch is the first at the lower rate.
        gamma: the factor.
        first_epoch: "intended" uses every group's `lr_scale` from the beginning; "published" trains the whole first
            epoch at the base rate, groups ignored, as the official CRIS code does (its scheduler sets the groups'
            rates only after epoch 1).
    """

    kind: Literal["multistep"]
    milestones: list[int] = Field(default_factory=list)
    gamma: float = Field(default=0.1, gt=0, le=1)
    first_epoch: Literal["published", "intended"] = "intended"


class Cosine(Part):
    """Linear warm-up, then half a cosine down.

    Attributes:
        warmup: steps until the full rate.
        floor: share of the rate that is left at the end.
    """

    kind: Literal["cosine"]
    warmup: int = Field(default=0, ge=0)
    floor: float = Field(default=0.0, ge=0, le=1)


class Polynomial(Part):
    """The rate falls to 0 as (1 - step / steps) ** power (LAVT, hence MagNet: power 0.9).

    Attributes:
        power: 1 is a straight line.
    """

    kind: Literal["polynomial"]
    power: float = Field(default=0.9, gt=0)


Schedule = Annotated[MultiStep | Cosine | Polynomial, Field(discriminator="kind")]


class Recipe(Part):
    """A whole training.

    Attributes:
        model, start, data, optimiser, schedule: see their classes.
        preparation: settings of `Preparation` (size, context_length, ...); its `vocabulary` names BERT's vocab.txt, a
            folder with it, or a hub id.
        loss: weights of the model's and the auxiliary objectives' named losses; one that is not named counts nothing.
        auxiliary: further objectives: `{kind: name, ...settings}`, see `training.auxiliary`.
        batch: items of one optimiser step, over all processes and accumulation steps: the same recipe trains the same
            way whatever it runs on.
        accumulate: forward passes that share one optimiser step on each process.
        epochs, steps: how long; exactly one of them. An epoch visits every item `weight` times and drops the last
            incomplete batch.
        precision: "bf16" runs the model under autocast; weights, optimiser and losses stay float32.
        ema: decay of an exponential moving average of the weights, which is then what is validated and exported;
            0 turns it off.
        sync_batchnorm: batch statistics over all processes (GPUs only).
        channels_last: memory format of pictures and convolutions; faster on most machines.
        workers: loader processes on each training process; 0 loads in the training process.
        seed: of initial weights, order, draws and augmentation.
        validate_every: steps between validations, or None for once an epoch.
        save_every: steps between checkpoints, or None for at each validation.
        select: the score, averaged over the validation sources, whose best value marks the best checkpoint.
        presence_threshold: from which score on a model that says whether anything is there has found something: in
            validations, and written into the weights.
        log_every: steps between lines of the log.
        keep: checkpoints kept beside the best.
        tensorboard: also write the log for TensorBoard (needs the `track` extra).
        output: folder for checkpoints, log, pictures and weights.
    """

    model: ModelChoice
    start: Start = Start()
    preparation: dict[str, Any] = Field(default_factory=dict)
    data: Data
    loss: dict[str, float]
    auxiliary: list[dict[str, Any]] = Field(default_factory=list)
    optimiser: Optimiser
    schedule: Schedule
    batch: int = Field(gt=0)
    accumulate: int = Field(default=1, gt=0)
    epochs: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    ema: float = Field(default=0.0, ge=0, lt=1)
    sync_batchnorm: bool = False
    channels_last: bool = True
    workers: int = Field(default=2, ge=0)
    seed: int = Field(default=0, ge=0)
    validate_every: int | None = Field(default=None, gt=0)
    save_every: int | None = Field(default=None, gt=0)
    select: str = "mIoU"
    presence_threshold: float = Field(default=0.5, ge=0, le=1)
    log_every: int = Field(default=10, gt=0)
    keep: int = Field(default=2, gt=0)
    tensorboard: bool = False
    output: Path

    @model_validator(mode="after")
    def _adapter_of_something(self) -> Recipe:
        encoders = [source for source in (self.start.image, self.start.text) if source is not None]
        inherited = self.start.weights is not None and not encoders
        if self.model.adapter and self.start.clip is None and len(encoders) < 2 and not inherited:
            raise ValueError(
                "`model.adapter` needs `start.clip`, or `start.image` and `start.text`, or an adapter alone in "
                "`start.weights`: what the adapter belongs to"
            )
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of `epochs` and `steps`")
        if isinstance(self.schedule, MultiStep) and self.schedule.first_epoch == "published" and self.epochs is None:
            raise ValueError("`first_epoch: published` needs a length in `epochs`")
        return self

    @field_validator("auxiliary")
    @classmethod
    def _kinds(cls, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for value in values:
            if not isinstance(value.get("kind"), str):
                raise ValueError(f"each entry needs a `kind`, found {value}")
        return values

    def plain(self) -> dict[str, Any]:
        """The recipe as JSON-ready values, for checkpoints, logs and the header of the weights."""
        return self.model_dump(mode="json")


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a file, or by the name of one that ships with the package, with `key=value` overrides.

    Args:
        source: a path, or a name such as "cris-r50-refcoco".
        overrides: dotted keys and YAML values: "optimiser.lr=3e-4", "data.train.0.path=my.json", "steps=200".

    Raises:
        RecipeError: no such recipe, not YAML, an unknown key, or an impossible value.
    """
    text, name = _text(source)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{name}: expected a mapping of settings, found {type(content).__name__}")
    for override in overrides:
        _override(content, override)
    try:
        return Recipe.model_validate(_numbers(content))
    except ValidationError as error:
        raise RecipeError("; ".join(_explain(name, item) for item in error.errors())) from error


def shipped() -> list[str]:
    """Names of the recipes that ship with the package."""
    return sorted(item.name.removesuffix(".yaml") for item in RECIPES.iterdir() if item.name.endswith(".yaml"))


def _text(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: cannot be read: {error}") from error
    if str(source) in shipped():
        return RECIPES.joinpath(f"{source}.yaml").read_text(encoding="utf-8"), str(source)
    raise RecipeError(f"{source}: expected a recipe file, or one of the package's: {', '.join(shipped())}")


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"{override}: expected key=value, for example optimiser.lr=1e-4")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"{override}: the value is not YAML: {error}") from error
    *parents, last = key.split(".")
    here: Any = content
    for name in parents:
        if isinstance(here, dict) and here.get(name) is None:
            here[name] = {}
        here = here[_index(here, name, override)]
        if not isinstance(here, (dict, list)):
            raise RecipeError(f"{override}: {name} is a value, not a group of settings")
    here[_index(here, last, override)] = parsed


def _index(holder: dict[str, Any] | list[Any], name: str, override: str) -> Any:
    if isinstance(holder, dict):
        return name
    if not name.isdigit() or int(name) >= len(holder):
        raise RecipeError(f"{override}: expected a number from 0 to {len(holder) - 1} in a list, found {name!r}")
    return int(name)


def _numbers(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 (no dot) as text; everybody who writes a recipe means the number."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d+)?[eE][+-]?\d+", value):
        return float(value)
    return value


def _explain(name: str, error: Mapping[str, Any]) -> str:
    # The discriminator's value stands in the location of a union's fields, but in no recipe.
    place = [str(item) for item in error["loc"] if item not in ("multistep", "cosine", "polynomial")]
    key = ".".join(place)
    if error["type"] == "extra_forbidden":
        known = list(_keys(Recipe, ()))
        dotted = ".".join(item for item in place if not item.isdigit())
        near = difflib.get_close_matches(dotted, known, n=1, cutoff=0.5)
        by_last = [item for item in known if item.rsplit(".", 1)[-1] == place[-1]]
        hint = next(iter(by_last or near), None)
        return f"{name}: unknown key `{key}`" + (f"; did you mean `{hint}`?" if hint else "")
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return f"{name}: {message}"
    if error["type"] == "missing":
        return f"{name}: `{key}` is missing"
    return f"{name}: `{key}`: {message}, found {error['input']!r}"


def _keys(part: Any, above: tuple[str, ...]) -> Iterator[str]:
    if not (isinstance(part, type) and issubclass(part, Part)):
        for inner in get_args(part):
            yield from _keys(inner, above)
        return
    for key, field in part.model_fields.items():
        yield ".".join((*above, key))
        yield from _keys(field.annotation, (*above, key))


def _regular(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value
