"""What an arm makes at an origin: nothing, or a table of its own kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from freshet.errors import GateFailed
from freshet.ports import Artifact
from freshet.replay.arms import Arm
from freshet.replay.plan import Plan
from freshet.steps.counting import Counting
from freshet.steps.knowledge import Knowledge
from freshet.steps.late import LatePlanner
from freshet.steps.publishing import check, make_table, rules_of
from freshet.steps.sources import committed
from freshet.steps.tuning import finetune
from freshet.types import AsOf
from freshet.workspace import Run, Workspace


@dataclass(frozen=True, slots=True)
class Standing:
    """What an arm ranks with from an origin on.

    Attributes:
        made: as_of of its table, or of its counts.
        table, model: versions; '' without one.
        refreshed, tuned: whether that happened at this origin.
        statistic, why: what the cadence policy saw and said; a failed gate is told here too.
    """

    made: str
    table: str = ""
    model: str = ""
    refreshed: bool = True
    tuned: bool = False
    statistic: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Models so far: the first, the latest, when that was tuned, and what its gates said ('' = passed)."""

    first: str
    latest: str
    day: str
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a replay stands after an origin: what the next one goes on from."""

    tuned: Tuned | None
    arms: Mapping[str, Standing]

    def as_dict(self) -> dict[str, Any]:
        return {
            "tuned": asdict(self.tuned) if self.tuned else None,
            "arms": {name: asdict(standing) for name, standing in self.arms.items()},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Position:
        tuned = Tuned(**data["tuned"]) if data["tuned"] else None
        return cls(tuned, {name: Standing(**standing) for name, standing in data["arms"].items()})


START = Position(None, {})


def tune_if_due(
    room: Workspace, run: Run, plan: Plan, known: Knowledge, counting: Counting, tuned: Tuned | None
) -> Tuned | None:
    """The models of this origin; tuned anew where that is due and an arm wants it.

    A model that fails its gates is used as if a person had approved it, so that figures show what that person
    would have let through; the failure is told.
    """
    if room.tuner is None or all(arm.tuned == "never" for arm in plan.arms):
        return None
    again = any(arm.tuned == "again" for arm in plan.arms)
    if tuned is not None and not (again and _age(tuned.day, known.as_of) >= plan.tune_every):
        return tuned
    failed = ""
    try:
        latest = finetune(room, run, known, counting, room.tuner, rules_of(room, known).withheld()).version
    except GateFailed as error:
        if run.record.waiting is None:
            raise
        latest, failed = run.record.waiting["model"], error.message.split(": ", 1)[-1]
        run.record.outcome, run.record.waiting = "running", None
    return Tuned(tuned.first if tuned else latest, latest, str(known.as_of), failed)


def advance(
    room: Workspace,
    run: Run,
    plan: Plan,
    arm: Arm,
    known: Knowledge,
    counting: Counting,
    before: Standing | None,
    tuned: Tuned | None,
) -> Standing:
    """Refresh an arm if it is due, else leave it as it stands."""
    now = str(known.as_of)
    model = "" if tuned is None or arm.tuned == "never" else tuned.first
    if tuned is not None and arm.tuned == "again":
        model = tuned.latest
    newly = before is not None and model != before.model
    if before is not None and not newly and not _is_due(plan, arm, known.as_of, before):
        return replace(before, refreshed=False, tuned=False, why="")
    just = tuned is not None and tuned.day == now and arm.tuned != "never"
    standing = Standing(now, model=model, tuned=just, why=tuned.failed if just and tuned else "")
    if arm.scores != "table":
        return standing
    previous = room.store.find("tables", before.table) if before else None
    made = _make(_prompting(room, arm), run, known, counting, model, previous)
    return replace(standing, table=made.version)


def _make(
    room: Workspace, run: Run, known: Knowledge, counting: Counting, model: str, previous: Artifact | None
) -> Artifact:
    planner = None
    if model and room.tuner is not None:
        planner = LatePlanner(room.tuner, committed(room, "models", model), known.interests)
    made = make_table(room, run, known, counting, planner, model, previous)
    check(room, run, known, counting, made)
    return made


def _prompting(room: Workspace, arm: Arm) -> Workspace:
    """The workspace as an arm words its prompts."""
    if arm.evidence:
        return room
    silent = room.config.evidence.model_copy(update={"level": "none"})
    return replace(room, config=room.config.model_copy(update={"evidence": silent}))


def _is_due(plan: Plan, arm: Arm, now: AsOf, before: Standing) -> bool:
    if arm.refreshed in ("never", "when tuned"):
        return False
    return _age(before.made, now) >= (arm.days or plan.every)


def _age(day: str, now: AsOf) -> int:
    return (now.day - AsOf.parse(day).day).days
