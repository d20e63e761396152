"""By which name a workspace knows its users is settled once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freshet.core.config import PrivacyConfig
from freshet.core.errors import ArtifactError, ConfigError
from freshet.storage.user_ids import people_of, prepare, settle


def test_after_a_forgetting_a_plain_workspace_is_not_hashed_in_silence(tmp_path: Path) -> None:
    plain, hashed = PrivacyConfig(), PrivacyConfig(hash_users=True)
    (tmp_path / "events" / "log").mkdir(parents=True)
    prepare(tmp_path, plain)
    settle(tmp_path, plain)
    with pytest.raises(ConfigError, match="events/log holds user ids as they came"):
        settle(tmp_path, hashed)
    assert not people_of(tmp_path).hashed


def test_a_hashed_workspace_stays_so(tmp_path: Path) -> None:
    hashed = PrivacyConfig(hash_users=True)
    settle(tmp_path, hashed)
    (tmp_path / "events" / "log").mkdir(parents=True)
    settle(tmp_path, hashed)
    assert people_of(tmp_path).hashed


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.json", []),
        ("names.json", {"format": 1, "hashed": False, "key_env": ""}),
        ("names.json", {"format": 1, "hashed": "perhaps", "key_env": "", "check": "x"}),
        ("forgotten.json", []),
        ("forgotten.json", {"format": 1}),
        ("forgotten.json", {"format": 1, "persons": {"a": {"at": "yesterday"}}}),
        ("forgotten.json", {"format": 1, "persons": {"a": {"at": "2024-01-01T00:00:00"}}}),
        ("forgotten.json", {"format": 1, "persons": {"../a": {"at": "2024-01-01T00:00:00+00:00"}}}),
        ("forgotten.json", {"format": 1, "persons": {"a": None}}),
    ],
)
def test_nobody_is_named_by_a_damaged_file(tmp_path: Path, name: str, content: object) -> None:
    prepare(tmp_path, PrivacyConfig())
    (tmp_path / "privacy" / name).write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=name) as refused:
        people_of(tmp_path)
    assert refused.value.hint


def test_a_damaged_file_says_not_how_the_log_names_users(tmp_path: Path) -> None:
    prepare(tmp_path, PrivacyConfig())
    (tmp_path / "privacy" / "names.json").write_text("[]")
    with pytest.raises(ArtifactError, match=r"names\.json is damaged"):
        settle(tmp_path, PrivacyConfig())
