"""Everything a training needs, built from its recipe: model, data, groups, lengths. `--dry-run` prints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from referent import adapters, zoo
from referent.data.augment import Augment
from referent.data.detection import AllObjects
from referent.data.multiscale import MultiScale
from referent.data.sample import Dataset
from referent.encoders.tokenizers import read_vocabulary
from referent.errors import RecipeError, listed
from referent.models.base import SegmentationModel
from referent.preparation import Preparation
from referent.training.auxiliary import Auxiliary, build_auxiliary
from referent.training.data_part import Data, Source
from referent.training.items import Item, Phrases, proportions
from referent.training.loading import Visiting
from referent.training.optimiser import ParameterGroup, freeze, parameter_groups
from referent.training.order import Order
from referent.training.part import checked
from referent.training.randomness import seed_process
from referent.training.recipe import Recipe
from referent.training.sources import training_items, validation_set
from referent.training.start import bases, start_from


@dataclass(frozen=True)
class Plan:
    """A training that is ready to run.

    Attributes:
        recipe: what it was made from.
        model: with its starting weights, in float32 on the CPU, frozen parts frozen.
        auxiliaries: further objectives.
        preparation: pictures and phrases to tensors.
        visits: how items of each task are loaded.
        sources: items of each training source.
        validation: what is validated on.
        order: which item comes when.
        total: steps of the whole training.
    """

    recipe: Recipe
    model: SegmentationModel
    auxiliaries: Sequence[Auxiliary]
    preparation: Preparation
    visits: Mapping[str, Visiting]
    sources: Sequence[Sequence[Item]]
    validation: Sequence[Dataset]
    order: Order
    total: int

    @property
    def items(self) -> list[Item]:
        """Items of all sources, as `order` counts them."""
        return [item for source in self.sources for item in source]

    @property
    def validate_every(self) -> int:
        """Steps between validations."""
        return self.recipe.validate_every or self.order.steps_per_epoch

    @property
    def save_every(self) -> int:
        """Steps between checkpoints."""
        return self.recipe.save_every or self.validate_every

    def groups(self) -> list[ParameterGroup]:
        """Trainable parameters by group; names as in the model, those of auxiliary objectives after them."""
        return parameter_groups(_Named(self.model, self.auxiliaries), self.recipe.optimiser)

    def describe(self) -> str:
        """What would be trained, for people."""
        recipe = self.recipe
        size = sum(parameter.numel() for parameter in self.model.parameters())
        trainable = sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)
        lines = [
            f"model      {recipe.model.family}: {size:,} parameters, {trainable:,} trained, "
            f"{size - trainable:,} frozen",
            *(
                f"group      {group.match}: {len(group.parameters)} tensors, {group.size:,} parameters, "
                f"rate {recipe.optimiser.lr * group.lr_scale:.3g}, weight decay {group.weight_decay:g}"
                for group in self.groups()
            ),
            *(
                f"train      {source.path}{f' [{source.split}]' if source.split else ''}: "
                f"{_counted(items, recipe.data)}, weight {source.weight:g}"
                + (f", for {source.task}" if source.task != "phrases" else "")
                for source, items in zip(recipe.data.train, self.sources, strict=True)
            ),
            *(f"val        {subset.name}: {len(subset.samples):,} phrases" for subset in self.validation),
            f"batch      {recipe.batch} {recipe.data.group}s x {recipe.data.phrases} phrases a step, "
            f"{recipe.precision}, pictures {self.preparation.geometry}",
            f"length     {self.total:,} steps, {self.order.steps_per_epoch:,} an epoch; validated every "
            f"{self.validate_every:,}, saved every {self.save_every:,}",
            f"output     {recipe.output}",
        ]
        return "\n".join(lines)


def _counted(items: Sequence[Item], data: Data) -> str:
    phrases = [len(item.samples) for item in items if isinstance(item, Phrases)]
    return f"{sum(phrases):,} phrases, {len(items):,} {data.group}s" if phrases else f"{len(items):,} items"


class _Named(nn.Module):
    """The model's parameters under their own names, and auxiliary ones under `auxiliary.<number>`."""

    def __init__(self, model: SegmentationModel, auxiliaries: Sequence[Auxiliary]) -> None:
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        for name, parameter in model.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.add_module("auxiliary", nn.ModuleList(item for item in auxiliaries if isinstance(item, nn.Module)))


def make_plan(recipe: Recipe, start: bool = True) -> Plan:
    """Reads data and weights and checks every setting that needs them.

    Args:
        recipe: what to train.
        start: whether to read the starting weights; not when a checkpoint replaces them.

    Raises:
        RecipeError: a setting that does not fit the model or the data.
        DataError, WeightsError: a file that cannot be used.
    """
    if recipe.model.family not in zoo.FAMILIES:
        raise RecipeError(f"model.family: expected one of {', '.join(zoo.FAMILIES)}, found {recipe.model.family!r}")
    family = zoo.FAMILIES[recipe.model.family]
    config = model_config(recipe, family.config)
    preparation = _preparation(recipe.preparation)
    zoo.check_tokenizer(config, preparation, "recipe")
    sources = [training_items(source, recipe.data) for source in recipe.data.train]
    order = _order(recipe, sources)
    validation = [validation_set(name, source, recipe.data, recipe.seed) for name, source in _named(recipe.data.val)]
    seed_process(recipe.seed, 0)
    torch.manual_seed(recipe.seed)
    model = family.model(config)
    if start:
        start_from(model, recipe.start, recipe.model.family)
    _check_references(model, recipe)
    _check_objects(model, recipe.data, sources)
    freeze(model, recipe.optimiser.frozen)
    if recipe.model.adapter:
        _check_frozen(model, bases(recipe.start))
    total = recipe.steps if recipe.steps is not None else (recipe.epochs or 0) * order.steps_per_epoch
    return Plan(
        recipe=recipe,
        model=model,
        auxiliaries=build_auxiliary(recipe.auxiliary),
        preparation=preparation,
        visits=_visiting(recipe.data),
        sources=sources,
        validation=validation,
        order=order,
        total=total,
    )


