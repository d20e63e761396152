"""What the search asks of a batch of prompts that a model reads, however it reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Usage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Continuations:
    """New tokens after prompts, or after the continuations read before: m of them, by row, then slot.

    Attributes:
        rows: (m,) row within the batch.
        slots: (m,) number among the row's continuations.
        parents: (m,) slot of the one read before that each goes on with; the first go on with the prompt.
        tokens: flat; `lengths` (m,) how many each has.
        starts: (m,) tokens between the prompt and the new ones.
    """

    rows: NDArray[np.int64]
    slots: NDArray[np.int64]
    parents: NDArray[np.int64]
    tokens: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


class Reading(Protocol):
    """A batch of n prompts."""

    usage: Usage

    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) positions of the prompts among all."""

    def start(self) -> Tensor:
        """Logits (n, columns) after the prompts."""

    def follow(self, new: Continuations) -> Tensor:
        """Logits (m, columns) after each continuation."""
