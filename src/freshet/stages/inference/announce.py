"""Telling planners that ask in bulk what is about to be asked, and halting where answers come later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from freshet.core.errors import AnswersPending
from freshet.core.ports import Planner
from freshet.core.types import Prompt
from freshet.run_context import RunContext


def announce(ctx: RunContext, wanted: Sequence[tuple[Planner, Iterable[Sequence[Prompt]]]]) -> None:
    """Let planners prepare all that they will be asked, in parts; those that don't prepare are left alone.

    All of them are told before one halts the run, so that a run waits once for everything.

    Raises:
        AnswersPending: answers of at least one come later.
    """
    told: dict[int, Planner] = {}
    for planner, parts in wanted:
        if planner.abilities.prepares:
            told[id(planner)] = planner
            for part in parts:
                planner.prepare(part)
    pending: list[AnswersPending] = []
    for planner in told.values():
        try:
            planner.ready()
        except AnswersPending as error:
            pending.append(error)
    if pending:
        raise ctx.pending(pending)
