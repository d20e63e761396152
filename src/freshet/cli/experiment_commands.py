"""`freshet experiment`: start, stop, list and guard live experiments."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Name, Wait, answer, names, opened
from freshet.core.errors import ConfigError
from freshet.core.escaping import visible
from freshet.core.time import datetime_of, microseconds_of

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.core.types import Experiment, ExperimentArm
    from freshet.experiments.guardrails.guard import GuardReport


Control = Annotated[
    str,
    typer.Option(
        "--control",
        metavar="ARM",
        help="What control is served: follow (CURRENT), release:12, a strategy (hybrid, hybrid-live, "
        "hybrid-feedback, counts, counts-live, popularity), or release:12/counts.",
    ),
]
Treatments = Annotated[
    list[str],
    typer.Option(
        "--treatment", metavar="[NAME=]ARM", help="As control; several times for several treatments."
    ),
]
Metrics = Annotated[
    list[str], typer.Option("--metric", metavar="NAME[,NAME]", help="What it is judged by; first the main.")
]
Days = Annotated[
    int,
    typer.Option("--days", min=1, help="Planned length; `freshet experiment power` says how long is enough."),
]
Separate = Annotated[
    bool,
    typer.Option(
        "--separate", help="Keep what an arm's users do out of the other arms' evidence and live signals."
    ),
]


def start(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Used once; letters, digits, - and _.")],
    control: Control,
    treatment: Treatments,
    split: Annotated[
        float,
        typer.Option("--split", min=0.1, max=99.9, help="Percent of users in treatment, shared evenly."),
    ] = 50.0,
    traffic: Annotated[
        float, typer.Option("--traffic", min=0.01, max=100, help="Percent of all users who take part.")
    ] = 100.0,
    metric: Metrics = ["satisfied"],  # noqa: B006 - typer wants a list, and doesn't change it
    days: Days = 14,
    separate: Separate = False,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Assign users to arms from now on, sticky by user; servers follow within a second."""
    from freshet import operations
    from freshet.core.types import Experiment

    with opened(workspace, wait) as ws:
        current = ws.releases.current()
        if current is None:
            raise ConfigError("nothing has been published yet to experiment with", hint="`freshet run` does")
        started = Experiment(
            name=name,
            salt=uuid4().hex,
            arms=arms(control, treatment, split / 100),
            traffic=traffic / 100,
            metrics=tuple(dict.fromkeys(names(metric))),
            start=microseconds_of(datetime.now(UTC)),
            began=current.number,
            days=days,
            isolated=separate,
        )
        operations.start_experiment(ws, started)
    content = document("experiment", _content(started))
    answer(content, as_json, lambda console: _show(console, [started]))


def stop(
    name: Name,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Goes into the ledger.")
    ] = "by hand",
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """End an experiment, for good: its users are served the current release again."""
    from freshet import operations

    with opened(workspace, wait) as ws:
        operations.stop_experiment(ws, name, datetime.now(UTC), reason)
        found = ws.experiments.get(name)
    content = document("experiment", _content(found))
    answer(content, as_json, lambda console: _show(console, [found]))


def list_experiments(workspace: Here = HERE, as_json: AsJson = False) -> None:
    """All experiments, those that run first in order of who gets users."""
    with opened(workspace) as ws:
        found = sorted(ws.experiments.all(), key=lambda one: not one.running)
    content = document("experiment", {"experiments": [_content(one) for one in found]})
    answer(content, as_json, lambda console: _show(console, found))


def arms(control: str, treatments: list[str], share: float) -> tuple[ExperimentArm, ...]:
    """The arms as options name them; `share` of the users is divided among the treatments.

    Raises:
        ConfigError: an option is no arm.
    """
    from freshet.core.types import ExperimentArm
    from freshet.storage.experiment_registry import parse_serves

    found = [ExperimentArm("control", 1 - share, parse_serves(control))]
    for number, text in enumerate(treatments, start=1):
        named = re.fullmatch(r"([^=/:]+)=(.+)", text)
        default = "treatment" if len(treatments) == 1 else f"treatment-{number}"
        name, serves = (named[1], named[2]) if named else (default, text)
        found.append(ExperimentArm(name, share / len(treatments), parse_serves(serves)))
    return tuple(found)


def _content(one: Experiment) -> dict[str, Any]:
    return {
        "name": one.name,
        "running": one.running,
        "start": _day(one.start),
        "stop": None if one.stop is None else _day(one.stop),
        "reason": one.reason,
        "arms": [{"name": arm.name, "share": arm.share, "serves": str(arm.serves)} for arm in one.arms],
        "traffic": one.traffic,
        "metrics": list(one.metrics),
        "days": one.days,
        "separated": one.isolated,
        "began_with_release": one.began,
        "canary": one.canary,
    }


def _day(micros: int) -> str:
    return datetime_of(micros).isoformat(timespec="seconds")


def _show(console: Console, found: list[Experiment]) -> None:
    if not found:
        console.print("there are no experiments")
    for one in found:
        state = "runs" if one.running else f"stopped: {visible(one.reason, lines=False)}"
        console.print(f"{one.name}  since {_day(one.start)}  {one.traffic:.0%} of users  {state}")
        for arm in one.arms:
            console.print(f"  {arm.name:12} {arm.share:6.1%}  {arm.serves}")


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
    content = document("experiment", asdict(found) | {"guardrails": guardrails})
    answer(content, as_json, lambda console: console.print("\n".join(_checked(found, guardrails))))


def _checked(found: GuardReport, guardrails: list[str]) -> list[str]:
    from freshet.report.experiment_summary import signed, span

    unguarded = "nothing is guarded: [[experiments.guardrails]] in freshet.toml says what no arm may harm"
    lines = [
        f"{one.experiment}  SAMPLE RATIO FAILED: no effect is believed (p = {one.p:.1g} at every look)"
        for one in found.splits
        if one.failed
    ]
    lines += [
        f"{one.experiment}  {one.arm}  {one.metric}  {signed(one.effect)} "
        f"({span((one.low, one.high))} at every look)  {'HARM' if one.harm else 'no harm shown'}"
        for one in found.judged
    ]
    lines += [f"stopped {name}: {reason}" for name, reason in found.stopped.items()]
    if found.rolled_back:
        lines.append("release {1} serves everybody, {0} nobody".format(*found.rolled_back))
    if found.promoted is not None:
        lines.append(f"release {found.promoted}, a canary until now, serves everybody")
    lines += found.problems
    return lines or ["no running experiment could be judged" if guardrails else unguarded]
