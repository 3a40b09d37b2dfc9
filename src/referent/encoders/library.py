"""transformers, which is optional: imported when something of it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from referent.errors import WeightsError


def transformers_library(needed_by: str) -> Any:
    """The library, which then says nothing on its own.

    Raises:
        WeightsError: it is not installed.
    """
    try:
        transformers: Any = import_module("transformers")
    except ImportError:
        raise WeightsError(f"{needed_by}: needs transformers: pip install 'referent[detect]'") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
