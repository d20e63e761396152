"""A workspace comes back from its backup as it was, but for users who were forgotten since."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from freshet import Recommender, backups, doctor, pipeline
from freshet.backends.local_store import write_manifest
from freshet.backends.object_stores.folder_store import FolderStore
from freshet.backends.user_stores import lmdb_records
from freshet.backups import backup_index, making
from freshet.core.errors import ArtifactError, ConfigError
from freshet.core.types import user_number
from freshet.scheduling.pausing import set_pause
from freshet.stages.events import EventLog
from freshet.storage import checksums, run_log
from freshet.storage.artifacts import Draft
from freshet.storage.checksums import MANIFEST
from freshet.storage.durable import read_json
from freshet.storage.ledger import Quiet
from freshet.storage.user_keys import UserKeys
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from tests.fixtures import make as released
from tests.pipeline.world import FIRST, NOW, copied

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kept(planned: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that was served and has refused rows, rows of users, a log of an error."""
    ws = copied(planned, tmp_path_factory.mktemp("kept") / "shop")
    pipeline.refresh(ws, FIRST, publish=True)
    with Recommender.open(ws.root) as shop:
        for user in users(ws)[:3]:
            offer = shop.recommend(user).interests[0]
            assert shop.record(user, offer.items[0].id if offer.items else "i1").status
    (ws.root / "runs" / "error-1.txt").write_text("user u1 was here")
    set_pause(ws.root, True, "ann", "stocktaking", NOW)
    with (ws.root / "logs" / "00001.jsonl").open("a") as log:
        log.write('{"at": "2024-01-01T00:00:00+00:00", "text": "user u1 was here"}\n')
    return ws


def users(ws: Workspace) -> list[str]:
    days = EventLog(ws.root).snapshot().days
    return pc.unique(pq.read_table(days[0].path)["user"]).to_pylist()


def make(ws: Workspace, into: Path, keep: int = 0, days: int = 0, apart: str = "") -> backups.Made:
    return backups.make(ws, FolderStore(into), str(into), keep, NOW + timedelta(days=days), apart)


def restore(source: Path, into: Path, keys: Path | None, id: str = "") -> backups.Restored:
    return backups.restore(FolderStore(source), str(source), into, keys, id, Quiet())


def files(root: Path) -> dict[str, bytes]:
    apart = (".backup", "backup", "state", "LEASE", ".drafts")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in apart
    }


def test_it_comes_back_byte_for_byte_and_goes_on_where_it_was(kept: Workspace, tmp_path: Path) -> None:
    made = make(kept, tmp_path / "safe", apart=str(tmp_path / "keys"))
    restored = restore(tmp_path / "safe", tmp_path / "again", tmp_path / "keys")
    assert files(tmp_path / "again") == files(kept.root)
    assert (restored.backup, restored.lost_rows, restored.lost_files) == (made.id, {}, ())
    checksums.forget()
    again = open_workspace(tmp_path / "again")
    assert doctor.check(again).findings == []
    record = pipeline.refresh(again, FIRST, publish=True)
    assert [step.name for step in record.steps if step.artifact and not step.cached] == []
    with Recommender.open(kept.root) as before, Recommender.open(again.root) as after:
        for user in users(kept)[:5]:
            assert [i.id for i in before.recommend(user).interests] == [
                i.id for i in after.recommend(user).interests
            ]


def test_the_state_comes_back(kept: Workspace, tmp_path: Path) -> None:
    make(kept, tmp_path / "safe")
    restore(tmp_path / "safe", tmp_path / "again", kept.root)
    one, other = (lmdb_records.table(root / "state")[0] for root in (kept.root, tmp_path / "again"))
    assert one.num_rows > 3
    assert one.sort_by([("name", "ascending"), ("key", "ascending")]) == other.sort_by(
        [("name", "ascending"), ("key", "ascending")]
    )


