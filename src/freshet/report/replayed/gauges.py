"""Charts of what is inside a strategy: the planner's weight, calibration, churn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.report import charts
from freshet.report.replayed import curves


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
    x = alt.X("x:T", axis=charts.axis(grid=False, tickCount=6, format=curves.days(rows)))
    told = f"Share of the top 5 replaced from one table of {document['reference']} to the next"
    return curves.lines(rows, ["churn", "repeat-run floor"], x, "share replaced", ".0%", told)


def weights(document: Mapping[str, Any]) -> Markup | None:
    """The planner's fitted weight from origin to origin, with its 95 % interval."""
    held = document["weights"]
    arm = document["reference"] if document["reference"] in held else next(iter(held), None)
    if arm is None or len(held[arm]["by_origin"]) < 2:
        return None
    rows = [{**line, "x": line["origin"]} for line in held[arm]["by_origin"]]
    x = alt.X("x:T", axis=charts.axis(grid=False, tickCount=6, format=curves.days(rows)))
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
    said = ", ".join(f"{arm} {document['arms'][arm]['ece']['value']:.3f}" for arm in there)
    return curves.lines(
        rows,
        there,
        x,
        "share right",
        ".0%",
        f"Calibration of the first choice; expected calibration error: {said}",
        below=line.encode(x="x:Q", y="y:Q"),
        zero=True,
    )
