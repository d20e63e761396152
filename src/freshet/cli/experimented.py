"""`freshet experiment report | check`: what an experiment says so far, and whether an arm does harm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli import answers
from freshet.cli.options import HERE, AsJson, Here, answer, opened

if TYPE_CHECKING:
    from freshet.workspace import Workspace


def add(experiment: typer.Typer) -> None:
    """Add the commands to `freshet experiment`."""
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
    answer(document, as_json, lambda console: console.print("\n".join(found["answer"]), markup=False))


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


def _names(given: list[str]) -> list[str]:
    return [name.strip() for text in given for name in text.split(",") if name.strip()]
