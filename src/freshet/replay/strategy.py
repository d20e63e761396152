"""What an arm makes at an origin: nothing, or a table of its own kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from freshet import pipeline
from freshet.core.errors import GateFailed, NotEnoughData
from freshet.core.types import AsOf, CadenceDecision
from freshet.replay.arms import Arm
from freshet.replay.costs import Book
from freshet.replay.plan import Plan
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import schedule as cadence
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.live import step as overlays
from freshet.stages.schedule.step import see
from freshet.stages.sequence import step as sequencing
from freshet.stages.tuning.lazy_planner import LazyPlanner
from freshet.stages.tuning.step import finetune
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Standing:
    """What an arm ranks with from an origin on.

    Attributes:
        made: as_of of its table, or of its counts.
        table, model, sequence, overlay: versions; '' without one.
        refreshed, tuned: whether that happened at this origin.
        statistic, why: what the cadence policy saw and said; a failed gate is told here too.
        refreshes: days of all its refreshes so far, ascending.
    """

    made: str
    table: str = ""
    model: str = ""
    sequence: str = ""
    refreshed: bool = True
    tuned: bool = False
    statistic: float | None = None
    why: str = ""
    refreshes: Sequence[str] = ()
    overlay: str = ""


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
        return "" if not arm.planned else {"once": self.first, "again": self.latest}.get(arm.tuned, "")

    def sequence(self, arm: Arm, mixes: bool) -> str:
        """The sequence model of an arm; `mixes` where the workspace's own mixture has one."""
        if arm.tuned == "never" or not (mixes if arm.sequence is None else arm.sequence):
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
    room: Workspace, run: Run, plan: Plan, known: LogSnapshot, counting: CountFitter, tuned: Tuned | None
) -> Tuned | None:
    """The models of this origin, trained anew where that is due and an arm wants it.

    A model that fails its gates is used as if a person had approved it, so that figures show what that person
    would have let through; the failure is told.
    """
    mixes = room.config.sequence.use
    due = ("again",) if tuned is not None else ("once", "again")
    wanting = [arm for arm in plan.arms if arm.tuned in due]
    tunes = room.tuner is not None and any(arm.planned for arm in wanting)
    sequence = any((mixes if arm.sequence is None else arm.sequence) for arm in wanting)
    if not (tunes or sequence):
        return tuned
    if tuned is not None and _age(tuned.day, known.as_of) < plan.tune_every:
        return tuned
    before = tuned or Tuned(str(known.as_of))
    ctx = RunContext(room, run, known, counting)
    latest, failed = _tuned(ctx) if tunes else (before.latest, "")
    trained, missing = _trained(ctx) if sequence else ("", "")
    trained = trained or before.latest_sequence  # an older one where a new one can't be trained
    return Tuned(
        str(known.as_of),
        before.first or latest,
        latest,
        before.first_sequence or trained,
        trained,
        "; ".join(said for said in (failed, missing) if said),
    )


@dataclass(frozen=True, slots=True)
class Now:
    """An origin: what is known, counted and tuned as of it, and what everything has cost so far.

    `counting` is as of it, by days between refreshes; `planners` are those loaded so far, by model.
    """

    room: Workspace
    run: Run
    plan: Plan
    known: LogSnapshot
    counting: Mapping[int, CountFitter]
    tuned: Tuned | None
    book: Book
    planners: dict[str, LazyPlanner]

    def counted(self, arm: Arm) -> CountFitter:
        """Counts whose weights are fitted for the age that an arm's counts get."""
        return self.counting[arm.refreshed_every(self.plan.every, self.plan.tune_every)]

    def context(self, arm: Arm) -> RunContext:
        """What the steps of an arm are given."""
        return RunContext(self.room, self.run, self.known, self.counted(arm))

    def planner(self, model: Artifact | None) -> LazyPlanner | None:
        """The planner of a model; one that was loaded for an earlier origin is used again."""
        if model is None or self.room.tuner is None:
            return None
        if model.version not in self.planners:
            self.planners[model.version] = LazyPlanner(self.room.tuner, model, self.known.interests)
        return self.planners[model.version]


