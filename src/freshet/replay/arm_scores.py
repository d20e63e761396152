"""How arms rank as they stand at one origin, and how their tables moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import AsOf, ContentView, Evidence, Transitions
from freshet.replay import baselines
from freshet.replay.arm_state import ArmState
from freshet.replay.evaluate import ArmScores, first_in_evidence, share_equal
from freshet.replay.replay_arms import Arm
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import counts, evidence
from freshet.stages.content import step as vectors
from freshet.stages.content.format import FULL
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.counts.step import early_of
from freshet.stages.sequence import step as sequencing
from freshet.stages.table import churn_gate as churn
from freshet.stages.table.format import open_planner, open_scorer
from freshet.stages.users.format import open_user_part
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.durable import read_json
from freshet.storage.manifests import TableManifest


class ArmScorers:
    """Scores of the arms as they stand at one origin; what arms share is opened once.

    Args:
        log: holds everything before the last of the transitions `test`, which are scored.
    """

    def __init__(
        self,
        ctx: RunContext,
        states: Mapping[str, ArmState],
        arms: Sequence[Arm],
        log: LogSnapshot,
        test: Transitions,
    ) -> None:
        self.ctx, self.sandbox, self.fitter = ctx, ctx.ws, ctx.fitter
        self._log, self._test = log, test
        self._views: dict[str, ContentView] = {}
        self.size = len(ctx.log.interests)
        self._scorers: dict[str, counts.Scorer] = {}
        self._planners: dict[str, counts.PlannerScores | None] = {}
        # what each model answers without evidence, where an arm's prompts have none
        bare = [states[arm.name] for arm in arms if arm.planned and arm.evidence == "none"]
        self._bare = {state.model: state.table for state in bare if state.model}

    def rank(self, arm: Arm, state: ArmState, fitter: CountFitter) -> ArmScores:
        """Scores of an arm for the transitions."""
        test = self._test
        if arm.scores == "popularity":
            return ArmScores(baselines.popularity(fitter, test))
        if arm.scores == "last-successor":
            return ArmScores(baselines.last_successor(fitter, test))
        if not arm.planned:
            scorer = self._without_table(arm, state, fitter)
            return ArmScores(scorer.rows(test, self._view(state.content)).fused)
        made = committed(self.sandbox.store, "tables", state.table)
        view = self._view(TableManifest.of(made).inputs.content)
        scorer = self._scorer(state.table)
        if state.users:
            rows = committed(self.sandbox.store, "user_rows", state.users)
            scorer = replace(scorer, users=open_user_part(rows, scorer))
        scores = scorer.rows(test, view)
        planner = self._planner(state.table)
        if planner is None:
            return ArmScores(scores.fused)
        alone = planner.feature(test.recent, np.exp(scores.count)).astype(np.float64)
        contexts = test.recent[:, -self.fitter.k :]
        named = self._evidence(state.table)
        bare = self._planner(self._bare.get(state.model, "")) if len(named) else None
        alone = counts.log_softmax(alone, test.known)
        if arm.scores == "planner":
            return ArmScores(np.where(test.recent[:, -1:] >= 0, alone, scores.count), alone)
        return ArmScores(
            scores.fused,
            alone,
            _firsts(planner, contexts),
            None if bare is None else _firsts(bare, contexts),
            first_in_evidence(named, contexts) if len(named) else None,
        )

    def state_row(self, arm: Arm, state: ArmState, before: ArmState | None, at: AsOf) -> dict[str, object]:
        """A row of `states.parquet`."""
        row: dict[str, object] = {
            "arm": arm.name,
            "origin": at.day,
            "made": AsOf.parse(state.made).day,
            **{
                part: getattr(state, part)
                for part in ("table", "model", "refreshed", "tuned", "statistic", "why")
            },
        }
        if not state.table:
            return row
        made = committed(self.sandbox.store, "tables", state.table)
        row["rows"] = made.manifest["rows"]
        fitted = read_json(made.path / "mixture.json")["planner"]
        if fitted:
            row |= {
                f"weight_{to}": fitted[part]
                for to, part in (("planner", "weight"), ("low", "low"), ("high", "high"))
            }
        if state.refreshed:
            row |= self._movement(state, before, made)
        return row

    def _movement(self, state: ArmState, before: ArmState | None, made: Artifact) -> dict[str, object]:
        """How a new table differs from the arm's last one, and from answers without evidence."""
        observed, row = self.fitter.observed(), dict[str, object]()
        old = self.sandbox.store.find("tables", before.table) if before else None
        if old is not None:
            row["churn"] = churn.between(old, made, self.size, observed)
        if old is None or state.tuned:  # the floor hardly moves, and takes a while
            row["floor"] = churn.repeat_run_floor(self.ctx, made, observed)
        planner = self._planner(state.table)
        if planner is not None:
            row["changed"] = int(_inferred(planner, made.version))
            outputs = _firsts(planner, observed)
            bare = self._planner(self._bare.get(state.model, ""))
            named = self._evidence(state.table)
            if len(named):
                row["copies"] = share_equal(outputs, first_in_evidence(named, observed))
                row["bare_equal"] = None if bare is None else share_equal(outputs, _firsts(bare, observed))
        return row

    def _without_table(self, arm: Arm, state: ArmState, fitter: CountFitter) -> counts.Scorer:
        """Counts, with the sequence model, with content, with both; or the sequence model alone."""
        made = model = None
        if state.sequence:
            made = committed(self.sandbox.store, "sequences", state.sequence)
            model = sequencing.open_model(made)
            if arm.scores == "sequence":
                return sequencing.sequence_scorer(fitter, model)
        content = committed(self.sandbox.store, "content", state.content) if state.content else None
        own = replace(self.ctx, log=fitter.log, fitter=fitter)
        fusion = fitter.fuse(None, early_of(own, made, content))
        return fitter.scorer(None, fusion, model.logits if model else None, vectors.centroids(content))

    def _view(self, content: str) -> ContentView | None:
        """What content tells about the users of the transitions; None without content."""
        if not content:
            return None
        if content not in self._views:
            made = committed(self.sandbox.store, "content", content)
            self._views[content] = vectors.view(self.sandbox, self._log, made, FULL, self._test)
        return self._views[content]

    def _scorer(self, table: str) -> counts.Scorer:
        if table not in self._scorers:
            self._scorers[table] = open_scorer(committed(self.sandbox.store, "tables", table), self.size)
        return self._scorers[table]

    def _planner(self, table: str) -> counts.PlannerScores | None:
        """The planner's rows of a table, even where its weight was fitted to nothing."""
        if not table:
            return None
        if table not in self._planners:
            made = committed(self.sandbox.store, "tables", table)
            self._planners[table] = open_planner(made, self.size)
        return self._planners[table]

    def _evidence(self, table: str) -> Evidence:
        return evidence.read(committed(self.sandbox.store, "tables", table).path / "evidence.parquet")


def _firsts(planner: counts.PlannerScores, contexts: NDArray[np.int16]) -> NDArray[np.int64]:
    row = planner.find(contexts)
    return np.where(row >= 0, np.asarray(planner.rows.successors)[row, 0].astype(np.int64), -1)


def _inferred(planner: counts.PlannerScores, table: str) -> int:
    """Rows that were inferred for this table."""
    rows = planner.rows
    return int((np.asarray(rows.origin) == rows.origins.index(table)).sum()) if table in rows.origins else 0
