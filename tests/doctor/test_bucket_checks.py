"""Objects of a bucket: what is missing, and what nothing names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from freshet.doctor.bucket_checks import SAFE_SECONDS, find_objects
from tests.storage.remote.memory_store import MemoryStore, Objects
from tests.storage.remote.test_bucket_workspace import check_state, machine, release


def test_what_is_missing_is_written_again_and_what_nothing_names_goes(tmp_path: Path) -> None:
    bucket = Objects()
    ws = machine(tmp_path / "a", MemoryStore(bucket))
    (ws.root / "freshet.toml").write_text("")
    assert ws.bucket is not None
    ws.bucket.create()
    release(ws)
    assert [one.what for one in find_objects(ws) if one.damage] == []

    lost = ws.bucket.base.files["tables/v1/large"].key
    del bucket.objects[lost]
    bucket.write("objects/00/old", b"1")
    bucket.times["objects/00/old"] -= SAFE_SECONDS + 60
    bucket.write("objects/00/new", b"1")
    found = list(find_objects(ws))
    assert {one.where for one in found} >= {"tables/v1/large", "objects/00/old"}
    assert "objects/00/new" not in {one.where for one in found}, "it may be of a run that goes on"
    for one in found:
        assert one.fix is not None
        one.fix()
    assert list(find_objects(ws)) == []
    assert check_state(machine(tmp_path / "b", MemoryStore(bucket))) == 1

    del bucket.objects[lost]
    stranger = machine(tmp_path / "c", MemoryStore(bucket))
    assert stranger.bucket is not None
    stranger.bucket.pull()
    found = list(find_objects(stranger))
    assert {one.where for one in found} == {"interests/v1/large", "tables/v1/large"}  # of one content
    assert [one.fix for one in found] == [None, None]


def test_an_object_that_is_written_anew_meanwhile_stays(tmp_path: Path) -> None:
    """Keys that are set back to what they were: their content is sent first, and named then."""
    bucket = Objects()
    ws = machine(tmp_path, MemoryStore(bucket))
    assert ws.bucket is not None
    ws.bucket.create()
    bucket.write("objects/00/old", b"1")
    bucket.times["objects/00/old"] -= SAFE_SECONDS + 60
    bucket.write("objects/00/new", b"2")
    [found] = find_objects(ws)
    assert found.fix is not None
    bucket.write("objects/00/old", b"1")
    found.fix()
    assert "objects/00/old" in bucket.objects


def test_a_folder_has_no_objects(tmp_path: Path) -> None:
    assert list(find_objects(replace(machine(tmp_path, MemoryStore(Objects())), bucket=None))) == []
