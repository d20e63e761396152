"""Who is asked about as of a moment, with which prompts, and whose row stays.

Asked are users active lately who have more recent interests than a context of the table holds, and whose
prompt changed; those first who should gain most, as many as the budget allows. A user whose prompt is as it
was keeps the row; so does one who is not asked, or not answered, this time, while the row speaks of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Planner
from freshet.core.prompts import Prompts, Wording
from freshet.core.types import AsOf, Evidence, PlannerRows, ShortLists, UserRows, context_codes
from freshet.run_context import RunContext
from freshet.stages import evidence, inference, users
from freshet.stages.counts.holdout_windows import Window
from freshet.stages.evidence.step import gather
from freshet.stages.inference.sampling import within_budget
from freshet.stages.inference.step import InferencePlan, carry_out, listed
from freshet.stages.prompts.step import ListMaker
from freshet.stages.prompts.workspace_wording import wording_of
from freshet.stages.table.table_plan import rules_of
from freshet.stages.transitions.recent_interests import RecentInterests
from freshet.stages.users.expected_gain import Activity
from freshet.stages.users.format import read_weights
from freshet.stages.users.histories import Histories
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import TableManifest

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
        held = (found.recent >= 0).sum(axis=1)
        many = (held > self.ctx.fitter.k) & (held < len(log.interests))  # else nothing is left to take up
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
        ctx, now = self.ctx, self.active(self.ctx.as_of)
        known = evidence.read(self.made.path / "evidence.parquet")
        every, lists = self._prompts(now, ctx.as_of, known)
        chosen = self._chosen(now, self._plan(every, self.planner))
        asked, held = self._plan(every.part(chosen), self.planner), self._held()
        planned = InferencePlan(asked, self._plan(held.prompts, held.planner), self.planner, held.planner)
        outcome, calibration = carry_out(ctx, planned, step, str(ctx.as_of))
        answers = outcome.rows
        if lists is not None:
            answers = listed(ctx, self.planner, answers, lists.take(chosen), ctx.as_of)
        answered, some = np.asarray((answers.successors >= 0).any(axis=1)), now.take(chosen)
        found = UserRows(some.user[answered], answers.take(answered))
        rows = self._with_earlier(found, now.take(~np.isin(now.user, found.user)))
        counted = {
            "active": len(now),
            "asked": int((asked.source < 0).sum()),
            "copied": int((asked.source >= 0).sum()),
            "unanswered": int((~answered).sum()),
            "kept": len(rows) - len(found),
            "rows": len(rows),
        }
        return Answers(rows, held.listed(ctx, calibration.rows), counted)

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

    @cached_property
    def _wording(self) -> Wording:
        return wording_of(self.ctx)

    @property
    def _top(self) -> int:
        return min(self.ctx.config.inference.top, len(self.ctx.log.interests))

    @cached_property
    def _stored(self) -> PlannerRows | None:
        """Earlier answers that may be copied, if they are as wide and chosen from lists as long."""
        if self.previous is None:
            return None
        parts = [users.read(self.previous.path).rows, users.read_calibration(self.previous.path)]
        shape = self.ctx.config.users.k, self._top
        fits = all((part.contexts.shape[1], part.successors.shape[1]) == shape for part in parts)
        fits &= all((part.lists is not None) == bool(self.ctx.config.planner.shortlist) for part in parts)
        return PlannerRows.concatenate(parts) if fits else None

    @cached_property
    def _lists(self) -> ListMaker | None:
        inputs, store = TableManifest.of(self.made).inputs, self.ctx.ws.store
        return ListMaker.of(self.ctx, committed(store, "content", inputs.content) if inputs.content else None)

    @cached_property
    def _histories(self) -> Histories | None:
        """Items of everybody who is asked about; None where no prompt shows them."""
        if not (self._wording.reads_history and self.ctx.config.users.titles):
            return None
        whom = [self.active(self.ctx.as_of).user, *(then.user for _, _, then in self.windows)]
        return Histories.read(self.ctx, np.unique(np.concatenate(whom)))

    def _prompts(
        self, some: RecentInterests, moment: AsOf, known: Evidence
    ) -> tuple[Prompts, ShortLists | None]:
        """Prompts of users as they were at a moment, and what the planner chooses among; None = all."""
        contexts, lists = some.recent[:, -self.ctx.config.users.k :], None
        if self._lists is not None:
            before = same_lists(self._stored, contexts, self._lists.size, moment)
            lists = self._lists.at(moment, contexts, rules_of(self.ctx), before)
        titles: Sequence[tuple[str, ...]] = ()
        if self._histories is not None:
            titles = self._histories.before(moment, some.user, self.ctx.config.users.titles)
        options = None if lists is None else lists.options
        return Prompts.of(contexts, self._wording, known, options, titles), lists

    def _plan(self, prompts: Prompts, planner: Planner) -> inference.Plan:
        return inference.make_plan(prompts, planner.version, self._top, self._stored)

    def _held(self) -> _Held:
        """What the windows' users are asked, with evidence from before each window."""
        nobody = np.zeros((0, self.ctx.config.users.k), np.int16)
        prompts = Prompts.of(nobody, self._wording, Evidence.none(1))
        lists: list[tuple[AsOf, ShortLists]] = []
        for _, window, then in self.windows:
            contexts = then.recent[:, -self.ctx.fitter.k :]
            _, first = np.unique(context_codes(contexts), return_index=True)
            known = gather(self.ctx, window.start, contexts[first])
            own, among = self._prompts(then, window.start, known)
            prompts += own
            if among is not None:
                lists.append((window.start, among))
        return _Held(prompts, self.planner.holdout_model, lists)

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
        return UserRows(
            user[order], PlannerRows.concatenate([found.rows, earlier.rows.take(place)]).take(order)
        )


