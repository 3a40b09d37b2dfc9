"""What the whole begins with: a SAM that Meta has trained, from Meta's file or in transformers' layout."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from referent.encoders.foreign import read_foreign, state_dict_in
from referent.encoders.keymap import to_ours
from referent.encoders.located import locate
from referent.errors import WeightsError
from referent.models.unirefpp.sam.anything import Sam
from referent.models.unirefpp.sam.official_names import sam_rows, transformers_rows

_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_SECOND_NAME = "prompt_encoder.shared_embedding."
"""Of the places' encoding, which transformers holds twice and writes once or twice."""


def load_sam(sam: Sam, source: str | Path) -> None:
    """Fills `sam` from Meta's file (`sam_vit_h_4b8939.pth`), a file or folder in transformers' layout, or a hub id.

    Raises:
        WeightsError: not there, unsafe, damaged, or of another SAM; the message names what differs.
    """
    path, _ = locate(source, _FOLDER_FILES)
    state: dict[str, Tensor] = state_dict_in(read_foreign(path))
    of_transformers = any(name.startswith("vision_encoder.") for name in state)
    if of_transformers:
        state = {name: value for name, value in state.items() if not name.startswith(_SECOND_NAME)}
    table = transformers_rows() if of_transformers else sam_rows(sam.config)
    try:
        sam.load_state_dict(to_ours(state, sam.state_dict(), table, "SAM of this size"))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
