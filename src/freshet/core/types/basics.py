"""Arrays and contexts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32] | NDArray[np.float64]
IntArray = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.int64]
BoolArray = NDArray[np.bool_]

RECENT = 10
"""How many recent distinct interests a transition remembers (the mixture's widest view of a user)."""

Context = tuple[int, ...]
"""Interest indices, most recent last, at most k long; `()` is a user with no recent interest."""
