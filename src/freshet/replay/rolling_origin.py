"""From origin to origin: make what each arm would have made, then evaluate it on what came next.

Every origin leaves an artifact, named by everything that went into it and into those before it, so that a
killed replay goes on where it was, and one with a later end repeats nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet import pipeline
from freshet.core.ports import Progress, silent
from freshet.core.types import AsOf, Transitions
from freshet.experiments.measurement.labels import assignment_of
from freshet.replay import frames, replay_cost
from freshet.replay.arm_scores import ArmScorers
from freshet.replay.arm_state import START, ArmState, Checkpoint, Origin, advance, artifacts_made, tune_if_due
from freshet.replay.circumstances import FirstEngagements, circumstances
from freshet.replay.evaluate import ArmScores, HorizonLabels, evaluate
from freshet.replay.learned_from import learned_from
from freshet.replay.ledger_costs import CostBook
from freshet.replay.live_arms import popularity_live, with_live
from freshet.replay.origin_key import origin_key
from freshet.replay.replay_arms import Arm
from freshet.replay.replay_plan import Plan
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import live
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.screen import step as screen
from freshet.stages.transitions.step import learned_by
from freshet.stages.tuning import step as tuning
from freshet.stages.tuning.lazy_planner import LazyPlanner
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import Reporter, Run
from freshet.storage.workspace import Workspace

KEPT = 8
"""Snapshots of the log, those used last, that stay in memory."""


def roll(sandbox: Workspace, plan: Plan) -> list[Artifact]:
    """Replay all origins; those whose artifact exists are skipped.

    Args:
        sandbox: a workspace of its own for what is made, which reads the log of the user's.

    Returns:
        An artifact per origin, with the files that `frames` describes.

    Raises:
        Busy: another replay is writing there.
        NotEnoughData: too little lies before the first origin.
    """
    reporter = sandbox.reporter
    cost = replay_cost.most(sandbox, plan)
    if cost is not None:
        replay_cost.say(sandbox, cost)
    show = reporter.progress(f"replay, {plan.learners} of users" if plan.learners else "replay")
    quiet = replace(sandbox, reporter=_OnlyTuning(reporter))
    origins, made = plan.origins, list[Artifact]()
    with quiet.hold("replay") as held:
        if any(arm.planned for arm in plan.arms):
            tuning.check_base(sandbox)
        replayer = _Replayer(quiet, plan)
        before, checkpoint = "", START
        for number, at in enumerate(origins):
            with quiet.recorded(held, "replay", str(at)) as run:
                key = origin_key(quiet, run, plan, at, before)
                found = sandbox.store.find("origins", key)
                if found is None:
                    checkpoint = replayer.replay(run, at, checkpoint, key)
                    found = committed(sandbox.store, "origins", key)
                    for step in run.record.steps:
                        if step.details.get("stopped"):
                            reporter.say(f"{at}: the clock ended a training of {step.name} (max_seconds)")
                    reporter.say(_line(found, number, len(origins)))
                else:
                    checkpoint = Checkpoint.of(found.manifest["position"])
            made.append(found)
            before = key
            show(number + 1, len(origins))
    return made


class _OnlyTuning:
    """Says nothing of what the steps say at every origin; shows what takes long."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, name: str) -> Progress:
        return self.reporter.progress(name) if name == "tuning" else silent


@dataclass(frozen=True, slots=True)
class _Window:
    """The transitions between an origin and the next one, on which arms are evaluated.

    Attributes:
        at, until: the origin, and the moment before which the window ends.
        log: what came before its end of those who are learned from, with times; nothing is held back.
        everybody: the same with everybody's transitions.
        test: the (n,) transitions, a sample of whole users if there are many.
    """

    at: AsOf
    until: AsOf
    log: LogSnapshot
    everybody: LogSnapshot
    test: Transitions
    labels: HorizonLabels


