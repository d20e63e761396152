"""By which name a workspace knows its users is settled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.core.config import PrivacyConfig
from freshet.core.errors import ConfigError
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
