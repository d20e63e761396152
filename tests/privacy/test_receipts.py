"""A receipt is refused where anything in it was changed, or somebody else signed it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freshet.core.errors import ConfigError, InputError
from freshet.privacy.receipts import keep, sign, verify

CONTENT = {"people": {"ab" * 16: "2024-01-01T00:00:00+00:00"}, "removed": {"events": 12}, "left": ["ü"]}


def test_what_was_signed_is_sound(tmp_path: Path) -> None:
    path = keep(tmp_path, sign(tmp_path, CONTENT), "00001-forget")
    assert verify(tmp_path, path) == {"format": 1, **CONTENT}
    assert (tmp_path / "privacy" / "signing-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", [("removed", "events"), ("format",), ("signature", "value"), ("left",)])
def test_what_was_changed_is_refused(tmp_path: Path, path: tuple[str, ...]) -> None:
    receipt = json.loads(json.dumps(sign(tmp_path, CONTENT)))
    place = receipt
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = {"events": 13, "format": 2, "left": [], "value": "A" * 86 + "=="}[path[-1]]
    with pytest.raises(InputError, match=r"was changed|is no receipt"):
        verify(tmp_path, keep(tmp_path, receipt, "forged"))


def test_a_signature_of_others_is_refused(tmp_path: Path) -> None:
    path = keep(tmp_path / "theirs", sign(tmp_path / "theirs", CONTENT), "a")
    with pytest.raises(InputError, match="another workspace signed it"):
        verify(tmp_path / "ours", path)
    assert not (tmp_path / "ours").exists()  # nothing but looked at


@pytest.mark.parametrize("content", ["[]", "{}", '{"signature": {}}', '{"signature": {"public_key": "?"}}'])
def test_what_is_no_receipt_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match="is no receipt"):
        verify(tmp_path, tmp_path / "a.json")


@pytest.mark.parametrize("name", ["freshet.toml", "nothing.json"])
def test_a_file_that_is_none_or_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    """`freshet doctor` can't help with a wrong name: the hint says where receipts are."""
    (tmp_path / "freshet.toml").write_text("[events]")
    with pytest.raises(InputError, match=rf"{name} is no receipt of forgetting: .*(damaged|not found)") as no:
        verify(tmp_path, tmp_path / name)
    assert "privacy/receipts/" in str(no.value.hint)


def test_a_damaged_key_signs_nothing(tmp_path: Path) -> None:
    sign(tmp_path, {"removed": 1})
    key = tmp_path / "privacy" / "signing-key"
    key.write_bytes(key.read_bytes()[:31])
    with pytest.raises(ConfigError, match="signing-key is no key"):
        sign(tmp_path, {"removed": 1})
