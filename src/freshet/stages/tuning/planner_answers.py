"""What a planner answers to the prompts that judge it, and what asking them costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import PlannerError, PlannerGone
from freshet.core.ports import Planner
from freshet.core.types import Prompt, Usage
from freshet.run_context import RunContext


def say_cost(ctx: RunContext, planner: Planner, prompts: Sequence[Prompt]) -> None:
    """Say what judging a planner asks of a server, before it is asked; nothing of a model that is here."""
    expected = planner.size(prompts)
    if expected.requests:
        money = ctx.run.money(0.0, expected.tokens, expected.written)
        ctx.run.say(f"planner: {planner.note}")
        ctx.run.say(
            f"gates: about {expected.requests:,} requests, {expected.tokens:,} tokens "
            f"({expected.written:,} written), {money:.4f} {ctx.run.record.currency}"
        )


def answers(planner: Planner, prompts: Sequence[Prompt], interests: int) -> tuple[NDArray[np.float64], Usage]:
    """(n, N) log-probabilities, and what they cost.

    -inf is what was not answered, of a prompt that can't be ranked everything.

    Raises:
        PlannerGone: the planner stopped answering: that is no verdict on it.
    """
    logp = np.full((len(prompts), interests), -np.inf)
    try:
        ranking = planner.rank(prompts, interests)
    except PlannerGone:
        raise
    except PlannerError:
        if len(prompts) > 1:
            alone = [answers(planner, [prompt], interests) for prompt in prompts]
            return np.concatenate([found for found, _ in alone]), sum((used for _, used in alone), Usage())
        return logp, Usage()
    if ranking.gone:
        raise PlannerGone(ranking.gone, hint="what was answered is kept: the same command goes on from there")
    for row, (successors, values) in enumerate(zip(ranking.successors, ranking.logp, strict=True)):
        listed = successors >= 0
        logp[row, successors[listed]] = values[listed]
    return logp, ranking.usage
