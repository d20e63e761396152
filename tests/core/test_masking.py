"""What is shown of URLs that hold a password."""

from __future__ import annotations

import pytest

from freshet.core.masking import masked, without_secret


@pytest.mark.parametrize("password", ["word", "wo@rd", "w@o@rd", ""])
def test_a_password_is_not_shown_in_part(password: str) -> None:
    """Clients take the last @ for the end of it."""
    url = f"redis://me:{password}@host:6379/0"
    assert without_secret(url) == masked(url) == "redis://...@host:6379/0"
    assert masked(f"can't reach {url}, nor {url}!") == (
        "can't reach redis://...@host:6379/0, nor redis://...@host:6379/0!"
    )


def test_what_holds_no_secret_stays() -> None:
    for text in ("s3://bucket/part", "host:9092,other:9092", "mail me@example.org of https://host/x"):
        assert masked(text) == text