def test_no_byte_of_a_backup_tells_who_the_users_are(kept: Workspace, tmp_path: Path) -> None:
    make(kept, tmp_path / "safe")
    user = max(users(kept), key=len)
    content = b"".join(path.read_bytes() for path in (tmp_path / "safe").rglob("*") if path.is_file())
    assert user.encode() in b"".join(p.read_bytes() for p in (kept.root / "state").rglob("*"))
    assert user.encode() not in content
    plain = [(path, path.read_bytes()) for path in kept.root.glob("overlays/*/*")]
    for one in users(kept):
        number = user_number(one).to_bytes(8, "little")
        assert number not in content, [path for path, data in plain if number in data]
    assert b"u1 was here" not in content
    for secret in UserKeys(kept.root).at(np.arange(len(UserKeys(kept.root)))).keys:
        assert secret.tobytes() not in content


def test_a_second_backup_sends_what_is_new_alone(kept: Workspace, tmp_path: Path) -> None:
    ws = copied(kept, tmp_path / "shop")
    first = make(ws, tmp_path / "safe")
    second = make(ws, tmp_path / "safe", days=1)
    assert second.sent_files == 1  # the state, whose records are encrypted anew
    assert second.files == first.files
    pipeline.refresh(ws)
    third = make(ws, tmp_path / "safe", days=2)
    assert 1 < third.sent_files < first.sent_files
    assert restore(tmp_path / "safe", tmp_path / "again", ws.root).release == 2
    assert restore(tmp_path / "safe", tmp_path / "old", ws.root, first.id).release == 1


def test_so_many_backups_stay_and_what_they_share(kept: Workspace, tmp_path: Path) -> None:
    ws = copied(kept, tmp_path / "shop")
    first = make(ws, tmp_path / "safe")
    pipeline.refresh(ws)
    second = make(ws, tmp_path / "safe", keep=1, days=1)
    assert second.tidied.backups == (first.id,)
    assert second.tidied.objects > 0
    store = FolderStore(tmp_path / "safe")
    named = {kept.key for kept in backup_index.read(store, second.id, "").files.values()}
    assert {one.key for one in store.listed("objects")} == named
    assert restore(tmp_path / "safe", tmp_path / "again", ws.root).release == 2


def test_the_last_of_several_backups_within_a_second_is_the_one_that_stays(
    kept: Workspace, tmp_path: Path
) -> None:
    ws, store = copied(kept, tmp_path / "shop"), FolderStore(tmp_path / "safe")
    moments = [NOW + timedelta(milliseconds=50 * n) for n in range(10)]
    made = [backups.make(ws, store, "safe", 0, moment, "").id for moment in moments]
    assert backup_index.listed(store) == made


def test_who_was_forgotten_is_in_no_backup_and_the_others_are(kept: Workspace, tmp_path: Path) -> None:
    ws = copied(kept, tmp_path / "shop")
    make(ws, tmp_path / "safe", apart=str(tmp_path / "keys"))
    gone, *_ = users(ws)
    assert UserKeys(ws.root, tmp_path / "keys" / "user-keys.bin").drop(gone)
    restored = restore(tmp_path / "safe", tmp_path / "again", tmp_path / "keys")
    assert restored.lost_rows["events"] == rows_of(ws, gone) > 0
    assert restored.lost_rows["counted"] > 0
    assert restored.lost_rows["state"] > 0
    assert "runs/error-1.txt" in restored.lost_files
    checksums.forget()
    again = open_workspace(tmp_path / "again")
    assert doctor.check(again).findings == []
    assert rows_of(again, gone) == 0
    for user in users(ws)[1:4]:
        assert rows_of(again, user) == rows_of(ws, user)
    for path in again.root.rglob("*.parquet"):
        assert gone not in str(pq.read_table(path).to_pydict().get("user", []))
    pipeline.refresh(again)
    assert doctor.check(open_workspace(again.root)).findings == []
    with Recommender.open(again.root) as shop:
        assert shop.recommend(users(ws)[1]).interests


def test_who_was_forgotten_takes_the_list_of_established_users_along(kept: Workspace, tmp_path: Path) -> None:
    ws = copied(kept, tmp_path / "shop")
    assert overlay_of(ws)
    make(ws, tmp_path / "safe")
    assert UserKeys(ws.root).drop(users(ws)[0])
    lost = restore(tmp_path / "safe", tmp_path / "again", ws.root)
    assert any(path.startswith("overlays/") for path in lost.lost_files)
    again = open_workspace(tmp_path / "again")
    assert overlay_of(again) == ""
    with Recommender.open(again.root) as shop:
        assert shop.recommend(users(ws)[1]).interests


