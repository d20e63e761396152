"""A look at all runs reads only records that are new or others than before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from freshet.core.errors import ArtifactError
from freshet.storage.ledger import Ledger, Record

READ: list[str] = []


def outcome(record: Record) -> str:
    READ.append(record.id)
    return record.outcome


def seen(ledger: Ledger) -> tuple[list[str], list[str]]:
    """What is made of each record, and which were read for that."""
    READ.clear()
    return [ledger.digest(path, outcome) for path in ledger.paths()], [*READ]


def test_a_record_is_read_again_only_where_it_is_another_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.paths() == []
    first, second = (Record(f"0000{n}", "run", "", "2024-01-01T00:00:00+00:00") for n in (1, 2))
    ledger.save(second)
    ledger.save(first)
    (ledger.folder / "error-1.txt").write_text("no run")
    (ledger.folder / "notes.json").write_text("{}")
    assert [path.stem for path in ledger.paths()] == ["00001", "00002"]
    assert seen(ledger) == (["running", "running"], ["00001", "00002"])
    assert seen(ledger) == (["running", "running"], [])
    ledger.save(replace(first, outcome="done"))
    assert seen(ledger) == (["done", "running"], ["00001"])
    (ledger.folder / "00002.json").write_text("{")
    with pytest.raises(ArtifactError, match="00002"):
        seen(ledger)
    (ledger.folder / "00002.json").unlink()
    assert seen(ledger) == (["done"], [])
