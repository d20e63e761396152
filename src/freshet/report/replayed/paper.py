"""What the reference paper reports, on its own data, beside the same analysis here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freshet.replay.figures.intervals import points, rate, signed
from freshet.report import words

TITLE = "Balancing Fine-tuning and RAG (RecSys 2025, arXiv 2510.20260)"


@dataclass(frozen=True, slots=True)
class Beside:
    """An analysis of the paper: what it found there, and what this log shows."""

    analysis: str
    theirs: str
    ours: str


def beside(document: Mapping[str, Any]) -> list[Beside]:
    """The paper's offline analyses, each with ours; a dash where this replay doesn't have it."""
    return [
        Beside(
            "Overlap of successors, one period to the next",
            "mean Jaccard 0.17 of the top 5 (variance 0.07), month over month; no null given",
            _drift(document["drift"]),
        ),
        Beside(
            "Tables with evidence (and counts) refreshed against one without",
            "both above the table without (curves only)",
            _difference(document, "retrieval", "static"),
        ),
        Beside(
            "Evidence (and counts) refreshed against held fixed",
            "refreshed every two days slightly above fixed (curves only)",
            _difference(document, "retrieval", "retrieval-frozen"),
        ),
        Beside(
            "Evidence alone: in the prompt or not, counts refreshed in both",
            "not told apart from fresh counts",
            _difference(document, "retrieval", "no-evidence"),
        ),
        Beside("Decay of the top successors with days", "steady (curve only)", _decay(document)),
        Beside(
            "Outputs with evidence that equal those without",
            "7.8 %",
            _own(document, "bare_equal"),
        ),
        Beside(
            "Repeated runs that agree, without evidence",
            "37.5 % (a sampled answer)",
            _floor(document),
        ),
        Beside("Outputs that copy the evidence's first successor", "not reported", _own(document, "copies")),
        Beside("Cost of the hybrid against tuning alone", "not in the paper's text", _cost(document)),
    ]


def _drift(drift: Mapping[str, Any] | None) -> str:
    if not drift or drift.get("jaccard") is None:
        return "–"
    told = f"{drift['jaccard']:.3f}; {drift['null']:.3f} without drift"
    return f"{told} (z = {signed(drift['z'], 1)})" if drift.get("z") is not None else told


def _difference(document: Mapping[str, Any], a: str, b: str) -> str:
    found = document["differences"].get(f"{a}_vs_{b}")
    return f"{points(found['hit_at_5'])} in hit@5" if found else "–"


def _decay(document: Mapping[str, Any]) -> str:
    found = document["decay"].get("static")
    if not found:
        return "–"
    first, last = found[0], found[-1]
    return (
        f"first day's top 5 against the fresh one: Jaccard {first['overlap']['value']:.2f} in the "
        f"first {first['until'] + 1} days, {last['overlap']['value']:.2f} at {last['age']} to {last['until']}"
    )


def _own(document: Mapping[str, Any], key: str) -> str:
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
        f"{words.percent(found['floor'])} of a top 5, a refresh {words.percent(found['churn'])}"
    )


def _cost(document: Mapping[str, Any]) -> str:
    found = document["cost"]["against_finetuning"]
    if not found:
        return "–"
    ratio = found["retuning_at_every_refresh"]["ratio"][found["unit"]]
    return f"{words.percent(ratio, 0)} of tuning at every refresh (computed, not run)" if ratio else "–"