def test_an_artifact_that_is_written_anew_meanwhile_is_no_damage(
    kept: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a forgetting does between what is sent early and what is sent under the lease."""
    ws = copied(kept, tmp_path / "shop")
    (folder,) = (ws.root / "items").glob("*")
    send = making._Sender.send

    def sent(sender: making._Sender, *, early: bool) -> dict[str, backup_index.Kept]:
        found = send(sender, early=early)
        if early:
            manifest = read_json(folder / MANIFEST)
            name = sorted(manifest["files"])[0]
            content = (folder / name).read_bytes()
            (folder / name).unlink()
            (folder / name).write_bytes(content + b"more")
            (folder / MANIFEST).unlink()
            rest = {key: value for key, value in manifest.items() if key not in ("files", "seal")}
            write_manifest("items", folder.name, Draft(folder, rest))
        return found

    monkeypatch.setattr(making._Sender, "send", sent)
    made = make(ws, tmp_path / "safe")
    assert made.files > 0


def overlay_of(ws: Workspace) -> str:
    release = ws.releases.current()
    assert release is not None
    return release.overlay


def rows_of(ws: Workspace, user: str) -> int:
    return sum(
        pq.read_table(day.path, filters=[("user", "=", user)]).num_rows
        for day in EventLog(ws.root).snapshot().days
    )


def test_what_can_not_be_restored_is_refused_with_words(kept: Workspace, tmp_path: Path) -> None:
    ws = copied(kept, tmp_path / "shop")
    with pytest.raises(ConfigError, match="there is no backup"):
        restore(tmp_path / "safe", tmp_path / "again", ws.root)
    make(ws, tmp_path / "safe")
    with pytest.raises(ConfigError, match="no keys were given"):
        restore(tmp_path / "safe", tmp_path / "again", None)
    with pytest.raises(ConfigError, match="holds no user-keys"):
        restore(tmp_path / "safe", tmp_path / "again", tmp_path / "safe")
    with pytest.raises(ConfigError, match="exists already"):
        restore(tmp_path / "safe", ws.root, ws.root)
    with pytest.raises(ConfigError, match="no backup 2020"):
        restore(tmp_path / "safe", tmp_path / "again", ws.root, "2020")
    other = copied(kept, tmp_path / "other")
    shutil.rmtree(other.root / "backup", ignore_errors=True)  # of the tests before
    make(other, tmp_path / "theirs")
    with pytest.raises(ArtifactError, match="not those of this backup"):
        restore(tmp_path / "safe", tmp_path / "again", other.root)
    with pytest.raises(ConfigError, match="encrypted with other keys"):
        make(other, tmp_path / "safe")
    for path in sorted((tmp_path / "safe" / "objects").rglob("*"))[5:200:20]:
        if path.is_file():
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            with pytest.raises(ArtifactError, match="damaged"):
                restore(tmp_path / "safe", tmp_path / "again", ws.root)
            path.unlink()
            with pytest.raises(ArtifactError, match="missing"):
                restore(tmp_path / "safe", tmp_path / "again", ws.root)
            path.write_bytes(content)
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".restore-*"))


def test_a_damaged_workspace_is_not_backed_up(kept: Workspace, tmp_path: Path) -> None:
    ws = copied(kept, tmp_path / "shop")
    table = next((ws.root / "tables").glob("*/contexts.npy"))
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="no backup was made"):
        make(ws, tmp_path / "safe")
    assert backup_index.listed(FolderStore(tmp_path / "safe")) == []


def test_a_workspace_of_everything_comes_back_and_loses_who_was_forgotten(tmp_path: Path) -> None:
    """With rows of users, refused rows, impressions, an experiment, keys: that of the first release."""
    with tarfile.open(Path(released.__file__).parent / "0.1" / released.NAME) as archive:
        archive.extractall(tmp_path, filter="data")
    ws = open_workspace(tmp_path / "shop")
    make(ws, tmp_path / "safe")
    restore(tmp_path / "safe", tmp_path / "again", ws.root)
    outside = ("source/events", "source/late", "exported")  # the owner's
    mine = {name: content for name, content in files(ws.root).items() if not name.startswith(outside)}
    shown = {name for name in mine if name.startswith("impressions/")}
    back = files(tmp_path / "again")
    assert {"source/items.parquet"} == {name for name in back if name.startswith("source")}
    assert {name.split("/")[0] for name in mine.keys() - back.keys()} == {
        "events"
    }  # earlier states of the log
    differ = {name for name in back if mine[name] != back[name]} - shown
    assert all(name.startswith("days/") for name in differ)  # written anew, as files of days are today
    for name in differ:
        one, other = (pq.read_table(root / name).to_pydict() for root in (tmp_path / "again", ws.root))
        assert one == other, name
    for name in shown:
        one, other = (pq.read_table(root / name) for root in (ws.root, tmp_path / "again"))
        assert one.to_pylist() == other.to_pylist()
    assert released.answers(tmp_path / "again") == released.answers(ws.root)
    checksums.forget()
    assert [one for one in doctor.check(open_workspace(tmp_path / "again")).findings if one.damage] == []
    assert UserKeys(ws.root).drop("user00001")
    lost = restore(tmp_path / "safe", tmp_path / "without", ws.root)
    assert min(lost.lost_rows[kind] for kind in ("events", "counted", "shown", "state")) > 0
    assert {path.split("/")[0] for path in lost.lost_files} == {"user_rows", "overlays", "quarantine"}
    checksums.forget()
    without = open_workspace(tmp_path / "without")
    assert [one for one in doctor.check(without).findings if one.damage] == []
    assert released.answers(without.root)["answers"]["None"]
    for path in [*without.root.rglob("*")]:
        if path.is_file() and path.suffix != ".parquet" and "backup" not in path.parts:
            assert b"user00001" not in path.read_bytes(), path
    shutil.copytree(ws.root / "source", without.root / "source", dirs_exist_ok=True)
    pipeline.refresh(without, publish=True)
    assert [one for one in doctor.check(without).findings if one.damage] == []


def test_two_copies_of_a_workspace_do_not_share_a_place(kept: Workspace, tmp_path: Path) -> None:
    """Each has given its new users keys of its own, so the objects of one can't be read by the other."""
    one = copied(kept, tmp_path / "one")
    make(one, tmp_path / "first")
    two = copied(one, tmp_path / "two")
    make(two, tmp_path / "first")  # the same keys still
    for ws in (one, two):
        UserKeys(ws.root).of(np.array([4711], np.uint64))
    made = make(one, tmp_path / "safe")
    before = sorted((tmp_path / "safe").rglob("*"))
    with pytest.raises(ArtifactError, match="two copies of one workspace") as refused:
        make(two, tmp_path / "safe")
    assert "a place of its own" in str(refused.value.hint)
    assert sorted((tmp_path / "safe").rglob("*")) == before
    with pytest.raises(ArtifactError, match="two copies of one workspace"):
        restore(tmp_path / "safe", tmp_path / "again", two.root)
    assert not (tmp_path / "again").exists()
    assert restore(tmp_path / "safe", tmp_path / "again", one.root).backup == made.id


def test_what_runs_said_comes_back_unless_it_may_tell_of_somebody_forgotten(
    kept: Workspace, tmp_path: Path
) -> None:
    ws = copied(kept, tmp_path / "shop")
    make(ws, tmp_path / "safe")
    restore(tmp_path / "safe", tmp_path / "again", ws.root)
    assert run_log.read_lines(tmp_path / "again", "00001") == run_log.read_lines(ws.root, "00001") != []
    assert UserKeys(ws.root).drop(users(ws)[0])
    lost = restore(tmp_path / "safe", tmp_path / "without", ws.root).lost_files
    assert "logs/00001.jsonl" in lost
    assert run_log.read_lines(tmp_path / "without", "00001") == []
    make(ws, tmp_path / "safe", days=1)
    restore(tmp_path / "safe", tmp_path / "later", ws.root)
    assert run_log.read_lines(tmp_path / "later", "00001") == run_log.read_lines(ws.root, "00001")


def test_a_state_in_redis_is_said_not_to_be_in_it(kept: Workspace, tmp_path: Path) -> None:
    serving = kept.config.serving.model_copy(update={"state": "redis://localhost:6379/0"})
    there = replace(kept, config=kept.config.model_copy(update={"serving": serving}))
    assert make(kept, tmp_path / "safe").left_out == ()
    [said] = make(there, tmp_path / "safe", days=1).left_out
    assert "Redis" in said
