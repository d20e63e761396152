"""`freshet experiment power | report | check`: how long to run, what came out, and whether harm is done."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli import answers
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened, with_events
from freshet.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.workspace import Workspace


def add(experiment: typer.Typer) -> None:
    """Add the commands to `freshet experiment`."""
    experiment.command(
        "power",
        epilog="Example: `freshet experiment power -w shop --effect 0.1% --metric satisfied "
        "--traffic 200000/day`",
    )(power)
    experiment.command("check", epilog="Example: `freshet experiment check -w shop rag-refresh`")(check)
    experiment.command("report", epilog="Example: `freshet experiment report -w shop rag-refresh`")(report)


def report(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric", metavar="NAME[,NAME]", help="Metrics beside those that it was started with."
        ),
    ] = [],  # noqa: B006 - typer wants a list, and doesn't change it
    adjust: Annotated[
        bool, typer.Option(help="Use what users did before the start to narrow intervals (CUPED).")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page; else experiments/NAME/report.html."),
    ] = None,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """What an experiment says by what was collected so far: effects with intervals, a page with curves."""
    with opened(workspace) as ws:
        found = reported(ws, name, _names(metric), adjust, out)
    document = answers.document("experiment", found)
    answer(document, as_json, lambda console: _show_report(console, found))


def _show_report(console: Console, found: dict[str, Any]) -> None:
    """The headline, what makes it doubtful, a table of effects, and what to know of the run."""
    from rich.table import Table

    from freshet.report.experimented.answer import alarms, p_value, reading, signed, span
    from freshet.report.words import number, percent

    console.print("\n".join([found["answer"][0], *alarms(found)]), markup=False)
    table = Table(box=None, pad_edge=False)
    for name in (
        "metric",
        "arm",
        "control",
        "arm's",
        "effect",
        "planned end",
        "every look",
        "Holm p",
        "verdict",
    ):
        table.add_column(name, justify="left" if name in ("metric", "arm", "verdict") else "right")
    for one in found["effects"]:
        verdict = one["verdict"]
        if verdict == "unclear":
            verdict = f"too small to tell: {percent(one['detectable'], 2)} was detectable"
        figures = number(one["control"][0]), number(one["value"][0]), signed(one["effect"])
        table.add_row(
            one["metric"],
            one["arm"],
            *figures,
            span(one["fixed"]),
            span(one["always"]),
            f"{p_value(one['p_holm'])} / {p_value(one['p_always_holm'])}",
            verdict,
        )
    console.print(table)
    console.print("\n".join([*reading(found), f"wrote {found['page']}"]), markup=False)


def reported(
    ws: Workspace, name: str, metrics: list[str], adjusted: bool, out: Path | None
) -> dict[str, Any]:
    """Measure, compare, and write the page."""
    from freshet.report.experimented import facts, said, write_experiment
    from freshet.steps.comparing import compare
    from freshet.steps.measures import named
    from freshet.steps.measuring import measure

    experiment = ws.experiments.get(name)
    asked = named(ws.config, (*experiment.metrics, *metrics))
    measured = measure(ws, experiment, asked, ws.reporter.progress)
    compared = compare(measured, ws.config.experiments.smallest_effect, adjusted=adjusted)
    found: dict[str, Any] = answers.plain(facts(ws, measured, compared))
    found["answer"] = said(found)
    page = write_experiment(found, out or ws.root / "experiments" / name / "report.html")
    return {**found, "page": page}


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
        found = planned(ws, share(effect), metric, daily(traffic), split / 100, peeking)
    answer(
        answers.document("experiment", found),
        as_json,
        lambda console: console.print("\n".join(found["answer"]), markup=False),
    )


def planned(
    ws: Workspace, effect: float, name: str, per_day: float | None, treated: float, peeking: bool
) -> dict[str, Any]:
    """The plan, and what it rests on."""
    from freshet.experiments import Design, plan
    from freshet.steps.measures import metric
    from freshet.steps.traffic import traffic_of

    asked = metric(ws.config, name)
    found = traffic_of(with_events(ws), [asked], progress=ws.reporter.progress)
    scale = 1.0 if per_day is None else per_day / found.daily
    spans, design = found.spans(name, scale), Design(treated, sequential=peeking)
    made = plan(spans, effect, design)
    looked_at = [
        {
            "days": span.days,
            "users": round(span.users),
            "mean": span.baseline.mean,
            "variance": span.baseline.variance,
            "explained": span.baseline.explained,
            "detectable": made.detectable[span.days],
            "needed": made.users[span.days],
        }
        for span in spans
    ]
    document: dict[str, Any] = {
        "metric": name,
        "words": asked.words,
        "effect": effect,
        "split": treated,
        "peeking": peeking,
        "days": made.days,
        "spans": looked_at,
        "log": {
            "first": str(found.first),
            "days": found.days,
            "users_a_day": found.daily,
            "attributed": found.attributed,
        },
    }
    return {**document, "answer": _plan_said(document, made.says)}


def _plan_said(document: dict[str, Any], says: str) -> list[str]:
    log, longest = document["log"], document["spans"][-1]
    lines = [
        says,
        f"Measured on {log['days']} days of the log from {log['first']} on, "
        f"{log['users_a_day']:,.0f} users a day; what users did before explains {longest['explained']:.0%} "
        "of the variance (CUPED).",
    ]
    if not log["attributed"]:
        lines.append(
            "No event names an impression yet, so all events of active users were counted: reactions to one "
            "slot are fewer, and take longer."
        )
    lines += [
        f"{one['days']:3} days: {one['users']:>12,} users, {one['detectable']:.3%} detectable"
        for one in document["spans"]
    ]
    return lines


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
    if not number.isdigit() or not int(number):
        raise ConfigError(f"--traffic '{text}' is no number of users a day", hint="write it as 200000/day")
    return float(number)


def check(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One experiment; else all that run.")
    ] = None,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Look whether an arm harms a guardrail, as every `run` does; one that does is stopped."""
    from freshet import pipeline

    with opened(workspace, wait) as ws:
        _, found = pipeline.check_experiments(ws, datetime.now(UTC), name)
        guardrails = [one.metric for one in ws.config.experiments.guardrails]
    content = asdict(found) | {"guardrails": guardrails}
    document = answers.document("experiment", content)
    answer(document, as_json, lambda console: console.print("\n".join(_checked(document)), markup=False))


def _checked(document: dict[str, Any]) -> list[str]:
    from freshet.report.experimented.answer import signed, span

    if not document["guardrails"]:
        return ["nothing is guarded: [[experiments.guardrails]] in freshet.toml says what no arm may harm"]
    lines = [
        f"{one['experiment']}  {one['arm']}  {one['metric']}  {signed(one['effect'])} "
        f"({span((one['low'], one['high']))} at every look)  {'HARM' if one['harm'] else 'no harm shown'}"
        for one in document["judged"]
    ]
    lines += [f"stopped {name}: {reason}" for name, reason in document["stopped"].items()]
    if document["rolled_back"]:
        lines.append("release {1} serves again instead of {0}".format(*document["rolled_back"]))
    return lines or ["no running experiment could be judged"]


def _names(given: list[str]) -> list[str]:
    return [name.strip() for text in given for name in text.split(",") if name.strip()]
