"""Where the weights of an encoder lie: a file, a folder laid out like the hub's, or the hub itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from referent.errors import WeightsError

_HUB_ID = r"[\w.-]+/[\w.-]+"


def locate(source: str | Path, weights: Sequence[str], beside: Sequence[str] = ()) -> tuple[Path, Path | None]:
    """The file that holds the weights, and one that belongs to it.

    Args:
        source: a file, a folder, or a hub id ("owner/name").
        weights: names that the file may have in a folder or on the hub, best first.
        beside: names of the other file, best first; it may be missing.

    Returns:
        The file, and the other one. A file that `source` names itself comes alone.

    Raises:
        WeightsError: none of `weights` is there, or the hub does not give them.
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
    from huggingface_hub import hf_hub_download, list_repo_files
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        files = set(list_repo_files(repository))
        found = _first(weights, files, repository)
        other = next((name for name in beside if name in files), None)
        return (
            Path(hf_hub_download(repository, found)),
            Path(hf_hub_download(repository, other)) if other else None,
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise WeightsError(f"{repository}: no such file or folder, and not to be had from the hub: {error}") from error


def _first(names: Sequence[str], there: set[str], where: str) -> str:
    found = next((name for name in names if name in there), None)
    if found is None:
        raise WeightsError(f"{where}: expected one of {', '.join(names)}, found none")
    return found
