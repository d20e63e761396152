"""A run as a person reads it: how it stands, why, and what to do now."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.storage import run_log
from freshet.storage.decisions import Decision
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace

TONES = {
    "done": "good",
    "approved": "good",
    "running": "",
    "pending": "",
    "waiting": "warn",
    "rejected": "warn",
    "interrupted": "warn",
    "failed": "bad",
}
WORDS = {
    "done": "done",
    "running": "running",
    "waiting": "waits for review",
    "approved": "approved",
    "rejected": "rejected",
    "failed": "failed",
    "pending": "waits for answers",
    "interrupted": "was killed",
    "damaged": "record is damaged",
}
SHOWN = 200
"""Lines of log on a page."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do now: in words, and pages that lead on (path, name)."""

    text: str
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunView:
    """A run on a page.

    Attributes:
        outcome: as `freshet history` has it; `word` and `tone` ('', good, warn, bad) for people.
        message, hint: why it ended so.
        held_by: who holds the workspace, where that is of interest; ''.
        decisions: made in it or on it.
        log: its last lines; `cut` of earlier ones are not shown.
        underway: what it is doing; None where that isn't known.
    """

    record: Record
    outcome: str
    word: str
    tone: str
    message: str
    hint: str
    advice: Advice
    decisions: tuple[Decision, ...]
    log: tuple[run_log.Line, ...]
    cut: int
    underway: run_log.Underway | None

    @property
    def tokens(self) -> int:
        """Of all steps."""
        return sum(step.tokens for step in self.record.steps)

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.outcome == "running"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list; `record` is None where it is damaged, and `message` says how."""

    id: str
    record: Record | None
    word: str
    tone: str
    message: str


def run_view(ws: Workspace, record: Record) -> RunView:
    """A run, with its log as far as this machine has it."""
    outcome = ws.outcome(record)
    message, _, hint = record.message.partition("\n")
    lines = run_log.read_lines(ws.root, record.id)
    return RunView(
        record,
        outcome,
        WORDS.get(outcome, outcome),
        TONES.get(outcome, ""),
        message,
        hint.strip(),
        advice(record, outcome, place_of(ws), ws.releases.pointer()),
        _decisions(ws, record.id),
        tuple(lines[-SHOWN:]),
        max(0, len(lines) - SHOWN),
        run_log.read_underway(ws.root, record.id) if outcome == "running" else None,
    )


def run_rows(ws: Workspace, paths: Sequence[Path]) -> list[RunRow]:
    """Runs of these files; a damaged one is a row that says so."""
    rows = []
    for path in paths:
        try:
            record = ws.ledger.get(path.stem)
        except ArtifactError as error:
            rows.append(RunRow(path.stem, None, WORDS["damaged"], "bad", error.message))
            continue
        outcome = ws.outcome(record)
        message = record.message.partition("\n")[0]
        rows.append(RunRow(record.id, record, WORDS.get(outcome, outcome), TONES.get(outcome, ""), message))
    return rows


def place_of(ws: Workspace) -> str:
    """What `-w` of a command is given for a workspace, from any folder."""
    return str(ws.bucket.url if ws.bucket else ws.root.resolve())


def advice(record: Record, outcome: str, place: str, serves: int | None) -> Advice:
    """What somebody on call does about a run that ended so.

    Args:
        place: of the workspace, for `-w`.
        serves: number of the release that serves, None = nothing does.
    """
    command = record.command.split()[0] if record.command else "run"
    again, at = f"freshet {command} -w {shlex.quote(place)}", f"-w {shlex.quote(place)}"
    stays = f"Release {serves} serves." if serves is not None else "No release serves."
    if outcome == "waiting":
        return Advice(
            f"A gate halted this run, so that nothing worse than before goes out. {stays} Look at the "
            "evidence, then approve it or reject it.",
            ((f"reviews/{record.id}", "Review it"),),
        )
    if outcome == "failed":
        return Advice(
            f"{stays} See to what the message names, then run the same command again: `{again}`. Steps that "
            f"were done are not done again. If it fails again, `freshet doctor {at}` looks for damage.",
        )
    if outcome == "interrupted":
        return Advice(
            f"Its process was killed. {stays} Run the same command again, `{again}`: it goes on there.",
        )
    if outcome == "pending":
        return Advice(
            "The planner answers later. The same command goes on once the answers are there; "
            f"`freshet batch {at}` tells what is waited for."
        )
    if outcome == "running":
        return Advice("Nothing: it goes on. This page follows it.")
    if outcome == "rejected":
        return Advice("Nothing: what it made was refused, and the release before keeps serving.")
    return Advice("Nothing: it ended well.")


def _decisions(ws: Workspace, run: str) -> tuple[Decision, ...]:
    found = []
    for path in ws.decisions.paths():
        if path.stem.partition("-")[0] == run:
            with suppress(ArtifactError):  # what is damaged is told on the page of reviews
                found.append(ws.decisions.read(path))
    return tuple(found)
