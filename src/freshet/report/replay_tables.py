"""Tables of a replay: its arms, its differences, and what the reference paper reports beside this log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freshet.replay.figures.comparisons import negated
from freshet.replay.figures.intervals import points as points_text
from freshet.replay.figures.intervals import rate, signed
from freshet.report import formatting

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
    "content": ("no model", "none", "refreshed"),
    "content-sequence": ("sequence model, tuned again", "none", "refreshed"),
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
    rows = []
    for arm in order:
        found = document["arms"][arm]
        against = document["differences"].get(f"{first}_vs_{arm}")
        ahead = None if against is None else negated(against["hit_at_5"])
        rows.append(
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
    return rows


def fresh(arm: str) -> tuple[str, str, str]:
    """How fresh an arm's weights, evidence and counts are."""
    return FRESH.get(arm.split("@")[0], ("–", "–", "–"))


def cost(value: float, unit: str, log: Mapping[str, Any]) -> str:
    """Money or seconds."""
    return (
        formatting.seconds(value)
        if unit == "seconds"
        else formatting.money(value, str(log.get("currency", "")))
    )


def share(figure: Figure, digits: int = 1) -> Shown:
    """A share in per cent."""
    if figure["value"] is None:
        return Shown("–", "")
    return Shown(formatting.percent(figure["value"], digits), _between(figure, 100, digits, False))


def points(figure: Figure) -> Shown:
    """A difference of shares in percentage points."""
    if figure["value"] is None:
        return Shown("–", "")
    return Shown(signed(100 * figure["value"], 2), _between(figure, 100, 2, True))


def plain(figure: Figure, digits: int = 2) -> Shown:
    """A figure without unit."""
    return Shown(formatting.fixed(figure["value"], digits), _between(figure, 1, digits, False))


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


TITLE = "Balancing Fine-tuning and RAG (RecSys 2025, arXiv 2510.20260)"


@dataclass(frozen=True, slots=True)
class PaperLine:
    """An analysis of the paper: what it found there, and what this log shows."""

    analysis: str
    theirs: str
    ours: str


def paper_lines(document: Mapping[str, Any]) -> list[PaperLine]:
    """The paper's offline analyses, each with ours; a dash where this replay doesn't have it."""
    return [
        PaperLine(
            "Overlap of successors, one period to the next",
            "mean Jaccard 0.17 of the top 5 (variance 0.07), month over month; no null given",
            _drift(document["drift"]),
        ),
        PaperLine(
            "Tables with evidence (and counts) refreshed against one without",
            "both above the table without (curves only)",
            _difference(document, "retrieval", "static"),
        ),
        PaperLine(
            "Evidence (and counts) refreshed against held fixed",
            "refreshed every two days slightly above fixed (curves only)",
            _difference(document, "retrieval", "retrieval-frozen"),
        ),
        PaperLine(
            "Evidence alone: in the prompt or not, counts refreshed in both",
            "not told apart from fresh counts",
            _difference(document, "retrieval", "no-evidence"),
        ),
        PaperLine("Decay of the top successors with days", "steady (curve only)", _decay(document)),
        PaperLine(
            "Outputs with evidence that equal those without",
            "7.8 %",
            _planner_share(document, "bare_equal"),
        ),
        PaperLine(
            "Repeated runs that agree, without evidence",
            "37.5 % (a sampled answer)",
            _floor(document),
        ),
        PaperLine(
            "Outputs that copy the evidence's first successor",
            "not reported",
            _planner_share(document, "copies"),
        ),
        PaperLine("Cost of the hybrid against tuning alone", "not in the paper's text", _cost(document)),
    ]


def _drift(drift: Mapping[str, Any] | None) -> str:
    if not drift or drift.get("jaccard") is None:
        return "–"
    text = f"{drift['jaccard']:.3f}; {drift['null']:.3f} without drift"
    return f"{text} (z = {signed(drift['z'], 1)})" if drift.get("z") is not None else text


def _difference(document: Mapping[str, Any], a: str, b: str) -> str:
    found = document["differences"].get(f"{a}_vs_{b}")
    return f"{points_text(found['hit_at_5'])} in hit@5" if found else "–"


def _decay(document: Mapping[str, Any]) -> str:
    found = document["decay"].get("static")
    if not found:
        return "–"
    first, last = found[0], found[-1]
    return (
        f"first day's top 5 against the fresh one: Jaccard {first['overlap']['value']:.2f} in the "
        f"first {first['until'] + 1} days, {last['overlap']['value']:.2f} at {last['age']} to {last['until']}"
    )


def _planner_share(document: Mapping[str, Any], key: str) -> str:
    planner = document["arms"].get("retrieval", {}).get("planner")
    if not planner or planner[key]["value"] is None:
        return "–"
    return f"{rate(planner[key])} of the planner's first choices"


def _floor(document: Mapping[str, Any]) -> str:
    found = document["arms"][document["reference"]]["tables"]
    if found["floor"] is None:
        return "always: constrained decoding repeats itself exactly"
    return (
        "always: constrained decoding repeats itself exactly. Resampling the same people replaces "
        f"{formatting.percent(found['floor'])} of a top 5, a refresh {formatting.percent(found['churn'])}"
    )


def _cost(document: Mapping[str, Any]) -> str:
    found = document["cost"]["against_finetuning"]
    if not found:
        return "–"
    ratio = found["retuning_at_every_refresh"]["ratio"][found["unit"]]
    return f"{formatting.percent(ratio, 0)} of tuning at every refresh (computed, not run)" if ratio else "–"
