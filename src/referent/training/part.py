"""What all parts of a recipe have in common."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from referent.errors import RecipeError

Settings = TypeVar("Settings", bound=BaseModel)


class Part(BaseModel):
    """A part of a recipe: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def checked(key: str, kind: type[Settings], settings: dict[str, Any]) -> Settings:
    """Settings of a recipe that only what they are for knows.

    Args:
        key: where in the recipe they stand, for messages.
        kind: what they are settings of.
        settings: as the recipe has them.

    Raises:
        RecipeError: an unknown key, or an impossible value.
    """
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([key, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            raise RecipeError(f"{place}: unknown key; there are: {', '.join(kind.model_fields)}") from error
        raise RecipeError(f"{place}: {first['msg']}, found {first['input']!r}") from error
