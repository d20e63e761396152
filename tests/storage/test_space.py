"""Releases, the ledger, small files and drafts: what is there is whole."""

from __future__ import annotations

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.backends.local_store import LocalStore
from freshet.core.config import Config, PricesConfig
from freshet.core.errors import ArtifactError, Busy, DiskFull
from freshet.core.types import AsOf, Usage
from freshet.storage.durable import read_json, write_json, write_text
from freshet.storage.ledger import Ledger, Record
from freshet.storage.releases import Releases
from freshet.storage.workspace import Workspace, version_of


def workspace(root: Path, **prices: float) -> Workspace:
    return Workspace(root, Config(prices=PricesConfig(**prices)), LocalStore(root), None)


def publish(releases: Releases, table: str) -> int:
    return releases.publish("2024-01-01", table, "model", "interests", "00001").number


def test_releases_are_numbered_and_the_last_one_serves(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    assert releases.current() is None
    assert [publish(releases, t) for t in "abc"] == [1, 2, 3]
    current = releases.current()
    assert current is not None
    assert (current.number, current.table, current.previous) == (3, "c", 2)
    assert releases.numbers() == [1, 2, 3]


def test_rolling_back_and_publishing_again(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    for table in "abc":
        publish(releases, table)
    before = {n: releases.get(n) for n in (1, 2, 3)}
    assert releases.point_to(1) == before[1] == releases.current()
    assert publish(releases, "d") == 4  # numbers are never used again
    assert releases.get(4).previous == 1
    assert {n: releases.get(n) for n in (1, 2, 3)} == before
    with pytest.raises(ArtifactError, match="no release 9") as refused:
        releases.point_to(9)
    assert "1, 2, 3, 4" in refused.value.hint
    assert releases.current() == releases.get(4)


def test_a_publication_that_dies_before_the_pointer_leaves_the_old_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = Releases(tmp_path)
    publish(releases, "a")

    def dies(self: Releases, number: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Releases, "point_to", dies)
        with pytest.raises(KeyboardInterrupt):
            publish(releases, "b")
    current = releases.current()
    assert current is not None
    assert current.table == "a"
    assert publish(releases, "b") == 2  # finished under the number it had
    assert releases.current() == releases.get(2)
    assert releases.get(2).previous == 1


def test_a_damaged_pointer_says_what_to_do(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    publish(releases, "a")
    (tmp_path / "CURRENT").write_text("oops")
    with pytest.raises(ArtifactError, match="CURRENT is damaged, expected the number"):
        releases.current()
    assert releases.point_to(1).number == 1
    assert releases.current() == releases.get(1)


def test_every_run_is_recorded_with_its_cost(tmp_path: Path) -> None:
    ws = workspace(tmp_path, per_hour=3600.0, per_million_tokens=2.0)
    with ws.run("refresh", "2024-01-01") as run:
        with run.step("one") as step:
            step.add(Usage(500_000, 7.0))
            step.add(Usage(500_000, 1.0))
        with run.step("two"):
            pass
    (record,) = ws.ledger.records()
    assert (record.id, record.command, record.outcome, record.as_of) == (
        "00001",
        "refresh",
        "done",
        "2024-01-01",
    )
    assert [s.name for s in record.steps] == ["one", "two"]
    assert (record.steps[0].tokens, record.steps[0].flops) == (1_000_000, 8.0)
    assert record.steps[0].money == pytest.approx(2.0 + record.steps[0].seconds)
    assert record.money == pytest.approx(sum(s.money for s in record.steps))
    assert record.libraries["freshet"]
    assert Record.from_dict(json.loads((tmp_path / "runs" / "00001.json").read_text())) == record


def test_a_run_that_fails_keeps_what_it_had_measured(tmp_path: Path) -> None:
    ws = workspace(tmp_path)

    def killed() -> None:
        with ws.run("run") as run:
            with run.step("good"):
                pass
            during = ws.ledger.get("00001")
            assert (during.outcome, [s.name for s in during.steps]) == ("running", ["good"])
            with run.step("bad") as step:
                step.add(Usage(3))
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    record = ws.ledger.get("00001")
    assert (record.outcome, record.message) == ("failed", "KeyboardInterrupt")
    assert [(s.name, s.tokens) for s in record.steps] == [("good", 0), ("bad", 3)]
    with ws.run("run"):
        pass  # the lease was given back
    assert [r.id for r in ws.ledger.records()] == ["00001", "00002"]


def test_a_run_that_waits_stays_waiting_when_its_error_passes(tmp_path: Path) -> None:
    ws = workspace(tmp_path)

    def halted() -> None:
        with ws.run("run") as run:
            run.end("waiting", "a person should look")
            raise ArtifactError("gate")

    with pytest.raises(ArtifactError, match="gate"):
        halted()
    assert ws.ledger.get("00001").outcome == "waiting"


def test_a_full_disk_is_told_with_what_serves_by_then(tmp_path: Path) -> None:
    ws = workspace(tmp_path)

    def full(release: int | None) -> None:
        with ws.run("run") as run:
            run.record.release = release
            raise OSError(errno.ENOSPC, "No space left on device")

    for release, said in ((None, "nothing was published; free"), (3, "release 3 serves; free")):
        with pytest.raises(DiskFull, match="is full") as told:
            full(release)
        assert told.value.hint.startswith(said)
    with pytest.raises(DiskFull) as told, ws.hold("approve"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert told.value.hint.startswith("free some space")


def test_two_runs_can_not_write_at_once(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    with ws.run("one"), pytest.raises(Busy), ws.run("two"):
        pass
    assert [r.command for r in ws.ledger.records()] == ["one"]


def test_an_unknown_run_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no run '7'") as told:
        Ledger(tmp_path).get("7")
    assert "history" in told.value.hint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_round_trips(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.mktemp("json") / "deep" / "file.json"
    write_json(path, content)
    assert read_json(path) == content
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_reader_sees_the_old_or_the_new_text_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "text"
    texts = [letter * 100_000 for letter in "abcd"]
    write_text(path, texts[0])
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write_text, path, text) for text in texts * 5]
        seen = {path.read_text() for _ in range(50) if not all(w.done() for w in writing)}
        for write in writing:
            write.result()
    assert seen <= set(texts)
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_an_exclusive_file_is_written_once(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", {"n": 1}, exclusive=True)
    with pytest.raises(FileExistsError):
        write_json(tmp_path / "one.json", {"n": 2}, exclusive=True)
    assert read_json(tmp_path / "one.json") == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"a\.json not found"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"b\.json is damaged"):
        read_json(tmp_path / "b.json")


def test_a_crash_while_writing_an_artifact_leaves_nothing_valid(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    def crash() -> None:
        with store.create("tables", "v1") as draft:
            (draft.path / "half.npy").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert store.find("tables", "v1") is None
    # a machine that died: the draft lies there, or a folder came without its manifest
    (tmp_path / ".drafts" / "tables-v1-dead").mkdir(parents=True)
    (tmp_path / "tables" / "v1").mkdir(parents=True)
    (tmp_path / "tables" / "v1" / "half.npy").write_bytes(b"half")
    assert store.find("tables", "v1") is None
    assert store.versions("tables") == []
    with store.create("tables", "v1") as draft:
        (draft.path / "whole.npy").write_bytes(b"whole")
    found = store.find("tables", "v1")
    assert found is not None
    assert sorted(p.name for p in found.path.iterdir()) == ["manifest.json", "whole.npy"]
    (found.folder / "whole.npy").write_bytes(b"others")
    with pytest.raises(ArtifactError, match=r"whole\.npy is damaged") as told:
        _ = found.path
    assert "freshet doctor" in told.value.hint
    (found.folder / "whole.npy").unlink()
    with pytest.raises(ArtifactError, match=r"whole\.npy is missing"):
        _ = found.path


def test_versions_follow_from_every_part_and_nothing_else() -> None:
    base = version_of(code=1, config={"a": 1, "b": [2]}, as_of=AsOf(date(2024, 1, 1)))
    assert base == version_of(as_of=AsOf(date(2024, 1, 1)), config={"b": [2], "a": 1}, code=1)
    assert base != version_of(code=2, config={"a": 1, "b": [2]}, as_of=AsOf(date(2024, 1, 1)))
    assert base != version_of(code=1, config={"a": 1, "b": [3]}, as_of=AsOf(date(2024, 1, 1)))
    assert base != version_of(code=1, config={"a": 1, "b": [2]}, as_of=AsOf(date(2024, 1, 2)))
