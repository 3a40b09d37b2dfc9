"""The Hugging Face hub: one weight file a repository, taken from there or put there."""

from __future__ import annotations

import re
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
    """The weight file of a repository, in the hub's cache.

    Args:
        repository: "owner/name".
        revision: branch, tag or commit.
        cache_dir: the hub's cache; its own default when None.
        token: for private repositories.
        local_files_only: take the cache as it is, without a network.
        file: its name in the repository.

    Raises:
        WeightsError: no such repository or file, no permission, or no network.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        path = hf_hub_download(
            repository,
            file,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
        )
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split())
        raise WeightsError(
            f"{repository}: no such file or folder, and the hub does not give its {file}: {reason}"
        ) from error
    return Path(path)


def cached(sha256: str) -> Path | None:
    """A file of this SHA-256 in the hub's cache, whatever repository it came with; None when there is none."""
    from huggingface_hub.constants import HF_HUB_CACHE

    # The cache's links point at files that are named by their checksum.
    links = Path(HF_HUB_CACHE).glob("models--*/snapshots/*/*")
    return next((link for link in links if link.is_file() and link.resolve().name == sha256), None)


def upload(folder: Path, repository: str, *, private: bool = False, token: str | None = None) -> str:
    """The files of `folder` to the hub repository "owner/name", made when missing; its address."""
    from huggingface_hub import HfApi

    hub = HfApi(token=token)
    address = hub.create_repo(repository, private=private, exist_ok=True)
    hub.upload_folder(repo_id=repository, folder_path=folder)
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
