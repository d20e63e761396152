"""How arms rank as they stand at one origin, and how their tables moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import AsOf, Evidence, Transitions
from freshet.replay import baselines
from freshet.replay.arm_state import ArmState
from freshet.replay.evaluate import ArmScores, first_in_evidence, share_equal
from freshet.replay.replay_arms import Arm
from freshet.run_context import RunContext
from freshet.stages import counts, evidence
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.sequence import step as sequencing
from freshet.stages.table import churn_gate as churn
from freshet.stages.table.format import open_planner, open_scorer
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.durable import read_json


class ArmScorers:
    """Scores of the arms as they stand at one origin; what arms share is opened once."""

    def __init__(
        self,
        ctx: RunContext,
        states: Mapping[str, ArmState],
        arms: Sequence[Arm],
    ) -> None:
        self.ctx, self.sandbox, self.fitter = ctx, ctx.ws, ctx.fitter
        self.size = len(ctx.log.interests)
        self._scorers: dict[str, counts.Scorer] = {}
        self._planners: dict[str, counts.PlannerScores | None] = {}
        # what each model answers without evidence, where an arm's prompts have none
        bare = [states[arm.name] for arm in arms if arm.planned and arm.evidence == "none"]
        self._bare = {state.model: state.table for state in bare if state.model}

    def rank(self, arm: Arm, state: ArmState, fitter: CountFitter, test: Transitions) -> ArmScores:
        """Scores of an arm for transitions."""
        if arm.scores == "popularity":
            return ArmScores(baselines.popularity(fitter, test))
        if arm.scores == "last-successor":
            return ArmScores(baselines.last_successor(fitter, test))
        if not arm.planned:
            return ArmScores(self._without_table(arm, state, fitter)(test.recent, test.known).fused)
        scores = self._scorer(state.table)(test.recent, test.known)
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
        """Counts, the sequence model, or both."""
        if not state.sequence:
            return fitter.scorer()
        made = committed(self.sandbox.store, "sequences", state.sequence)
        model = sequencing.open_model(made)
        if arm.scores == "sequence":
            return sequencing.sequence_scorer(fitter, model)
        fusion = fitter.fuse(None, sequencing.open_model(made, sequencing.EARLY).logits)
        return fitter.scorer(None, fusion.used if fusion else None, model.logits)

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
