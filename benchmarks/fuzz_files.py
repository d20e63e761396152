"""Mutated files through the importers, in processes of their own; `fuzz.py` says what must hold."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fuzz_workers
from fuzz_seeds import Case, case

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fuzz(seed: int, first: int, count: int, kept: Path) -> dict[str, Any]:
    """Import every case."""

    def save(number: int) -> dict[str, Any]:
        broke = case(seed, number)
        path = kept / f"{number}-{broke.name}"
        path.write_bytes(broke.content)
        return {"mutations": broke.mutations, "file": path.name}

    return fuzz_workers.drive("files", seed, first, count, save)


def work(seed: int, first: int, count: int) -> None:
    """Import case after case."""
    with tempfile.TemporaryDirectory(dir=fuzz_workers.scratch()) as made:
        for number in range(first, first + count):
            with fuzz_workers.watched():
                one = case(seed, number)
                outcome, why, detail = tried(one, Path(made) / "case")
            fuzz_workers.tell_case(number, one.form, outcome, why, detail)


def tried(one: Case, root: Path) -> tuple[str, str, str]:
    """Outcome; what is wrong about it, '' where nothing is; details."""
    from freshet.core.config import Events
    from freshet.core.errors import ConfigError, InputError
    from freshet.stages import events

    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    source = root / one.name
    source.write_bytes(one.content)
    counted = lines_of(one)
    try:
        if one.items:
            items = events.import_items(source, Events(), root)
            read, kept = items.rows_read, items.items + items.duplicates
            left_out = sum(items.quarantined.values())
        else:
            report = events.EventLog(root).import_events(source, Events(positive=one.positive), now=NOW)
            read, kept = report.rows_read, report.added + report.duplicates
            left_out = sum(report.quarantined.values())
    except (InputError, ConfigError) as error:
        short = not error.message.strip() or not error.hint.strip()
        return "refused", "refused without words" if short else "", f"{error.message}; {error.hint}"[:300]
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        where = traceback.format_exc()[-1200:]
        return "raised", f"raised {type(error).__module__}.{type(error).__name__}", where
    told = f"read {read}, kept {kept}, left out {left_out}, lines {counted}"
    if read != kept + left_out:
        return "imported", "arithmetic", told
    if counted is not None and counted != read:
        return "imported", "lines are lost or made", told
    return ("imported" if kept else "nothing kept"), "", told


def lines_of(one: Case) -> int | None:
    """Rows of a text file, where every line is one beyond doubt; None where that can't be said."""
    if one.form.endswith(("parquet", "gz")) or any(mark in one.content for mark in b"\"'\\\0\r"):
        return _json_lines(one) if one.form.endswith("jsonl") else None
    with contextlib.suppress(UnicodeDecodeError):
        lines = one.content.decode("utf-8").split("\n")
        if lines[-1] == "":
            lines.pop()
        if not lines or not all(line.strip() for line in lines) or "\ufeff" in lines[0]:
            return None
        if one.form.endswith("dat"):
            return len(lines)
        if lines[0] == one.header:
            return len(lines) - 1
    return None


def _json_lines(one: Case) -> int | None:
    if any(mark in one.content for mark in (b"\0", b"\r")):
        return None
    with contextlib.suppress(ValueError):
        lines = one.content.decode("utf-8").split("\n")
        lines = lines[:-1] if lines[-1] == "" else lines
        if lines and all(isinstance(json.loads(line), dict) for line in lines):
            return len(lines)
    return None
