"""Every alert that Freshet raises by itself. docs/how-to/runbook.md has a section on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from freshet.core.masking import masked
from freshet.core.types.alerts import Alert, Severity
from freshet.inspect.service_level import ServiceLevel, State


@dataclass(frozen=True, slots=True)
class Kind:
    """An alert, and the service level in one of some states that raises it.

    Attributes:
        name: of the alert.
        level: its service level.
        severity: how urgent it is.
        first: what to do first, in a sentence.
        states: of the level.
    """

    name: str
    level: str
    severity: Severity
    first: str
    states: tuple[State, ...] = ("breach",)


UNREADABLE = Kind(
    "FreshetUnreadable",
    "levels",
    "critical",
    "`freshet doctor` says which file it is, and repairs what can be repaired",
)
"""The levels can't be told; what fired before goes on firing."""
TEST = Kind("FreshetTest", "test", "info", "nothing: somebody tries whether alerts arrive")

KINDS = (
    Kind(
        "FreshetNoRelease", "release", "critical", "`freshet run`, then `freshet history` says how it ended"
    ),
    Kind(
        "FreshetEvidenceOld",
        "evidence_age",
        "warning",
        "`freshet status` says what is due and why it did not run; `freshet run` does it now",
    ),
    Kind("FreshetModelOld", "model_age", "warning", "`freshet history` says how the last tuning ended"),
    Kind(
        "FreshetEventsStopped",
        "events_age",
        "warning",
        "`freshet history` says whether runs import events; if they do, ask whoever delivers them",
    ),
    Kind("FreshetLiveEventsStopped", "live_age", "warning", "ask whether the shop still posts to /v1/events"),
    Kind(
        "FreshetStateUnreadable",
        "live_state",
        "critical",
        "`freshet doctor`; for Redis, whether the server is up",
    ),
    Kind(
        "FreshetStreamReaderStopped",
        "stream_age",
        "warning",
        "start `freshet stream` again, and read its last lines",
    ),
    Kind(
        "FreshetStreamBehind",
        "stream_lag",
        "warning",
        "see whether it still grows; add readers where it does",
    ),
    Kind(
        "FreshetDrift",
        "drift",
        "info",
        "`freshet run` refreshes; a shorter cadence if this comes often",
        ("warn", "breach"),
    ),
    Kind(
        "FreshetStalenessCosts",
        "expected_loss",
        "warning",
        "`freshet run`; then a shorter [schedule] refresh_days",
    ),
    Kind(
        "FreshetRunFailed",
        "last_run",
        "warning",
        "`freshet history RUN` says where and why; then `freshet run`",
    ),
    Kind(
        "FreshetReviewWaits",
        "review",
        "warning",
        "`freshet history RUN` shows the gate and its examples; then `freshet approve` or `reject` it",
        ("warn", "breach"),
    ),
    Kind(
        "FreshetRolledBack",
        "rolled_back",
        "warning",
        "read the reason; `freshet run --publish` goes on again",
    ),
    Kind(
        "FreshetScheduleStopped",
        "schedule",
        "warning",
        "start `freshet schedule` again, and read its last lines",
    ),
    Kind(
        "FreshetBudgetSpent",
        "budget",
        "warning",
        "wait for the next month, or raise [schedule] budget_per_month",
    ),
    Kind("FreshetDamaged", "damage", "critical", "`freshet doctor --repair`, then `freshet run`"),
    Kind(
        "FreshetExportFails", "exports", "warning", "`freshet status` says why; `freshet export` tries again"
    ),
)
ALL = (*KINDS, UNREADABLE, TEST)
_BY_NAME = {kind.name: kind for kind in ALL}


def kind_of(name: str) -> Kind | None:
    """An alert by its name; None where an older Freshet raised it."""
    return _BY_NAME.get(name)


def raised(levels: Sequence[ServiceLevel], workspace: str, now: datetime) -> tuple[Alert, ...]:
    """The alerts that levels raise, each as if it began now; critical ones first."""
    by_level = {level.name: level for level in levels}
    found = []
    for kind in KINDS:
        level = by_level.get(kind.level)
        if level is not None and level.state in kind.states:
            found.append(alert(kind, workspace, level.sentence, now, level))
    return tuple(sorted(found, key=lambda one: ("critical", "warning", "info").index(one.severity)))


def alert(
    kind: Kind, workspace: str, summary: str, now: datetime, level: ServiceLevel | None = None
) -> Alert:
    """An alert of a kind that begins now."""
    measured = (level.value, level.objective, level.unit) if level is not None else (None, None, "")
    shown = masked(summary)  # messages of runs may hold addresses
    return Alert(kind.name, workspace, kind.severity, kind.level, shown, *measured, since=now)
