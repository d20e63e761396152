"""Sections on what ranks: the fitted weights with their intervals, and the gates that a model passed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet import inspect
from freshet.core.types import (
    CONTENT,
    EARLIER_ITEMS,
    ENGAGED_INTERESTS,
    ENGAGED_ITEMS,
    TEXT_INTERESTS,
    TEXT_ITEMS,
)
from freshet.report import charts, formatting
from freshet.report.subject import Subject
from freshet.stages.tuning import Gate, gates_of
from freshet.stages.tuning.gate_verdict import report_of

_LABELS = {
    "last": "after the last interest",
    "pair": "after the last two interests",
    "triple": "after the last three interests",
    "recent": "after each recent interest",
    TEXT_ITEMS: "text near to last items",
    TEXT_INTERESTS: "text near to recent interests",
    ENGAGED_ITEMS: "people of last items",
    ENGAGED_INTERESTS: "people of recent interests",
    EARLIER_ITEMS: "items of long ago",
}


@dataclass(frozen=True, slots=True)
class WeightLine:
    """A weight and one plain sentence about it."""

    drive: inspect.Drive
    sentence: str


@dataclass(frozen=True, slots=True)
class WeightSection:
    """`scales`: the lengths of time chosen for this log, days but for `fit_windows`; `transition_half_life`:
    the one of transitions that held-out windows chose, in days."""

    summary: str
    lines: tuple[WeightLine, ...]
    chart: Markup
    drives: inspect.Drives
    scales: dict[str, Any]
    transition_half_life: float


def gather_weights(subject: Subject) -> WeightSection | None:
    """None before there is a table."""
    if subject.opened is None:
        return None
    weights = subject.opened.weights()
    drives = inspect.Drives.of(weights)
    shown = list(drives.features)
    if drives.planner is not None and not drives.fused:
        shown.append(drives.planner)
    if not shown:
        none = Markup()
        return WeightSection(
            drives.verdict[0].upper() + drives.verdict[1:] + ".",
            (),
            none,
            drives,
            weights["scales"],
            weights["transition_half_life"],
        )
    lines = tuple(WeightLine(drive, _sentence(drive, drives)) for drive in shown)
    return WeightSection(
        _summary(drives), lines, _chart(shown), drives, weights["scales"], weights["transition_half_life"]
    )


def _summary(drives: inspect.Drives) -> str:
    certain = [drive for drive in drives.features if drive.low > 0 and drive.name not in CONTENT]
    content = f" {drives.content[0].upper()}{drives.content[1:]}." if drives.content else ""
    if not certain:
        return (
            f"No count can be told from zero on the held-out transitions: this log says little yet.{content}"
        )
    strongest = max(certain, key=lambda drive: drive.weight)
    return f"The largest positive weight has {_quoted(strongest)}.{content}"


def _quoted(drive: inspect.Drive) -> str:
    return f"“{drive.meaning}” ({formatting.fixed(drive.weight)})"


def _sentence(drive: inspect.Drive, drives: inspect.Drives) -> str:
    if drive.name == "planner" and not drives.fused:
        return "Left out of the ranking: it does not improve on the counts."
    if drive.low > 0 and drive.name == EARLIER_ITEMS:
        return (
            f"It matters: one item of it, long ago, multiplies an interest's odds by {2**drive.weight:.2f} "
            f"({2**drive.low:.2f} to {2**drive.high:.2f}), all else equal."
        )
    if drive.low > 0 and drive.name in CONTENT:
        return (
            f"It matters: an interest nearer by 0.1 (cosine) has {math.exp(0.1 * drive.weight):.2f} times "
            f"the odds ({math.exp(0.1 * drive.low):.2f} to {math.exp(0.1 * drive.high):.2f}), all else equal."
        )
    if drive.low > 0:
        return (
            f"It matters: twice the probability by this signal alone multiplies an interest's odds by "
            f"{2**drive.weight:.2f} ({2**drive.low:.2f} to {2**drive.high:.2f}), all else equal."
        )
    if drive.high < 0:
        if drive.name.startswith("popularity_"):
            return (
                "Corrects the other horizons: what is popular now and was not before is rising and gains, "
                "what was popular on this horizon and no longer is loses."
            )
        return "Corrects the signals it overlaps with: they say too much where this one agrees."
    return "Can't be told from zero: beside the other signals it adds nothing that this log could show."


def _short(drive: inspect.Drive) -> str:
    """A label short enough for a chart."""
    return _LABELS.get(drive.name, drive.meaning.removeprefix("what is "))


def _chart(drives: list[inspect.Drive]) -> Markup:
    rows = [
        {
            "signal": _short(d),
            "weight": d.weight,
            "low": d.low,
            "high": d.high,
            "clear": d.low > 0 or d.high < 0,
        }
        for d in drives
    ]
    order = [_short(d) for d in drives]
    left = charts.room(order)
    base = alt.Chart(charts.data(rows)).encode(
        y=alt.Y("signal:N", sort=order, axis=charts.axis(minExtent=left)),
        color=alt.condition("datum.clear", alt.value(charts.ACCENT), alt.value(charts.MUTED)),
    )
    zero = alt.Chart(charts.data([{"zero": 0}])).mark_rule(color=charts.INK, opacity=0.5).encode(x="zero:Q")
    interval = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", axis=charts.axis("weight, with 95 % interval")), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=60, opacity=1).encode(x="weight:Q")
    chart = (zero + interval + point).properties(width=charts.WIDTH - left, height=alt.Step(26))
    summary = "; ".join(f"{d.meaning} {d.weight:.2f} ({d.low:.2f} to {d.high:.2f})" for d in drives)
    return charts.render(chart, f"Fitted weights with 95 % intervals: {summary}")


GATES = {
    "exact_match": "Free writing names an interest exactly",
    "label_reach": "Every interest can be answered",
    "label_mass": "Probability that lies on labels, unconstrained",
    "recall": "First choice is what people took up next",
    "gain_over_popularity": "Gain over popularity",
    "gain_over_counts": "Gain over counts in the mixture",
}
MEANINGS = {"planner": "the planner", "counts": "counts, no model", "popularity": "what is popular"}


@dataclass(frozen=True, slots=True)
class GateSection:
    """The verdict on a model.

    Attributes:
        approved: who accepted it although a gate failed, or ''.
        gates: (what it measures, the gate).
        recall: (who, share of first choices that were right), best first.
        failures: what went wrong, as the planner's own prompts and answers.
    """

    model: str
    passed: bool
    approved: str
    sample: int
    users: int
    gates: tuple[tuple[str, Gate], ...]
    recall: tuple[tuple[str, float], ...]
    failures: tuple[dict[str, Any], ...]
    tuned_as_of: str
    tuned_before: str
    examples: int


def gather_gates(subject: Subject) -> GateSection | None:
    """None where there is no model, or it was not judged yet."""
    model = subject.model
    report = report_of(subject.ws, model.version) if model else {}
    if model is None or not report:
        return None
    recall = sorted(report["recall"].items(), key=lambda pair: -pair[1])
    approved = [
        record.reviewer or "a person"
        for record in subject.records
        if record.outcome == "approved" and (record.waiting or {}).get("model") == model.version
    ]
    return GateSection(
        model.version,
        report["passed"],
        approved[-1] if approved else "",
        report["sample"],
        report["users"],
        tuple((GATES.get(gate.name, gate.name), gate) for gate in gates_of(report)),
        tuple((MEANINGS.get(name, name), value) for name, value in recall),
        tuple(report["failures"]),
        model.manifest["as_of"],
        model.manifest["tuned_before"],
        model.manifest["examples"],
    )
