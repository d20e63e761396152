"""What an arm makes at an origin: nothing, or a table of its own kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from freshet.errors import GateFailed, NotEnoughData
from freshet.ports import Artifact
from freshet.replay.arms import Arm
from freshet.replay.plan import Plan
from freshet.steps import sequencing
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
        table, model, sequence: versions; '' without one.
        refreshed, tuned: whether that happened at this origin.
        statistic, why: what the cadence policy saw and said; a failed gate is told here too.
    """

    made: str
    table: str = ""
    model: str = ""
    sequence: str = ""
    refreshed: bool = True
    tuned: bool = False
    statistic: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Models and sequence models so far, the first and the latest of each ('' = none).

    `day` is that of the latest tuning, `failed` what its gates, or a lack of data, had to say.
    """

    day: str
    first: str = ""
    latest: str = ""
    first_sequence: str = ""
    latest_sequence: str = ""
    failed: str = ""

    def model(self, arm: Arm) -> str:
        """The model of an arm."""
        return "" if arm.scores != "table" else {"once": self.first, "again": self.latest}.get(arm.tuned, "")

    def sequence(self, arm: Arm, mixes: bool) -> str:
        """The sequence model of an arm; `mixes` where the workspace's own mixture has one."""
        if not (mixes if arm.sequence is None else arm.sequence):
            return ""
        return self.first_sequence if arm.tuned == "once" else self.latest_sequence


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
    """The models of this origin, trained anew where that is due and an arm wants it.

    A model that fails its gates is used as if a person had approved it, so that figures show what that person
    would have let through; the failure is told.
    """
    mixes = room.config.sequence.use
    llm = room.tuner is not None and any(arm.scores == "table" and arm.tuned != "never" for arm in plan.arms)
    sequence = any((mixes if arm.sequence is None else arm.sequence) for arm in plan.arms)
    again = any(arm.tuned == "again" for arm in plan.arms)
    if not (llm or sequence):
        return None
    if tuned is not None and not (again and _age(tuned.day, known.as_of) >= plan.tune_every):
        return tuned
    latest, failed = _tuned(room, run, known, counting) if llm else ("", "")
    trained, missing = _trained(room, run, known, counting) if sequence else ("", "")
    return Tuned(
        str(known.as_of),
        tuned.first if tuned else latest,
        latest,
        tuned.first_sequence if tuned else trained,
        trained,
        "; ".join(said for said in (failed, missing) if said),
    )


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
    model = sequence = ""
    if tuned is not None:
        model, sequence = tuned.model(arm), tuned.sequence(arm, room.config.sequence.use)
    newly = before is not None and (model, sequence) != (before.model, before.sequence)
    if before is not None and not newly and not _is_due(plan, arm, known.as_of, before):
        return replace(before, refreshed=False, tuned=False, why="")
    just = tuned is not None and tuned.day == now and bool(model or sequence) and (newly or before is None)
    failed = tuned.failed if just and tuned else ""
    standing = Standing(now, model=model, sequence=sequence, tuned=just, why=failed)
    if arm.scores != "table":
        return standing
    previous = room.store.find("tables", before.table) if before else None
    return replace(standing, table=_make(room, run, arm, known, counting, standing, previous).version)


def _tuned(room: Workspace, run: Run, known: Knowledge, counting: Counting) -> tuple[str, str]:
    """Version of a model tuned now, and which gates it failed."""
    assert room.tuner is not None
    try:
        withheld = rules_of(room, known).withheld()
        return finetune(room, run, known, counting, room.tuner, withheld).version, ""
    except GateFailed as error:
        if run.record.waiting is None:
            raise
        latest = run.record.waiting["model"]
        run.record.outcome, run.record.waiting = "running", None
        return latest, error.message.split(": ", 1)[-1]


def _trained(room: Workspace, run: Run, known: Knowledge, counting: Counting) -> tuple[str, str]:
    """Version of a sequence model trained now, and why there is none."""
    try:
        return sequencing.train(room, run, known, counting).version, ""
    except NotEnoughData as error:
        return "", f"no sequence model: {error.message}"


def _make(
    room: Workspace,
    run: Run,
    arm: Arm,
    known: Knowledge,
    counting: Counting,
    standing: Standing,
    previous: Artifact | None,
) -> Artifact:
    planner = sequence = None
    if standing.model and room.tuner is not None:
        planner = LatePlanner(room.tuner, committed(room, "models", standing.model), known.interests)
    if standing.sequence:
        sequence = committed(room, "sequences", standing.sequence)
    worded = _prompting(room, arm)
    made = make_table(worded, run, known, counting, planner, standing.model, previous, sequence)
    check(worded, run, known, counting, made)
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
