"""Section: the last refreshes. What they changed, what they cost, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from freshet import inspect
from freshet.report import charts, formatting
from freshet.report.subject import Subject
from freshet.storage.ledger import Record

LAST = 12
"""Runs listed."""

SLOW = ("tuning", "gates")
"""Steps of the slow path; all others belong to the fast one."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Cost of a kind of step within a run; the calibration of several windows is one phase."""

    name: str
    seconds: float
    tokens: int
    money: float


@dataclass(frozen=True, slots=True)
class RefreshLine:
    """One run: rows of its table, how many of them the planner answered anew, churn beside its floor."""

    run: inspect.RunLine
    churn: float | None
    floor: float | None

    @property
    def copied(self) -> int | None:
        if self.run.rows is None or self.run.changed is None:
            return None
        return self.run.rows - self.run.changed


@dataclass(frozen=True, slots=True)
class Refreshes:
    """`first` and `last` are the first and the latest run that made a table; equal if there is but one."""

    lines: tuple[RefreshLine, ...]
    left_out: int
    first: Record | None
    last: Record | None
    chart: Markup | None


def gather_refreshes(subject: Subject) -> Refreshes:
    """What every run did and cost."""
    lines = [_line(subject, record) for record in subject.records]
    made = [record for record in subject.records if made_table(record)]
    first, last = (made[0], made[-1]) if made else (None, None)
    chart = _chart(first, last) if first and last else None
    return Refreshes(tuple(reversed(lines[-LAST:])), max(0, len(lines) - LAST), first, last, chart)


def made_table(record: Record) -> bool:
    """Whether the run computed a table, rather than finding one."""
    return any(step.name == "table" and not step.cached and step.details for step in record.steps)


def details(record: Record, step: str) -> dict[str, Any]:
    """What a step of a run told; empty where the run had no such step."""
    return next((s.details for s in reversed(record.steps) if s.name == step), {})


def phases(record: Record) -> list[Phase]:
    """Cost by kind of step, in the order of the pipeline."""
    found: dict[str, Phase] = {}
    for step in record.steps:
        name = step.name.split()[0]
        so_far = found.get(name, Phase(name, 0.0, 0, 0.0))
        found[name] = Phase(
            name,
            so_far.seconds + step.seconds,
            so_far.tokens + step.tokens,
            so_far.money + step.money,
        )
    return list(found.values())


def _line(subject: Subject, record: Record) -> RefreshLine:
    churn = details(record, "churn")
    run = next(line for line in subject.history if line.id == record.id)
    return RefreshLine(run, churn.get("churn"), churn.get("churn_floor"))


def _chart(first: Record, last: Record) -> Markup:
    runs = [(first, f"first run ({first.id})")]
    if last.id != first.id:
        runs.append((last, f"latest run ({last.id})"))
    order: list[str] = []
    rows: list[dict[str, str | float]] = []
    for record, name in runs:
        for phase in phases(record):
            order += [] if phase.name in order else [phase.name]
            spent = round(phase.seconds, 4)
            rows.append(
                {"step": phase.name, "run": name, "seconds": spent, "label": formatting.seconds(spent)}
            )
    names = [name for _, name in runs]
    colours = [charts.MUTED, charts.ACCENT][-len(runs) :]
    left = charts.room(order)
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X("seconds:Q", axis=None, scale=alt.Scale(type="symlog", constant=0.2)),
        y=alt.Y("step:N", sort=order, axis=charts.axis(minExtent=left)),
        yOffset=alt.YOffset("run:N", sort=names),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        color=alt.Color(
            "run:N", scale=alt.Scale(domain=names, range=colours), legend=alt.Legend(columnPadding=50)
        )
    )
    figures = base.mark_text(align="left", dx=4, fontSize=11, color=charts.MUTED).encode(text="label:N")
    # room at the right for the figure of the longest bar
    chart = (bars + figures).properties(width=charts.WIDTH - left - 50, height=alt.Step(13))
    return charts.render(chart, "Seconds per step: " + "; ".join(_step_seconds(runs)))


def _step_seconds(runs: Sequence[tuple[Record, str]]) -> list[str]:
    return [
        f"{name}: " + ", ".join(f"{phase.name} {phase.seconds:.1f}" for phase in phases(record))
        for record, name in runs
    ]
