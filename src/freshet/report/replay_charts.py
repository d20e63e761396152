"""Charts of a replay: weight, calibration, churn and drift, and hit rate against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.report import charts, replay_curves


def churn(document: Mapping[str, Any]) -> Markup | None:
    """Churn of the arm of reference from table to table, beside its floor."""
    found = document["arms"][document["reference"]]["tables"]["churn_by_origin"]
    rows = [{"arm": "churn", "x": line["origin"], "y": line["churn"]} for line in found]
    rows += [
        {"arm": "repeat-run floor", "x": line["origin"], "y": line["floor"]}
        for line in found
        if line["floor"] is not None
    ]
    if len(rows) < 2:
        return None
    x = alt.X("x:T", axis=charts.axis(grid=False, tickCount=6, format=replay_curves.day_format(rows)))
    label = f"Share of the top 5 replaced from one table of {document['reference']} to the next"
    return replay_curves.line_chart(rows, ["churn", "repeat-run floor"], x, "share replaced", ".0%", label)


def weights(document: Mapping[str, Any]) -> Markup | None:
    """The planner's fitted weight from origin to origin, with its 95 % interval."""
    held = document["weights"]
    arm = document["reference"] if document["reference"] in held else next(iter(held), None)
    if arm is None or len(held[arm]["by_origin"]) < 2:
        return None
    rows = [{**line, "x": line["origin"]} for line in held[arm]["by_origin"]]
    x = alt.X("x:T", axis=charts.axis(grid=False, tickCount=6, format=replay_curves.day_format(rows)))
    base = alt.Chart(charts.data(rows)).encode(x=x)
    y = alt.Y("low:Q", axis=charts.axis("weight"))
    band = base.mark_area(color=charts.ACCENT, opacity=0.2).encode(y=y, y2="high:Q")
    line = base.mark_line(color=charts.ACCENT, strokeWidth=2).encode(y="weight:Q")
    zero = alt.Chart(charts.data([{"zero": 0}])).mark_rule(color=charts.INK, opacity=0.5).encode(y="zero:Q")
    chart = (zero + band + line).properties(width=charts.WIDTH - 50, height=150)
    return charts.render(
        chart, f"Fitted weight of the planner of {arm} over time; mean {held[arm]['planner']:.2f}"
    )


def calibration(document: Mapping[str, Any], arms: Sequence[str]) -> Markup | None:
    """How often the first choice was right, by the probability it was given."""
    there = [arm for arm in arms if arm in document["arms"]][:3]
    rows = [
        {"arm": arm, "x": line["said"], "y": line["right"]}
        for arm in there
        for line in document["arms"][arm]["reliability"]
    ]
    if not rows:
        return None
    most = max(max(row["x"], row["y"]) for row in rows)
    x = alt.X("x:Q", axis=charts.axis("probability said", format=".0%"), scale=alt.Scale(domain=[0, most]))
    ideal = [{"x": 0.0, "y": 0.0}, {"x": most, "y": most}]
    line = alt.Chart(charts.data(ideal)).mark_line(color=charts.INK, opacity=0.4, strokeWidth=1)
    figures = ", ".join(f"{arm} {document['arms'][arm]['ece']['value']:.3f}" for arm in there)
    return replay_curves.line_chart(
        rows,
        there,
        x,
        "share right",
        ".0%",
        f"Calibration of the first choice; expected calibration error: {figures}",
        below=line.encode(x="x:Q", y="y:Q"),
        zero=True,
    )


def drift_by_distance(document: Mapping[str, Any]) -> Markup | None:
    """Jaccard of the top 5 successors of two windows by days between them, with the no-drift null's band.

    Reads what `freshet.stages.schedule.log_drift.drift_of` found; None where the document holds no curve.
    """
    drift = document["drift"] or {}
    curve = drift.get(drift.get("from", ""), {}).get("decay", [])
    if len(curve) < 2:
        return None
    base = alt.Chart(charts.data(curve)).encode(
        x=alt.X("days:Q", axis=charts.axis("days from window to window", grid=False))
    )
    y = alt.Y("low:Q", axis=charts.axis("mean Jaccard", format=".2f"), scale=alt.Scale(zero=True))
    band = base.mark_area(color=charts.MUTED, opacity=0.25).encode(y=y, y2="high:Q")
    null = base.mark_line(color=charts.MUTED, strokeDash=[4, 3], strokeWidth=1.5).encode(y="null:Q")
    line = base.mark_line(color=charts.ACCENT, strokeWidth=2, point=True).encode(y="jaccard:Q")
    chart = (band + null + line).properties(width=charts.WIDTH - 60, height=170)
    first, last = curve[0], curve[-1]
    label = (
        f"Overlap of successors by distance: {first['jaccard']:.2f} at {first['days']:.0f} days "
        f"({first['null']:.2f} without drift), {last['jaccard']:.2f} at {last['days']:.0f} "
        f"({last['null']:.2f} without drift)"
    )
    return charts.render(chart, label)


