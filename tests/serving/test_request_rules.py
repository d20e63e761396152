"""What may not be shown now, by the settings as they are now."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.config import parse
from freshet.core.errors import ConfigError
from freshet.core.types import Interests
from freshet.serving.request_rules import RequestRules

INTERESTS = Interests(
    np.array([3, 5, 8], np.int32), ("war, history", "love", "gore"), np.eye(3, dtype=np.float32)
)
SETTINGS = """
[table]
blocked = ["love"]
sensitive = ["8"]
[serving]
blocked_items = ["i1"]
[[serving.rules]]
attribute = "region"
values = ["DE", "AT"]
blocked = ["war, history"]
blocked_items = ["i2"]
[[serving.rules]]
attribute = "age"
values = ["child"]
allowed = ["war, history", "love"]
"""
SENSITIVE = np.array([0, 2], np.int16)
"""A context with a sensitive interest."""


def rules() -> RequestRules:
    return RequestRules.of(parse(SETTINGS, "test"), INTERESTS)


@pytest.mark.parametrize(
    ("attributes", "interests", "items"),
    [
        ({}, [1], {"i1"}),
        ({"region": "FR"}, [1], {"i1"}),
        ({"region": "AT"}, [0, 1], {"i1", "i2"}),
        ({"age": "child"}, [1, 2], {"i1"}),
        ({"age": "child", "region": "DE"}, [0, 1, 2], {"i1", "i2"}),
    ],
)
def test_rules_hold_by_attribute(attributes: dict[str, str], interests: list[int], items: set[str]) -> None:
    found = rules()
    for _ in range(2):  # the second answer is a remembered one
        ineligible = found.ineligible(attributes, SENSITIVE)
        assert np.flatnonzero(ineligible.interests).tolist() == interests
        assert ineligible.items == items


def test_sensitive_interests_are_for_those_who_have_one_lately() -> None:
    found = rules()
    nobody = np.array([-1, 0], np.int16)
    assert np.flatnonzero(found.ineligible({}, nobody).interests).tolist() == [1, 2]
    assert np.flatnonzero(found.ineligible({}, SENSITIVE).interests).tolist() == [1]


def test_a_rule_about_nothing_is_told() -> None:
    config = parse('[[serving.rules]]\nattribute = "region"\nvalues = ["DE"]\nblocked = ["peace"]\n', "test")
    with pytest.raises(ConfigError, match="no interest 'peace'"):
        RequestRules.of(config, INTERESTS)