def _preparation(settings: dict[str, Any]) -> Preparation:
    """With BERT's word pieces in place of the file, folder or hub id that a recipe names."""
    source = settings.get("vocabulary")
    if isinstance(source, str):
        settings = {**settings, "vocabulary": read_vocabulary(source)}
    return checked("preparation", Preparation, settings)


def _check_references(model: SegmentationModel, recipe: Recipe) -> None:
    for task in {source.task for source in recipe.data.train} - {"objects"}:
        needed = "phrase" if task == "phrases" else "example"
        if needed not in model.reference_kinds:
            taken = " and ".join(f"{kind}s" for kind in sorted(model.reference_kinds)) or "no references"
            raise RecipeError(f"data.train: task {task}: {recipe.model.family} as configured takes {taken} only")


def _check_objects(model: SegmentationModel, data: Data, sources: Sequence[Sequence[Item]]) -> None:
    masked: dict[str, bool] = {}
    for source, items in zip(data.train, sources, strict=True):
        if source.task != "objects":
            continue
        scene = items[0]
        assert isinstance(scene, AllObjects)
        if masked.setdefault(source.turns, scene.masked) != scene.masked:
            raise RecipeError(
                f"data.train: {source.path}: give it a `turn` of its own; others of task objects "
                + ("have no masks" if scene.masked else "have masks")
            )
        if model.classes not in (1, scene.classes):
            raise RecipeError(
                f"data.train: {source.path}: objects of {scene.classes} classes, and the model "
                + (f"detects {model.classes}" if model.classes else "detects nothing that it is not asked for")
            )


def _check_frozen(model: SegmentationModel, sources: Mapping[adapters.Part, Path]) -> None:
    for part, source in sources.items():
        lent = adapters.lent(source, part)
        moved = [name for name, parameter in model.named_parameters() if parameter.requires_grad and name in lent]
        if moved:
            raise RecipeError(
                f"model.adapter: {listed(moved)} would be trained, but an adapter leaves to {source} all that this "
                "file holds; freeze them (model.config.tuning, optimiser.frozen), or set model.adapter=false"
            )


def model_config(recipe: Recipe, config: type[BaseModel]) -> BaseModel:
    """The family's configuration: the preset with the recipe's settings laid over it.

    Raises:
        RecipeError: no such preset, or settings that the configuration refuses.
    """
    preset: dict[str, Any] = {}
    if recipe.model.preset is not None:
        make: Callable[[], BaseModel] | None = getattr(config, recipe.model.preset, None)
        if make is None or recipe.model.preset.startswith("_"):
            raise RecipeError(f"model.preset: {config.__name__} has no preset {recipe.model.preset!r}")
        preset = make().model_dump()
    return checked("model.config", config, _laid_over(preset, recipe.model.config))


def _laid_over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
    return above


def _order(recipe: Recipe, sources: Sequence[Sequence[Item]]) -> Order:
    data = recipe.data
    turns = tuple(source.turns for source in data.train)
    ratios = {source.turns: data.share(source).ratio for source in data.train}
    return Order(
        lengths=tuple(len(items) for items in sources),
        weights=tuple(source.weight for source in data.train),
        batch=recipe.batch,
        seed=recipe.seed,
        tasks=turns,
        ratios=tuple(ratios.items()),
        proportions=tuple(proportions(item) for items in sources for item in items) if data.buckets else (),
    )


def _augmentation(key: str, settings: dict[str, Any]) -> Augment | MultiScale:
    if "sizes" in settings:
        return checked(key, MultiScale, settings)
    return checked(key, Augment, settings)


def _visiting(data: Data) -> dict[str, Visiting]:
    """How items of each turn are loaded."""
    ways: dict[str, Visiting] = {}
    for source in data.train:
        share = data.share(source)
        own = data.augment if share.augment is None else share.augment
        key = "data.augment" if share.augment is None else f"data.tasks.{source.turns}.augment"
        augment = None if own is None else _augmentation(key, own)
        if source.task == "objects" and isinstance(augment, Augment):
            raise RecipeError(f"{key}: task objects takes settings with `sizes` (data.multiscale), or none")
        ways[source.turns] = Visiting(
            augment=augment,
            mirrored_together=share.mirrored_together or source.task in ("clips", "pseudo-clips"),
            full_resolution=share.full_resolution,
            objects=source.task == "objects",
        )
    return ways


def _named(sources: Sequence[Source]) -> list[tuple[str, Source]]:
    """Sources with a name each, short, and different from the others'."""
    names = [_name(source) for source in sources]
    return [
        (name if names.count(name) == 1 else f"{name}#{number}", source)
        for number, (name, source) in enumerate(zip(names, sources, strict=True))
    ]


def _name(source: Source) -> str:
    place = f"{source.path.absolute().parent.name}/{source.path.name}"
    return f"{place}:{source.split}" if source.split else place