GAP = 0.045
"""Of the chart's height: labels closer than that are moved apart."""
NAME = 0.3
"""Of the chart's width, about: what a label takes."""


def frontier(document: Mapping[str, Any]) -> Markup | None:
    """hit@5 against cost per 30 days on a logarithmic axis; None where nothing cost anything."""
    unit, best = document["cost"]["unit"], document["cost"]["frontier"]
    arms = document["arms"]
    spent = {arm: found["cost"]["per_30_days"][unit] for arm, found in arms.items()}
    least = min((cost for cost in spent.values() if cost > 0), default=0.0)
    if not least:
        return None
    rows = [
        {
            "arm": arm,
            "cost": max(spent[arm], least / 2),
            "hit": found["hit_at_5"]["value"],
            "low": found["hit_at_5"]["ci95"][0],
            "high": found["hit_at_5"]["ci95"][1],
            "best": arm in best,
        }
        for arm, found in arms.items()
    ]
    for column in label_columns(rows):
        heights = spread_labels([row["hit"] for row in column], _span(rows) * GAP)
        for row, height in zip(column, heights, strict=True):
            row["label"] = height
    title = f"{unit if unit == 'seconds' else document['log'].get('currency', 'money')} per 30 days"
    most = max(row["cost"] for row in rows)
    x = alt.X(
        "cost:Q",
        axis=charts.axis(title, format="~g", tickCount=4, grid=False),
        # labels stand at the right of the dearest arm
        scale=alt.Scale(type="log", nice=False, domain=[least / 2, most * (2 * most / least) ** NAME]),
    )
    look = alt.condition("datum.best", alt.value(charts.ACCENT), alt.value(charts.MUTED))
    base = alt.Chart(charts.data(rows)).encode(x=x, color=look)
    y = alt.Y("low:Q", axis=charts.axis("hit@5", format=".0%"), scale=alt.Scale(zero=False))
    interval = base.mark_rule(strokeWidth=1.5).encode(y=y, y2="high:Q")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(y="hit:Q")
    name = base.mark_text(align="left", dx=9, fontSize=11).encode(y="label:Q", text="arm:N")
    steps = [row for row in sorted(rows, key=lambda row: row["cost"]) if row["best"]]
    edge = (
        alt.Chart(charts.data(steps))
        .mark_line(interpolate="step-after", color=charts.ACCENT, opacity=0.4)
        .encode(x="cost:Q", y="hit:Q")
    )
    chart = (edge + interval + point + name).properties(width=charts.WIDTH - 60, height=300)
    label = "; ".join(f"{row['arm']} {row['hit']:.1%} at {spent[row['arm']]:.3g}" for row in rows)
    return charts.render(chart, f"hit@5 against {title}: {label}")


def label_columns(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows whose costs are so close that their labels could meet, cheapest first."""
    order = sorted(rows, key=lambda row: float(row["cost"]))
    width = NAME * math.log(2 * order[-1]["cost"] / order[0]["cost"])
    found = [order[:1]]
    for before, row in pairwise(order):
        if math.log(row["cost"] / before["cost"]) > width:
            found.append([])
        found[-1].append(row)
    return found


def spread_labels(wanted: list[float], gap: float) -> list[float]:
    """Heights for labels, in the same order, at least `gap` apart and close to where they were wished."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    groups: list[list[int]] = []
    for place in order:
        groups.append([place])
        while len(groups) > 1 and _ends(wanted, groups[-2], gap)[1] + gap > _ends(wanted, groups[-1], gap)[0]:
            groups[-2:] = [groups[-2] + groups[-1]]
    found = list(wanted)
    for group in groups:
        lowest = _ends(wanted, group, gap)[0]
        for step, place in enumerate(group):
            found[place] = lowest + step * gap
    return found


def _ends(wanted: list[float], group: list[int], gap: float) -> tuple[float, float]:
    """Lowest and highest of labels that stand `gap` apart around the mean of what they wished."""
    middle = sum(wanted[place] for place in group) / len(group)
    half = gap * (len(group) - 1) / 2
    return middle - half, middle + half


def _span(rows: list[dict[str, Any]]) -> float:
    return float(max(row["high"] for row in rows) - min(row["low"] for row in rows))
