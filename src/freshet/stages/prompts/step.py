"""Step: the short lists that planners choose among.

Short lists are the best interests by counts and content as of a moment, by the weights of now. The table's
follow those of the table before; those of a held-out window stay as they were first made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError
from freshet.core.ports import Planner
from freshet.core.types import (
    AsOf,
    Centroids,
    Context,
    Eligibility,
    Fusion,
    PlannerRows,
    ShortLists,
    context_codes,
    pack_contexts,
    positions,
)
from freshet.run_context import RunContext
from freshet.stages import inference
from freshet.stages.content import step as vectors
from freshet.stages.counts.early import Early
from freshet.stages.evidence.step import ChosenEvidence, earlier
from freshet.stages.prompts.short_lists import KEPT, choose
from freshet.stages.prompts.workspace_wording import TRAINED
from freshet.stages.table import Rules
from freshet.stages.table.build import BLOCK
from freshet.stages.table.table_plan import TablePlan
from freshet.storage.artifacts import Artifact


@dataclass(frozen=True)
class ListMaker:
    """Makes short lists as of any moment.

    Attributes:
        size: interests of a list.
        fusion: what content weighs beside the counts; None = counts alone.
        early: centroids that haven't seen the held-out windows, and `full` those as of now; None without.
    """

    ctx: RunContext
    size: int
    fusion: Fusion | None
    early: Centroids | None
    full: Centroids | None

    @classmethod
    def of(cls, ctx: RunContext, content: Artifact | None) -> ListMaker | None:
        """By the vectors of content, if there are any; None where planners choose among all interests."""
        size = ctx.config.planner.shortlist
        if not size:
            return None
        version = content.version if content is not None else ""
        early = ctx.fitter.early("", version, lambda: Early(content=vectors.held_out_view(ctx, content)))
        fusion, view = ctx.fitter.fuse(None, early), early.content
        return cls(ctx, size, fusion, None if view is None else view.centroids, vectors.centroids(content))

    def at(
        self,
        moment: AsOf,
        contexts: NDArray[np.int16],
        rules: Rules,
        before: NDArray[np.int16] | None = None,
        kept: float = KEPT,
    ) -> ShortLists:
        """The lists of contexts (n, k) by what was known before a moment.

        Args:
            before: (n, size) lists that may stay, -1 where there is none.
        """
        centroids = self.full if moment == self.ctx.as_of else self.early
        scorer = self.ctx.fitter.scorer_at(moment, self.fusion, centroids)
        if before is None:
            before = np.full((len(contexts), self.size), -1, np.int16)
        options, mass = [before[:0]], [np.zeros(0)]
        for start in range(0, len(contexts), BLOCK):
            block = contexts[start : start + BLOCK]
            logp = scorer(block, rules.excluded(block)).fused
            found = choose(logp, self.size, before[start : start + BLOCK], kept)
            options.append(found[0])
            mass.append(found[1])
        day = np.full(len(contexts), moment.day_number, np.int32)
        width = min(self.size, len(self.ctx.log.interests))
        listed = np.concatenate([part[:, :width] for part in options])
        return ShortLists(listed, np.concatenate(mass).astype(np.float32), day)


def short_lists(ctx: RunContext, plan: TablePlan, chosen: ChosenEvidence) -> list[ShortLists]:
    """The lists of a table's contexts, then those of each held-out window; none without `shortlist`."""
    maker = ListMaker.of(ctx, plan.content)
    if maker is None:
        return []
    rows = windows = None
    if plan.previous is not None and (plan.previous.path / "planner").exists():
        rows, windows = (inference.read(plan.previous.path / name) for name in ("planner", "calibration"))
    moment = earlier(ctx.as_of, plan.evidence_until)
    found = [maker.at(moment, chosen.contexts, plan.rules, _before(rows, chosen.contexts, maker.size))]
    for one in chosen.windows:
        moment = earlier(one.window.start, plan.evidence_until)
        before = _before(windows, one.contexts, maker.size, moment)
        found.append(maker.at(moment, one.contexts, plan.rules, before, kept=0.0))
    return found


def lists_before(ctx: RunContext) -> Callable[[int, Sequence[Context]], Mapping[Context, list[int]]] | None:
    """Short lists for the examples of a tuning, by what was known before a day; None where none are read."""
    if ctx.config.planner.kind in TRAINED:
        return None
    maker = ListMaker.of(ctx, vectors.make(ctx)) if ctx.config.planner.shortlist else None
    if maker is None:
        return None
    rules = Rules.resolve(Eligibility(), ctx.log.interests)  # what may be offered plays no part

    def before(day: int, contexts: Sequence[Context]) -> Mapping[Context, list[int]]:
        lists = maker.at(AsOf.from_day_number(day), pack_contexts(contexts, ctx.fitter.k), rules)
        listed = ([index for index in row if index >= 0] for row in lists.options.tolist())
        return dict(zip(contexts, listed, strict=True))

    return before


def need_options(ctx: RunContext, planner: Planner) -> None:
    """Refuse a planner that can't choose among some interests where it has to.

    Raises:
        ConfigError: it is asked to.
    """
    if ctx.config.planner.shortlist and not planner.abilities.options:
        raise ConfigError(
            f"[planner] shortlist = {ctx.config.planner.shortlist}: planner {planner.version} ranks all "
            "interests, it can't choose among some",
            hint="set shortlist = 0, or let the planner's abilities say `options`",
        )


def _before(
    rows: PlannerRows | None, contexts: NDArray[np.int16], size: int, moment: AsOf | None = None
) -> NDArray[np.int16] | None:
    """(n, size) the lists that contexts (n, k) had in rows, -1 where they had none; None without any.

    Args:
        moment: lists of another moment are none; None = of any.
    """
    if rows is None or rows.lists is None or rows.lists.options.shape[1] != size:
        return None
    use = np.flatnonzero(np.ones(len(rows), bool) if moment is None else rows.lists.day == moment.day_number)
    codes = context_codes(np.asarray(rows.contexts)[use])
    order = np.argsort(codes, kind="stable")
    place = positions(codes[order], context_codes(contexts))
    if not len(use):
        return None
    options: NDArray[np.int16] = np.asarray(rows.lists.options)[use[order[place]]]
    return np.where(place[:, None] >= 0, options, np.int16(-1))
