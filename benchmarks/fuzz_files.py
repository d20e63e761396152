"""Mutated files through the importers, in processes of their own; `fuzz.py` says what must hold."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fuzz_seeds import Case, case

LIMIT = 30
"""Seconds for one file: a hundred times what one takes."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHM = Path("/dev/shm")


def fuzz(seed: int, first: int, count: int, kept: Path) -> dict[str, Any]:
    """Import every case; a process that dies is told with the file that it had, and another goes on."""
    began, outcomes, failures = time.monotonic(), Counter[str](), Counter[str]()
    examples: list[dict[str, Any]] = []
    at, end = first, first + count
    while at < end:
        call = [sys.executable, str(Path(__file__).with_name("fuzz.py")), "--worker"]
        call += ["--seed", str(seed), "--first", str(at), "--files", str(end - at)]
        with tempfile.TemporaryFile("w+") as said:
            worker = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=said, text=True)
            assert worker.stdout is not None
            with worker.stdout as lines:
                for line in lines:
                    told = json.loads(line)
                    at = told["case"] + 1
                    outcomes[f"{told['form']}: {told['outcome']}"] += 1
                    if told["why"]:
                        _note(seed, told, failures, examples, kept)
            code = worker.wait()
            if at < end:  # it ended within a case
                said.seek(0)
                why = "hang" if code == 1 else f"ended with {code}"
                told = {"case": at, "form": case(seed, at).form, "why": why, "detail": said.read()[-1500:]}
                _note(seed, told, failures, examples, kept)
                at += 1
    seconds = time.monotonic() - began
    return {
        "n": count,
        "ms_per_file": round(1000 * seconds / count, 1),
        "outcomes": dict(sorted(outcomes.items())),
        "failures": dict(failures),
        "examples": examples,
    }


def _note(
    seed: int, told: dict[str, Any], failures: Counter[str], examples: list[dict[str, Any]], kept: Path
) -> None:
    """Count a failure; keep the files of the first ones of a kind."""
    failures[told["why"]] += 1
    if failures[told["why"]] <= 3:
        broke = case(seed, told["case"])
        path = kept / f"{told['case']}-{broke.name}"
        path.write_bytes(broke.content)
        examples.append({**told, "mutations": broke.mutations, "file": path.name})


def work(seed: int, first: int, count: int) -> None:
    """Import case after case; a line of JSON for each."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as scratch:
        for number in range(first, first + count):
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            one = case(seed, number)
            outcome, why, detail = tried(one, Path(scratch) / "case")
            told = {"case": number, "form": one.form, "outcome": outcome, "why": why, "detail": detail}
            print(json.dumps(told), flush=True)
            faulthandler.cancel_dump_traceback_later()


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
