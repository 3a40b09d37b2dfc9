"""The Hugging Face hub: one weight file a repository, taken from there or put there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from referent.errors import WeightsError

WEIGHTS_FILE = "model.safetensors"
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_id(name: str) -> bool:
    """Whether `name` could be a repository, "owner/name"."""
    return _ID.fullmatch(name) is not None and not name.endswith(".safetensors")


def download(
    repository: str,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    file: str = WEIGHTS_FILE,
) -> Path:
    """The weight file of a repository, in the hub's cache; what lies there already where the hub cannot be asked.

    Args:
        repository: "owner/name".
        revision: branch, tag or commit.
        cache_dir: the hub's cache; its own default when None.
        token: for private repositories.
        local_files_only: take the cache as it is, without a network.
        file: its name in the repository.

    Raises:
        WeightsError: no such repository or file, no permission, or no network; and not in the cache either.
    """
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(
            repository,
            file,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
        )
        return Path(path)
    except _failures() as error:
        # huggingface_hub looks into its cache after some failures of the network only.
        found = kept(repository, (file,), revision, cache_dir)
        if found is None:
            raise WeightsError(
                f"{repository}: no such file or folder, and the hub does not give its {file}: {_reason(error)}"
            ) from error
        return found


def files(repository: str) -> set[str]:
    """Names of all files of a repository, which only the hub knows.

    Raises:
        WeightsError: no such repository, no permission, or no network.
    """
    from huggingface_hub import list_repo_files

    try:
        return set(list_repo_files(repository))
    except _failures() as error:
        raise WeightsError(
            f"{repository}: no such file or folder, and not to be had from the hub: {_reason(error)}"
        ) from error


def kept(
    repository: str, names: Sequence[str], revision: str | None = None, cache_dir: str | Path | None = None
) -> Path | None:
    """The first of these files of a repository that lies in the hub's cache; None when none does. Needs no network.

    Args:
        repository: "owner/name".
        names: of files, best first.
        revision, cache_dir: as in `download`.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        paths = [try_to_load_from_cache(repository, name, cache_dir, revision) for name in names]
    except (HFValidationError, OSError):  # not the name of any repository, or no cache that can be read
        return None
    return next((Path(path) for path in paths if isinstance(path, str)), None)


def cached(sha256: str) -> Path | None:
    """A file of this SHA-256 in the hub's cache, whatever repository it came with; None when there is none."""
    from huggingface_hub.constants import HF_HUB_CACHE

    # The cache's links point at files that are named by their checksum.
    links = Path(HF_HUB_CACHE).glob("models--*/snapshots/*/*")
    return next((link for link in links if link.is_file() and link.resolve().name == sha256), None)


def upload(folder: Path, repository: str, *, private: bool = False, token: str | None = None) -> str:
    """The files of `folder` to the hub repository "owner/name", made when missing; its address.

    Raises:
        WeightsError: no permission, or no network.
    """
    from huggingface_hub import HfApi

    hub = HfApi(token=token)
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder)
    except _failures() as error:
        raise WeightsError(f"{repository}: the hub does not take it: {_reason(error)}") from error
    return str(address)


def card(name: str) -> str:
    """The README of a model's repository."""
    return f"""---
library_name: referent
pipeline_tag: image-segmentation
---
# {name}

Segments, in a picture, what a phrase points at. With referent installed from its repository:

```python
import referent as rf

model = rf.load("OWNER/NAME")  # the id of this repository
model.segment("street.jpg", "the woman with the red bag").overlay().save("look.png")
```
"""


def _failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises where it does not give or take what it was asked to.

    Its own errors descend from the base of all errors of its HTTP library (httpx, since its version 2 httpx2), whose
    transport errors it lets through. A broken download is an OSError, RuntimeError or ValueError, a proxy for which
    the HTTP library lacks a part an ImportError.
    """
    from huggingface_hub.errors import HfHubHTTPError

    own = [kind for kind in HfHubHTTPError.__mro__ if issubclass(kind, Exception) and kind is not Exception]
    return (*own, OSError, RuntimeError, ValueError, ImportError)


def _reason(error: Exception) -> str:
    """The first line of an error's message, or its name where it has none."""
    return " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split())
