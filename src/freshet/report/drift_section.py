"""Section: drift. How successors change between windows beside chance, and which interests rise and fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
from markupsafe import Markup

from freshet.core.time import day_name, day_number
from freshet.report import charts, formatting
from freshet.report.subject import Subject
from freshet.report.trends import Trends, gather_trends
from freshet.stages.schedule.successor_overlap import Overlap, overlaps, pooled

MONTH = 28
COMPARED = 12
"""Comparisons of adjacent windows, the latest ones."""
PERMUTATIONS = 200
MIN_SUPPORT = 10


@dataclass(frozen=True, slots=True)
class WindowPair:
    """Two adjacent windows; `until` is the last day of the later one."""

    start: str
    middle: str
    until: str
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class DriftSection:
    """Drift of successors, and of popularity.

    Attributes:
        window_days: length of a window.
        headline: what the comparison says, in a sentence; `summary`: with what chance alone would give.
        lines: the comparisons, oldest first; empty where the log is too short or too thin.
    """

    window_days: int
    headline: str
    summary: str
    lines: tuple[WindowPair, ...]
    chart: Markup | None
    permutations: int
    min_support: int
    trends: Trends | None


def gather_drift(subject: Subject) -> DriftSection | None:
    """None before transitions are counted."""
    transitions = subject.dated_transitions
    if transitions is None or not len(transitions.day):
        return None
    end = day_number(subject.as_of)
    length = _window(int(transitions.day.min()), end)
    count = min(COMPARED + 1, (end - int(transitions.day.min())) // length)
    edges = [end - length * back for back in range(count, -1, -1)]
    found = overlaps(
        transitions, edges, interests=subject.size, permutations=PERMUTATIONS, min_support=MIN_SUPPORT
    )
    held = [overlap for overlap in found if overlap.contexts]
    lines = tuple(WindowPair(day_name(o.start), day_name(o.middle), day_name(o.end - 1), o) for o in held)
    return DriftSection(
        length,
        *_summary(held, length),
        lines,
        _chart(lines) if lines else None,
        PERMUTATIONS,
        MIN_SUPPORT,
        gather_trends(subject, transitions, end),
    )


def _window(first: int, end: int) -> int:
    """A month where the log holds three of them, else a third of the log."""
    return MONTH if end - first >= 3 * MONTH else max(1, (end - first) // 3)


def _summary(held: Sequence[Overlap], length: int) -> tuple[str, str]:
    """The finding in a sentence, and the figures behind it."""
    if not held:
        thin = "This log is too thin, or too short, to tell drift of successors from chance"
        return (
            f"{thin}.",
            f"{thin}: no last interest has {MIN_SUPPORT} transitions in each of two adjacent windows of "
            f"{formatting.several(length, 'day')}.",
        )
    observed, null = pooled(held)
    expected = float(null.mean())
    low, high = (float(bound) for bound in np.quantile(null, [0.025, 0.975]))
    finding = "no drift of successors can be shown on this log"
    if observed < low:
        finding = "what people move on to changes here, beyond chance"
    elif observed > high:
        finding = "there is no sign of drift: successors overlap more than chance explains"
    return (
        f"{finding[0].upper()}{finding[1:]} ({formatting.fixed(observed)} overlap of the top 5 from window "
        f"to window, {formatting.fixed(expected)} without drift).",
        f"From one window of {formatting.several(length, 'day')} to the next, the top-5 successors of an "
        f"interest overlap by {formatting.fixed(observed)} on average. Had nothing changed, chance alone "
        f"would give {formatting.fixed(expected)} ({formatting.fixed(low)} to {formatting.fixed(high)}). "
        f"So {finding}.",
    )


def _chart(lines: Sequence[WindowPair]) -> Markup:
    rows = [
        {
            "windows": f"{line.middle} against {line.start}",
            "observed": line.overlap.observed,
            "expected": line.overlap.expected,
            "low": line.overlap.band[0],
            "high": line.overlap.band[1],
        }
        for line in lines
    ]
    order = [str(row["windows"]) for row in rows]
    left = charts.room(order)
    base = alt.Chart(charts.data(rows)).encode(
        y=alt.Y("windows:N", sort=order, axis=charts.axis(minExtent=left))
    )
    across = alt.X(
        "low:Q", scale=alt.Scale(domain=[0, 1]), axis=charts.axis("mean overlap (Jaccard) of the top 5")
    )
    band = base.mark_bar(height=12, color=charts.MUTED, opacity=0.35, cornerRadius=2).encode(
        x=across, x2="high:Q"
    )
    expected = base.mark_tick(color=charts.MUTED, thickness=2, height=12).encode(x="expected:Q")
    point = base.mark_point(filled=True, size=70, opacity=1, color=charts.ACCENT).encode(x="observed:Q")
    chart = (band + expected + point).properties(width=charts.WIDTH - left, height=alt.Step(24))
    described = "; ".join(
        f"{row['windows']}: observed {row['observed']:.2f}, without drift {row['expected']:.2f} "
        f"({row['low']:.2f} to {row['high']:.2f})"
        for row in rows
    )
    return charts.render(chart, f"Overlap of top-5 successors between adjacent windows: {described}")
