"""Objects of a body that name a field twice are refused, whatever stands in names and values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from freshet.http.bodies import parsed
from freshet.http.problems import Refusal

ANYTHING = TypeAdapter(Any)
TEXTS = st.one_of(st.sampled_from(["a", "b", ":", '":', '"a":', "\\", "é", ""]), st.text(max_size=3))
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXTS)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda some: "[" + ",".join(map(_written, some)) + "]"),
        st.lists(st.tuples(TEXTS, inner), max_size=4).map(
            lambda pairs: "{" + " ,".join(f"{json.dumps(k)} :{_written(v)}" for k, v in pairs) + "}"
        ),
    ).map(lambda text: _Text(text)),
    max_leaves=8,
)


class _Text(str):
    """JSON already."""


def _written(value: Any) -> str:
    return str(value) if type(value) is _Text else json.dumps(value)


def names_twice(text: str) -> bool:
    found = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found.append(len(dict(pairs)) < len(pairs))
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    return any(found)


@given(VALUES)
def test_what_is_named_twice_is_refused_and_nothing_else(value: Any) -> None:
    text = _written(value)
    if names_twice(text):
        with pytest.raises(Refusal, match="twice"):
            parsed(ANYTHING, text.encode())
    else:
        assert parsed(ANYTHING, text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", ['{"a": NaN, "a": 1}', '{"a": 1e999, "b": {"c": 1, "c": 2}}'])
def test_numbers_that_not_every_reader_takes_hide_nothing(text: str) -> None:
    with pytest.raises(Refusal, match="twice"):
        parsed(ANYTHING, text.encode())
