"""Who gets in, what they may do, and what keeps others out; in process, on a workspace without releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.dashboard.protection import FAILURES, POLICY
from freshet.dashboard.sessions import SECONDS, Sessions
from freshet.http.api_keys import make_key, save_keys
from tests.dashboard.visitor import ORIGIN, Visitor


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace in which nothing was run."""
    (tmp_path / "freshet.toml").write_text('[planner]\nkind = "counts"\n')
    return tmp_path


def test_without_keys_everybody_is_let_in(root: Path) -> None:
    page = Visitor(root).get()
    assert "Overview" in page.text
    assert page.headers["set-cookie"].startswith("freshet=")


def test_every_answer_has_the_strict_headers(root: Path) -> None:
    visitor = Visitor(root)
    for path, status in (("", 200), ("nothing", 404), ("static/style.css", 200), ("login", 200)):
        headers = visitor.get(path, status).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
    assert visitor.get().headers["cache-control"] == "no-store"


def test_a_key_is_needed_where_there_is_one(root: Path) -> None:
    visitor = Visitor(root)
    key = visitor.key("read", "on call")
    sent = visitor.get("", 303)
    assert sent.headers["location"] == "/dashboard/login?next="
    assert "on call" not in visitor.get("login").text
    visitor.log_in("fk_wrong_key", 401)
    visitor.log_in(key)
    assert "on call (read)" in visitor.get().text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(root: Path) -> None:
    visitor = Visitor(root, scheme="https", prefix="/shop")
    cookie = visitor.log_in(visitor.key("read")).headers["set-cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "secure", "path=/shop/dashboard"} <= attributes
    assert f"max-age={SECONDS}" in attributes
    plain = Visitor(root)
    assert "secure" not in plain.log_in(plain.key("read")).headers["set-cookie"].lower()


def test_a_revoked_key_ends_its_sessions_at_once(root: Path) -> None:
    visitor = Visitor(root)
    visitor.log_in(visitor.key("admin"))
    visitor.get()
    save_keys(root, {})
    assert "login" in visitor.get("", 303).headers["location"]


def test_sessions_end_and_are_not_forged() -> None:
    sessions, (key, _) = Sessions(b"one"), make_key("read", "", "2026-01-05")
    keys = {key.id: key}
    cookie = sessions.cookie(key, now=1000.0)
    assert sessions.read(cookie, keys.get, now=1000.0 + SECONDS - 1)
    assert sessions.read(cookie, keys.get, now=1000.0 + SECONDS) is None
    assert sessions.read(cookie, keys.get, now=900.0) is None
    assert Sessions(b"two").read(cookie, keys.get, now=1000.0) is None
    assert sessions.read(cookie[:-1] + ("0" if cookie[-1] != "0" else "1"), keys.get, now=1000.0) is None
    other, _ = make_key("admin", "", "2026-01-05")
    assert sessions.read(cookie, {key.id: other}.get, now=1000.0) is None  # a key that replaced it
    for text in ("", ".", "e30.x", "aGk.x", "\udc80", "a" * 5000):
        assert sessions.read(text, keys.get) is None


def test_no_session_without_a_key_where_one_is_needed() -> None:
    sessions = Sessions(b"one")
    cookie = sessions.cookie(None)
    assert sessions.read(cookie, {}.get) is None
    found = sessions.read(cookie, {}.get, "read")
    assert found is not None
    assert (found.allows("read"), found.allows("admin")) == (True, False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-site"},
    ],
)
def test_forms_of_other_pages_are_refused(root: Path, headers: dict[str, str]) -> None:
    visitor = Visitor(root)
    key = visitor.key("read")
    assert "another site" in visitor.post("login", 403, headers, key=key).text
    visitor.log_in(key)
    assert "another site" in visitor.post("logout", 403, headers).text


def test_a_form_without_the_sessions_token_is_refused(root: Path) -> None:
    visitor = Visitor(root)
    visitor.log_in(visitor.key("read"))
    for token in ("", "0" * 64, "é"):
        assert "not of this session" in visitor.post("logout", 403, token=token).text
    other = Visitor(root)
    other.log_in(other.key("read"))
    token = Sessions(b"secret").token(other.cookies["freshet"])
    visitor.post("logout", 403, token=token)
    left = visitor.send("logout")
    assert left.headers["location"] == "/dashboard/login"
    assert left.headers["set-cookie"].startswith('freshet=""; expires=')


def test_wrong_keys_are_bounded_by_address(root: Path) -> None:
    visitor = Visitor(root)
    key = visitor.key("read")
    visitor.headers["x-freshet-client"] = "192.0.2.1"
    for _ in range(FAILURES):
        visitor.log_in("fk_a_b", 401)
    refused = visitor.log_in(key, 429)
    assert refused.headers["retry-after"] == "60"
    visitor.headers["x-freshet-client"] = "192.0.2.2"
    visitor.log_in(key)


def test_the_login_leads_nowhere_else(root: Path) -> None:
    visitor = Visitor(root)
    key = visitor.key("read")
    for target in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:1",
    ):
        assert visitor.post("login", key=key, next=target).headers["location"] == "/dashboard/"
    assert visitor.post("login", key=key, next="runs?page=2").headers["location"] == "/dashboard/runs?page=2"


def test_a_link_elsewhere_finds_the_session(root: Path) -> None:
    """Browsers hold a strict cookie back where a page of another site leads here."""
    visitor = Visitor(root)
    visitor.key("read")
    assert 'http-equiv="refresh"' in visitor.get("", **{"sec-fetch-site": "cross-site"}).text
    visitor.get("", 303, **{"sec-fetch-site": "same-origin"})


def test_nobody_can_make_the_dashboard_say_something(root: Path) -> None:
    page = Visitor(root).get("?said=Call+555-1234&mark=0").text
    assert "555" not in page


def test_long_and_broken_forms_are_refused(root: Path) -> None:
    visitor = Visitor(root)
    visitor.post("login", 413, key="k" * 70_000)
    many = {f"field{number}": "" for number in range(300)}
    visitor.post("login", 400, **many)


def test_a_wrong_setting_is_shown_not_a_fault(root: Path) -> None:
    (root / "freshet.toml").write_text("[planner]\nkind = 3\n")
    assert "planner" in Visitor(root).get("", 422).text
