"""Section: the interests. What they hold, how busy they are, whether they hold together."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
from markupsafe import Markup

from freshet import inspect
from freshet.inspect.listing import InterestLine
from freshet.report import charts
from freshet.report.subject import Subject
from freshet.stages import interests
from freshet.stages.interests.format import load_paths

MOST = 250
"""Interests listed, the busiest."""


@dataclass(frozen=True, slots=True)
class Interest:
    """One interest and its place in the tree, such as `0 · 2 · 1`."""

    line: InterestLine
    path: str


@dataclass(frozen=True, slots=True)
class Clusters:
    """Interests, busiest first, and figures of the build."""

    listing: inspect.Listing
    lines: tuple[Interest, ...]
    left_out: int
    chart: Markup


def gather(subject: Subject) -> Clusters | None:
    """None before interests are built."""
    if subject.interests is None:
        return None
    listing = inspect.listing(subject.ws, subject.interests.version)
    ids = interests.load(subject.interests.path).ids.tolist()
    paths = dict(zip(ids, load_paths(subject.interests.path), strict=True))
    lines = tuple(Interest(line, " · ".join(map(str, paths[line.id]))) for line in listing.interests[:MOST])
    return Clusters(listing, lines, max(0, len(listing.interests) - MOST), _chart(listing))


def _chart(listing: inspect.Listing) -> Markup:
    count = len(listing.interests)
    rows = [
        {"rank": rank, "share": line.traffic, "items": line.items}
        for rank, line in enumerate(listing.interests, start=1)
    ]
    ranked = alt.X(
        "rank:Q",
        scale=alt.Scale(domain=[0.5, count + 0.5], nice=False),
        axis=charts.axis("interests, busiest first", grid=False, format="d"),
    )
    bars = (
        alt.Chart(charts.data(rows))
        .mark_bar(color=charts.ACCENT, size=max(1.0, 0.75 * charts.WIDTH / count), cornerRadiusEnd=1)
        .encode(x=ranked, y=alt.Y("share:Q", axis=charts.axis("share of engagements", format=".0%")))
    )
    even = (
        alt.Chart(charts.data([{"even": 1 / count}]))
        .mark_rule(color=charts.INK, strokeDash=[4, 3])
        .encode(y="even:Q")
    )
    chart = (bars + even).properties(width=charts.WIDTH - 60, height=150)
    busiest, calmest = listing.interests[0], listing.interests[-1]
    return charts.render(
        chart,
        f"Share of engagements of {count} interests, from {busiest.traffic:.1%} ({busiest.description}) "
        f"to {calmest.traffic:.1%} ({calmest.description}); dashed: an even share, {1 / count:.1%}",
    )