@dataclass(frozen=True)
class _Held:
    """Prompts of the held-out windows' users, who answers them, and what it chooses among, by window."""

    prompts: Prompts
    planner: Planner
    lists: Sequence[tuple[AsOf, ShortLists]]

    def listed(self, ctx: RunContext, rows: PlannerRows) -> PlannerRows:
        """The answers with the lists that they were chosen from."""
        if not self.lists:
            return rows
        parts, start = [], 0
        for moment, lists in self.lists:
            own = rows.take(slice(start, start + len(lists.mass)))
            parts.append(listed(ctx, self.planner, own, lists, moment))
            start += len(lists.mass)
        return PlannerRows.concatenate(parts)


def same_lists(
    stored: PlannerRows | None, contexts: NDArray[np.int16], size: int, moment: AsOf
) -> NDArray[np.int16] | None:
    """(n, size) lists that were made for the same interests (n, k), -1 where none was; None without any.

    Those made later than a moment know what came after it, and are none.
    """
    if stored is None or stored.lists is None or stored.lists.options.shape[1] != size:
        return None
    known = np.flatnonzero(stored.lists.day <= moment.day_number)
    known = known[np.argsort(stored.lists.day[known], kind="stable")]
    row = {np.asarray(stored.contexts[place]).tobytes(): int(place) for place in known}
    found = np.array([row.get(context.tobytes(), -1) for context in contexts], np.int64)
    options = np.asarray(stored.lists.options)
    return np.where(found[:, None] >= 0, options[found], np.int16(-1))


def _activity(some: RecentInterests) -> Activity:
    return Activity(some.days_ago, some.engaged, (some.recent >= 0).sum(axis=1))


def _unanswered(contexts: NDArray[np.int16]) -> PlannerRows:
    """Rows of contexts (n, k) without an answer."""
    n = len(contexts)
    blank = np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32)
    return PlannerRows(
        contexts, np.zeros((n, inference.WIDTH), np.uint8), *blank, np.zeros(n, np.int32), ("",)
    )
