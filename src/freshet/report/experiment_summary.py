"""What an experiment says, in sentences; the first is a headline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from freshet.experiments.measurement.attribution import REASONS
from freshet.report import formatting

Document = Mapping[str, Any]

SIMULATED = "SIMULATED: no figure here was measured on real people."


def sentences(document: Document) -> list[str]:
    """The answer: whether to believe it at all, then each metric, then what to know about the run."""
    lines = [_metric(document, one) for one in document["effects"]]
    return [headline(document), *alarms(document), *lines, *reading(document)]


def headline(document: Document) -> str:
    """One sentence about the metric that the experiment is for."""
    if document["sample_ratio"]["alarm"]:
        return "Do not read these effects: users are not split among the arms as was meant."
    main = document["metrics"][0]["name"]
    verdicts = [f"{one['arm']} {_verdict(one)}" for one in document["effects"] if one["metric"] == main]
    return f"{main}: {'; '.join(verdicts)}."


def _verdict(one: Mapping[str, Any]) -> str:
    if one["verdict"] == "no figure":
        return "can't be compared"
    figure = f"{signed(one['effect'])} ({span(one['always'])} at every look)"
    if one["verdict"] == "unclear":
        return f"can't be told apart: {figure}"
    if one["verdict"] in ("better", "worse"):
        return f"is {one['verdict']}, {figure}"
    once = f"{signed(one['effect'])} ({span(one['fixed'])})"
    if one["verdict"] == "reversed":
        return f"has turned: {one['note']}. Now {figure}"
    if one["verdict"] == "not yet":
        return f"can't be told apart yet: {figure}; for one look alone it would be {span(one['fixed'])}"
    kind = one["verdict"].split()[0]
    return f"is {kind} if this is the first look, at the end that was planned, {once}; else not yet"


def _metric(document: Document, one: Mapping[str, Any]) -> str:
    """One metric and arm: figures of both, the effect, both intervals, and what could have been seen."""
    metric = next(each for each in document["metrics"] if each["name"] == one["metric"])
    if one["verdict"] == "no figure":
        return f"{one['metric']}, {one['arm']}: no figure: {one['note'] or 'nothing to compare yet'}."
    once = f"{span(one['fixed'])} (p = {p_value(one['p'])}, Holm {p_value(one['p_holm'])})"
    often = f"{span(one['always'])} (p = {p_value(one['p_always'])}, Holm {p_value(one['p_always_holm'])})"
    text = (
        f"{one['metric']} ({metric['words']}; {metric['better']} is better), {one['arm']}: "
        f"{formatting.number(one['value'][0])} against {formatting.number(one['control'][0])} as counted, "
        f"{_adjusted(one)}{signed(one['effect'])}; 95 % interval at a planned end {once}, "
        f"at every look {often}. "
    )
    if one["verdict"] == "unclear":
        text += f"Too small to tell: {detectable(one['detectable'])} was detectable."
    else:
        text += f"Verdict: {one['verdict']}."
    if one["bootstrap"]:
        text += f" By resampling users, as counted and for one look: {span(one['bootstrap'])}."
    if one["saved"] > 0:
        text += f" What users did before took away {formatting.percent(one['saved'], 0)} of the variance."
    return text + (f" Note: {one['note']}." if one["note"] else "")


def _adjusted(one: Mapping[str, Any]) -> str:
    """The two figures that the effect compares, where they aren't those that were counted."""
    if not one["saved"]:
        return ""
    control, arm = (formatting.number(value) for value in one["adjusted"])
    return f"{arm} against {control} adjusted for what users did before, which is "


def alarms(document: Document) -> list[str]:
    """What makes the figures doubtful, or says that they are not of real people."""
    lines, ratio, left = [], document["sample_ratio"], document["left_out"]
    if document["simulated"]:
        lines.append(SIMULATED)
    if ratio["alarm"]:
        users = formatting.listed([f"{n:,}" for n in ratio["users"]])
        expected = formatting.listed([f"{n:,.0f}" for n in ratio["expected"]])
        lines.append(
            f"Sample ratio: {users} users where {expected} were meant (p = {p_value(ratio['p'])}). Something "
            "treats the arms' users differently before they are counted, so no effect below is to be "
            "believed: find the cause, and start anew under another name."
        )
    if left["users_in_two_arms"]:
        users = formatting.several(left["users_in_two_arms"], "user")
        lines.append(f"{users} saw two arms and are left out: ids that are shared or reused, most likely.")
    return [*lines, *_outcomes(document["outcomes"])]


