"""From origin to origin: make what each arm would have made, then judge it on what came next.

Every origin leaves an artifact, named by everything that went into it and into those before it, so that a
killed replay goes on where it was, and one with a later end repeats nothing.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet import pipeline
from freshet.core.ports import Progress, silent
from freshet.core.types import AsOf, Transitions
from freshet.replay import baselines, frames
from freshet.replay.costs import Book
from freshet.replay.judge import Later, Ranked, judge
from freshet.replay.living import with_live
from freshet.replay.plan import Plan
from freshet.replay.ranking import Judges
from freshet.replay.strategy import START, Now, Position, Standing, advance, tune_if_due
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import events, live
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.events.step import items
from freshet.stages.interests import step as interests_step
from freshet.stages.live import step as overlays
from freshet.stages.sequence import step as sequencing
from freshet.stages.table import table_plan
from freshet.stages.transitions import step as transitions_step
from freshet.stages.tuning import gate_verdict as gating
from freshet.stages.tuning import step as tuning
from freshet.stages.tuning.lazy_planner import LazyPlanner
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import Reporter, Run
from freshet.storage.workspace import Workspace, version_of

CODE = 5
UNREAD: dict[str, set[str]] = {
    "interests": set(),
    "transitions": set(),
    "counts": set(),
    "evidence": set(),
    "planner": {"device", "model"},  # the tuner knows its checkpoint
    "tuning": {"every_days"},  # the plan has its own
    "gates": set(),
    "inference": {"chunk"},
    "table": {"max_churn"},
    "sequence": set(),
}
"""Sections of the configuration that decide what is made, each with what plays no part in it."""
KEPT = 8
"""Moments learned last of which it stays in memory what was known."""


def roll(room: Workspace, plan: Plan) -> list[Artifact]:
    """Replay all origins; those whose artifact exists are skipped.

    Args:
        room: a workspace of its own for what is made, which reads the log of the user's.

    Returns:
        An artifact per origin, with the files `judged.parquet`, `states.parquet` and `costs.parquet`.

    Raises:
        Busy: another replay is writing there.
        NotEnoughData: too little lies before the first origin.
    """
    reporter = room.reporter
    show = reporter.progress("replay")
    quiet = replace(room, reporter=_OnlyTuning(reporter))
    origins, made = plan.origins, list[Artifact]()
    with quiet.hold("replay") as held:
        if any(arm.planned for arm in plan.arms):
            tuning.check_base(room)
        past = _Past(quiet, plan)
        before, position = "", START
        for number, at in enumerate(origins):
            with quiet.recorded(held, "replay", str(at)) as run:
                key = past.key(run, at, before)
                found = room.store.find("origins", key)
                if found is None:
                    position = past.pass_through(run, at, position, key)
                    found = committed(room.store, "origins", key)
                    for step in run.record.steps:
                        if step.details.get("stopped"):
                            reporter.say(f"{at}: the clock ended a training of {step.name} (max_seconds)")
                    reporter.say(_line(found, number, len(origins)))
                else:
                    position = Position.of(found.manifest["position"])
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


class _Past:
    """What is known at the moments of a replay, and what that costs."""

    def __init__(self, room: Workspace, plan: Plan) -> None:
        self.room, self.plan = room, plan
        self.book = Book.of(room.ledger.records())
        self._planners: dict[str, LazyPlanner] = {}
        self._known: dict[AsOf, LogSnapshot] = {}
        self._counting: dict[tuple[AsOf, int], CountFitter] = {}

    def key(self, run: Run, at: AsOf, before: str) -> str:
        """Everything that decides what an origin's artifact holds."""
        config, plan = self.room.config, self.plan
        log = events.EventLog(self.room.source)
        return version_of(
            code=(
                CODE,
                table_plan.CODE,
                tuning.CODE,
                gating.CODE,
                sequencing.CODE,
                interests_step.CODE,
                transitions_step.CODE,
            ),
            recipes=(
                self.room.tuner.recipe if self.room.tuner is not None else "",
                self.room.sequencer.version if self.room.sequencer is not None else "",
            ),
            before=before,
            at=at,
            until=plan.until(at),
            events=log.snapshot(self._labelled_until(at)).version,
            items=items(self.room, run).version,
            config={
                name: getattr(config, name).model_dump(mode="json", exclude=unread)
                for name, unread in UNREAD.items()
            },
            cadence=(
                config.schedule.drift_alpha,
                config.schedule.value_per_hit,
                config.prices.model_dump(exclude={"currency"}),
            ),
            positive=config.events.positive,
            arms=[asdict(arm) for arm in plan.arms],
            live=[overlays.CODE, config.live.model_dump()] if any(arm.live for arm in plan.arms) else [],
            plan=(plan.every, plan.tune_every, plan.horizon, plan.limit_per_origin, plan.seed),
        )

    def pass_through(self, run: Run, at: AsOf, position: Position, key: str) -> Position:
        """Make what the arms would have made, judge it, and store both."""
        room, plan = self.room, self.plan
        known, counting = self._at(run, at), self._counted(run, at, plan.every)
        ages = {arm.refreshed_every(plan.every, plan.tune_every) for arm in plan.arms}
        by_age = {days: self._counted(run, at, days) for days in {plan.every, *ages}}
        tuned = tune_if_due(room, run, plan, known, counting, position.tuned)
        now = Now(room, run, plan, known, by_age, tuned, self.book, self._planners)
        arms = {arm.name: advance(now, arm, position.arms.get(arm.name)) for arm in plan.arms}
        self.book.add(run.record.steps)
        until = plan.until(at)
        test = self._at(run, until).transitions.between(at, until, plan.limit_per_origin, plan.seed)
        after = self._at(run, self._labelled_until(at)).transitions.between(until, self._labelled_until(at))
        later = Later.of(test, after, plan.horizon)
        with run.step("judge"), room.store.create("origins", key) as draft:
            judges = Judges(RunContext(room, run, known, counting), arms, plan.arms)
            judged, states = [], []
            for arm in plan.arms:
                standing = arms[arm.name]
                then = counting
                if not standing.table:
                    days = arm.refreshed_every(plan.every, plan.tune_every)
                    then = self._counted(run, AsOf.parse(standing.made), days)
                if arm.scores == "popularity" and arm.live:
                    ranked = Ranked(self._popularity_live(run, then, at, until, test))
                else:
                    ranked = judges.rank(arm, standing, then, test)
                if standing.overlay:
                    ranked = replace(ranked, logp=self._live(run, standing, ranked.logp, at, until, test))
                popular = then.model(then.log.as_of).base
                judged.append(judge(arm.name, at, AsOf.parse(standing.made), ranked, popular, test, later))
                states.append(judges.state(arm, standing, position.arms.get(arm.name), at))
            pq.write_table(pa.concat_tables(judged), draft.path / "judged.parquet")
            pq.write_table(frames.rows(frames.STATES, states), draft.path / "states.parquet")
            pq.write_table(
                frames.rows(frames.COSTS, self._costs(run, known, arms)), draft.path / "costs.parquet"
            )
            after_it = Position(tuned, arms)
            draft.manifest = {
                "as_of": str(at),
                "interests": len(known.interests),
                "transitions": len(test),
                "position": after_it.as_dict(),
            }
        models = {standing.model for standing in arms.values()}
        self._planners = {model: kept for model, kept in self._planners.items() if model in models}
        in_use = {at, *(AsOf.parse(standing.made) for standing in arms.values() if not standing.table)}
        self._counting = {key: kept for key, kept in self._counting.items() if key[0] in in_use}
        return after_it

    def _live(
        self,
        run: Run,
        standing: Standing,
        logp: NDArray[np.float64],
        at: AsOf,
        until: AsOf,
        test: Transitions,
    ) -> NDArray[np.float64]:
        """What an arm says with its overlay on top, which has run since its table was made."""
        overlay = live.read(committed(self.room.store, "overlays", standing.overlay).path)
        if overlay is None:
            return logp
        log = self._at(run, until).transitions
        moves = log.records(AsOf.parse(standing.made), until)
        asked = log.records(at, until, self.plan.limit_per_origin, self.plan.seed)
        return with_live(logp, test.known, overlay, moves, asked)

    def _popularity_live(
        self, run: Run, then: CountFitter, at: AsOf, until: AsOf, test: Transitions
    ) -> NDArray[np.float64]:
        """Popularity when it has taken in what happened strictly before each transition."""
        log = self._at(run, until).transitions
        asked = log.records(at, until, self.plan.limit_per_origin, self.plan.seed)
        return baselines.popularity_live(then, log, until, test, asked)

    def _labelled_until(self, at: AsOf) -> AsOf:
        """Until when it is looked up what people took up."""
        return min(self.plan.until(at).plus(self.plan.horizon), self.plan.end, key=lambda m: m.day)

    def _at(self, run: Run, moment: AsOf) -> LogSnapshot:
        if moment not in self._known:
            start = len(run.record.steps)
            self._known[moment] = pipeline.snapshot_of(self.room, run, moment)
            self.book.add(run.record.steps[start:])
            self._known = dict(list(self._known.items())[-KEPT:])  # those learned last
        return self._known[moment]

    def _counted(self, run: Run, moment: AsOf, every: int) -> CountFitter:
        """Counts as of a moment, with their weights fitted for so many days between refreshes."""
        if (moment, every) not in self._counting:
            counting = fitter_for(self.room.config, self._at(run, moment), every)
            with run.step("counts") as step:
                _ = counting.mixtures, counting.model(moment)
                step.artifact = f"counts/{moment}/{every}"
            self.book.add([step])
            self._counting[moment, every] = counting
        return self._counting[moment, every]

    def _costs(self, run: Run, known: LogSnapshot, arms: dict[str, Standing]) -> list[dict[str, object]]:
        """What each arm had made at this origin, at the prices of today."""
        at = known.as_of
        counted = committed(self.room.store, "transitions", known.version)
        assigned = counted.manifest["inputs"]["assignment"]
        plan, found = self.plan, []
        days = {arm.name: arm.refreshed_every(plan.every, plan.tune_every) for arm in plan.arms}
        for name, standing in arms.items():
            learned = [
                f"counts/{at}/{days[name]}", f"transitions/{known.version}", f"assignments/{assigned}"
            ]  # fmt: skip
            made = [f"tables/{standing.table}", f"overlays/{standing.overlay}"]
            artifacts = [*learned, *made] if standing.refreshed else []
            if standing.tuned:
                artifacts += [f"models/{standing.model}", f"gates/{gating.key_of(self.room, standing.model)}"]
                artifacts += [f"sequences/{standing.sequence}"]
            for artifact in artifacts:
                for step in self.book.of_artifact(artifact):
                    spent = {part: getattr(step, part) for part in ("tokens", "flops", "seconds")}
                    spent["money"] = run.money(step.seconds, step.tokens)
                    found.append({"arm": name, "origin": at.day, "step": step.name, **spent})
        return found


def _line(origin: Artifact, number: int, of: int) -> str:
    arms = origin.manifest["position"]["arms"]
    refreshed = sum(standing["refreshed"] for standing in arms.values())
    return (
        f"{number + 1} of {of}, {origin.manifest['as_of']}: {refreshed} of {len(arms)} arms refreshed, "
        f"{origin.manifest['transitions']:,} transitions judged"
    )
