"""Which addresses are this machine, and which web pages may ask a server without keys."""

from __future__ import annotations

import pytest

from freshet.service.addresses import is_foreign, is_loopback


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("shop.example", False), ("", False)],
)  # fmt: skip
def test_loopback(host: str, only_here: bool) -> None:
    assert is_loopback(host) == only_here


@pytest.mark.parametrize(
    ("host", "origin", "foreign"),
    [
        ("127.0.0.1:8000", None, False),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", False),
        ("localhost:8000", "http://localhost:8000", False),
        ("[::1]:8000", "http://[::1]:8000", False),
        ("localhost", "http://localhost", False),
        ("localhost:8000", "http://evil.example", True),
        ("localhost:8000", "http://localhost:3000", True),
        ("localhost:8000", "null", True),
        ("evil.example:8000", "http://evil.example:8000", True),
        ("", "http://evil.example", True),
    ],
)
def test_pages(host: str, origin: str | None, foreign: bool) -> None:
    heads = {b"host": host.encode()} | ({} if origin is None else {b"origin": origin.encode()})
    assert is_foreign(heads) == foreign
