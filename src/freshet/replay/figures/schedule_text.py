"""A recommended schedule in words, and as lines for `freshet.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freshet.replay.figures.intervals import PLANNER, listed, points, rate, span

Line = Mapping[str, Any]


def settings(chosen: Line) -> str:
    """Lines for `freshet.toml`."""
    lines = ["[schedule]", f'policy = "{chosen["policy"]}"', f"refresh_days = {chosen['refresh_days']}"]
    if chosen["tune_days"]:
        lines += ["[tuning]", f"every_days = {chosen['tune_days']}"]
    if chosen["arm"] == "finetune":
        lines += ["[evidence]", 'level = "none"']
    return "\n".join(lines) + "\n"


def headline(chosen: Line) -> str:
    """What to do, in a sentence."""
    family = chosen["arm"].split("@")[0]
    tuning = f" and tune the model {span(chosen['tune_days'])}" if chosen["tune_days"] else ""
    average = span(chosen["mean_days"] or chosen["refresh_days"])
    if family == "static":
        return "Leave the table as it is: no refresh was shown to pay."
    if family == "finetune":
        return f"Tune the model {span(chosen['tune_days'])}, without evidence; refresh only then."
    when = {
        "drift": f"when drift is found (here {average} on average)",
        "cost": f"when staleness costs more than a refresh (here {average} on average)",
        "combined": f"when staleness or a jump costs more than a refresh (here {average} on average)",
    }
    return f"Refresh the table {when.get(chosen['policy'], span(chosen['refresh_days']))}{tuning}."


def reasons(found: Mapping[str, Any], chosen: Line) -> list[str]:
    """Sentences: what to expect and what it costs, why this one, how sure that is, what else was seen."""
    return [
        _expected(found, chosen),
        _why(found, chosen),
        *_limits(found, chosen),
        *_drift(found),
        *_counts(found, chosen),
    ]


def _expected(found: Mapping[str, Any], chosen: Line) -> str:
    log = found["log"]
    return (
        f"Expect hit@5 {rate(chosen['hit_at_5'])} (95 % interval) for {amount(found, chosen['cost']['all'])} "
        f"per 30 days: {amount(found, chosen['cost']['refreshing'])} for refreshing, "
        f"{amount(found, chosen['cost']['tuning'])} for tuning; measured on {log['n']:,} transitions of "
        f"{log['users']:,} people, {log['from']} to {log['to']}."
    )


def amount(found: Mapping[str, Any], cost: Mapping[str, float]) -> str:
    """Money, or seconds where the price book has no prices."""
    if found["unit"] == "seconds":
        return f"{cost['seconds']:.3g} seconds"
    return f"{cost['money']:.2g} {found['log'].get('currency', 'money')}"


def _why(found: Mapping[str, Any], chosen: Line) -> str:
    margin, freshest = f"{100 * found['margin']:g} points", found["freshest"]
    figures = f"{chosen['arm']} minus {freshest}: {points(chosen['difference'])}"
    if found["ruling"] == "untold":
        return (
            f"No schedule can be told from another on {found['log']['n']:,} transitions: the cheapest is "
            f"recommended. It may be better or worse than the freshest ({figures})."
        )
    if found["ruling"] == "freshest":
        return (
            f"No cheaper schedule is shown to lose less than {margin} of hit@5 against {freshest}, "
            f"and some are worse beyond their interval: {listed(_worse(found))}."
        )
    if chosen["arm"] == freshest:
        return "It is the freshest schedule, and none is cheaper."
    return (
        f"It is the cheapest whose hit@5 is shown to be less than {margin} below that of the freshest "
        f"schedule ({figures})."
    )


def _worse(found: Mapping[str, Any]) -> list[str]:
    return [
        f"{line['arm']} ({points(line['difference'])})"
        for line in found["schedules"]
        if line["verdict"] == "worse"
    ]


def _limits(found: Mapping[str, Any], chosen: Line) -> list[str]:
    """What so short a replay can't say."""
    limits = []
    if chosen["tune_days"] and chosen["tunings"] < 2:
        limits.append("The period holds one tuning only: it says nothing about how often to tune.")
    if chosen["arm"] == "static":
        limits.append(f"The replay is {found['log']['days']} days long: it says nothing about older tables.")
    return limits


def _drift(found: Mapping[str, Any]) -> list[str]:
    by_name = {line["arm"]: line for line in found["schedules"]}
    if "hybrid-adaptive" not in by_name:
        return []
    line, fixed = by_name["hybrid-adaptive"], by_name[found["freshest"]]
    return [
        f"Refreshing only when drift is found would have made {line['refreshes']} refreshes instead of "
        f"{fixed['refreshes']} ({points(line['difference'])} in hit@5)."
    ]


def _counts(found: Mapping[str, Any], chosen: Line) -> list[str]:
    plain = found["counts"]
    if plain is None:
        return []
    planner = found["log"].get("planner", PLANNER)
    figures = f"counts minus {chosen['arm']}: {points(plain['difference'])}"
    if plain["as_good"] or plain["verdict"] == "better":
        return [f"Plain counts, without {planner}, are as good ({figures})."]
    if plain["verdict"] == "worse":
        return [f"Plain counts are worse ({figures})."]
    return [f"Whether plain counts would do can't be told ({figures})."]
