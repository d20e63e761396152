"""Tables of the page: every arm in a line, every difference in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freshet.replay.figures.comparisons import negated
from freshet.replay.figures.intervals import signed
from freshet.report import words

Figure = Mapping[str, Any]

FRESH = {
    "static": ("first day", "none", "first day"),
    "retrieval-frozen": ("first day", "first day", "first day"),
    "no-evidence": ("first day", "none", "refreshed"),
    "evidence-frozen": ("first day", "first day", "refreshed"),
    "retrieval": ("first day", "refreshed", "refreshed"),
    "no-evidence-alone": ("first day", "none", "popularity alone, refreshed"),
    "evidence-frozen-alone": ("first day", "first day", "popularity alone, refreshed"),
    "retrieval-alone": ("first day", "refreshed", "popularity alone, refreshed"),
    "finetune": ("tuned again", "none", "at each tuning"),
    "finetune-fresh": ("tuned again", "none", "refreshed"),
    "hybrid": ("tuned again", "if it helps", "refreshed"),
    "hybrid-live": ("tuned again", "if it helps", "refreshed, and live"),
    "hybrid-adaptive": ("tuned again", "if it helps", "when drift is found"),
    "hybrid-cost": ("tuned again", "if it helps", "when it pays"),
    "hybrid-sequence": ("tuned again", "if it helps", "refreshed"),
    "hybrid-plain": ("tuned again", "if it helps", "refreshed"),
    "counts": ("no model", "none", "refreshed"),
    "counts-live": ("no model", "none", "refreshed, and live"),
    "counts-sequence": ("sequence model, tuned again", "none", "refreshed"),
    "sequence": ("sequence model, tuned again", "none", "none"),
    "popularity": ("no model", "none", "refreshed"),
    "popularity-live": ("no model", "none", "live"),
    "last-successor": ("no model", "none", "refreshed"),
}
"""By family of arms: how fresh its weights, its evidence and its counts are."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure with its interval, as text."""

    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class ArmLine:
    """An arm in the first table; `ahead` is its hit@5 minus that of the arm of reference."""

    arm: str
    hit: Shown
    ahead: Shown | None
    verdict: str
    nll: Shown
    cost: str
    chosen: bool


def arms(document: Mapping[str, Any]) -> list[ArmLine]:
    """Every arm, the best hit@5 first."""
    first, unit = document["reference"], document["cost"]["unit"]
    order = sorted(document["arms"], key=lambda arm: -document["arms"][arm]["hit_at_5"]["value"])
    told = []
    for arm in order:
        found = document["arms"][arm]
        against = document["differences"].get(f"{first}_vs_{arm}")
        ahead = None if against is None else negated(against["hit_at_5"])
        told.append(
            ArmLine(
                arm,
                share(found["hit_at_5"]),
                None if ahead is None else points(ahead),
                "" if against is None else _turned(against["verdict"]["hit_at_5"]),
                plain(found["nll"], 3),
                cost(found["cost"]["per_30_days"][unit], unit, document["log"]),
                arm == document["recommendation"]["arm"],
            )
        )
    return told


def fresh(arm: str) -> tuple[str, str, str]:
    """How fresh an arm's weights, evidence and counts are."""
    return FRESH.get(arm.split("@")[0], ("–", "–", "–"))


def cost(value: float, unit: str, log: Mapping[str, Any]) -> str:
    """Money or seconds."""
    return words.seconds(value) if unit == "seconds" else words.money(value, str(log.get("currency", "")))


def share(figure: Figure, digits: int = 1) -> Shown:
    """A share in per cent."""
    if figure["value"] is None:
        return Shown("–", "")
    return Shown(words.percent(figure["value"], digits), _between(figure, 100, digits, False))


def points(figure: Figure) -> Shown:
    """A difference of shares in percentage points."""
    if figure["value"] is None:
        return Shown("–", "")
    return Shown(signed(100 * figure["value"], 2), _between(figure, 100, 2, True))


def plain(figure: Figure, digits: int = 2) -> Shown:
    """A figure without unit."""
    return Shown(words.fixed(figure["value"], digits), _between(figure, 1, digits, False))


def change(figure: Figure, digits: int = 4) -> Shown:
    """A difference without unit."""
    if figure["value"] is None:
        return Shown("–", "")
    return Shown(signed(figure["value"], digits), _between(figure, 1, digits, True))


def _between(figure: Figure, scale: float, digits: int, sign: bool) -> str:
    if not figure["ci95"]:
        return ""
    low, high = (
        signed(scale * bound, digits) if sign else f"{scale * bound:.{digits}f}" for bound in figure["ci95"]
    )
    return f"[{low}, {high}]"


def _turned(verdict: str) -> str:
    """What the arm is beside the reference, where the verdict speaks of the reference beside the arm."""
    return {"better": "worse", "worse": "better"}.get(verdict, verdict)
