import math

import pytest

from freshet.report import formatting


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0 USD"), (0.000047, "0.000047 USD"), (0.0123, "0.01 USD"), (1234.5, "1,234.50 USD")],
)
def test_money_keeps_what_matters(value: float, shown: str) -> None:
    assert formatting.money(value, "USD") == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.01, "< 0.1 s"), (3.21, "3.2 s"), (200.0, "3.3 min"), (9000.0, "2.5 h")]
)
def test_seconds(value: float, shown: str) -> None:
    assert formatting.seconds(value) == shown


def test_what_is_missing_is_a_dash() -> None:
    assert {
        formatting.percent(None),
        formatting.number(None),
        formatting.fixed(None),
        formatting.fixed(math.nan),
    } == {"–"}


def test_minus_is_a_minus_sign() -> None:
    assert formatting.fixed(-1.234) == "−1.23"


def test_days_and_plurals() -> None:
    assert formatting.day("2024-04-03T12:00:00") == "3 April 2024"
    assert [formatting.several(n, "row") for n in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
