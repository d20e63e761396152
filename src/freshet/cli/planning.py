"""`freshet experiment power`: how long an experiment has to run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli import answers
from freshet.cli.options import HERE, AsJson, Here, answer, opened, with_events
from freshet.core import safe_names as names
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from freshet.storage.workspace import Workspace


def add(experiment: typer.Typer) -> None:
    """Add the command to `freshet experiment`."""
    experiment.command(
        "power",
        epilog="Example: `freshet experiment power -w shop --effect 0.1% --metric satisfied "
        "--traffic 200000/day`",
    )(power)


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
        lambda console: console.print("\n".join(found["answer"])),
    )


def planned(
    ws: Workspace, effect: float, name: str, per_day: float | None, treated: float, peeking: bool
) -> dict[str, Any]:
    """The plan, and what it rests on."""
    from freshet.experiments.measurement.experiment_metrics import metric
    from freshet.experiments.measurement.traffic import traffic_of
    from freshet.experiments.stats.power import Design, plan
    from freshet.report.subject import simulated

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
        "simulated": bool(simulated(ws)),
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
    if document["simulated"]:
        lines.append("SIMULATED: nobody in this log is real.")
    if not log["attributed"]:
        lines.append(
            "No event names an impression yet, so all events of active users were counted: reactions to one "
            "slot are fewer, and take longer."
        )
    lines += [
        f"{one['days']:3} days: {one['users']:>12,} users, {_detectable(one['detectable'])} detectable"
        for one in document["spans"]
    ]
    return lines


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
    if not names.number(number):
        raise ConfigError(f"--traffic '{text}' is no number of users a day", hint="write it as 200000/day")
    return float(number)
