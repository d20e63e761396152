"""Step: rows of single users beside a table, and what they are worth there.

Asked are users active lately who have more recent interests than a context of the table holds, and whose
prompt changed; those first who should gain most, as many as the budget allows. A user whose prompt is as it
was keeps the row; so does one who is not asked, or not answered, this time, while the row speaks of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.ports import Planner
from freshet.core.prompts import Prompts, names
from freshet.core.types import AsOf, Evidence, PlannerRows, UserRows, context_codes
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import counts, evidence, inference, users
from freshet.stages.content import step as vectors
from freshet.stages.counts.holdout_windows import Stretch, Window
from freshet.stages.evidence.step import gather
from freshet.stages.inference.sampling import within_budget
from freshet.stages.inference.step import InferencePlan, carry_out, joined
from freshet.stages.sequence import step as sequences
from freshet.stages.table.format import open_scorer
from freshet.stages.transitions.recent_interests import RecentInterests
from freshet.stages.tuning.gate_verdict import with_evidence_of
from freshet.stages.tuning.step import planner_for
from freshet.stages.users.expected_gain import Activity
from freshet.stages.users.format import read_weights
from freshet.stages.users.weighing import Weighed, WindowRows, as_it_was, weigh
from freshet.storage.artifacts import Artifact, committed, newest
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import FromTable, TableManifest, UserRowsManifest
from freshet.storage.workspace import Workspace, version_of

CODE = 1


def beside(ctx: RunContext, made: Artifact, planner: Planner | None = None) -> Artifact | None:
    """Rows of users beside a table, after the newest ones of an earlier moment; see `make`."""
    return make(ctx, made, previous_of(ctx.ws, ctx.log), planner)


def make(
    ctx: RunContext, made: Artifact, previous: Artifact | None, planner: Planner | None = None
) -> Artifact | None:
    """Rows of users beside a table; None where the configuration wants none, or no planner answers.

    The artifact says so where rows don't pay; see `open_part`.

    Args:
        previous: rows of an earlier moment, which are copied where the prompt is as it was.
        planner: the table's, where it is in memory already; None = it is loaded if a prompt changed.
    """
    manifest = TableManifest.of(made)
    if not wanted(ctx.ws) or not manifest.inputs.model:
        return None
    ctx = ctx.with_workspace(with_evidence_of(ctx.ws, manifest.inputs.model))
    planner = planner or planner_for(ctx, committed(ctx.ws.store, "models", manifest.inputs.model))
    assert planner is not None  # there is a model
    asking, log = planner, ctx.log
    key = version_of(
        code=CODE,
        table=made.version,
        config=configured(ctx.ws),
        previous=previous.version if previous else "",
    )

    def build(folder: Path, step: StepRecord) -> UserRowsManifest:
        job = _Job(ctx, made, previous, asking)
        found, calibration, summary = job.answers(step)
        weighed, why = job.weigh(calibration)
        pays = weighed is not None and weighed.pays
        weights = weighed.fitted.weights if weighed is not None and pays else None
        users.write(found, calibration, weights, asking.abilities.relative, folder)
        summary |= _summary(weighed, why)
        step.details |= {"users": summary}
        return UserRowsManifest(
            code=CODE,
            as_of=str(log.as_of),
            settings=configured(ctx.ws),
            inputs=FromTable(transitions=log.version, interests=log.interests_version, table=made.version),
            **summary,
        )

    found = build_once(ctx.ws, ctx.run, "users", "user_rows", key, build)
    shutil.rmtree(
        ctx.ws.root / "work", ignore_errors=True
    )  # chunks of inference: the artifact holds them now
    _say(ctx, UserRowsManifest.of(found))
    return found


def wanted(ws: Workspace) -> bool:
    """Whether the configuration asks for rows of users, and has a planner to ask."""
    return ws.config.users.rows > 0 and ws.tuner is not None


def configured(ws: Workspace) -> dict[str, Any]:
    """The part of the configuration that decides which rows there are, beside the table's."""
    return ws.config.users.model_dump(mode="json")


