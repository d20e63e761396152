"""`freshet experiment power` and `report`: how long an experiment has to run, and what came out so far."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document, plain_mapping
from freshet.cli.options import HERE, AsJson, Here, Name, answer, names, opened, with_events
from freshet.core import safe_names
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.storage.workspace import Workspace


def power(
    effect: Annotated[
        str, typer.Option("--effect", metavar="0.1%", help="Smallest relative effect worth finding.")
    ],
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="What the experiment is for.")
    ] = "satisfied",
    traffic: Annotated[
        str | None,
        typer.Option(
            "--traffic", metavar="N/day", help="Users a day who take part; else all that the log holds."
        ),
    ] = None,
    split: Annotated[
        float, typer.Option("--split", min=0.1, max=99.9, help="Percent of users in treatment.")
    ] = 50.0,
    peeking: Annotated[
        bool, typer.Option("--peeking", help="For an experiment that may be stopped on any day.")
    ] = False,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """How long an experiment has to run, by how users of this log vary and come back."""
    with opened(workspace) as ws:
        found = _planned(ws, share(effect), metric, daily(traffic), split / 100, peeking)
    lines = _power_lines(found)
    content = document("experiment", asdict(found) | {"answer": lines})
    answer(content, as_json, lambda console: console.print("\n".join(lines)))


@dataclass(frozen=True, slots=True)
class PowerSpan:
    """What an experiment of so many days would see.

    Attributes:
        users: who would take part.
        mean, variance: of the metric per user; `explained`: share of the variance that CUPED takes away.
        detectable: smallest relative effect found with 80 % power; infinite where none is.
        needed: users who would have to take part for the effect that the plan is for.
    """

    days: int
    users: int
    mean: float
    variance: float
    explained: float
    detectable: float
    needed: float


@dataclass(frozen=True, slots=True)
class MeasuredTraffic:
    """The part of the log that the plan rests on: its first day, its days, and active users a day."""

    first: str
    days: int
    users_a_day: float
    attributed: bool


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """How long an experiment has to run: `days`, or None where no span of the log is enough."""

    simulated: bool
    metric: str
    words: str
    effect: float
    split: float
    peeking: bool
    days: int | None
    spans: tuple[PowerSpan, ...]
    log: MeasuredTraffic
    answer: str


def _planned(
    ws: Workspace, effect: float, name: str, per_day: float | None, treated: float, peeking: bool
) -> PowerPlan:
    from freshet.experiments.measurement.experiment_metrics import metric
    from freshet.experiments.measurement.traffic import traffic_of
    from freshet.experiments.stats.power import Design, plan
    from freshet.report.subject import simulated

    measured = metric(ws.config, name)
    traffic = traffic_of(with_events(ws), [measured], progress=ws.reporter.progress)
    scale = 1.0 if per_day is None else per_day / traffic.daily
    spans = traffic.spans(name, scale)
    design = plan(spans, effect, Design(treated, sequential=peeking))
    return PowerPlan(
        simulated=bool(simulated(ws)),
        metric=name,
        words=measured.words,
        effect=effect,
        split=treated,
        peeking=peeking,
        days=design.days,
        spans=tuple(
            PowerSpan(
                span.days,
                round(span.users),
                span.baseline.mean,
                span.baseline.variance,
                span.baseline.explained,
                design.detectable[span.days],
                design.users[span.days],
            )
            for span in spans
        ),
        log=MeasuredTraffic(str(traffic.first), traffic.days, traffic.daily, traffic.attributed),
        answer=design.says,
    )


def _power_lines(found: PowerPlan) -> list[str]:
    log, longest = found.log, found.spans[-1]
    lines = [
        found.answer,
        f"Measured on {log.days} days of the log from {log.first} on, "
        f"{log.users_a_day:,.0f} users a day; what users did before explains {longest.explained:.0%} "
        "of the variance (CUPED).",
    ]
    if found.simulated:
        lines.append("SIMULATED: nobody in this log is real.")
    if not log.attributed:
        lines.append(
            "No event names an impression yet, so all events of active users were counted: reactions to one "
            "slot are fewer, and take longer."
        )
    return lines + [
        f"{span.days:3} days: {span.users:>12,} users, {_detectable(span.detectable)} detectable"
        for span in found.spans
    ]


def _detectable(effect: float) -> str:
    return f"{effect:.3%}" if math.isfinite(effect) else "no effect"


def share(text: str) -> float:
    """`0.1%` or `0.001`.

    Raises:
        ConfigError: it is neither, or not above 0.
    """
    number = text.strip().removesuffix("%").strip()
    try:
        value = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 10:
        raise ConfigError(f"--effect '{text}' is no relative effect", hint="write it as 0.1%, or 0.001")
    return value


def daily(text: str | None) -> float | None:
    """`200000/day` or `200000`.

    Raises:
        ConfigError: it is no number of users.
    """
    if text is None:
        return None
    number = text.strip().lower().removesuffix("/day").replace(",", "").replace("_", "").strip()
    if not safe_names.number(number):
        raise ConfigError(f"--traffic '{text}' is no number of users a day", hint="write it as 200000/day")
    return float(number)


def report_experiment(
    name: Name,
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric", metavar="NAME[,NAME]", help="Metrics beside those that it was started with."
        ),
    ] = [],  # noqa: B006 - typer wants a list, and doesn't change it
    adjust: Annotated[
        bool, typer.Option(help="Use what users did before the start to narrow intervals (CUPED).")
    ] = True,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="Also intervals by resampling users, as a second opinion.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page; else experiments/NAME/report.html."),
    ] = None,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """What an experiment says by what was collected so far: effects with intervals, a page with curves."""
    with opened(workspace) as ws:
        found, page = _reported(ws, name, names(metric), adjust, out, 1000 if bootstrap else 0)
    content = document("experiment", {**found, "page": page})
    answer(content, as_json, lambda console: _show_report(console, found, page))


def _show_report(console: Console, found: dict[str, Any], page: Path) -> None:
    """The headline, what makes it doubtful, a table of effects, and what to know of the run."""
    from rich.table import Table

    from freshet.report.experiment_summary import alarms, detectable, p_value, reading, signed, span
    from freshet.report.formatting import number

    console.print("\n".join([found["answer"][0], *alarms(found)]))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # fits into 120 columns
    for name in (
        "metric",
        "arm",
        "control",
        "arm's",
        "effect, %",
        "planned end",
        "every look",
        "Holm p, both",
        "verdict",
    ):
        table.add_column(name, justify="left" if name in ("metric", "arm", "verdict") else "right")
    for one in found["effects"]:
        verdict = one["verdict"]
        if verdict == "unclear":
            verdict = f"unclear, {detectable(one['detectable'])} detectable"
        figures = *(number(value) for value in one["adjusted"]), _bare(signed(one["effect"]))
        table.add_row(
            one["metric"],
            one["arm"],
            *figures,
            _bare(span(one["fixed"])),
            _bare(span(one["always"])),
            f"{p_value(one['p_holm'])} {p_value(one['p_always_holm'])}".replace("< ", "<"),
            verdict,
        )
    console.print(table)
    console.print("\n".join([*reading(found), f"wrote {page}"]))


def _bare(percent: str) -> str:
    """Percent without the sign that the column's head has."""
    return percent.replace(" %", "")


def _reported(
    ws: Workspace, name: str, metrics: list[str], adjusted: bool, out: Path | None, resamples: int
) -> tuple[dict[str, Any], Path]:
    """Measure, compare, and write the page."""
    from freshet.experiments.measurement.comparison import compare
    from freshet.experiments.measurement.experiment_metrics import named
    from freshet.experiments.measurement.frozen_rules import as_started
    from freshet.experiments.measurement.measure import measure
    from freshet.report.experiment_page import experiment_document, write_experiment
    from freshet.report.experiment_summary import sentences

    experiment = ws.experiments.get(name)
    settings = as_started(ws.config, experiment)
    wanted = named(settings, (*experiment.metrics, *metrics))
    measured = measure(ws, experiment, wanted, ws.reporter.progress)
    effect = settings.experiments.smallest_effect
    compared = compare(measured, effect, adjusted=adjusted, resamples=resamples)
    found = plain_mapping(experiment_document(ws, measured, compared))
    found["answer"] = sentences(found)
    page = write_experiment(found, out or ws.root / "experiments" / name / "report.html", private=out is None)
    return found, page
