"""API keys: what is kept, who gets in, and that revoking closes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import ArtifactError, ConfigError
from freshet.http.api_keys import FILE, Keyring, find, load_keys, make_key, revoke, save_keys

KEY, TEXT = make_key("write", "web", "2026-01-05")


def test_a_key_is_found_by_its_text_alone() -> None:
    keys = {KEY.id: KEY}
    assert find(keys, TEXT) == KEY
    assert find(keys, TEXT[:-1] + ("A" if TEXT[-1] != "A" else "B")) is None
    assert find({}, TEXT) is None
    assert make_key("write", "web", "2026-01-05")[1] != TEXT


@given(st.text())
def test_no_other_text_is_a_key(text: str) -> None:
    assert find({KEY.id: KEY}, text) is None
    assert find({KEY.id: KEY}, f"fk_{KEY.id}_{text}") is None


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("read", {"read"}), ("write", {"read", "write"}), ("admin", {"read", "write", "admin"})],
)
def test_each_scope_includes_those_before_it(scope: str, allowed: set[str]) -> None:
    key, _ = make_key(scope, "", "2026-01-05")
    assert {asked for asked in ("read", "write", "admin") if key.allows(asked)} == allowed


def test_the_file_holds_no_secret_and_is_its_owners_alone(tmp_path: Path) -> None:
    save_keys(tmp_path, {KEY.id: KEY})
    path = tmp_path / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert TEXT.rpartition("_")[2] not in path.read_text()
    assert TEXT.split("_", 2)[2] not in path.read_text()
    assert load_keys(tmp_path) == {KEY.id: KEY}
    assert [found.name for found in tmp_path.iterdir()] == [FILE]


def test_one_key_is_revoked_and_the_others_stay() -> None:
    other, _ = make_key("read", "", "2026-01-05")
    assert revoke({KEY.id: KEY, other.id: other}, KEY.id) == {other.id: other}
    with pytest.raises(ConfigError, match="there is no key 'nobody'"):
        revoke({KEY.id: KEY}, "nobody")


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"keys": [{"id": "a"}]}', json.dumps({"keys": [{**dict.fromkeys(("id", "name", "made", "salt", "hash"), "00"), "scope": "all"}]})],
)  # fmt: skip
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ArtifactError, match=FILE):
        load_keys(tmp_path)


@pytest.mark.parametrize(("part", "value"), [("name", 2), ("made", None), ("salt", "00" * 65), ("salt", ""), ("hash", "é"), ("hash", ""), ("hash", 5)])  # fmt: skip
def test_a_damaged_key_is_told_when_it_is_read_and_not_to_who_sends_it(
    tmp_path: Path, part: str, value: object
) -> None:
    (tmp_path / FILE).write_text(json.dumps({"keys": [asdict(KEY) | {part: value}]}))
    with pytest.raises(ArtifactError, match="damaged"):
        load_keys(tmp_path)


def test_a_keyring_follows_its_file_and_never_opens_by_revoking(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    assert not ring.required
    save_keys(tmp_path, {KEY.id: KEY})
    assert ring.refresh()
    assert ring.required
    assert ring.find(TEXT) == KEY
    assert not ring.refresh()
    save_keys(tmp_path, {})
    assert ring.refresh()
    assert ring.find(TEXT) is None
    assert ring.required
    assert not Keyring(tmp_path, off=True).required


def test_a_server_started_after_the_last_key_was_revoked_stays_closed(tmp_path: Path) -> None:
    save_keys(tmp_path, {})
    assert Keyring(tmp_path).required


def test_a_damaged_file_closes_a_running_server(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ArtifactError):
        ring.refresh()
    assert ring.required
