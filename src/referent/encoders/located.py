"""Where the weights of an encoder lie: a file, a folder laid out like the hub's, or the hub itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from referent import hub
from referent.errors import WeightsError

_HUB_ID = r"[\w.-]+/[\w.-]+"


def locate(source: str | Path, weights: Sequence[str], beside: Sequence[str] = ()) -> tuple[Path, Path | None]:
    """The file that holds the weights, and one that belongs to it.

    Args:
        source: a file, a folder, or a hub id ("owner/name").
        weights: names that the file may have in a folder or on the hub, best first.
        beside: names of the other file, best first; it may be missing, unless all there is is the hub's cache.

    Returns:
        The file, and the other one. A file that `source` names itself comes alone.

    Raises:
        WeightsError: none of `weights` is there, or neither the hub nor its cache gives them.
    """
    path = Path(source)
    if path.is_dir():
        found = _first(weights, {file.name for file in path.iterdir()}, str(path))
        other = next((path / name for name in beside if (path / name).is_file()), None)
        return path / found, other
    if path.exists() or not re.fullmatch(_HUB_ID, str(source)):
        return path, None
    return _from_hub(str(source), weights, beside)


def _from_hub(repository: str, weights: Sequence[str], beside: Sequence[str]) -> tuple[Path, Path | None]:
    try:
        files = hub.files(repository)
    except WeightsError as error:
        return _from_cache(repository, weights, beside, error)
    found = _first(weights, files, repository)
    other = next((name for name in beside if name in files), None)
    return hub.download(repository, file=found), hub.download(repository, file=other) if other else None


def _from_cache(
    repository: str, weights: Sequence[str], beside: Sequence[str], failure: WeightsError
) -> tuple[Path, Path | None]:
    """What earlier downloads left, where the hub tells nothing."""
    found, other = hub.kept(repository, weights), hub.kept(repository, beside)
    if found is None:
        raise failure
    if beside and other is None:
        # Only the hub can tell whether there is none, so that the weights alone would do.
        raise WeightsError(f"{failure}; its cache holds {found.name}, but not {' or '.join(beside)}") from failure
    return found, other


def _first(names: Sequence[str], there: set[str], where: str) -> str:
    found = next((name for name in names if name in there), None)
    if found is None:
        raise WeightsError(f"{where}: expected one of {', '.join(names)}, found none")
    return found
