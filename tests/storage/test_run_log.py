"""What a run says is kept within bounds, and never in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.core.errors import ArtifactError
from freshet.core.ports import Progress
from freshet.storage import run_log
from freshet.storage.run_log import RunLog, read_lines, read_underway


class Shown:
    """Notes what it is told to show."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.works: list[tuple[str, int, int]] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, name: str) -> Progress:
        return lambda done, total: self.works.append((name, done, total))


def test_what_is_said_is_shown_and_kept(tmp_path: Path) -> None:
    shown = Shown()
    log = RunLog(shown, tmp_path, "00001")
    log.say("one\ntwo")
    log.say("x" * 5000)
    assert shown.lines == ["one\ntwo", "x" * 5000]
    first, second = read_lines(tmp_path, "00001")
    assert (first.text, len(second.text)) == ("one\ntwo", run_log.LONGEST)
    assert read_lines(tmp_path, "00002") == []


def test_progress_is_of_the_step_at_hand(tmp_path: Path) -> None:
    shown = Shown()
    log = RunLog(shown, tmp_path, "00001")
    log.begin("inference")
    rows = log.progress("rows")
    for done in range(1001):
        rows(done, 1000)
    assert len(shown.works) == 1001
    found = read_underway(tmp_path, "00001")
    assert found is not None
    assert (found.step, found.works) == ("inference", {"rows": (1000, 1000)})
    log.begin("")
    found = read_underway(tmp_path, "00001")
    assert found is not None
    assert (found.step, found.works) == ("", {})


def test_what_is_broken_is_left_out(tmp_path: Path) -> None:
    RunLog(Shown(), tmp_path, "00001").say("sound")
    with (tmp_path / "logs" / "00001.jsonl").open("a") as file:
        file.write('{"at": 1\n[]\nnull\n{"at": "2026", "text"')  # the last: killed while it was written
    (tmp_path / "logs" / "00001.progress").write_text('{"step": "x", "works": 3}')
    assert [line.text for line in read_lines(tmp_path, "00001")] == ["sound"]
    assert read_underway(tmp_path, "00001") is None


def test_a_log_that_can_not_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    shown = Shown()
    log = RunLog(shown, tmp_path, "00001")
    log.begin("step")
    log.say("said")
    log.progress("rows")(1, 1)
    assert shown.lines == ["said"]
    assert shown.works == [("rows", 1, 1)]


def test_logs_of_old_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "KEPT", 3)
    for number in range(1, 8):
        log = RunLog(Shown(), tmp_path, f"{number:05d}")
        log.say("said")
        log.begin("step")
    (tmp_path / "logs" / "note.txt").write_text("not ours")
    RunLog(Shown(), tmp_path, "00008")
    kept = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert kept == [*(f"0000{n}.{kind}" for n in (5, 6, 7) for kind in ("jsonl", "progress")), "note.txt"]


def test_no_name_leads_elsewhere(tmp_path: Path) -> None:
    for name in ("../secret", "", "a/b", "."):
        with pytest.raises(ArtifactError):
            read_lines(tmp_path, name)
