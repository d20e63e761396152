"""Arms compared on the same transitions and the same resamples of users, and the one to run.

The arm to run is the cheapest that none was shown to beat: the burden of proof lies on what costs more. An
arm is ruled out by another whose hit@5 is higher beyond its interval, unless the interval also shows the gain
to be below the margin. Where another may still be better by the margin, that is reported, with how long a log
would show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from freshet.replay.figures.arm_metrics import LENGTHS, OF_RANKS, WITH_CONTEXT, Measured
from freshet.replay.figures.groups import Groups
from freshet.replay.figures.intervals import estimate

MARGIN = 0.005
"""Non-inferiority: half a percentage point of hit@5, absolute."""
NLL_MARGIN = 0.005
"""Nats per transition below which a difference of nll is called none."""

Verdict = Literal["better", "worse", "same", "unclear"]

NAMED = (
    ("retrieval", "static"),
    ("retrieval-frozen", "static"),
    ("retrieval", "retrieval-frozen"),
    ("retrieval", "no-evidence"),
    ("retrieval", "evidence-frozen"),
    ("evidence-frozen", "no-evidence"),
    ("retrieval-alone", "no-evidence-alone"),
    ("retrieval-alone", "evidence-frozen-alone"),
    ("evidence-frozen-alone", "no-evidence-alone"),
    ("finetune-fresh", "no-evidence"),
    ("finetune-fresh", "finetune"),
    ("no-evidence", "static"),
    ("finetune", "static"),
    ("counts", "static"),
    ("counts", "popularity"),
    ("counts", "sequence"),
    ("counts-sequence", "sequence"),
    ("hybrid-sequence", "sequence"),
    ("hybrid-sequence", "counts-sequence"),
    ("hybrid-plain", "counts"),
    ("hybrid-adaptive", "hybrid"),
    ("hybrid-cost", "hybrid"),
    ("hybrid-live", "hybrid"),
    ("counts-live", "counts"),
    ("counts-live", "popularity-live"),
    ("counts-sequence", "counts"),
    ("content", "counts"),
    ("content-sequence", "content"),
    ("content-sequence", "counts-sequence"),
    ("hybrid-plain", "content"),
    ("hybrid-sequence", "content-sequence"),
    ("popularity-live", "popularity"),
)
"""Pairs that answer a question by themselves; the arm of reference is compared with every other besides."""


def pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs a replay compares: those it has both arms of, each once."""
    first = reference(arms)
    named = [(a, b) for a, b in NAMED if {a, b} <= set(arms)]
    return list(dict.fromkeys([*((first, other) for other in arms if other != first), *named]))


def reference(arms: Sequence[str]) -> str:
    """The arm that the others are compared with: `hybrid`, else `counts`, else the first."""
    return next((arm for arm in ("hybrid", "counts") if arm in arms), arms[0])


def compare(a: Measured, b: Measured, groups: Mapping[str, Groups], margin: float = MARGIN) -> dict[str, Any]:
    """a minus b: `{hit_at_1, hit_at_5, ..., nll}` each `{value, ci95}`, the same by length, and verdicts;
    hit@5 and nll also within the groups of each division.

    `with_context` is over transitions of people with a recent interest: the others are scored alike by all
    arms with a mixture, which makes differences look smaller than they are.

    Better means a higher hit rate or a lower nll; see `verdict`.
    """
    drawn = {name: a.ranks[name] - b.ranks[name] for name in OF_RANKS}
    result: dict[str, Any] = {name: estimate(values[:, 0]) for name, values in drawn.items()}
    result["by_length"] = {
        str(length): {name: estimate(values[:, 1 + length]) for name, values in drawn.items()}
        for length in LENGTHS
    }
    result["with_context"] = {name: estimate(values[:, WITH_CONTEXT]) for name, values in drawn.items()}
    for name, one in groups.items():
        result[name] = one.lines({key: a.within[name][key] - b.within[name][key] for key in a.within[name]})
    result["verdict"] = {
        "hit_at_5": verdict(result["hit_at_5"], margin, a.users),
        "nll": verdict(negated(result["nll"]), NLL_MARGIN),
    }
    if a.with_planner and b.with_planner:
        result["planner"] = {
            name: estimate(a.planner[name][:, 0] - b.planner[name][:, 0]) for name in a.planner
        }
    return result


