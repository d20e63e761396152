"""The page about scale holds what its script computes."""

from __future__ import annotations

import pytest

import scale


def test_the_page_holds_what_is_computed() -> None:
    page = scale.PAGE.read_text(encoding="utf-8")
    assert scale.filled(page, {name: made() for name, made in scale.TABLES.items()}) == page


def test_a_page_that_differs_or_lacks_a_place_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    page = scale.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(scale, "USERS", (1e6, 100e6, 2e9))
    assert scale.filled(page, {"users": scale.by_users()}) != page
    with pytest.raises(SystemExit, match="no single place for 'users'"):
        scale.filled(page.replace("<!-- users -->", ""), {"users": "x"})


@pytest.mark.parametrize(
    ("number", "shown"), [(0.5, "0.5"), (999.0, "999"), (999.9, "1 k"), (1e9, "1 B"), (2.5e12, "2.5 T")]
)
def test_numbers_in_words(number: float, shown: str) -> None:
    assert scale.count(number) == shown