def _outcomes(found: Mapping[str, Any] | None) -> list[str]:
    """Which events that name an answer count for none; an answer outside the experiment is no fault."""
    left = {} if found is None else found["left_out"]
    odd = {why: events for why, events in left.items() if events and why != "elsewhere"}
    if found is None or not odd:
        return []
    parts = formatting.listed([f"{events:,} {REASONS[why]}" for why, events in odd.items()])
    counted, left_out = found["counted"], sum(odd.values())
    return [f"Of events that name an answer {counted:,} count and {left_out:,} are left out: {parts}."]


def reading(document: Document) -> list[str]:
    """How it was run, which decides what the figures can mean."""
    one = document["experiment"]
    stopped = (one["stop"] or "")[:16].replace("T", " ")
    state = (
        "It still runs: only the intervals that hold at every look may be read before the planned end."
        if one["running"]
        else f"It was stopped at {stopped}: {one['reason']}. The narrower intervals are right only if that "
        "end was planned before the start."
    )
    metrics = document["metrics"]
    planned = one["planned_end"][:16].replace("T", " ")
    when = "is over" if one["planned_end_reached"] else "is not reached: nothing is judged by one look yet"
    state += f" Planned for {formatting.several(one['days'], 'day')}; that end, {planned}, {when}."
    without = [metric["name"] for metric in metrics if not metric["covariates"]]
    lines = [state, _apart(document), *_changed(one["settings_changed"])]
    if any(effect["saved"] for effect in document["effects"]):
        lines.append(
            "Figures in the table are adjusted for what users did before, as the effects are (CUPED)."
        )
    if without:
        lines.append(
            "The log holds nothing from before the start that would narrow "
            f"{formatting.listed(without)} (CUPED)."
        )
    if left := document["left_out"]["answers_to_nobody"]:
        lines.append(f"{formatting.several(left, 'answer')} to users without an id are left out.")
    return lines


def _changed(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is set otherwise by now."""
    parts = [f"{name} was {each['start']!r}, is {each['now']!r}" for name, each in settings.items()]
    if not parts:
        return []
    return [f"Settings changed since the start, and those of the start count here: {'; '.join(parts)}."]


def _apart(document: Document) -> str:
    """Whether what treatment's users do reaches control."""
    if document["experiment"]["separated"]:
        return (
            "What an arm's users did since the start was kept out of the other arms' tables and live signals."
        )
    if document["arms"][0]["serves"].startswith("release:"):
        return "Control's table is fixed: what treatment's users do reaches it by live signals alone, if any."
    return (
        "Arms share evidence and live signals: what treatment's users take up reaches control's tables as "
        "well, which makes effects look smaller than they are (`--separate` keeps them apart)."
    )


def signed(value: float | None) -> str:
    """A relative effect, such as `+0.42 %`."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value * 100:+.{_digits(value)}f} %".replace("-", "−")


def span(interval: Sequence[float | None]) -> str:
    """An interval of relative effects."""
    low, high = interval
    if low is None or not math.isfinite(low):
        return "unbounded"
    if high is None or not math.isfinite(high):
        return f"{signed(low)} or more" if low > -1 else "unbounded"
    return f"{signed(low)} to {signed(high)}"


def detectable(effect: float | None) -> str:
    """The smallest relative effect that would be found; in words where none would."""
    known = effect is not None and math.isfinite(effect)
    return formatting.percent(effect, _digits(effect)) if known else "no effect of any size"


def _digits(value: float | None) -> int:
    """Decimals of percent: small effects are what experiments are about."""
    return 2 if value is None or not math.isfinite(value) or abs(value) < 0.1 else 1


def p_value(value: float | None) -> str:
    """A p value with as many digits as it deserves."""
    if value is None or math.isnan(value):
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"
