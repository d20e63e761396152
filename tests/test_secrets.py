"""No password of a Redis server gets into a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.core.config import Config, ServingConfig
from freshet.core.errors import FreshetError
from freshet.wiring import open_user_store


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@127.0.0.1:1/0",
        "redis://user:hunter2@127.0.0.1:port/0",
        "redis://user:hunter2@127.0.0.1:99999/0",
        "redis://:hunter2@[::1/0",
        "redis:/user:hunter2@host",
        "http://user:hunter2@host",
        "user:hunter2@host",
        "redis://user:hunter2@host:1?unknown=option",
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(FreshetError) as refused:
        open_user_store(tmp_path, Config(serving=ServingConfig(state=url)))
    assert "hunter2" not in str(refused.value)
