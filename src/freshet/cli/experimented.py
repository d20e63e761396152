"""`freshet experiment report | check`: what came out so far, and whether an arm does harm."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli import answers
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.storage.workspace import Workspace


def add(experiment: typer.Typer) -> None:
    """Add the commands to `freshet experiment`."""
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
        found = reported(ws, name, _names(metric), adjust, out, 1000 if bootstrap else 0)
    document = answers.document("experiment", found)
    answer(document, as_json, lambda console: _show_report(console, found))


def _show_report(console: Console, found: dict[str, Any]) -> None:
    """The headline, what makes it doubtful, a table of effects, and what to know of the run."""
    from rich.table import Table

    from freshet.report.experimented.answer import alarms, detectable, p_value, reading, signed, span
    from freshet.report.words import number

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
    console.print("\n".join([*reading(found), f"wrote {found['page']}"]))


def _bare(told: str) -> str:
    """Percent without the sign that the column's head has."""
    return told.replace(" %", "")


def reported(
    ws: Workspace, name: str, metrics: list[str], adjusted: bool, out: Path | None, resamples: int = 0
) -> dict[str, Any]:
    """Measure, compare, and write the page."""
    from freshet.experiments.measurement.comparison import compare
    from freshet.experiments.measurement.experiment_metrics import named
    from freshet.experiments.measurement.frozen_rules import as_started
    from freshet.experiments.measurement.measure import measure
    from freshet.report.experimented import facts, said, write_experiment

    experiment = ws.experiments.get(name)
    settings = as_started(ws.config, experiment)
    asked = named(settings, (*experiment.metrics, *metrics))
    measured = measure(ws, experiment, asked, ws.reporter.progress)
    effect = settings.experiments.smallest_effect
    compared = compare(measured, effect, adjusted=adjusted, resamples=resamples)
    found: dict[str, Any] = answers.plain(facts(ws, measured, compared))
    found["answer"] = said(found)
    page = write_experiment(found, out or ws.root / "experiments" / name / "report.html", private=out is None)
    return {**found, "page": page}


def check(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One experiment; else all that run.")
    ] = None,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Look whether an arm harms a guardrail, as every `run` does; one that does is stopped."""
    from freshet import operations

    with opened(workspace, wait) as ws:
        _, found = operations.check_experiments(ws, datetime.now(UTC), name)
        guardrails = [one.metric for one in ws.config.experiments.guardrails]
    content = asdict(found) | {"guardrails": guardrails}
    document = answers.document("experiment", content)
    answer(document, as_json, lambda console: console.print("\n".join(_checked(document))))


def _checked(document: dict[str, Any]) -> list[str]:
    from freshet.report.experimented.answer import signed, span

    if not document["guardrails"]:
        return ["nothing is guarded: [[experiments.guardrails]] in freshet.toml says what no arm may harm"]
    lines = [
        f"{one['experiment']}  SAMPLE RATIO FAILED: no effect is believed (p = {one['p']:.1g} at every look)"
        for one in document["splits"]
        if one["failed"]
    ]
    lines += [
        f"{one['experiment']}  {one['arm']}  {one['metric']}  {signed(one['effect'])} "
        f"({span((one['low'], one['high']))} at every look)  {'HARM' if one['harm'] else 'no harm shown'}"
        for one in document["judged"]
    ]
    lines += [f"stopped {name}: {reason}" for name, reason in document["stopped"].items()]
    if document["rolled_back"]:
        lines.append("release {1} serves again instead of {0}".format(*document["rolled_back"]))
    lines += document["problems"]
    return lines or ["no running experiment could be judged"]


def _names(given: list[str]) -> list[str]:
    return [name.strip() for text in given for name in text.split(",") if name.strip()]
