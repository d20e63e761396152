from __future__ import annotations

from hashlib import blake2b

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.types.ids import identity, item_key, user_key, user_number
from freshet.core.user_numbers import keys

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXT)
def test_a_user_number_is_the_one_that_transitions_know(user: str):
    assert user_number(user) == keys(pa.chunked_array([[user]]))[0]


def test_keys_are_blake2b():
    assert user_key("Zoë") == blake2b("Zoë".encode(), digest_size=16).digest()
    assert item_key("tt0111161") == 0x3F5AAAD9998688D6


def test_an_event_is_its_id_where_it_has_one():
    assert identity("a", "u", "i", 1) == identity("a", "v", "j", 2)
    assert identity("a", "u", "i", 1) != identity("b", "u", "i", 1)
    assert identity("", "u", "i", 1) == identity(None, "u", "i", 1)


@given(TEXT, TEXT, st.integers(-(2**63), 2**63 - 1), TEXT, TEXT, st.integers(-(2**63), 2**63 - 1))
def test_without_an_id_it_is_user_item_and_time(a, b, s, c, d, t):
    assert (identity(None, a, b, s) == identity(None, c, d, t)) == ((a, b, s) == (c, d, t))


def test_user_and_item_do_not_run_into_each_other():
    assert identity(None, "ab", "c", 1) != identity(None, "a", "bc", 1)
    assert identity("abc", "", "", 0) != identity(None, "a", "bc", 0)
