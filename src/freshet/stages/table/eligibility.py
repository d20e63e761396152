"""Which interests may be offered: rules by stable id or description, applied at publish and at serving."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError
from freshet.core.types import BoolArray, Eligibility, Interests


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules resolved to interest indices.

    Attributes:
        never: (N,) never offered: blocked, withdrawn, or not on a non-empty list of allowed ones.
        sensitive: (N,) offered only to contexts that hold a sensitive interest already.
    """

    never: BoolArray
    sensitive: BoolArray

    @classmethod
    def resolve(cls, eligibility: Eligibility, interests: Interests) -> Rules:
        """Raises ConfigError for a name that is no interest: a rule that silently does nothing is worse."""
        never = _members(eligibility.blocked, interests, "blocked")
        never |= _members(eligibility.withdrawn, interests, "withdrawn")
        if eligibility.allowed:
            never |= ~_members(eligibility.allowed, interests, "allowed")
        return cls(never, _members(eligibility.sensitive, interests, "sensitive"))

    def excluded(self, contexts: NDArray[np.int16]) -> BoolArray:
        """(n, N) what may not be offered after these contexts, their own interests included."""
        n, size = len(contexts), len(self.never)
        own = np.zeros((n, size + 1), bool)  # the last column takes the padding
        own[np.arange(n)[:, None], contexts.astype(np.int64)] = True
        own = own[:, :size]
        touched = (own & self.sensitive).any(axis=1, keepdims=True)
        return own | self.never | (self.sensitive & ~touched)

    def ineligible(self) -> frozenset[int]:
        """Interests that prompts may not name as evidence."""
        return frozenset(np.flatnonzero(self.never | self.sensitive).tolist())


def _members(names: Iterable[str], interests: Interests, rule: str) -> BoolArray:
    by_name = {str(id_): i for i, id_ in enumerate(interests.ids.tolist())}
    by_name.update({description: i for i, description in enumerate(interests.descriptions)})
    found = np.zeros(len(interests), bool)
    for name in sorted(names):
        if name not in by_name:
            raise ConfigError(
                f"[table] {rule}: there is no interest '{name}'",
                hint="use an id or a description as `freshet interests` lists them",
            )
        found[by_name[name]] = True
    return found
