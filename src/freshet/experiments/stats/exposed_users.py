"""Exposed users: who they are, which arm they belong to, and from when on they count."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Users:
    """Users by ascending key; a user's place is their index here.

    Attributes:
        key: (u,) by `types.user_number`, ascending, each once.
        arm: (u,) place of the arm.
        first: (u,) first exposure, microseconds since 1970 (UTC).
    """

    key: NDArray[np.uint64]
    arm: NDArray[np.int8]
    first: NDArray[np.int64]
    _starts: NDArray[np.int64] = field(init=False, repr=False)
    _shift: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bits = max(1, len(self.key).bit_length())  # keys are hashes: a user or two per slot
        starts = np.searchsorted(self.key, np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits))
        object.__setattr__(self, "_shift", 64 - bits)
        object.__setattr__(self, "_starts", np.append(starts, len(self.key)))

    def __len__(self) -> int:
        return len(self.key)

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """(n,) place of each user, -1 for those who were not exposed."""
        out = np.empty(len(keys), np.int64)
        _find(self.key, self._starts, np.uint64(self._shift), keys, out)
        return out


@njit(cache=True, nogil=True)
def _find(known, starts, shift, keys, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    for i in range(len(keys)):
        slot = keys[i] >> shift
        out[i] = -1
        for j in range(starts[slot], starts[slot + np.uint64(1)]):
            if known[j] == keys[i]:
                out[i] = j
                break
