"""How much arms learned from at an origin, and what could not be learned from so little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from freshet.replay.arm_state import Tuned
from freshet.replay.replay_plan import Plan
from freshet.run_context import RunContext
from freshet.storage.artifacts import Artifact


def learned_from(ctx: RunContext, plan: Plan, tuned: Tuned | None) -> dict[str, Any]:
    """`users` and `transitions` before the origin, why weights were `unfitted` ('' where they were not), and
    the models that are wanted and `untrained`: `planner`, `sequence`."""
    mixes = ctx.config.sequence.use
    wanted = {
        "planner": ctx.ws.tuner is not None
        and any(arm.planned and arm.tuned != "never" for arm in plan.arms),
        "sequence": any((mixes if arm.sequence is None else arm.sequence) for arm in plan.arms),
    }
    there = {"planner": tuned and tuned.latest, "sequence": tuned and tuned.latest_sequence}
    return {
        "users": ctx.log.transitions.users(ctx.as_of),
        "transitions": len(ctx.log.transitions),
        "unfitted": ctx.fitter.fit.unfitted,
        "untrained": [name for name, wants in wanted.items() if wants and not there[name]],
    }


def learned_over(origins: Sequence[Artifact]) -> dict[str, Any]:
    """The same of a whole replay: sizes and models as of its last origin.

    Returns:
        `users`, `transitions`, `untrained`; `origins`, at how many of these nothing could be fitted
        (`unfitted_origins`), and why at the last of them (`unfitted`, '' without one).
    """
    told = [origin.manifest["learned"] for origin in origins]
    unfitted = [one["unfitted"] for one in told if one["unfitted"]]
    counted = {"origins": len(told), "unfitted_origins": len(unfitted)}
    return {**told[-1], **counted, "unfitted": unfitted[-1] if unfitted else ""}
