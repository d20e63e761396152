"""Relative effects by day and cumulated, with intervals and refresh days, as in the paper's Figure 4."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.report import charts

Row = dict[str, Any]
MOST = 2.0
"""Intervals are cut off beyond so many times the usual one: the first days know nothing."""


def curve(
    looks: Sequence[Mapping[str, Any]], refreshed: Sequence[str], always: bool, title: str
) -> Markup | None:
    """Effect by day with its 95 % interval; `always` adds the wider one that holds at every look."""
    rows = _rows(looks, always)
    if len(rows) < 2:
        return None
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X("day:T", axis=charts.axis(grid=False, format="%-d %b"))
    )
    top = _reach(rows)
    scale = alt.Scale(domain=[max(-top, _least(rows)), min(top, _most(rows))], clamp=True)
    axis = charts.axis("relative effect", format="+.2%" if top < 0.1 else "+.0%")
    y = alt.Y("low:Q", scale=scale, axis=axis)
    layers: list[Any] = []
    if always:
        layers.append(
            base.mark_area(color=charts.MUTED, opacity=0.25).encode(
                y=alt.Y("wide_low:Q", scale=scale, axis=axis), y2="wide_high:Q"
            )
        )
        layers.append(base.mark_area(color=charts.ACCENT, opacity=0.25).encode(y=y, y2="high:Q"))
    else:
        layers.append(base.mark_rule(color=charts.ACCENT, opacity=0.5).encode(y=y, y2="high:Q"))
    layers.append(base.mark_line(color=charts.ACCENT, strokeWidth=2).encode(y="effect:Q"))
    layers.append(base.mark_point(filled=True, size=35, opacity=1, color=charts.ACCENT).encode(y="effect:Q"))
    layers.append(alt.Chart().mark_rule(color=charts.MUTED).encode(y=alt.datum(0)))
    if refreshed:
        marks = alt.Chart(charts.data([{"day": day} for day in refreshed]))
        layers.append(marks.mark_rule(color=charts.INK, strokeDash=[3, 3], opacity=0.6).encode(x="day:T"))
    chart = alt.layer(*layers).properties(width=charts.WIDTH - 90, height=190)
    last = rows[-1]
    label = f"{title}: {last['effect']:+.2%} on {last['day']}, from {last['low']:+.2%} to {last['high']:+.2%}"
    marked = f"; refreshed on {', '.join(refreshed)}" if refreshed else ""
    return charts.render(chart, label + marked)


def _rows(looks: Sequence[Mapping[str, Any]], always: bool) -> list[Row]:
    found = []
    for look in looks:
        low, high, effect = look["low"], look["high"], look["effect"]
        wide = look["always"] if always else (low, high)
        if all(_finite(value) for value in (effect, low, high, *wide)):
            found.append(
                {
                    "day": look["day"],
                    "effect": effect,
                    "low": low,
                    "high": high,
                    "wide_low": wide[0],
                    "wide_high": wide[1],
                }
            )
    return found


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _least(rows: Sequence[Row]) -> float:
    return min(0.0, *(float(row["wide_low"]) for row in rows))


def _most(rows: Sequence[Row]) -> float:
    return max(0.0, *(float(row["wide_high"]) for row in rows))


def _reach(rows: Sequence[Row]) -> float:
    """How far the axis goes from zero: not as far as the first days' intervals."""
    ends = sorted(max(abs(row["wide_low"]), abs(row["wide_high"])) for row in rows)
    typical = ends[len(ends) // 2]
    furthest = max(abs(row["effect"]) for row in rows)
    return float(max(min(ends[-1], MOST * typical), 1.1 * furthest, 1e-6))
