"""Writing the page: the answer in words, then the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.report import charts, formatting
from freshet.report.page_template import render_page
from freshet.storage.durable import write_text

PAPER = 0.17
"""Mean month-over-month Jaccard of the top-5 successors of pairs in the paper (its variance: 0.07)."""
OF = {"pair": "a pair of interests", "last": "an interest"}


def write_drift(document: Mapping[str, Any], into: Path) -> Path:
    """Write the page; equal documents give equal bytes.

    Args:
        document: what `freshet drift --json` says under `drift`, with `log` beside it.
        into: the file to write.
    """
    write_text(into, render_drift(document))
    return into


def render_drift(document: Mapping[str, Any]) -> str:
    """The page as text."""
    drift = document["drift"]
    headline, *lines = sentences(drift, document["log"])
    return render_page(
        "drift.html",
        log=document["log"],
        drift=drift,
        headline=headline,
        lines=lines,
        paper=PAPER,
        kinds=[
            {
                "name": name,
                "of": OF[name],
                "found": drift[name],
                "windows": adjacent(drift[name]["windows"], OF[name]),
                "decay": decay(drift[name]["decay"], OF[name]),
            }
            for name in ("pair", "last")
        ],
    )


def sentences(drift: Mapping[str, Any], log: Mapping[str, Any]) -> list[str]:
    """The answer in sentences, the first of them a headline."""
    if not drift["n"]:
        return [
            "This log is too thin, or too short, to tell drift of successors from chance.",
            f"No context has {log['min_support']} transitions in each of two adjacent windows.",
        ]
    kind, found = OF[drift["from"]], drift
    figures = (
        f"{formatting.fixed(found['jaccard'], 3)} against {formatting.fixed(found['null'], 3)} "
        f"({formatting.fixed(found['low'], 3)} to {formatting.fixed(found['high'], 3)}) without drift"
    )
    uncertainty = ""
    if found["z"] is not None:
        uncertainty = f"z = {formatting.fixed(found['z'], 1)}, p = {found['p']:.2g}"
    return [
        f"{verdict(found)} {formatting.fixed(found['jaccard'])} overlap of the top 5, "
        f"{formatting.fixed(found['null'])} without drift.",
        f"From one window to the next, the top-5 successors of {kind} overlap by {figures}: {uncertainty}, "
        f"over {found['n']:,} comparisons of a context with itself.",
        *_further(drift),
    ]


def verdict(found: Mapping[str, Any]) -> str:
    """What an overlap beside its null says."""
    if found["low"] is not None and found["jaccard"] < found["low"]:
        return "What people move on to changes here, beyond chance:"
    if found["high"] is not None and found["jaccard"] > found["high"]:
        return "Successors are steadier here than chance explains:"
    return "No drift of successors can be shown on this log:"


def _further(drift: Mapping[str, Any]) -> list[str]:
    """The same of last interests, where the answer is about pairs, and how overlap goes on with distance."""
    lines, last = [], drift["last"]
    if drift["from"] == "pair":
        overlap, z = formatting.fixed(last["jaccard"], 3), formatting.fixed(last["z"], 1)
        null, low, high = (formatting.fixed(last[key], 3) for key in ("null", "low", "high"))
        lines.append(
            f"After the last interest alone, of which more is known: {overlap} against {null} "
            f"({low} to {high}), z = {z}, over {last['n']:,} comparisons."
        )
    points = last["decay"]
    if len(points) > 1:
        far = min(points[1:], key=lambda point: point["z"] or 0.0)
        overlap, null = formatting.fixed(far["jaccard"], 3), formatting.fixed(far["null"], 3)
        lines.append(
            f"Windows {round(far['days'])} days apart overlap by {overlap} there, {null} without drift "
            f"(z = {formatting.fixed(far['z'], 1)}, the clearest of {len(points) - 1} longer distances)."
        )
    return lines


def adjacent(windows: Sequence[Mapping[str, Any]], of: str) -> Markup | None:
    """Overlap of adjacent windows beside the null of each."""
    rows = [{**one, "windows": f"{one['middle']} against {one['start']}"} for one in windows if one["n"]]
    if not rows:
        return None
    order = [str(row["windows"]) for row in rows]
    left = charts.room(order)
    base = alt.Chart(charts.data(rows)).encode(
        y=alt.Y("windows:N", sort=order, axis=charts.axis(minExtent=left))
    )
    across = alt.X("low:Q", axis=charts.axis("mean overlap (Jaccard) of the top 5"))
    band = base.mark_bar(height=12, color=charts.MUTED, opacity=0.35).encode(x=across, x2="high:Q")
    tick = base.mark_tick(color=charts.MUTED, thickness=2, height=12).encode(x="null:Q")
    point = base.mark_point(filled=True, size=70, opacity=1, color=charts.ACCENT).encode(x="jaccard:Q")
    chart = (band + tick + point).properties(width=charts.WIDTH - left, height=alt.Step(24))
    return charts.render(chart, f"Overlap of top-5 successors of {of} between adjacent windows")


def decay(points: Sequence[Mapping[str, Any]], of: str) -> Markup | None:
    """Overlap by distance in days, beside its null."""
    if len(points) < 2:
        return None
    base = alt.Chart(charts.data(points)).encode(
        x=alt.X("days:Q", axis=charts.axis("days between the windows", grid=False))
    )
    top = max(max(point["jaccard"], point["high"]) for point in points)
    up = alt.Y("low:Q", scale=alt.Scale(domain=[0, top]), axis=charts.axis("mean overlap of the top 5"))
    band = base.mark_area(color=charts.MUTED, opacity=0.25).encode(y=up, y2="high:Q")
    null = base.mark_line(color=charts.MUTED, strokeDash=[4, 3]).encode(y="null:Q")
    line = base.mark_line(color=charts.ACCENT, strokeWidth=2).encode(y="jaccard:Q")
    dots = base.mark_point(filled=True, size=50, opacity=1, color=charts.ACCENT).encode(y="jaccard:Q")
    chart = (band + null + line + dots).properties(width=charts.WIDTH - 60, height=220)
    label = "; ".join(f"{p['days']:.0f} days: {p['jaccard']:.2f}, null {p['null']:.2f}" for p in points)
    return charts.render(chart, f"Overlap of top-5 successors of {of} by distance: {label}")