def hit_at_5(a: Measured, b: Measured) -> dict[str, Any]:
    """a minus b in hit@5 alone, `{value, ci95}`."""
    return estimate(a.ranks["hit_at_5"][:, 0] - b.ranks["hit_at_5"][:, 0])


def verdict(difference: Mapping[str, Any], margin: float, users: int | None = None) -> Verdict:
    """What an interval says of a difference in which more is better.

    `better`, `worse`: it lies on one side of zero. `same`: it holds zero and lies within the margin on both
    sides. `unclear`: it holds zero and reaches beyond the margin, or there are too few people to tell.

    Args:
        users: people behind a difference of shares; see `enough`.
    """
    if difference["ci95"] is None:
        return "unclear"
    low, high = difference["ci95"]
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    within = low > -margin and high < margin and enough(users, margin)
    return "same" if within else "unclear"


def not_below(difference: Mapping[str, Any], margin: float, users: int | None = None) -> bool:
    """Non-inferior: the interval's lower end lies above minus the margin."""
    return difference["ci95"] is not None and difference["ci95"][0] > -margin and enough(users, margin)


def enough(users: int | None, margin: float) -> bool:
    """Whether so many people can show a difference of shares to be below the margin at all.

    Resamples of a few people who all show no difference show none either. By the rule of three, what was seen
    in none of n people still occurs in up to 3 / n of all.
    """
    return users is None or users * margin >= 3


def negated(difference: Mapping[str, Any]) -> dict[str, Any]:
    """b minus a from a minus b."""
    if difference["value"] is None:
        return dict(difference)
    bounds = difference["ci95"]
    return {"value": -difference["value"], "ci95": bounds and [-bounds[1], -bounds[0]]}


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm to run.

    Attributes:
        best: the arm with the highest hit@5.
        cheaper: how many arms cost less.
        rival: of the other arms, the one that may be furthest ahead; None where there is no other.
        ahead: rival minus arm, hit@5 `{value, ci95}`.
        shown: no other arm can be ahead by the margin, as far as the intervals say.
        needed: transitions it would take to tell the two apart or equal, about; None where shown.
    """

    arm: str
    best: str
    cheaper: int
    rival: str | None
    ahead: dict[str, Any]
    shown: bool
    needed: int | None


def choose(
    measured: Mapping[str, Measured], price: Mapping[str, float], transitions: int, margin: float
) -> Choice:
    """Choose among arms.

    Args:
        price: cost of every arm in one unit.
    """
    hit = {arm: float(found.ranks["hit_at_5"][0, 0]) for arm, found in measured.items()}
    best = min(hit, key=lambda arm: (-hit[arm], price[arm]))
    left = [
        arm
        for arm in measured
        if not any(_beats(measured[other], measured[arm], margin) for other in measured if other != arm)
    ]
    # circles (a beats b beats c beats a) can't be ruled out; the best is then what remains
    arm = min(left or [best], key=lambda one: (price[one], -hit[one]))
    cheaper = sum(price[other] < price[arm] for other in measured)
    leads = {other: hit_at_5(measured[other], measured[arm]) for other in measured if other != arm}
    rival = max(leads, key=lambda other: _bounds(leads[other])[1], default=None)
    if rival is None:
        return Choice(arm, best, cheaper, None, {"value": 0.0, "ci95": [0.0, 0.0]}, True, None)
    ahead = leads[rival]
    most = _bounds(ahead)[1]
    shown = most < 0 or (most < margin and enough(measured[arm].users, margin))
    needed = None if shown else _needed(ahead, transitions, margin)
    return Choice(arm, best, cheaper, rival, ahead, shown, needed)


def _beats(a: Measured, b: Measured, margin: float) -> bool:
    low, high = _bounds(hit_at_5(a, b))
    return low > 0 and high >= margin


def _bounds(difference: Mapping[str, Any]) -> tuple[float, float]:
    """The interval; without one, nothing is excluded."""
    low, high = difference["ci95"] or (-1.0, 1.0)
    return low, high


def _needed(ahead: Mapping[str, Any], transitions: int, margin: float) -> int:
    """Transitions at which the interval leaves out zero or the margin, if the difference stays as it is.

    Widths shrink with the square root of the number of transitions.
    """
    low, high = _bounds(ahead)
    low, high = (low, high) if high > low else (-margin, margin)
    wanted = max(margin - (ahead["value"] or 0.0), ahead["value"] or 0.0)
    return max(int(-(-transitions * ((high - low) / 2 / wanted) ** 2 // 1000) * 1000), transitions)
