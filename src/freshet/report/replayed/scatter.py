"""The frontier of hit rate against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.report import charts

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
    for column in columns(rows):
        heights = apart([row["hit"] for row in column], _span(rows) * GAP)
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
    told = "; ".join(f"{row['arm']} {row['hit']:.1%} at {spent[row['arm']]:.3g}" for row in rows)
    return charts.render(chart, f"hit@5 against {title}: {told}")


def columns(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows whose costs are so close that their labels could meet, cheapest first."""
    order = sorted(rows, key=lambda row: float(row["cost"]))
    width = NAME * math.log(2 * order[-1]["cost"] / order[0]["cost"])
    found = [order[:1]]
    for before, row in pairwise(order):
        if math.log(row["cost"] / before["cost"]) > width:
            found.append([])
        found[-1].append(row)
    return found


def apart(wished: list[float], gap: float) -> list[float]:
    """Heights for labels, in the same order, at least `gap` apart and close to where they were wished."""
    order = sorted(range(len(wished)), key=lambda place: wished[place])
    groups: list[list[int]] = []
    for place in order:
        groups.append([place])
        while len(groups) > 1 and _ends(wished, groups[-2], gap)[1] + gap > _ends(wished, groups[-1], gap)[0]:
            groups[-2:] = [groups[-2] + groups[-1]]
    found = list(wished)
    for group in groups:
        lowest = _ends(wished, group, gap)[0]
        for step, place in enumerate(group):
            found[place] = lowest + step * gap
    return found


def _ends(wished: list[float], group: list[int], gap: float) -> tuple[float, float]:
    """Lowest and highest of labels that stand `gap` apart around the mean of what they wished."""
    middle = sum(wished[place] for place in group) / len(group)
    half = gap * (len(group) - 1) / 2
    return middle - half, middle + half


def _span(rows: list[dict[str, Any]]) -> float:
    return float(max(row["high"] for row in rows) - min(row["low"] for row in rows))
