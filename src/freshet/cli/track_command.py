"""`freshet track`: tell MLflow and OpenLineage what they were not told yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, answer, opened
from freshet.core.errors import ConfigError, TrackingError

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.tracking import Sent


def track(
    everything: Annotated[
        bool, typer.Option("--all", help="Also runs that were told before; each stays one run there.")
    ] = False,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Tell the servers of `[tracking]` of the runs that they were not told of yet."""
    from freshet.tracking import send_all
    from freshet.wiring_tracking import make_trackers

    with opened(workspace) as ws:
        if not ws.config.tracking.used:
            raise ConfigError(
                "[tracking] names nobody to tell",
                hint='set [tracking] mlflow = "http://HOST:5000", or openlineage',
            )
        told = send_all(ws, make_trackers(ws), everything)
    failures = [one.failure for one in told if one.failure]
    if failures:
        raise TrackingError(
            "; ".join(failures), hint="what was sent stays; the same command sends the rest", retryable=True
        )
    answer(
        document("track", {"trackers": [asdict(one) for one in told]}),
        as_json,
        lambda console: _show(console, told),
    )


def _show(console: Console, told: list[Sent]) -> None:
    for one in told:
        console.print(f"{one.target}: {one.sent} runs sent, {one.before} were there", soft_wrap=True)
