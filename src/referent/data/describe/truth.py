"""Three truth values, so that a thin margin is neither true nor false.

A truth vector is (n,) int8, one value an object: FALSE, UNSURE or TRUE. Ordered as they are, "and" is the minimum and
"or" the maximum (Kleene's strong logic).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FALSE, UNSURE, TRUE = np.int8(0), np.int8(1), np.int8(2)

Truth: TypeAlias = NDArray[np.int8]
Flags: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = NDArray[np.float64]


def judge(yes: Flags, no: Flags) -> Truth:
    """TRUE where `yes`, FALSE where `no`, UNSURE where neither; where both hold, `no` wins nothing: UNSURE."""
    verdict = np.full(yes.shape, UNSURE, dtype=np.int8)
    verdict[yes & ~no] = TRUE
    verdict[no & ~yes] = FALSE
    return verdict


def both(first: Truth, second: Truth) -> Truth:
    """Kleene's "and", element by element."""
    return np.minimum(first, second)
