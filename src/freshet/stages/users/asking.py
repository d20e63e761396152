"""Who is asked about as of a moment, with which prompts, and whose row stays.

Asked are users active lately who have more recent interests than a context of the table holds, and whose
prompt changed; those first who should gain most, as many as the budget allows. A user whose prompt is as it
was keeps the row; so does one who is not asked, or not answered, this time, while the row speaks of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Planner
from freshet.core.prompts import Prompts, names
from freshet.core.types import AsOf, Evidence, PlannerRows, UserRows, context_codes
from freshet.run_context import RunContext
from freshet.stages import evidence, inference, users
from freshet.stages.counts.holdout_windows import Window
from freshet.stages.evidence.step import gather
from freshet.stages.inference.sampling import within_budget
from freshet.stages.inference.step import InferencePlan, carry_out, joined
from freshet.stages.transitions.recent_interests import RecentInterests
from freshet.stages.users.expected_gain import Activity
from freshet.stages.users.format import read_weights
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import StepRecord

ACTIVE_WINDOWS = 8
"""So many windows ago is still lately, as for evidence."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the planner answered about users.

    Attributes:
        rows: as of now.
        calibration: those of the held-out windows' users, one window after the other.
        counted: how many users were active, asked, and so on; see `UserRowsManifest`.
    """

    rows: UserRows
    calibration: PlannerRows
    counted: dict[str, Any]


@dataclass(frozen=True)
class Asking:
    """What there is to ask about users, beside one table.

    Attributes:
        made: the table.
        previous: rows of an earlier moment; None = there are none.
    """

    ctx: RunContext
    made: Artifact
    previous: Artifact | None
    planner: Planner

    def active(self, moment: AsOf) -> RecentInterests:
        """Users with more recent interests than a context of the table holds, who were active lately."""
        config, log = self.ctx.config, self.ctx.log
        days, novelty = config.users.active_days, config.transitions.novelty_days
        most = ACTIVE_WINDOWS * log.scales.window_days if days == "auto" else days
        horizon = None if novelty == "ever" else novelty
        found = log.transitions.recent_at(moment, horizon, config.transitions.seed)
        many = (found.recent >= 0).sum(axis=1) > self.ctx.fitter.k
        return found.take(many & (found.days_ago <= most))

    @cached_property
    def windows(self) -> list[tuple[int, Window, RecentInterests]]:
        """Each held-out window: its number, the transitions that weights of planners are fitted on, and their
        users as they were at its start."""
        found = []
        for number, window in enumerate(self.ctx.fitter.holdout.windows):
            sample, _ = within_budget(window, self.ctx.fitter.k, self._budget)
            then = self.active(window.start)
            found.append((number, sample, then.take(np.isin(then.user, sample.held.user))))
        return found

    def answers(self, step: StepRecord) -> Answers:
        """Ask, and record what that took."""
        now, holdout = self.active(self.ctx.as_of), self.planner.holdout_model
        known = evidence.read(self.made.path / "evidence.parquet")
        chosen = self._chosen(now, self._plan(self._prompts(now, known), self.planner))
        some = now.take(chosen)
        asked = self._plan(self._prompts(some, known), self.planner)
        planned = InferencePlan(asked, self._plan(self._held_prompts(), holdout), self.planner, holdout)
        outcome, calibration = carry_out(self.ctx, planned, step, str(self.ctx.as_of))
        answered = np.asarray((outcome.rows.successors >= 0).any(axis=1))
        found = UserRows(some.user[answered], outcome.rows.take(answered))
        rows = self._with_earlier(found, now.take(~np.isin(now.user, found.user)))
        counted = {
            "active": len(now),
            "asked": int((asked.source < 0).sum()),
            "copied": int((asked.source >= 0).sum()),
            "unanswered": int((~answered).sum()),
            "kept": len(rows) - len(found),
            "rows": len(rows),
        }
        return Answers(rows, calibration.rows, counted)

    def pairs(self) -> dict[int, PlannerRows]:
        """By window the table's rows of pairs, which its own planner's weight was fitted on."""
        stored = inference.read(self.made.path / "calibration")
        found, start = {}, 0
        for number, window in enumerate(self.ctx.fitter.holdout.windows):
            _, contexts = within_budget(window, self.ctx.fitter.k, self._budget)
            found[number] = stored.take(slice(start, start + len(contexts)))
            start += len(contexts)
        return found

    @property
    def _budget(self) -> int:
        return self.ctx.config.inference.calibration_prompts // max(len(self.ctx.fitter.holdout.windows), 1)

    @property
    def _words(self) -> tuple[str, ...]:
        return names(self.ctx.log.interests.descriptions, self.ctx.config.planner.mode)

    @property
    def _top(self) -> int:
        return min(self.ctx.config.inference.top, len(self.ctx.log.interests))

    @cached_property
    def _stored(self) -> PlannerRows | None:
        """Earlier answers that may be copied, if they are as wide."""
        if self.previous is None:
            return None
        parts = [users.read(self.previous.path).rows, users.read_calibration(self.previous.path)]
        shape = self.ctx.config.users.k, self._top
        fits = all((part.contexts.shape[1], part.successors.shape[1]) == shape for part in parts)
        return joined(parts) if fits else None

    def _prompts(self, some: RecentInterests, known: Evidence) -> Prompts:
        return Prompts.of(some.recent[:, -self.ctx.config.users.k :], self._words, known)

    def _plan(self, prompts: Prompts, planner: Planner) -> inference.Plan:
        return inference.make_plan(prompts, planner.version, self._words, self._top, self._stored)

    def _held_prompts(self) -> Prompts:
        """Prompts of the windows' users, with evidence from before each window."""
        k, ends = self.ctx.config.users.k, self.ctx.fitter.k
        found = Prompts.of(np.zeros((0, k), np.int16), self._words, Evidence.none(ends))
        for _, window, then in self.windows:
            contexts = then.recent[:, -ends:]
            _, first = np.unique(context_codes(contexts), return_index=True)
            found += self._prompts(then, gather(self.ctx, window.start, contexts[first]))
        return found

    def _chosen(self, now: RecentInterests, every: inference.Plan) -> NDArray[np.int64]:
        """Users whose row is copied, and as many of the others as are asked, ascending."""
        changed, budget = np.flatnonzero(every.source < 0), self.ctx.config.users.rows
        if len(changed) > budget:
            gain = users.expected_gain(_activity(now), self._past(), self.ctx.fitter.k)
            changed = changed[np.argsort(-gain[changed], kind="stable")[:budget]]
        return np.sort(np.concatenate([np.flatnonzero(every.source >= 0), changed]))

    def _past(self) -> list[tuple[Activity, NDArray[np.int64]]]:
        """Everybody active at the start of each held-out window, and how often a row would have been used.

        Windows may hold a sample of users; that thins out the uses of all alike.
        """
        found = []
        for window in self.ctx.fitter.holdout.windows:
            then, held = self.active(window.start), window.held
            row = UserRows(then.user, _unanswered(then.recent)).of(held.user, held.recent)
            found.append((_activity(then), np.bincount(row[row >= 0], minlength=len(then))))
        return found

    def _with_earlier(self, found: UserRows, others: RecentInterests) -> UserRows:
        """The rows, and earlier ones of other users whom they still speak of."""
        if self.previous is None or self._stored is None:
            return found
        if read_weights(self.previous.path)[1] != self.planner.abilities.relative:
            return found  # they would be read wrongly
        earlier = users.read(self.previous.path)
        place = earlier.of(others.user, others.recent)
        others, place = others.take(place >= 0), place[place >= 0]
        user = np.concatenate([found.user, others.user])
        order = np.argsort(user, kind="stable")
        return UserRows(user[order], joined([found.rows, earlier.rows.take(place)]).take(order))


def _activity(some: RecentInterests) -> Activity:
    return Activity(some.days_ago, some.engaged, (some.recent >= 0).sum(axis=1))


def _unanswered(contexts: NDArray[np.int16]) -> PlannerRows:
    """Rows of contexts (n, k) without an answer."""
    n = len(contexts)
    blank = np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32)
    return PlannerRows(
        contexts, np.zeros((n, inference.WIDTH), np.uint8), *blank, np.zeros(n, np.int32), ("",)
    )
