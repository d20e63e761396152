"""What a replay may ask of a planner behind a server, told before it is asked anything."""

from __future__ import annotations

from dataclasses import dataclass

from freshet import refresh_plan
from freshet.replay.replay_plan import Plan
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ReplayCost:
    """The most that a replay can cost, if every prompt changes from refresh to refresh and none was answered.

    Attributes:
        origins: moments at which arms may refresh.
        tables: that may be asked about, over all arms and origins.
        tunings: at which the gates judge the planner.
        requests, tokens, written, money: the most; `written` are those of the tokens that the model writes.
    """

    origins: int
    tables: int
    tunings: int
    requests: int
    tokens: int
    written: int
    money: float | None


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
    return ReplayCost(len(plan.origins), tables, tunings, requests, tokens, written, money)


def say(sandbox: Workspace, cost: ReplayCost) -> None:
    """Say it, with how to bound it."""
    config = sandbox.config
    money = "" if cost.money is None else f", {cost.money:.2f} {config.prices.currency}"
    bounded = config.planner.max_tokens_per_run or config.planner.max_money_per_run
    advice = "" if bounded else "; [planner] max_money_per_run bounds it"
    sandbox.reporter.say(
        f"replay: {cost.tables:,} tables at {cost.origins:,} origins, {cost.tunings:,} judgements: at most "
        f"{cost.requests:,} requests, {cost.tokens:,} tokens ({cost.written:,} written){money}; what was "
        f"answered before, or stays as it was, is asked no more{advice}"
    )