class _Replayer:
    """Replays one origin after the other; keeps snapshots, counts and planners while they are used."""

    def __init__(self, sandbox: Workspace, plan: Plan) -> None:
        self.sandbox, self.plan = sandbox, plan
        self.costs = CostBook.of(sandbox.ledger.records())
        self._planners: dict[str, LazyPlanner] = {}
        self._snapshots: dict[AsOf, LogSnapshot] = {}
        self._learned: dict[AsOf, LogSnapshot] = {}
        self._fitters: dict[tuple[AsOf, int], CountFitter] = {}

    def replay(self, run: Run, at: AsOf, checkpoint: Checkpoint, key: str) -> Checkpoint:
        """Make what the arms would have made at an origin, evaluate it, and store both."""
        plan = self.plan
        log, fitter = self._known(run, at), self._fitter(run, at, plan.every)
        ctx = RunContext(self.sandbox, run, log, fitter)
        tuned = tune_if_due(ctx, plan, checkpoint.tuned)
        fitted = partial(self._fitter, run, at)
        origin = Origin(self.sandbox, run, plan, log, fitted, tuned, self.costs, self._planners)
        states = {arm.name: advance(origin, arm, checkpoint.arms.get(arm.name)) for arm in plan.arms}
        self.costs.add(run.record.steps)
        after = Checkpoint(tuned, states)
        self._evaluate(ctx, checkpoint, after, key)
        self._forget(at, states)
        return after

    def _evaluate(self, ctx: RunContext, before: Checkpoint, after: Checkpoint, key: str) -> None:
        """Store how every arm ranked what came next, what it stands with, and what that cost."""
        sandbox, run, at = self.sandbox, ctx.run, ctx.as_of
        window = self._window(run, at)
        with run.step("judge"), sandbox.store.create("origins", key) as draft:
            scorers = ArmScorers(ctx, after.arms, self.plan.arms, window.log, window.test)
            evaluated, rows = [], []
            for arm in self.plan.arms:
                state = after.arms[arm.name]
                fitter = ctx.fitter
                if not state.table:
                    fitter = self._fitter(run, AsOf.parse(state.made), self._days(arm))
                scores = self._scores(scorers, arm, state, fitter, window)
                popular = fitter.model(fitter.log.as_of).base
                made = AsOf.parse(state.made)
                evaluated.append(evaluate(arm.name, at, made, scores, popular, window.test, window.labels))
                rows.append(scorers.state_row(arm, state, before.arms.get(arm.name), at))
            spent = [
                {"arm": arm.name, "origin": at.day, **line}
                for arm in self.plan.arms
                for line in self.costs.lines(artifacts_made(ctx, after.arms[arm.name], self._days(arm)), run)
            ]
            found = frames.Results(
                pa.concat_tables(evaluated),
                frames.rows(frames.STATES, rows),
                frames.rows(frames.COSTS, spent),
                self._circumstances(ctx, window),
            )
            found.write(draft.path)
            draft.manifest = {
                "as_of": str(at),
                "interests": len(ctx.log.interests),
                "transitions": len(window.test),
                "learned": learned_from(ctx, self.plan, after.tuned),
                "position": after.as_dict(),
            }

    def _scores(
        self, scorers: ArmScorers, arm: Arm, state: ArmState, fitter: CountFitter, window: _Window
    ) -> ArmScores:
        """An arm's scores of a window's transitions; live ones know all that happened before each."""
        if arm.scores == "popularity" and arm.live:
            log = window.log.transitions
            scores = ArmScores(popularity_live(fitter, log, window.until, window.test, self._timed(window)))
        else:
            scores = scorers.rank(arm, state, fitter)
        return replace(scores, logp=self._live(state, scores.logp, window)) if state.overlay else scores

    def _live(self, state: ArmState, logp: NDArray[np.float64], window: _Window) -> NDArray[np.float64]:
        """Scores with the arm's overlay on top, which has run since its table was made."""
        overlay = live.read(committed(self.sandbox.store, "overlays", state.overlay).path)
        if overlay is None:
            return logp
        since = window.log.transitions.records(AsOf.parse(state.made), window.until)
        return with_live(logp, window.test.known, overlay, since, self._timed(window))

    def _timed(self, window: _Window) -> NDArray[np.void]:
        """(n,) the transitions of a window with their times."""
        log, plan = window.everybody.transitions, self.plan
        return log.records(window.at, window.until, plan.limit_per_origin, plan.seed)

    def _window(self, run: Run, at: AsOf) -> _Window:
        plan = self.plan
        until, labelled = plan.until(at), plan.labelled_until(at)
        everybody = self._snapshot(run, until)
        test = everybody.transitions.between(at, until, plan.limit_per_origin, plan.seed)
        after = self._snapshot(run, labelled).transitions.between(until, labelled)
        labels = HorizonLabels.of(test, after, plan.horizon)
        return _Window(at, until, self._seen(run, everybody), everybody, test, labels)

    def _circumstances(self, ctx: RunContext, window: _Window) -> pa.Table:
        """What was known when each judged transition happened."""
        log = window.everybody
        assigned = assignment_of(self.sandbox, log.version).path / "assignment.parquet"
        first = self._first.by_interest(assigned, len(log.interests))
        timed, learned = self._timed(window), ctx.log.transitions
        return circumstances(window.at, window.test, timed, ctx.fitter.k, learned, log.transitions, first)

    @cached_property
    def _first(self) -> FirstEngagements:
        return FirstEngagements.of(self.sandbox, self.plan.end)

    def _days(self, arm: Arm) -> int:
        """Days that an arm's counts get old."""
        return arm.refreshed_every(self.plan.every, self.plan.tune_every)

    def _snapshot(self, run: Run, moment: AsOf) -> LogSnapshot:
        if moment not in self._snapshots:
            start = len(run.record.steps)
            self._snapshots[moment] = pipeline.snapshot_of(screen.unscreened(self.sandbox), run, moment)
            self.costs.add(run.record.steps[start:])
            self._snapshots = dict(list(self._snapshots.items())[-KEPT:])
        return self._snapshots[moment]

    def _seen(self, run: Run, log: LogSnapshot) -> LogSnapshot:
        """What came of everybody, or of the users that are learned from."""
        learners = self.plan.learners
        return log if learners is None else learned_by(self.sandbox, run, log, learners)

    def _known(self, run: Run, moment: AsOf) -> LogSnapshot:
        """What was known before a moment: of everybody or of some users alone, less what is held back."""
        if moment not in self._learned:
            log, start = self._snapshot(run, moment), len(run.record.steps)
            self._learned[moment] = screen.hold_back(self.sandbox, run, self._seen(run, log))
            self.costs.add(run.record.steps[start:])
            self._learned = dict(list(self._learned.items())[-KEPT:])
        return self._learned[moment]

    def _fitter(self, run: Run, moment: AsOf, every: int) -> CountFitter:
        """Counts as of a moment, with their weights fitted for so many days between refreshes."""
        if (moment, every) not in self._fitters:
            fitter = fitter_for(self.sandbox.config, self._known(run, moment), every)
            with run.step("counts") as step:
                _ = fitter.mixtures, fitter.model(moment)
                step.artifact = f"counts/{moment}/{every}"
            self.costs.add([step])
            self._fitters[moment, every] = fitter
        return self._fitters[moment, every]

    def _forget(self, at: AsOf, states: Mapping[str, ArmState]) -> None:
        """Let go of planners and counts that no arm uses any more."""
        models = {state.model for state in states.values()}
        self._planners = {model: kept for model, kept in self._planners.items() if model in models}
        in_use = {at, *(AsOf.parse(state.made) for state in states.values() if not state.table)}
        self._fitters = {key: kept for key, kept in self._fitters.items() if key[0] in in_use}


def _line(origin: Artifact, number: int, of: int) -> str:
    arms = origin.manifest["position"]["arms"]
    refreshed = sum(state["refreshed"] for state in arms.values())
    return (
        f"{number + 1} of {of}, {origin.manifest['as_of']}: {refreshed} of {len(arms)} arms refreshed, "
        f"{origin.manifest['transitions']:,} transitions judged"
    )
