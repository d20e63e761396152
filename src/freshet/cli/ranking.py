"""`freshet ranker`: a ranker of items within an interest, and what it is worth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from freshet.cli import answers
from freshet.cli.making import served
from freshet.cli.options import HERE, AsJson, Here, Moment, Wait, answer, moment, opened

if TYPE_CHECKING:
    from rich.console import Console


def add(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("ranker", epilog="Example: `freshet ranker -w shop --as-of 2024-05-01`")(ranker)


def ranker(workspace: Here = HERE, as_of: Moment = None, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Train a ranker of items, judge it against popularity within the interest, and release it.

    It joins the current release where it is of now; `freshet run` trains one by itself when it is due.
    """
    from freshet import operations

    at = moment(as_of)
    with opened(workspace, wait) as ws, served(ws) as state:
        today = datetime.now(UTC) if state is not None else None
        record, trained = operations.rank_items(ws, at, today)
    judged = trained.manifest["judged"]
    content = {"run": answers.run(record), "judged": judged, "release": record.release}
    answer(answers.document("ranker", content), as_json, lambda console: _show(console, judged))


def _show(console: Console, judged: dict[str, Any]) -> None:
    console.print(
        f"{judged['transitions']:,} held-out transitions of {judged['users']:,} users into a novel interest: "
        "was an item they engaged there among its first ten?"
    )
    life = f"popularity in the interest (half-life {judged['popularity_half_life']:g} d)"
    for measure in ("hit@10", "ndcg@10"):
        found = judged[measure]
        for name, title in (("ranker", "ranker"), ("popularity", life), ("difference", "difference")):
            console.print(f"  {measure:8} {title:46} {_percent(found[name], name == 'difference')}")
    if judged["hit@10"]["difference"]["low"] <= 0:
        console.print("The difference may be chance: on this log, popularity does about as well.")


def _percent(found: dict[str, float], signed: bool) -> str:
    sign = "+" if signed else ""
    value, low, high = (100 * found[part] for part in ("value", "low", "high"))
    return f"{value:{sign}.2f} % ({low:{sign}.2f} to {high:{sign}.2f})"
