"""Features of proposals on disk, under everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from referent.weights import write_tensors

FORMAT = 1
Box = tuple[float, float, float, float]

_log = logging.getLogger("referent")


@dataclass(frozen=True)
class Key:
    """What the features of one picture's proposals depend on, but for the box.

    Attributes:
        picture: `digest_of` the decoded picture.
        model: digest of the image encoder's weights.
        size: side in pixels of the square that every isolated proposal is resized to.
        dtype: precision in which the encoder ran.
        kind: of isolation.
        sigma: of the blur; None for other kinds.
        format: of the file, and of everything that this project does between picture and encoder.
    """

    picture: str
    model: str
    size: int
    dtype: str
    kind: str
    sigma: int | None
    format: int = FORMAT


class FeatureCache:
    """One file a key; a file that is damaged or of another key counts as none.

    Args:
        folder: made when missing. It may be shared by data sets, proposals, models and settings.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def read(self, key: Key) -> dict[Box, Tensor]:
        """Boxes (x, y, width, height) with their (E,) features."""
        path = self._path(key)
        if not path.is_file():
            return {}
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") != _text(key):
                    return {}
                boxes, features = file.get_tensor("boxes"), file.get_tensor("features")
        except (SafetensorError, OSError) as error:
            _log.warning("%s: not read, made again: %s", path, error)
            return {}
        return {(x, y, w, h): row for (x, y, w, h), row in zip(boxes.tolist(), features, strict=True)}

    def write(self, key: Key, features: Mapping[Box, Tensor]) -> None:
        """Replaces what is held under a key.

        Raises:
            OSError: the folder is full or not writable.
        """
        boxes = torch.tensor(list(features), dtype=torch.float64)
        tensors = {"boxes": boxes, "features": torch.stack(list(features.values()))}
        write_tensors(self._path(key), tensors, {"key": _text(key)})

    def _path(self, key: Key) -> Path:
        return self.folder / f"{hashlib.sha256(_text(key).encode()).hexdigest()[:32]}.safetensors"


def digest_of(picture: Image.Image) -> str:
    """SHA-256 over an RGB picture's size and pixels."""
    return hashlib.sha256(f"{picture.width}x{picture.height}:".encode() + picture.tobytes()).hexdigest()


def _text(key: Key) -> str:
    return json.dumps(asdict(key), sort_keys=True)