def previous_of(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest rows of an earlier moment with the same interests."""

    def fits(artifact: Artifact) -> bool:
        manifest = UserRowsManifest.of(artifact)
        return manifest.as_of < str(log.as_of) and manifest.inputs.interests == log.interests_version

    return newest(ws.store, "user_rows", fits) if wanted(ws) else None


def version_of_table(ws: Workspace, table: str) -> str:
    """Version of the rows made beside a table; '' without any."""
    found = newest(ws.store, "user_rows", lambda one: UserRowsManifest.of(one).inputs.table == table)
    return found.version if found else ""


@dataclass(frozen=True)
class _Job:
    """What there is to ask beside one table, and to weigh."""

    ctx: RunContext
    made: Artifact
    previous: Artifact | None
    planner: Planner

    @property
    def words(self) -> tuple[str, ...]:
        return names(self.ctx.log.interests.descriptions, self.ctx.config.planner.mode)

    def active(self, moment: AsOf) -> RecentInterests:
        """Users with more recent interests than a context of the table holds, who were active lately."""
        config, log = self.ctx.config, self.ctx.log
        days = config.users.active_days
        most = 8 * log.scales.window_days if days == "auto" else days
        novelty = config.transitions.novelty_days
        horizon = None if novelty == "ever" else novelty
        found = log.transitions.recent_at(moment, horizon, config.transitions.seed)
        many = (found.recent >= 0).sum(axis=1) > self.ctx.fitter.k
        return found.take(many & (found.days_ago <= most))

    def windows(self) -> Iterator[tuple[int, Window, RecentInterests]]:
        """Each held-out window: its number, the transitions that weights of planners are fitted on, and their
        users as they were at its start."""
        for number, window in enumerate(self.ctx.fitter.holdout.windows):
            sample, _ = within_budget(window, self.ctx.fitter.k, self._budget)
            then = self.active(window.start)
            yield number, sample, then.take(np.isin(then.user, sample.held.user))

    @property
    def _budget(self) -> int:
        return self.ctx.config.inference.calibration_prompts // max(len(self.ctx.fitter.holdout.windows), 1)

    def answers(self, step: StepRecord) -> tuple[UserRows, PlannerRows, dict[str, int]]:
        """Rows as of now, those of the held-out windows one after the other, and what was done for them."""
        now = self.active(self.ctx.as_of)
        every = self._planned(now, evidence.read(self.made.path / "evidence.parquet"), self.planner)
        chosen = self._chosen(now, every)
        asked = self._planned(
            now.take(chosen), evidence.read(self.made.path / "evidence.parquet"), self.planner
        )
        held = self._held_prompts()
        holdout = self.planner.holdout_model
        planned = InferencePlan(
            asked,
            inference.make_plan(held, holdout.version, self.words, self._top, self._stored),
            self.planner,
            holdout,
        )
        outcome, calibration = carry_out(self.ctx, planned, step, str(self.ctx.as_of))
        answered = (outcome.rows.successors >= 0).any(axis=1)
        found, kept = self._with_earlier(now, chosen[answered], _some(outcome.rows, answered))
        summary = {
            "active": len(now),
            "asked": int((asked.source < 0).sum()),
            "copied": int((asked.source >= 0).sum()),
            "unanswered": int((~answered).sum()),
            "kept": kept,
            "rows": len(found),
        }
        return found, calibration.rows, summary

    def weigh(self, calibration: PlannerRows) -> tuple[Weighed | None, str]:
        """What rows weigh on top of the table, and why that is not known."""
        ctx, relative = self.ctx, self.planner.abilities.relative
        found, start = [], 0
        for number, window, then in self.windows():
            part = _some(calibration, slice(start, start + len(then)))
            found.append(WindowRows(number, window, UserRows(then.user, part)))
            start += len(then)
        inputs = TableManifest.of(self.made).inputs
        content = committed(ctx.ws.store, "content", inputs.content) if inputs.content else None
        view = vectors.held_out_view(ctx, content)
        scorer = open_scorer(self.made, len(ctx.log.interests))
        logits = None
        if scorer.sequence is not None:
            model = committed(ctx.ws.store, "sequences", inputs.sequence)
            logits = sequences.open_model(model, sequences.EARLY).logits
        pairs = self._pairs() if scorer.planner is not None else {}

        def then_scored(number: int, part: Stretch) -> counts.Scorer:
            planner = None
            if number in pairs:
                base = ctx.fitter.counts.base(part.start) if relative else None
                planner = counts.PlannerScores(pairs[number], len(ctx.log.interests), base)
            return as_it_was(scorer, ctx.fitter.cross_fitted(part), planner, logits, view)

        try:
            return weigh(ctx.fitter, found, then_scored, view, relative=relative), ""
        except NotEnoughData as error:
            return None, error.message

    @property
    def _top(self) -> int:
        return min(self.ctx.config.inference.top, len(self.ctx.log.interests))

    @property
    def _stored(self) -> PlannerRows | None:
        """Earlier answers that may be copied, if they are as wide."""
        if self.previous is None:
            return None
        parts = [users.read(self.previous.path).rows, users.read_calibration(self.previous.path)]
        shape = self.ctx.config.users.k, self._top
        fits = all((part.contexts.shape[1], part.successors.shape[1]) == shape for part in parts)
        return joined(parts) if fits else None

    def _prompts(self, some: RecentInterests, known: Evidence) -> Prompts:
        return Prompts.of(some.recent[:, -self.ctx.config.users.k :], self.words, known)

    def _planned(self, some: RecentInterests, known: Evidence, planner: Planner) -> inference.Plan:
        """Who is copied and who is asked, if all of them are to have a row."""
        return inference.make_plan(
            self._prompts(some, known), planner.version, self.words, self._top, self._stored
        )

    def _chosen(self, now: RecentInterests, every: inference.Plan) -> NDArray[np.int64]:
        """Users whose row is copied, and as many of the others as are asked, ascending."""
        changed = np.flatnonzero(every.source < 0)
        if len(changed) > self.ctx.config.users.rows:
            gain = users.expected_gain(_activity(now), self._past(), self.ctx.fitter.k)
            order = np.argsort(-gain[changed], kind="stable")
            changed = changed[order[: self.ctx.config.users.rows]]
        return np.sort(np.concatenate([np.flatnonzero(every.source >= 0), changed]))

    def _past(self) -> list[tuple[Activity, NDArray[np.int64]]]:
        """Everybody active at the start of each held-out window, and how often a row would have been used.

        Windows may hold a sample of users; that thins out the uses of all alike.
        """
        found = []
        for window in self.ctx.fitter.holdout.windows:
            then, held = self.active(window.start), window.held
            asked = PlannerRows(then.recent, *_nothing(len(then)))
            row = UserRows(then.user, asked).of(held.user, held.recent)
            found.append((_activity(then), np.bincount(row[row >= 0], minlength=len(then))))
        return found

    def _held_prompts(self) -> Prompts:
        """Prompts of the windows' users, with evidence from before each window."""
        k, table_k = self.ctx.config.users.k, self.ctx.fitter.k
        found = Prompts.of(np.zeros((0, k), np.int16), self.words, Evidence.none(table_k))
        for _, window, then in self.windows():
            ends = then.recent[:, -table_k:]
            _, first = np.unique(context_codes(ends), return_index=True)
            found += self._prompts(then, gather(self.ctx, window.start, ends[first]))
        return found

    def _with_earlier(
        self, now: RecentInterests, chosen: NDArray[np.int64], rows: PlannerRows
    ) -> tuple[UserRows, int]:
        """The rows of the chosen, and earlier rows of others that still speak of their users; how many."""
        found = UserRows(now.user[chosen], rows)
        if self.previous is None or self._stored is None:
            return found, 0
        _, relative = read_weights(self.previous.path)
        if relative != self.planner.abilities.relative:
            return found, 0
        earlier = users.read(self.previous.path)
        others = np.setdiff1d(np.arange(len(now)), chosen)
        place = earlier.of(now.user[others], now.recent[others])
        others, place = others[place >= 0], place[place >= 0]
        both = joined([rows, _some(earlier.rows, place)])
        user = np.concatenate([now.user[chosen], now.user[others]])
        order = np.argsort(user, kind="stable")
        return UserRows(user[order], _some(both, order)), len(others)

    def _pairs(self) -> dict[int, PlannerRows]:
        """By window the table's rows of pairs, which its own planner's weight was fitted on."""
        stored = inference.read(self.made.path / "calibration")
        found, start = {}, 0
        for number, window in enumerate(self.ctx.fitter.holdout.windows):
            _, contexts = within_budget(window, self.ctx.fitter.k, self._budget)
            found[number] = _some(stored, slice(start, start + len(contexts)))
            start += len(contexts)
        return found


def _some(rows: PlannerRows, which: NDArray[Any] | slice) -> PlannerRows:
    """Some of the rows."""
    arrays = (rows.contexts, rows.fingerprints, rows.successors, rows.logp, rows.origin)
    contexts, fingerprints, successors, logp, origin = (np.asarray(array)[which] for array in arrays)
    return PlannerRows(contexts, fingerprints, successors, logp, origin, rows.origins)


def _nothing(n: int) -> tuple[Any, ...]:
    """All of n rows but their contexts, where nobody reads it."""
    return (
        np.zeros((n, inference.WIDTH), np.uint8),
        np.zeros((n, 0), np.int16),
        np.zeros((n, 0), np.float32),
        np.zeros(n, np.int32),
        (),
    )


def _activity(some: RecentInterests) -> Activity:
    return Activity(some.days_ago, some.engaged, (some.recent >= 0).sum(axis=1))


def _summary(weighed: Weighed | None, why: str) -> dict[str, Any]:
    """What the ledger and the manifest say."""
    if weighed is None:
        return {"pays": False, "why": why}
    if not weighed.pays:
        why = "beside the table no weight of theirs is shown to be above zero on held-out windows"
    return {
        "pays": weighed.pays,
        "why": why,
        "judged": weighed.fitted.as_dict(),
        "held_out": weighed.fitted.examples,
        "held_out_users": weighed.fitted.users,
        "gain": dict(zip(("nll", "low", "high"), weighed.margin, strict=True)),
    }


def _say(ctx: RunContext, made: UserRowsManifest) -> None:
    ctx.run.say(
        f"user rows: {made.rows:,} of {made.active:,} users active lately; {made.asked:,} asked, "
        f"{made.copied:,} copied, {made.kept:,} kept from earlier, {made.unanswered:,} without an answer"
    )
    if not made.pays:
        ctx.run.say(f"user rows don't pay here and are not used: {made.why}")
