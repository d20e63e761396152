"""`freshet experiment estimate`: what other policies would have earned, without showing them to anybody."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened, parse_moment

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.experiments.stats.off_policy import OffPolicy
    from freshet.replay.off_policy import Estimated, Found, Reproduced, Target
    from freshet.storage.workspace import Workspace

METHODS = ("doubly_robust", "self_normalised", "ips")


def estimate(
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy", metavar="ARM", help="As an arm serves: follow, release:12, hybrid, release:12/counts."
        ),
    ],
    since: Annotated[
        str | None, typer.Option("--since", metavar="DAY", help="First day looked at; instead of --days.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="How far back from the log's end.")] = 14,
    explore: Annotated[
        float | None,
        typer.Option("--explore", min=0, max=1, help="Share that explores; else that of [serving]."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0.01, help="Of the draws; else that of [serving]."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=100, help="First places looked at; of more, a sample of users.")
    ] = 50_000,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Estimate the satisfied rate of the first place under other policies, by logged propensities.

    Each impression is answered again as the policy would have answered the same user then: a release answers
    only what was shown after it was made; where none is named, the release that was current then answers.
    What was never explored can't be told: such an estimate is refused.
    """
    from freshet.experiments.measurement.labels import Window
    from freshet.replay import off_policy
    from freshet.stages.events.step import latest

    first = parse_moment(since, "--since")
    with opened(workspace, wait) as ws:
        targets = tuple(_target(ws, text, explore, temperature) for text in policy)
        with ws.run("estimate") as run:
            until = latest(ws)
            window = Window(first or until.minus(days), until, ws.config.feedback.hours, first=True)
            run.record.as_of = str(until)
            found = off_policy.estimate(ws, run, targets, window, limit)
    content = document("experiment", _content(found))
    answer(content, as_json, lambda console: _show(console, found))


def _target(ws: Workspace, text: str, explore: float | None, temperature: float | None) -> Target:
    from freshet.replay.off_policy import Target
    from freshet.storage.experiment_registry import parse_serves

    serving = ws.config.serving
    return Target(
        parse_serves(text),
        serving.explore if explore is None else explore,
        serving.temperature if temperature is None else temperature,
    )


def _content(found: Found) -> dict[str, Any]:
    rate, low, high = found.logged
    return {
        "since": str(found.window.since),
        "until": str(found.window.until),
        "first_places": found.rows,
        "users": found.users,
        "logged": {"value": rate, "low": low, "high": high},
        "left_out": {**asdict(found.left_out), "context_differs": found.elsewhere},
        "reproduced": [asdict(one) for one in found.reproduced],
        "rules_by_attributes": found.conditional,
        "policies": [_policy(one) for one in found.policies],
    }


def _policy(one: Estimated) -> dict[str, Any]:
    content: dict[str, Any] = {
        "policy": str(one.target.serves),
        "explore": one.target.explore,
        "temperature": one.target.temperature,
        "first_places": one.rows,
        "left_out_earlier": one.earlier,
        "reproduced": one.near,
        "refused": one.refused,
        "caution": one.caution,
        "support": None,
        **dict.fromkeys(METHODS),
    }
    for method, result in one.results.items():
        support = result.support
        content["support"] = {
            "effective": support.effective,
            "largest_weight": support.largest,
            "covered": _interval(support.covered),
            "unseen": support.unseen,
            "note": result.note,
        }
        if not one.refused:
            content[method] = {"rate": _interval(result.value), "against_logged": _interval(result.lift)}
    return content


def _interval(found: Any) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _show(console: Console, found: Found) -> None:
    rate, low, high = found.logged
    console.print(
        f"{found.rows:,} first places of {found.users:,} users since {found.window.since}: "
        f"{rate:.2%} satisfied ({low:.2%} to {high:.2%})"
    )
    out = found.left_out
    console.print(
        f"left out: {found.elsewhere:,} whose context the log doesn't give again, {out.unnamed:,} without a "
        f"user, {out.known:,} where nothing new was left"
    )
    for arm in found.reproduced:
        _show_reproduced(console, arm)
    if found.conditional:
        console.print(
            "note: [serving] rules depend on attributes of requests, which are not logged: "
            "answered again as if there were none",
        )
    for one in found.policies:
        console.print(f"{one.target.serves}", style="bold")
        _show_policy(console, one)


def _show_reproduced(console: Console, arm: Reproduced) -> None:
    name = f"{arm.experiment}/{arm.arm}" if arm.experiment else "no experiment"
    warning = "WARNING: " if arm.poor else ""
    console.print(
        f"{warning}{name} ({arm.strategy}): of {arm.rows:,} propensities {arm.near:.1%} "
        f"come out again within 10 %, {arm.exact:.1%} within 1 %; {arm.apart:.1%} of the choices are others",
        style="bold" if arm.poor else None,
    )


def _show_policy(console: Console, one: Estimated) -> None:
    if one.earlier:
        console.print(
            f"  judged by {one.rows:,} first places; {one.earlier:,} before its release are left out"
        )
    if one.refused:
        console.print(f"  refused: {one.refused}")
    if not one.results:
        return
    if not one.refused:
        for method, result in one.results.items():
            console.print(f"  {method.replace('_', ' '):16} {_line(result)}")
        if one.caution:
            console.print(f"  unreliable, a screen only: {one.caution}", style="bold")
    robust = one.results["doubly_robust"]
    support = robust.support
    console.print(
        f"  worth {support.effective:,.0f} of {support.rows:,} first places at equal weights, the largest "
        f"weight being {support.largest:.1f}; {support.covered.value:.0%} of its choices could be logged"
    )
    if robust.note and not one.refused:
        console.print(f"  {robust.note}")


def _line(found: OffPolicy) -> str:
    value, lift = found.value, found.lift
    return (
        f"{value.value:.2%} ({value.low:.2%} to {value.high:.2%}), "
        f"{100 * lift.value:+.2f} points ({100 * lift.low:+.2f} to {100 * lift.high:+.2f}) to what was shown"
    )
