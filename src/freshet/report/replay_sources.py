"""Where each source of knowledge pays: differences within groups, and by how many users were learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet.replay.figures.groups import TITLES
from freshet.report import charts, replay_curves
from freshet.report.replay_tables import Shown, change, points

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """A difference of two arms in nll and hit@5; `sure`: what holds jointly with all others, '' = nothing."""

    nll: Shown
    hit: Shown
    sure: str


@dataclass(frozen=True, slots=True)
class Row:
    """A group of transitions, or a size: its name, its size, and a cell for each pair of arms."""

    name: str
    sizes: tuple[int, int]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with one title; `pairs` are the columns, as `a − b`."""

    title: str
    pairs: tuple[str, ...]
    rows: tuple[Row, ...]


def group_tables(document: Document) -> list[Table]:
    """A table for each division of the judged transitions; none where no two arms differ by a source."""
    told = document["recommendation"]["groups"]["sources"]
    if not told:
        return []
    sure = {
        (source["difference"], line["division"], line["group"]): line["shown"]
        for source in told
        for line in source["groups"]
    }
    pairs = [source["difference"] for source in told]
    return [
        Table(
            title.text,
            _named(pairs),
            tuple(
                Row(
                    group["words"],
                    (group["n"], group["users"]),
                    tuple(
                        _cell(document["differences"][pair][title.key][key], sure.get((pair, title.key, key)))
                        for pair in pairs
                    ),
                )
                for key, group in document["groups"][title.key].items()
            ),
        )
        for title in TITLES
        if title.key in document["groups"]
    ]


def share_table(document: Document) -> Table | None:
    """A row for each share of the users that was learned from; None where none was replayed."""
    if "shares" not in document or not document["recommendation"]["shares"]["sources"]:
        return None
    told = document["recommendation"]["shares"]["sources"]
    rows = []
    for percent, found in document["shares"].items():
        cells = []
        for source in told:
            shown = source["at"][percent]["shown"]
            cells.append(_cell(found["differences"][source["difference"]], shown["hit_at_5"] or shown["nll"]))
        learned = found["learned"]
        rows.append(Row(f"{percent}\u202f%", (learned["users"], learned["transitions"]), tuple(cells)))
    return Table("users learned from", _named([source["difference"] for source in told]), tuple(rows))


def scarcity(document: Document) -> Markup | None:
    """What each source takes off nll, by users learned from, with 95 % intervals; None without a curve."""
    if "shares" not in document:
        return None
    told = document["recommendation"]["shares"]["sources"][: len(replay_curves.LOOKS)]
    rows = []
    for source in told:
        pair = source["difference"]
        for found in document["shares"].values():
            nll, users = found["differences"][pair]["nll"], found["learned"]["users"]
            if users and nll["ci95"]:
                ends = {"y": -nll["value"], "low": -nll["ci95"][1], "high": -nll["ci95"][0]}
                rows.append({"arm": _named([pair])[0], "x": users, **ends})
    if len({row["x"] for row in rows}) < 2:
        return None
    axis = charts.axis("users learned from", format="~s", tickCount=4, grid=False)
    x = alt.X("x:Q", axis=axis, scale=alt.Scale(type="log"))
    below = (
        alt.Chart(charts.data(rows))
        .mark_rule(color=charts.MUTED, opacity=0.6)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
    )
    last = "; ".join(source["text"] for source in told)
    names = list(_named([source["difference"] for source in told]))
    label = f"What each source takes off nll, by users learned from. {last}"
    return replay_curves.line_chart(rows, names, x, "nats gained", "+.3~f", label, below, zero=True)


def _named(pairs: list[str]) -> tuple[str, ...]:
    return tuple(pair.replace("_vs_", " − ") for pair in pairs)


def _cell(difference: Mapping[str, Any], sure: str | None) -> Cell:
    return Cell(change(difference["nll"]), points(difference["hit_at_5"]), sure or "")
