"""The part of a recipe that says what is learnt from: sources, their tasks, and how often each task has its turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from referent.training.part import Part

Task: TypeAlias = Literal["phrases", "examples", "clips", "pseudo-clips", "objects"]

_SETTINGS: dict[str, frozenset[str]] = {
    "phrases": frozenset({"ratio", "augment"}),
    "examples": frozenset({"ratio", "augment", "references", "shots", "said", "absent", "mirrored_together"}),
    "clips": frozenset({"ratio", "augment", "phrase_only", "full_resolution"}),
    "pseudo-clips": frozenset({"ratio", "augment", "references", "full_resolution"}),
    "objects": frozenset({"ratio", "augment"}),
}


class Source(Part):
    """One data set.

    Attributes:
        path: COCO file with phrases, JSON lines, or the folder of a published data set (`data.loading.open_dataset`);
            for examples COCO instances or a folder of classes, for clips a folder of videos, for objects COCO's or
            Objects365's instances (`training.sources`).
        task: how it is learnt from. "phrases": pictures and phrases. "examples": a class is found in one picture by
            examples of it in others. "clips": an object is found in a frame by its mask in an earlier one.
            "pseudo-clips": a picture with phrases, of which a second version shows as an example what is meant.
            "objects": all objects of a picture are found, without any reference.
        turn: a name of its own under `tasks`, instead of the task's, for a source with settings and turns of its own.
        split: the split to use, or None for all of the file.
        pictures: folder of the pictures, where they do not lie in one of the places that docs/data.md names.
        wording: which text of a published data set's sentences: the cleaned one, or as it was typed.
        weight: visits an epoch for every item: 2 shows each twice, 0.5 another random half each time. Training only.
        limit: at most this many pictures, spread evenly over the file, so that a validation stays short.
        class_names: ask every class name of every picture instead of the phrases: of a COCO file, or of a folder with
            one folder of pictures a class.
        without: names that the training leaves out: no phrase in which one occurs as a word or words (also with an s
            behind it), no phrase about and no example of a class of such a name, no video called so.
        spoken_names: of clips: a video's name is a phrase about its object.
        single_objects: of pseudo-clips: any one object of a picture of COCO's instances, instead of a phrase's targets.
    """

    path: Path
    task: Task = "phrases"
    turn: str | None = None
    split: str | None = None
    pictures: Path | None = None
    wording: Literal["sent", "raw"] = "sent"
    weight: float = Field(default=1.0, gt=0)
    limit: int | None = Field(default=None, gt=0)
    class_names: bool = False
    without: list[str] = Field(default_factory=list)
    spoken_names: bool = False
    single_objects: bool = False

    @property
    def turns(self) -> str:
        """Under what name it has its turns."""
        return self.turn or self.task


class Share(Part):
    """How often a task has its turn, and what a visit to one of its items brings.

    Attributes:
        ratio: a task of ratio 2 has twice as many batches as one of ratio 1.
        augment: instead of `data.augment`; with `sizes` settings of `data.multiscale.MultiScale`.
        references: so many are asked of one picture.
        shots: a reference has from one to so many examples; how many, every visit draws.
        said: share of the references that say the class's name beside the examples.
        absent: share of the references of which the picture shows nothing.
        mirrored_together: mirror a picture and its examples together or not at all; for clips it goes without saying.
        phrase_only: of the visits to an object with phrases, share of those without example.
        full_resolution: compare masks pixel by pixel and not at the stride of the model's mask features.
    """

    ratio: float = Field(default=1.0, gt=0)
    augment: dict[str, Any] | None = None
    references: int = Field(default=1, gt=0)
    shots: int = Field(default=1, gt=0)
    said: float = Field(default=0.0, ge=0, le=1)
    absent: float = Field(default=0.0, ge=0, lt=1)
    mirrored_together: bool = False
    phrase_only: float = Field(default=0.0, ge=0, le=1)
    full_resolution: bool = False


class Data(Part):
    """What is learnt from.

    Attributes:
        train: sources, mixed by their weights within each task.
        val: sources of the validation; none means no validation.
        tasks: settings of tasks, or of sources with a `turn` of their own; every batch is of one of them, and they take
            turns by their ratios.
        held_out: published data sets of which no picture outside their split "train" is trained on, whatever the
            source that has it: RefCOCO, RefCOCO+ and RefCOCOg test on pictures on which the others, and COCO, train.
        group: what one item of a batch of phrases is. "target": one target with one of its phrases, drawn anew at
            every visit (the published CRIS). "picture": one picture with `phrases` of its references, drawn anew at
            every visit.
        phrases: references an item brings with `group: picture`; drawn with replacement where a picture has fewer,
            so that every batch holds batch x phrases references.
        present: so many of them, where there are as many, are true of something; the rest is drawn from all. Class
            names need it where a picture has few of many classes.
        augment: settings of `data.augment.Augment`, with `sizes` of `data.multiscale.MultiScale`, or None for none (the
            published CRIS).
        buckets: put pictures of like proportions into one batch; for a model that takes pictures of any size.
    """

    train: list[Source] = Field(min_length=1)
    val: list[Source] = Field(default_factory=list)
    tasks: dict[str, Share] = Field(default_factory=dict)
    held_out: list[Path] = Field(default_factory=list)
    group: Literal["target", "picture"] = "target"
    phrases: int = Field(default=1, gt=0)
    present: int = Field(default=0, ge=0)
    augment: dict[str, Any] | None = None
    buckets: bool = False

    @model_validator(mode="after")
    def _one_phrase_a_target(self) -> Data:
        if self.group == "target" and self.phrases != 1:
            raise ValueError("a target brings one phrase a visit: leave `phrases` at 1, or use `group: picture`")
        return self

    @model_validator(mode="after")
    def _of_some_source(self) -> Data:
        kinds: dict[str, Task] = {}
        for source in self.train:
            first = kinds.setdefault(source.turns, source.task)
            if first != source.task:
                raise ValueError(f"`turn`: {source.turns} is both of task {first} and of task {source.task}")
        for name, share in self.tasks.items():
            if name not in kinds:
                raise ValueError(f"`tasks`: no source of `train` is of task {name}")
            for setting in sorted(share.model_fields_set - _SETTINGS[kinds[name]]):
                known = ", ".join(sorted(_SETTINGS[kinds[name]]))
                raise ValueError(f"`tasks`: {name} has no setting {setting}; it has {known}")
        return self

    def share(self, source: Source) -> Share:
        """Of a source, the defaults where the recipe says nothing."""
        return self.tasks.get(source.turns, Share())
