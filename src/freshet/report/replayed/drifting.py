"""The log's own drift: overlap of successors by distance in time, beside what chance alone would give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.report import charts


def by_distance(document: Mapping[str, Any]) -> Markup | None:
    """Jaccard of the top 5 successors of two windows by days between them, with the no-drift null's band.

    Reads what `freshet.stages.schedule.drift.drift_of` found; None where the document holds no curve.
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
    told = (
        f"Overlap of successors by distance: {first['jaccard']:.2f} at {first['days']:.0f} days "
        f"({first['null']:.2f} without drift), {last['jaccard']:.2f} at {last['days']:.0f} "
        f"({last['null']:.2f} without drift)"
    )
    return charts.render(chart, told)
