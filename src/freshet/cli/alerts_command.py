"""`freshet alerts`: what fires now, and telling those who should know."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document, levels_content
from freshet.cli.options import HERE, AsJson, Here, answer, opened
from freshet.core.errors import ConfigError
from freshet.core.time import utc_now

if TYPE_CHECKING:
    from freshet.alerting.look import Looked
    from freshet.core.types.alerts import Alert


def alerts(
    workspace: Here = HERE,
    send: Annotated[
        bool, typer.Option("--send", help="Tell the receivers of [alerts] what is new, and what is over.")
    ] = False,
    test: Annotated[
        bool, typer.Option("--test", help="Send every receiver of [alerts] an alert that says it is a test.")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Work out drift and loss where that was not done yet."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """What fires now, and what to do first; drift and expected loss are measured if that is still to be done.

    `freshet serve` and `freshet schedule` look and tell by themselves, every `[alerts] every_minutes`.
    """
    from freshet.alerting.look import look, try_receivers
    from freshet.cli import show_alerts
    from freshet.wiring_alerts import live_state, receivers_of

    with opened(workspace) as ws:
        receivers = receivers_of(ws.config.alerts)
        if (send or test) and not receivers:
            raise ConfigError(
                "[alerts] names nobody to tell",
                hint="set alertmanager, webhook or email_to in [alerts]; without --send it only shows",
            )
        if test:
            told = try_receivers(ws, receivers, utc_now())
            content = document("alerts", {"test": [asdict(one) for one in told]})
            answer(content, as_json, lambda console: show_alerts.deliveries(console, told))
            return
        ws.reporter.say("looking at the service levels")
        found = look(ws, utc_now(), receivers, live_state(ws), measure=measure, send=send)
    answer(document("alerts", _content(found)), as_json, lambda console: show_alerts.firing(console, found))


def _content(found: Looked) -> dict[str, Any]:
    levels = (
        {"state": "unknown", "levels": [], "freshness": None}
        if found.levels is None
        else levels_content(found.levels)
    )
    return {
        "firing": [alert_content(one) for one in found.firing],
        "told": [asdict(one) for one in found.deliveries],
        "troubles": {
            name: {"tries": one.tries, "why": one.why, "next_try": one.next_try.isoformat()}
            for name, one in found.troubles.items()
        },
        **levels,
    }


def alert_content(alert: Alert) -> dict[str, Any]:
    """An alert with what to do first, and where the runbook has it."""
    from freshet.alerting.catalogue import kind_of

    kind = kind_of(alert.name)
    return {
        "name": alert.name,
        "severity": alert.severity,
        "level": alert.level,
        "summary": alert.summary,
        "value": alert.value,
        "objective": alert.objective,
        "unit": alert.unit,
        "since": alert.since.isoformat(timespec="seconds"),
        "first": kind.first if kind is not None else "",
        "runbook": alert.runbook,
    }