def advance(now: Now, arm: Arm, before: Standing | None) -> Standing:
    """Refresh an arm if it is due, else leave it as it stands."""
    tuned, day = now.tuned, str(now.known.as_of)
    model = sequence = ""
    if tuned is not None:
        model, sequence = tuned.model(arm), tuned.sequence(arm, now.room.config.sequence.use)
    newly = before is None or (model, sequence) != (before.model, before.sequence)
    decision = CadenceDecision(True, float("nan"), float("nan"), "")
    if before is not None and not newly:
        decision = _decide(now, arm, before)
        if not decision.refresh:
            told = _statistic(decision)
            return replace(before, refreshed=False, tuned=False, why=decision.why, statistic=told)
    just = tuned is not None and tuned.day == day and bool(model or sequence) and newly
    failed = tuned.failed if tuned is not None and tuned.day == day and arm.tuned != "never" else ""
    standing = Standing(
        day,
        model=model,
        sequence=sequence,
        tuned=just,
        why=failed or decision.why,
        statistic=_statistic(decision),
        refreshes=(*(before.refreshes if before else ()), day),
    )
    table = _make(now, arm, standing, before) if arm.planned else None
    overlay = _overlay(now, arm, table) if arm.live and arm.scores != "popularity" else None
    return replace(standing, table=table.version if table else "", overlay=overlay.version if overlay else "")


def _decide(now: Now, arm: Arm, before: Standing) -> CadenceDecision:
    """Whether an arm whose model is as it was refreshes at this origin."""
    if arm.refreshed == "never" or arm.refreshed == "when tuned":
        return CadenceDecision(False, float("nan"), float("nan"), "")
    schedule = now.room.config.schedule
    kind: cadence.Kind = "fixed" if arm.refreshed == "every" else arm.refreshed
    policy = cadence.policy(kind, arm.days or now.plan.every, schedule.drift_alpha, schedule.value_per_hit)
    refreshes = [AsOf.parse(day) for day in before.refreshes]
    decision = policy.decide(
        see(policy, now.counted(arm), refreshes, now.book.cost_of_refresh(before.table, now.run.money))
    )
    return replace(decision, why="") if kind == "fixed" else decision


def _statistic(decision: CadenceDecision) -> float | None:
    """What a policy saw; nothing where none was asked."""
    return None if decision.statistic != decision.statistic or not decision.why else decision.statistic


def _tuned(ctx: RunContext) -> tuple[str, str]:
    """Version of a model tuned now, and which gates it failed."""
    assert ctx.ws.tuner is not None
    run = ctx.run
    try:
        return finetune(ctx, ctx.ws.tuner).version, ""
    except GateFailed as error:
        if run.record.waiting is None:
            raise
        latest = run.record.waiting["model"]
        run.record.outcome, run.record.waiting = "running", None
        return latest, error.message.split(": ", 1)[-1]


def _trained(ctx: RunContext) -> tuple[str, str]:
    """Version of a sequence model trained now, and why there is none."""
    try:
        return sequencing.train(ctx).version, ""
    except NotEnoughData as error:
        return "", f"no sequence model: {error.message}"


def _make(now: Now, arm: Arm, standing: Standing, before: Standing | None) -> Artifact:
    room = now.room
    model = (
        committed(room.store, "models", standing.model) if standing.model and room.tuner is not None else None
    )
    sequence = committed(room.store, "sequences", standing.sequence) if standing.sequence else None
    previous = room.store.find("tables", before.table) if before else None
    until = now.plan.start if arm.evidence == "first" else None
    ctx = now.context(arm).with_workspace(_prompting(room, arm))
    made = pipeline.make_table(ctx, model, previous, sequence, until, now.planner(model))
    now.book.add(now.run.record.steps)
    return made


def _overlay(now: Now, arm: Arm, table: Artifact | None) -> Artifact | None:
    return overlays.make(now.context(arm), table)


def _prompting(room: Workspace, arm: Arm) -> Workspace:
    """The workspace as an arm words its prompts."""
    if arm.evidence == "configured":
        return room
    level = "none" if arm.evidence == "none" else room.config.evidence.forced
    worded = room.config.evidence.model_copy(update={"level": level})
    return replace(room, config=room.config.model_copy(update={"evidence": worded}))


def _age(day: str, now: AsOf) -> int:
    return (now.day - AsOf.parse(day).day).days
