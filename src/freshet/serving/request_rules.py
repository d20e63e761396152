"""Eligibility at the time of a request: what is ineligible now, whatever the release was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import Config
from freshet.core.types import BoolArray, Eligibility, Interests
from freshet.stages import table


@dataclass(frozen=True)
class Ineligible:
    """What may not be shown in answer to a request: interests (N,), and items by id."""

    interests: BoolArray
    items: frozenset[str]


@dataclass(frozen=True)
class RequestRules:
    """The rules of a configuration, resolved for the interests of a release.

    Attributes:
        always: for every request.
        sensitive: (N,) interests recommended only to users one of whose recent interests is sensitive.
        conditional: (attribute, values, what is ineligible where the attribute has one of them).
        careful: whether any interest is sensitive.
    """

    always: Ineligible
    sensitive: BoolArray
    conditional: tuple[tuple[str, frozenset[str], Ineligible], ...]
    careful: bool
    _known: dict[tuple[int, ...], Ineligible] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, interests: Interests) -> RequestRules:
        """Raises ConfigError for a rule that names no interest."""
        base = table.Rules.resolve(
            Eligibility(
                frozenset(config.table.blocked),
                frozenset(config.table.allowed),
                frozenset(config.table.withdrawn),
                frozenset(config.table.sensitive),
            ),
            interests,
        )
        conditional = tuple(
            (
                rule.attribute,
                frozenset(rule.values),
                Ineligible(
                    table.Rules.resolve(
                        Eligibility(frozenset(rule.blocked), frozenset(rule.allowed)), interests
                    ).barred,
                    frozenset(rule.blocked_items),
                ),
            )
            for rule in config.serving.rules
        )
        always = Ineligible(base.barred, frozenset(config.serving.blocked_items))
        return cls(always, base.sensitive, conditional, bool(base.sensitive.any()))

    def ineligible(self, attributes: Mapping[str, str], context: NDArray[np.int16]) -> Ineligible:
        """What may not be shown to a user with a context (k,), by a request with these attributes."""
        found = self._by_attributes(attributes)
        if not self.careful or self.sensitive[context[context >= 0]].any():
            return found
        return Ineligible(found.interests | self.sensitive, found.items)

    def _by_attributes(self, attributes: Mapping[str, str]) -> Ineligible:
        if not self.conditional or not attributes:
            return self.always
        hold = tuple(
            place
            for place, (attribute, values, _) in enumerate(self.conditional)
            if attributes.get(attribute) in values
        )
        if hold not in self._known:
            parts = [self.always, *(self.conditional[place][2] for place in hold)]
            interests = np.logical_or.reduce([part.interests for part in parts])
            self._known[hold] = Ineligible(interests, frozenset().union(*(part.items for part in parts)))
        return self._known[hold]
