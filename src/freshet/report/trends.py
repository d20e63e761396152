"""Which interests rise and fall: their share of all novel take-ups over time."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import numpy as np
import scipy
from markupsafe import Markup
from numpy.typing import NDArray

from freshet.core.time import day_name
from freshet.report import charts
from freshet.report.subject import Subject
from freshet.stages import interests
from freshet.stages.schedule.successor_overlap import ContextTransitions

RECENT = 4
"""Bins on either side of the comparison."""
MOST_BINS = 52
SHOWN = 3
"""Interests shown in each direction."""


@dataclass(frozen=True, slots=True)
class Mover:
    """An interest's share of take-ups before and now; `clear`: beyond chance, all interests considered."""

    description: str
    before: float
    now: float
    clear: bool

    @property
    def rises(self) -> bool:
        return self.now > self.before


@dataclass(frozen=True, slots=True)
class Trends:
    """`clear`: how many of all interests moved beyond chance from `side_days` to as many days after."""

    bin_days: int
    side_days: int
    movers: tuple[Mover, ...]
    clear: int
    interests: int
    chart: Markup


def gather_trends(subject: Subject, transitions: ContextTransitions, end: int) -> Trends | None:
    """None where the log is shorter than two bins on each side, or no interest moved at all."""
    if subject.interests is None:
        return None
    span = end - int(transitions.day.min())
    bin_days = next((days for days in (7, 28, 91) if span <= days * MOST_BINS), 91)
    bins = min(MOST_BINS, span // bin_days)
    if bins < 4:
        return None
    counts = binned(transitions, end, bin_days, bins, subject.size)
    side = min(RECENT, bins // 2)
    before, now = counts[-2 * side : -side].sum(axis=0), counts[-side:].sum(axis=0)
    if not before.sum() or not now.sum():
        return None
    z = z_scores(before, now)
    # as many comparisons as interests: the bound of 5 % is shared among them
    clear = np.abs(z) > scipy.stats.norm.isf(0.025 / subject.size)
    order = np.argsort(z, kind="stable")
    falling = [int(i) for i in order[:SHOWN] if z[i] < 0]
    rising = [int(i) for i in order[::-1][:SHOWN] if z[i] > 0]
    if not rising and not falling:
        return None
    names = interests.load(subject.interests.path).descriptions
    movers = tuple(
        Mover(names[i], float(before[i] / before.sum()), float(now[i] / now.sum()), bool(clear[i]))
        for i in (*rising, *falling)
    )
    chart = _chart(counts[:, [*rising, *falling]], counts.sum(axis=1), movers, end, bin_days)
    return Trends(bin_days, side * bin_days, movers, int(clear.sum()), subject.size, chart)


def binned(
    transitions: ContextTransitions, end: int, bin_days: int, bins: int, size: int
) -> NDArray[np.int64]:
    """(bins, N) take-ups per interest, oldest bin first; the last bin ends with the day before `end`."""
    place = bins - 1 - (end - 1 - transitions.day.astype(np.int64)) // bin_days
    inside = (place >= 0) & (transitions.day < end)
    cells = place[inside] * size + transitions.successor[inside]
    return np.bincount(cells, minlength=bins * size).reshape(bins, size)


def z_scores(before: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) two-sample z of each interest's share; 0 where it was never taken up."""
    n, m = before.sum(), now.sum()
    share = (before + now) / (n + m)
    spread = np.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return np.asarray((now / m - before / n) / np.where(spread > 0, spread, 1.0))


def _chart(
    counts: NDArray[np.int64],
    totals: NDArray[np.int64],
    movers: tuple[Mover, ...],
    end: int,
    bin_days: int,
) -> Markup:
    bins = len(counts)
    titles = [f"{'↑' if mover.rises else '↓'} {mover.description}" for mover in movers]
    rows = [
        {
            "interest": titles[column],
            "start": day_name(end - bin_days * (bins - place)),
            "share": float(counts[place, column] / totals[place]) if totals[place] else 0.0,
            "way": "rising" if mover.rises else "falling",
        }
        for column, mover in enumerate(movers)
        for place in range(bins)
    ]
    months = "%b" if bins * bin_days < 330 else "%Y"
    line = (
        alt.Chart(charts.data(rows))
        .mark_line(strokeWidth=2, interpolate="monotone")
        .encode(
            x=alt.X("start:T", axis=charts.axis(grid=False, tickCount=3, labelFontSize=11, format=months)),
            y=alt.Y("share:Q", axis=charts.axis(format=".0%", tickCount=3, labelFontSize=11)),
            color=alt.Color(
                "way:N",
                scale=alt.Scale(domain=["rising", "falling"], range=[charts.ACCENT, charts.MUTED]),
                legend=None,
            ),
        )
        .properties(width=165, height=80)
    )
    chart = line.facet(
        facet=alt.Facet("interest:N", sort=titles, header=alt.Header(title=None)),
        columns=SHOWN,
        spacing=18,
    ).resolve_axis(x="independent", y="shared")
    described = "; ".join(f"{m.description} from {m.before:.1%} to {m.now:.1%}" for m in movers)
    return charts.render(chart, f"Share of all take-ups over time, fastest rising and falling: {described}")
