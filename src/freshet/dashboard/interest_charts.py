"""Charts of one interest over time, as SVG files that follow light and dark mode by themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

import altair as alt
from markupsafe import Markup

from freshet.dashboard.rendering import static
from freshet.inspect.take_ups import Over, TakeUps
from freshet.report import charts

PANEL = 215, 90
"""Pixels of one of several panels."""
MONTH = 28
"""Days of a period from which on an axis names months and years."""


def popularity_chart(take_ups: TakeUps, over: Over) -> bytes:
    """Its share of all take-ups."""
    chart = _line(take_ups, [("", over)]).properties(width=charts.WIDTH - 150, height=150)
    return standalone(charts.render(chart, "share of all take-ups"))


def successors_chart(take_ups: TakeUps, named: Sequence[tuple[str, Over]]) -> bytes:
    """The share of each of some successors, in a panel of its own; no colour tells them apart."""
    names = [name for name, _ in named]
    width, height = PANEL
    line = _line(take_ups, named).properties(width=width, height=height)
    chart = line.facet(
        facet=alt.Facet("interest:N", sort=names, header=alt.Header(title=None)), columns=2, spacing=22
    ).resolve_axis(x="independent", y="shared")
    return standalone(charts.render(chart, "share of each successor"))


def standalone(drawn: Markup) -> bytes:
    """A chart that needs no page: it brings the dashboard's colours of both modes."""
    drawing = re.sub(r'(<svg[^>]*?) style="[^"]*"', r"\1", str(drawn), count=1)
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{palette()}</style>", drawing, count=1).encode()


def palette() -> str:
    """The variables of the style sheet, light and dark, which stand before all its rules."""
    sheet = (static("style.css") or b"").decode()
    return sheet[: sheet.index("* {")]


def _line(take_ups: TakeUps, named: Sequence[tuple[str, Over]]) -> alt.Chart:
    months = "%d %b" if take_ups.days < MONTH else "%b %Y"
    base = alt.Chart(charts.data(_rows(take_ups, named))).encode(
        x=alt.X("start:T", axis=charts.axis(grid=False, tickCount=4, format=months)),
        y=alt.Y("share:Q", axis=charts.axis(format=".0%", tickCount=3), scale=alt.Scale(zero=True)),
    )
    line = base.mark_line(color=charts.ACCENT, strokeWidth=2)
    return line + base.mark_point(color=charts.ACCENT, filled=True, size=22)  # type: ignore[no-any-return]


def _rows(take_ups: TakeUps, named: Sequence[tuple[str, Over]]) -> list[dict[str, object]]:
    return [
        {"interest": name, "start": start, "share": share}
        for name, over in named
        for start, share in zip(take_ups.starts, over.shares, strict=True)
        if share is not None
    ]
