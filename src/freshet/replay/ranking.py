"""How arms rank as they stand at one origin, and how their tables moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import AsOf, Evidence, Transitions
from freshet.replay import baselines
from freshet.replay.arms import Arm
from freshet.replay.judge import Ranked, first_said, share_equal
from freshet.replay.strategy import Standing
from freshet.run_context import RunContext
from freshet.stages import counts, evidence
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.sequence import step as sequencing
from freshet.stages.table import churn_gate as churn
from freshet.stages.table.format import open_planner, open_scorer
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.durable import read_json


class Judges:
    """Scores of the arms as they stand at one origin; what arms share is opened once."""

    def __init__(
        self,
        ctx: RunContext,
        standing: dict[str, Standing],
        arms: Sequence[Arm],
    ) -> None:
        self.ctx, self.room, self.counting = ctx, ctx.ws, ctx.fitter
        self.size = len(ctx.log.interests)
        self._scorers: dict[str, counts.Scorer] = {}
        self._planners: dict[str, counts.PlannerScores | None] = {}
        # what each model answers without evidence, where an arm asks it so
        bare = [standing[arm.name] for arm in arms if arm.planned and arm.evidence == "none"]
        self._bare = {stand.model: stand.table for stand in bare if stand.model}

    def rank(self, arm: Arm, standing: Standing, then: CountFitter, test: Transitions) -> Ranked:
        """Scores of an arm for transitions."""
        if arm.scores == "popularity":
            return Ranked(baselines.popularity(then, test))
        if arm.scores == "last-successor":
            return Ranked(baselines.last_successor(then, test))
        if not arm.planned:
            return Ranked(self._without_table(arm, standing, then)(test.recent, test.known).fused)
        scores = self._scorer(standing.table)(test.recent, test.known)
        planner = self._planner(standing.table)
        if planner is None:
            return Ranked(scores.fused)
        alone = planner.feature(test.recent, np.exp(scores.count)).astype(np.float64)
        contexts = test.recent[:, -self.counting.k :]
        said = self._evidence(standing.table)
        bare = self._planner(self._bare.get(standing.model, "")) if len(said) else None
        alone = counts.log_softmax(alone, test.known)
        if arm.scores == "planner":
            return Ranked(np.where(test.recent[:, -1:] >= 0, alone, scores.count), alone)
        return Ranked(
            scores.fused,
            alone,
            _firsts(planner, contexts),
            None if bare is None else _firsts(bare, contexts),
            first_said(said, contexts) if len(said) else None,
        )

    def state(self, arm: Arm, standing: Standing, before: Standing | None, at: AsOf) -> dict[str, object]:
        """A row of `states.parquet`."""
        row: dict[str, object] = {
            "arm": arm.name,
            "origin": at.day,
            "made": AsOf.parse(standing.made).day,
            **{
                part: getattr(standing, part)
                for part in ("table", "model", "refreshed", "tuned", "statistic", "why")
            },
        }
        if not standing.table:
            return row
        made = committed(self.room.store, "tables", standing.table)
        row["rows"] = made.manifest["rows"]
        fitted = read_json(made.path / "mixture.json")["planner"]
        if fitted:
            row |= {
                f"weight_{to}": fitted[part]
                for to, part in (("planner", "weight"), ("low", "low"), ("high", "high"))
            }
        if standing.refreshed:
            row |= self._movement(standing, before, made)
        return row

    def _movement(self, standing: Standing, before: Standing | None, made: Artifact) -> dict[str, object]:
        """How a new table differs from the arm's last one, and from answers without evidence."""
        observed, row = self.counting.observed(), dict[str, object]()
        old = self.room.store.find("tables", before.table) if before else None
        if old is not None:
            row["churn"] = churn.between(old, made, self.size, observed)
        if old is None or standing.tuned:  # the floor hardly moves, and takes a while
            row["floor"] = churn.repeat_run_floor(self.ctx, made, observed)
        planner = self._planner(standing.table)
        if planner is not None:
            row["changed"] = int(_inferred(planner, made.version))
            outputs = _firsts(planner, observed)
            bare = self._planner(self._bare.get(standing.model, ""))
            said = self._evidence(standing.table)
            if len(said):
                row["copies"] = share_equal(outputs, first_said(said, observed))
                row["bare_equal"] = None if bare is None else share_equal(outputs, _firsts(bare, observed))
        return row

    def _without_table(self, arm: Arm, standing: Standing, then: CountFitter) -> counts.Scorer:
        """Counts, the sequence model, or both."""
        if not standing.sequence:
            return then.scorer()
        made = committed(self.room.store, "sequences", standing.sequence)
        model = sequencing.open_model(made)
        if arm.scores == "sequence":
            return sequencing.sequence_scorer(then, model)
        fusion = then.fuse(None, sequencing.open_model(made, sequencing.EARLY).logits)
        return then.scorer(None, fusion.used if fusion else None, model.logits)

    def _scorer(self, table: str) -> counts.Scorer:
        if table not in self._scorers:
            self._scorers[table] = open_scorer(committed(self.room.store, "tables", table), self.size)
        return self._scorers[table]

    def _planner(self, table: str) -> counts.PlannerScores | None:
        """The planner's rows of a table, even where its weight was fitted to nothing."""
        if not table:
            return None
        if table not in self._planners:
            made = committed(self.room.store, "tables", table)
            self._planners[table] = open_planner(made, self.size)
        return self._planners[table]

    def _evidence(self, table: str) -> Evidence:
        return evidence.read(committed(self.room.store, "tables", table).path / "evidence.parquet")


def _firsts(planner: counts.PlannerScores, contexts: NDArray[np.int16]) -> NDArray[np.int64]:
    row = planner.find(contexts)
    return np.where(row >= 0, np.asarray(planner.rows.successors)[row, 0].astype(np.int64), -1)


def _inferred(planner: counts.PlannerScores, table: str) -> int:
    """Rows that were inferred for this table."""
    rows = planner.rows
    return int((np.asarray(rows.origin) == rows.origins.index(table)).sum()) if table in rows.origins else 0
