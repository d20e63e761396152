"""What a replay may ask of a planner behind a server, told before it is asked anything."""

from __future__ import annotations

from dataclasses import dataclass

from freshet import refresh_plan
from freshet.replay.replay_plan import Plan
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ReplayCost:
    """The most that a replay can cost, if every prompt changes from refresh to refresh and none was answered.

    Answers that are no valid choice come on top: they are asked again, `[planner] tries` times at most.

    Attributes:
        origins: moments at which arms may refresh.
        tables: that may be asked about, over all arms and origins.
        tunings: at which the gates judge the planner.
        requests, tokens, written, money: the most; `written` are those of the tokens that the model writes.
        users: prompts of single users that come on top; what they cost follows from what these users engaged.
    """

    origins: int
    tables: int
    tunings: int
    requests: int
    tokens: int
    written: int
    money: float | None
    users: int = 0


def most(sandbox: Workspace, plan: Plan) -> ReplayCost | None:
    """The most that a replay can cost, by what the first table would; None where nobody is paid for answers.

    Nothing is asked. Answers are kept: what stays the same from one table to the next is asked once.
    """
    planned = [arm for arm in plan.arms if arm.planned]
    if sandbox.tuner is None or sandbox.tuner.trains or not planned:
        return None
    [step] = [one for one in refresh_plan.plan(sandbox, plan.start).steps if one.name == "plan"]
    whole, gates = (step.details.get(name, {}) for name in ("expected", "gates"))
    tunings = -(-len(plan.origins) * plan.every // plan.tune_every)
    tables = sum(1 if arm.refreshed == "never" else len(plan.origins) for arm in planned)

    def total(unit: str) -> float:
        return float(tables * (whole.get(unit) or 0) + tunings * (gates.get(unit) or 0))

    money = None if whole.get("money") is None else total("money")
    requests, tokens, written = (int(total(unit)) for unit in ("requests", "tokens", "written"))
    rows = sum(len(plan.origins) for arm in planned if arm.users)
    users = rows * (sandbox.config.users.rows + sandbox.config.inference.calibration_prompts)
    return ReplayCost(len(plan.origins), tables, tunings, requests, tokens, written, money, users)


def say(sandbox: Workspace, cost: ReplayCost) -> None:
    """Say it, with how to bound it."""
    config = sandbox.config
    money = "" if cost.money is None else f", {cost.money:.2f} {config.prices.currency}"
    bounded = config.planner.max_tokens_per_run or config.planner.max_money_per_run
    users = f"; at most {cost.users:,} prompts of single users come on top" if cost.users else ""
    advice = "" if bounded else "; [planner] max_money_per_run bounds it"
    sandbox.reporter.say(
        f"replay: {cost.tables:,} tables at {cost.origins:,} origins, {cost.tunings:,} judgements: at most "
        f"{cost.requests:,} requests, {cost.tokens:,} tokens ({cost.written:,} written){money}{users}; what "
        f"was answered before, or stays as it was, is asked no more; invalid answers, asked again, come on "
        f"top{advice}"
    )
