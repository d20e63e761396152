"""Charts over time and age: hit rate by day, what age costs, what old tables still show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.report import charts

WARN = "var(--warn)"
LOOKS = (
    (charts.ACCENT, [1, 0]),
    (charts.INK, [1, 0]),
    (WARN, [6, 3]),
    (charts.MUTED, [2, 2]),
    (charts.MUTED, [1, 0]),
)
"""Colour and dashes of the lines of a chart: told apart without colours too."""
SMOOTH = 7
"""Days averaged around each day, where periods are single days."""
SMOOTH_PERIODS = 3
"""Periods averaged around each period, where they are longer."""

Row = dict[str, Any]


def by_day(document: Mapping[str, Any], arms: Sequence[str]) -> Markup | None:
    """hit@5 over time, smoothed. None without two of the arms."""
    there = [arm for arm in arms if arm in document["arms"]][: len(LOOKS)]
    if len(there) < 2:
        return None
    width = SMOOTH if document["log"]["period_days"] == 1 else SMOOTH_PERIODS
    rows = [
        {"arm": arm, "x": line["from"], "y": line["hit_at_5"]["value"]}
        for arm in there
        for line in smoothed(document["arms"][arm]["by_day"], width)
    ]
    figures = ", ".join(f"{arm} {document['arms'][arm]['hit_at_5']['value']:.1%}" for arm in there)
    x = alt.X("x:T", axis=charts.axis(grid=False, tickCount=6, format=day_format(rows)))
    return line_chart(rows, there, x, "hit@5", ".0%", f"hit@5 over time; over the whole period: {figures}")


def smoothed(found: Sequence[Row], width: int) -> list[Row]:
    """Each period's mean with those around it, weighted by transitions; the ends have fewer neighbours."""
    half = width // 2
    label = []
    for place, line in enumerate(found):
        near = found[max(0, place - half) : place + half + 1]
        n = sum(one["n"] for one in near)
        value = sum(one["n"] * one["hit_at_5"]["value"] for one in near) / n
        label.append({"from": line["from"], "n": n, "hit_at_5": {"value": value}})
    return label


def by_age(document: Mapping[str, Any]) -> Markup | None:
    """hit@5 by age of the arm's own table, for arms whose tables grow old."""
    old = [arm for arm, found in document["arms"].items() if len(found["by_age"]) > 2]
    there = [arm for arm in ("static", "finetune", "retrieval-frozen") if arm in old]
    if not there:
        return None
    rows = [
        {"arm": arm, "x": (line["age"] + line["until"]) / 2, "y": line["hit_at_5"]["value"]}
        for arm in there
        for line in document["arms"][arm]["by_age"]
    ]
    x = alt.X("x:Q", axis=charts.axis("age of the table in days", grid=False))
    return line_chart(rows, there, x, "hit@5", ".0%", f"hit@5 by age of the table of {', '.join(there)}")


def loss_by_age(document: Mapping[str, Any]) -> Markup | None:
    """What age costs: hit@5 minus that of the arm of reference on the same transitions, with 95 % bands."""
    rows = [
        {
            "arm": arm,
            "x": (line["age"] + line["until"]) / 2,
            "y": line["hit_at_5"]["value"],
            "low": line["hit_at_5"]["ci95"][0],
            "high": line["hit_at_5"]["ci95"][1],
        }
        for arm, found in document["decay"].items()
        for line in found
        if line["hit_at_5"]["ci95"]
    ]
    if not rows:
        return None
    names = list(document["decay"])
    base = alt.Chart().encode(x=alt.X("x:Q", axis=charts.axis("age in days", grid=False, tickCount=4)))
    y = alt.Y("low:Q", axis=charts.axis(format="+.1%", tickCount=4))
    band = base.mark_area(color=charts.ACCENT, opacity=0.2).encode(y=y, y2="high:Q")
    line = base.mark_line(color=charts.ACCENT, strokeWidth=2).encode(y="y:Q")
    zero = alt.Chart().mark_rule(color=charts.MUTED).encode(y=alt.datum(0))
    chart = (
        alt.layer(zero, band, line, data=charts.data(rows))
        .properties(width=(charts.WIDTH - 110) // min(len(names), 3), height=120)
        .facet(facet=alt.Facet("arm:N", sort=names, header=alt.Header(title=None)), columns=3, spacing=18)
        .resolve_scale(x="independent")
    )
    last = "; ".join(
        f"{arm} at {rows_of[-1]['until']} days {100 * rows_of[-1]['hit_at_5']['value']:+.1f} points"
        for arm, rows_of in document["decay"].items()
        if rows_of
    )
    return charts.render(chart, f"hit@5 minus {document['reference']} by age of the table: {last}")


def overlap_by_age(document: Mapping[str, Any]) -> Markup | None:
    """Jaccard of an old table's top 5 and the fresh one's, for the same people."""
    rows = [
        {"arm": arm, "x": (line["age"] + line["until"]) / 2, "y": line["overlap"]["value"]}
        for arm, found in document["decay"].items()
        for line in found
    ]
    if not rows:
        return None
    x = alt.X("x:Q", axis=charts.axis("age of the table in days", grid=False))
    label = f"Jaccard of the top 5 with {document['reference']}, by age of the table"
    return line_chart(rows, list(document["decay"]), x, "Jaccard", ".2f", label, zero=True)


def line_chart(
    rows: Sequence[Row],
    names: Sequence[str],
    x: alt.X,
    title: str,
    form: str,
    label: str,
    below: alt.Chart | None = None,
    zero: bool = False,
) -> Markup:
    """Lines by `arm` over `x`, told apart by colour and dashes; `below` is drawn first."""
    looks = LOOKS[: len(names)]
    domain = list(names)
    colours = alt.Scale(domain=domain, range=[colour for colour, _ in looks])
    dashes = alt.Scale(domain=domain, range=[dash for _, dash in looks])
    # the renderer measures names with its own font; a reader's may be wider
    legend = alt.Legend(columnPadding=24, symbolSize=250, symbolType="stroke")
    line = (
        alt.Chart(charts.data(rows))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=25, filled=True) if below else False)
        .encode(
            x=x,
            y=alt.Y("y:Q", axis=charts.axis(title, format=form), scale=alt.Scale(zero=zero)),
            color=alt.Color("arm:N", scale=colours, legend=legend),
            strokeDash=alt.StrokeDash("arm:N", scale=dashes, legend=legend),
        )
    )
    chart = alt.layer(*([below] if below is not None else []), line)
    return charts.render(chart.properties(width=charts.WIDTH - 60, height=210), label)


def day_format(rows: Sequence[Row]) -> str:
    """How days are written on an axis: by how long the replay was."""
    dates = [date.fromisoformat(row["x"]) for row in rows]
    span = (max(dates) - min(dates)).days
    return "%-d %b" if span < 200 else "%b %Y" if span < 1200 else "%Y"
