"""What an arm makes at an origin: nothing, or a table of its own kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from freshet import pipeline
from freshet.core.errors import GateFailed, NotEnoughData, PlannerGone
from freshet.core.types import AsOf, CadenceDecision
from freshet.replay.ledger_costs import CostBook
from freshet.replay.replay_arms import Arm
from freshet.replay.replay_plan import Plan
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import schedule as cadence
from freshet.stages.content import step as vectors
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.live import step as overlays
from freshet.stages.schedule.step import see
from freshet.stages.sequence import step as sequencing
from freshet.stages.tuning import gate_verdict
from freshet.stages.tuning.lazy_planner import LazyPlanner
from freshet.stages.tuning.step import finetune
from freshet.stages.users import step as users
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import Run
from freshet.storage.manifests import TableManifest
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ArmState:
    """What an arm ranks with from an origin on.

    Attributes:
        made: as_of of its table, or of its counts.
        table, model, sequence, content, overlay, users: versions; '' without one. Tables name their own
            content; `users` are rows of single users.
        refreshed, tuned: whether that happened at this origin.
        statistic, why: what the cadence policy saw and why it decided so, or which gates failed.
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
    content: str = ""
    users: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Models and sequence models so far, the first and the latest of each ('' = none).

    `day` is that of the latest tuning, `failed` why its gates failed or nothing could be trained.
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
class Checkpoint:
    """Where a replay stands after an origin: what the next one goes on from."""

    tuned: Tuned | None
    arms: Mapping[str, ArmState]

    def as_dict(self) -> dict[str, Any]:
        return {
            "tuned": asdict(self.tuned) if self.tuned else None,
            "arms": {name: asdict(state) for name, state in self.arms.items()},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Checkpoint:
        tuned = Tuned(**data["tuned"]) if data["tuned"] else None
        return cls(tuned, {name: ArmState(**state) for name, state in data["arms"].items()})


START = Checkpoint(None, {})


def tune_if_due(ctx: RunContext, plan: Plan, tuned: Tuned | None) -> Tuned | None:
    """The models of this origin, trained anew where that is due and an arm wants it.

    A model that fails its gates is used as if a person had approved it, so that figures show what that person
    would have let through; the failure is recorded.
    """
    mixes, log = ctx.config.sequence.use, ctx.log
    due = ("again",) if tuned is not None else ("once", "again")
    wanting = [arm for arm in plan.arms if arm.tuned in due]
    tunes = ctx.ws.tuner is not None and any(arm.planned for arm in wanting)
    sequence = any((mixes if arm.sequence is None else arm.sequence) for arm in wanting)
    if not (tunes or sequence):
        return tuned
    if tuned is not None and _age(tuned.day, log.as_of) < plan.tune_every:
        return tuned
    before = tuned or Tuned(str(log.as_of))
    latest, failed = _tuned(ctx, before.latest) if tunes else ("", "")
    latest = latest or before.latest
    trained, missing = _trained(ctx, before.latest_sequence) if sequence else ("", "")
    trained = trained or before.latest_sequence  # an older one where a new one can't be trained
    return Tuned(
        str(log.as_of),
        before.first or latest,
        latest,
        before.first_sequence or trained,
        trained,
        "; ".join(reason for reason in (failed, missing) if reason),
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known, counted and tuned as of an origin, and what everything has cost so far.

    Attributes:
        fitted: counts as of it, by days between refreshes: fitted when they are first asked for.
        planners: those loaded so far, by version of their model.
        tables: those made at this origin, by what they are made of: arms that would make the same share one.
    """

    sandbox: Workspace
    run: Run
    plan: Plan
    log: LogSnapshot
    fitted: Callable[[int], CountFitter]
    tuned: Tuned | None
    costs: CostBook
    planners: dict[str, LazyPlanner]
    tables: dict[tuple[str | int, ...], Artifact] = field(default_factory=dict)

    def fitter(self, arm: Arm) -> CountFitter:
        """Counts whose weights are fitted for the age that an arm's counts get."""
        return self.fitted(arm.refreshed_every(self.plan.every, self.plan.tune_every))

    def context(self, arm: Arm) -> RunContext:
        """What the steps of an arm are given."""
        return RunContext(self.sandbox, self.run, self.log, self.fitter(arm))

    def planner(self, model: Artifact | None) -> LazyPlanner | None:
        """The planner of a model; one that was loaded for an earlier origin is used again."""
        if model is None or self.sandbox.tuner is None:
            return None
        if model.version not in self.planners:
            self.planners[model.version] = LazyPlanner(self.sandbox.tuner, model, self.log.interests)
        return self.planners[model.version]


def advance(origin: Origin, arm: Arm, before: ArmState | None) -> ArmState:
    """Refresh an arm if it is due, else leave it as it stands."""
    tuned, day = origin.tuned, str(origin.log.as_of)
    model = sequence = ""
    if tuned is not None:
        model, sequence = tuned.model(arm), tuned.sequence(arm, origin.sandbox.config.sequence.use)
    newly = before is None or (model, sequence) != (before.model, before.sequence)
    decision = CadenceDecision(True, float("nan"), float("nan"), "")
    if before is not None and not newly:
        decision = _decide(origin, arm, before)
        if not decision.refresh:
            statistic = _statistic(decision)
            return replace(before, refreshed=False, tuned=False, why=decision.why, statistic=statistic)
    just = tuned is not None and tuned.day == day and bool(model or sequence) and newly
    failed = tuned.failed if tuned is not None and tuned.day == day and arm.tuned != "never" else ""
    state = ArmState(
        day,
        model=model,
        sequence=sequence,
        tuned=just,
        why=failed or decision.why,
        statistic=_statistic(decision),
        refreshes=(*(before.refreshes if before else ()), day),
    )
    table = _table(origin, arm, state, before) if arm.planned else None
    described = vectors.make(origin.context(arm)) if arm.content and not arm.planned else None
    with_overlay = arm.live and arm.scores != "popularity"
    overlay = overlays.make(origin.context(arm), table) if with_overlay else None
    rows = _user_rows(origin, arm, state, before, table) if arm.users and table is not None else None
    return replace(
        state,
        table=table.version if table else "",
        users=rows.version if rows else "",
        overlay=overlay.version if overlay else "",
        content=described.version if described else "",
    )


def artifacts_made(ctx: RunContext, state: ArmState, days: int) -> list[str]:
    """What an arm had made at this origin, as `kind/version`; `days`: that its counts get old."""
    log = ctx.log
    made: list[str] = []
    if state.refreshed:
        counted = committed(ctx.ws.store, "transitions", log.version)
        made += [
            f"counts/{log.as_of}/{days}",
            f"transitions/{log.version}",
            f"assignments/{counted.manifest['inputs']['assignment']}",
            f"tables/{state.table}",
            f"user_rows/{state.users}",
            f"overlays/{state.overlay}",
            f"content/{state.content}",
        ]
    if state.tuned:
        gates = gate_verdict.key_of(ctx.ws, state.model)
        made += [f"models/{state.model}", f"gates/{gates}", f"sequences/{state.sequence}"]
    return made


def _decide(origin: Origin, arm: Arm, before: ArmState) -> CadenceDecision:
    """Whether an arm whose model is as it was refreshes at this origin."""
    if arm.refreshed == "never" or arm.refreshed == "when tuned":
        return CadenceDecision(False, float("nan"), float("nan"), "")
    schedule = origin.sandbox.config.schedule
    kind: cadence.Kind = "fixed" if arm.refreshed == "every" else arm.refreshed
    policy = cadence.policy(kind, arm.days or origin.plan.every, schedule.drift_alpha, schedule.value_per_hit)
    refreshes = [AsOf.parse(day) for day in before.refreshes]
    cost = origin.costs.cost_of_refresh(before.table, origin.run.money)
    # arms that count for another age refresh when that has passed, and look at nothing
    decision = policy.decide(see(policy, origin.fitted(origin.plan.every), refreshes, cost))
    return replace(decision, why="") if kind == "fixed" else decision


def _statistic(decision: CadenceDecision) -> float | None:
    """What a policy saw; None where none decided."""
    return None if decision.statistic != decision.statistic or not decision.why else decision.statistic


def _tuned(ctx: RunContext, before: str) -> tuple[str, str]:
    """Version of a model tuned now, and which gates it failed; '' where too few users are learned from.

    Args:
        before: version of the model that this replay tuned last; '' = none.
    """
    assert ctx.ws.tuner is not None
    run = ctx.run
    earlier = committed(ctx.ws.store, "models", before) if before else None
    try:
        return finetune(ctx, ctx.ws.tuner, earlier).version, ""
    except GateFailed as error:
        if run.record.waiting is None:
            raise
        latest = run.record.waiting["model"]
        run.record.outcome, run.record.waiting = "running", None
        return latest, error.message.split(": ", 1)[-1]
    except NotEnoughData as error:
        if ctx.log.learners is None:
            raise
        return "", f"no planner: {error.message}"


def _trained(ctx: RunContext, before: str) -> tuple[str, str]:
    """Version of a sequence model trained now, and why there is none; `before` as in `_tuned`."""
    earlier = committed(ctx.ws.store, "sequences", before) if before else None
    try:
        return sequencing.train(ctx, earlier).version, ""
    except NotEnoughData as error:
        return "", f"no sequence model: {error.message}"


def _table(origin: Origin, arm: Arm, state: ArmState, before: ArmState | None) -> Artifact:
    sandbox, plan = _with_evidence(origin.sandbox, arm), origin.plan
    until = plan.start if arm.evidence == "first" else None
    made_of = (
        *(state.model, state.sequence, before.table if before else "", str(until or "")),
        sandbox.config.evidence.level,
        arm.refreshed_every(plan.every, plan.tune_every),
    )
    if made_of not in origin.tables:
        origin.tables[made_of] = _made(origin, arm, state, before, sandbox, until)
    return origin.tables[made_of]


def _made(
    origin: Origin,
    arm: Arm,
    state: ArmState,
    before: ArmState | None,
    sandbox: Workspace,
    until: AsOf | None,
) -> Artifact:
    """The table of an arm, in a workspace with as much evidence as it has."""
    store = sandbox.store
    model = committed(store, "models", state.model) if state.model and sandbox.tuner is not None else None
    sequence = committed(store, "sequences", state.sequence) if state.sequence else None
    previous = store.find("tables", before.table) if before else None
    ctx = origin.context(arm).with_workspace(sandbox)
    made = pipeline.make_table(ctx, model, previous, sequence, until, origin.planner(model))
    origin.costs.add(origin.run.record.steps)
    if left := TableManifest.of(made).not_asked:  # counts in their place would be another arm
        raise PlannerGone(
            f"{left:,} prompts of arm '{arm.name}' as of {ctx.as_of} were not asked: the planner is gone, "
            "or a budget spent",
            hint="the same command goes on with them; what was answered is kept",
            retryable=True,
        )
    return made


def _user_rows(
    origin: Origin, arm: Arm, state: ArmState, before: ArmState | None, table: Artifact
) -> Artifact | None:
    """Rows of single users beside an arm's new table; those it had before are copied where they can be."""
    store = origin.sandbox.store
    model = committed(store, "models", state.model) if state.model else None
    previous = store.find("user_rows", before.users) if before and before.users else None
    made = users.make(origin.context(arm), table, previous, origin.planner(model))
    origin.costs.add(origin.run.record.steps[-1:])
    return made


def _with_evidence(sandbox: Workspace, arm: Arm) -> Workspace:
    """The workspace with as much evidence in prompts as an arm has."""
    if arm.evidence == "configured":
        return sandbox
    level = "none" if arm.evidence == "none" else sandbox.config.evidence.forced
    evidence = sandbox.config.evidence.model_copy(update={"level": level})
    return replace(sandbox, config=sandbox.config.model_copy(update={"evidence": evidence}))


def _age(day: str, moment: AsOf) -> int:
    return (moment.day - AsOf.parse(day).day).days
