"""With `hash_users` no id is ever stored as it came, whichever way it comes in."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import freshet
from freshet import operations
from freshet.core.errors import ConfigError
from freshet.core.types import User
from freshet.privacy.forgetting import forget, look
from freshet.serving import Query
from freshet.stages.events import EventLog
from freshet.storage import sql
from freshet.storage.user_ids import people_of
from freshet.wiring import existing_user_store, open_recommender, open_workspace
from tests.privacy.shops import NOW, SETTINGS, make_shop, serve, write_world

MARKED = "marked-4711"
HASHED = "[privacy]\nhash_users = true\n"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ws = make_shop(tmp_path_factory.mktemp("hashed") / "shop", MARKED, HASHED)
    serve(ws, MARKED)
    return ws.root


def test_no_id_is_stored(hashed: Path, tmp_path: Path) -> None:
    shutil.copytree(hashed, tmp_path / "shop", ignore=shutil.ignore_patterns("events.parquet", "more.csv"))
    for path in (tmp_path / "shop").rglob("*"):
        if path.is_file():
            assert MARKED.encode() not in path.read_bytes(), path
            if path.suffix == ".parquet":
                assert all(MARKED not in str(cell) for column in pq.read_table(path) for cell in column), path
    assert (tmp_path / "shop" / "privacy" / "key").stat().st_mode & 0o777 == 0o600


def test_every_border_gives_one_name(hashed: Path, tmp_path: Path) -> None:
    """Files, the service and frames name a user alike: their events are one user's."""
    shutil.copytree(hashed, tmp_path / "shop")
    stored = people_of(tmp_path / "shop").stored(MARKED)
    frame = pq.read_table(hashed / "events.parquet").slice(0, 5)
    frame = frame.set_column(frame.column_names.index("user_id"), "user_id", [[MARKED] * 5])
    frame = frame.set_column(frame.column_names.index("item_id"), "item_id", [["i9"] * 5])
    freshet.import_events(tmp_path / "shop", frame, now=NOW)
    log = EventLog(tmp_path / "shop").snapshot()
    with sql.connect() as db:
        found = dict(db.sql(f'SELECT "user", count(*) FROM {log.scan} GROUP BY 1').fetchall())
    served = 6  # events collected of what was served
    own = pq.read_table(hashed / "events.parquet")["user_id"].to_pylist().count(MARKED)
    assert MARKED not in found
    assert found[stored] == own + served + len(set(frame["timestamp"].to_pylist()))
    recommender = open_recommender(tmp_path / "shop", clock=lambda: int(NOW.timestamp() * 1e6))
    assert len(recommender._store.histories([User.of(stored).key])[0].items) > 0
    assert recommender.recommend(Query(user=MARKED)).context
    recommender.close()


def test_who_is_forgotten_is_named_as_they_come(hashed: Path, tmp_path: Path) -> None:
    shutil.copytree(hashed, tmp_path / "shop")
    ws = open_workspace(tmp_path / "shop")
    (ws.root / "more.csv").unlink()
    (ws.root / "events.parquet").unlink()
    users = existing_user_store(ws.root, ws.config)
    assert users is not None
    done = forget(ws, [MARKED], users, NOW + timedelta(seconds=2))
    users.close()
    assert done.clean, done.searched.traces
    assert all(done.removed[kind] for kind in ("events", "impressions", "histories", "transitions"))
    assert look(ws, [people_of(ws.root).stored(MARKED)]).searched.traces == ()
    write_world(ws.root, MARKED)
    rows = EventLog(ws.root).snapshot().rows
    operations.import_log(ws, NOW)
    assert EventLog(ws.root).snapshot().rows == rows


def test_it_is_not_switched_in_silence(hashed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(hashed, tmp_path / "shop")
    (tmp_path / "shop" / "freshet.toml").write_text(SETTINGS)
    with pytest.raises(ConfigError, match="the log holds hashed user ids"):
        operations.import_log(open_workspace(tmp_path / "shop"), NOW)
    with pytest.raises(ConfigError, match="the log holds hashed user ids"):
        open_recommender(tmp_path / "shop")

    plain = tmp_path / "plain"
    plain.mkdir()
    write_world(plain, MARKED)
    (plain / "freshet.toml").write_text(SETTINGS)
    operations.import_log(open_workspace(plain), NOW)
    (plain / "freshet.toml").write_text(SETTINGS + HASHED)
    with pytest.raises(ConfigError, match="holds user ids as they came"):
        operations.import_log(open_workspace(plain), NOW)

    key = tmp_path / "shop" / "privacy" / "key"
    key.chmod(0o600)
    key.write_bytes(b"another key, of 32 bytes as well")
    (tmp_path / "shop" / "freshet.toml").write_text(SETTINGS + HASHED)
    with pytest.raises(ConfigError, match="is not the one of before"):
        operations.import_log(open_workspace(tmp_path / "shop"), NOW)


def test_the_secret_may_come_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world(tmp_path, MARKED)
    (tmp_path / "freshet.toml").write_text(SETTINGS + HASHED + 'key_env = "SHOP_SECRET"\n')
    with pytest.raises(ConfigError, match="SHOP_SECRET has 0 characters"):
        operations.import_log(open_workspace(tmp_path), NOW)
    monkeypatch.setenv("SHOP_SECRET", "s" * 40)
    operations.import_log(open_workspace(tmp_path), NOW)
    assert not (tmp_path / "privacy" / "key").exists()
