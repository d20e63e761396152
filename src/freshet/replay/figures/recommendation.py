"""The recommendation: an answer in words that a sceptical engineer can act on, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freshet.replay.figures.comparisons import Choice, negated, not_below, reference, verdict
from freshet.replay.figures.intervals import PLANNER, points, rate, signed, span
from freshet.replay.figures.own_cadence import own_days, own_policy
from freshet.replay.figures.questions import answer, lacking_planner, questions

PLANNED = ("hybrid", "retrieval", "finetune", "no-evidence", "evidence-frozen")
"""How names of arms begin that have a planner wherever they are compared."""

LEAVE = "Leave it as it is: nothing that is refreshed was shown to do better than the first day's table."


def recommend(
    choice: Choice,
    arms: Mapping[str, Mapping[str, Any]],
    differences: Mapping[str, Mapping[str, Any]],
    log: Mapping[str, Any],
    drift: Mapping[str, Any] | None,
    margin: float,
    groups: Mapping[str, Any],
    curve: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The document's `recommendation`.

    Args:
        arms: the document's arms, with `hit_at_5`, `tables` and `cost`.
        differences: the document's differences.
        groups: what each source is worth where; see `knowledge_sources.by_group`.
        curve: what it is worth by how many users are learned from; see `scarcity`.

    Returns:
        `headline`: what to do. `text`: that with the reasons. `arm`, `every_days`, `tune_days`, `shown`
        (whether no other arm can be better by the margin), `needed` transitions otherwise, `questions`;
        `where`: sentences on which source pays where, the last of `text`; `groups` and, where shares were
        replayed, `shares`: the figures behind them.
    """
    planner = str(log.get("planner", PLANNER))
    every, tune = _cadence(choice.arm, arms[choice.arm]["tables"], log)
    answers = [
        answer(question, differences[f"{question.a}_vs_{question.b}"], planner)
        for question in questions(log)
        if f"{question.a}_vs_{question.b}" in differences
    ]
    compared = any(arm.startswith(PLANNED) for arm in arms)
    opening = headline(choice.arm, every, tune, planner if compared else "")
    if choice.arm == "hybrid-live" and not _adds(differences, log):
        _, rest = lacking_planner(log)
        opening = (
            f"Run {rest} and live signals, refreshed {span(every or 1)}: {planner} adds nothing to them."
        )
    moved = drift_sentence(drift) if drift else ""
    slower = _slower(arms, differences, log, margin)
    where = [*_where(groups), *(_where(curve) if curve else [])]
    reasons = [
        _why(choice, arms, log, margin),
        *_learned(log),
        *(one["answer"] for one in answers),
        *slower,
        *([moved] if moved else []),
        *where,
    ]
    return {
        "headline": opening,
        "text": " ".join([opening, *reasons]),
        "why": reasons[0],
        "arm": choice.arm,
        "best": choice.best,
        "rival": choice.rival,
        "rival_ahead": choice.ahead,
        "every_days": every,
        "tune_days": tune,
        "margin": margin,
        "shown": choice.shown,
        "needed": choice.needed,
        "questions": answers,
        "cadence": slower,
        "drift": moved,
        "where": where,
        "groups": groups,
        **({"shares": {key: curve[key] for key in ("sources", "text")}} if curve else {}),
    }


def _learned(log: Mapping[str, Any]) -> list[str]:
    """Says so where arms learned from some of the users alone."""
    learned = log.get("learned", {"percent": 100})
    if learned["percent"] == 100:
        return []
    return [f"Arms learned from {learned['percent']:g}\u202f% of the users here ({learned['users']:,})."]


def _where(found: Mapping[str, Any]) -> list[str]:
    """A sentence for every source, and how sure they are together."""
    sentences = [source["text"] for source in found["sources"] if source["text"]]
    return [*sentences, found["text"]] if sentences or found.get("shares") else []


def _adds(differences: Mapping[str, Mapping[str, Any]], log: Mapping[str, Any]) -> bool:
    """Whether the planner's score is shown to help the hybrid, in hits or probabilities."""
    found = differences.get(f"hybrid_vs_{lacking_planner(log)[0]}")
    return found is None or "better" in found["verdict"].values()


def headline(arm: str, every: float | None, tune: float | None, planner: str = PLANNER) -> str:
    """What to do, in a sentence; `planner`: what it is called, '' = none was compared."""
    unpaid = f": {planner} was not shown to be worth its cost." if planner else "."
    fresh, tuned = span(every or 1), span(tune or 1)
    if policy := own_policy(arm):
        fresh = f"by the {policy} policy (here {fresh} on average)"
    tuning = f"tune the model {tuned}" if tune else "tune the model once"
    return {
        "static": LEAVE,
        "retrieval-frozen": LEAVE,
        "finetune": f"{tuning[0].upper()}{tuning[1:]}: refreshing in between was not shown to pay.",
        "finetune-fresh": f"{tuning[0].upper()}{tuning[1:]}, refresh counts {fresh}, no evidence in prompts.",
        "no-evidence": f"Tune the model once, refresh counts {fresh}, no evidence in prompts.",
        "evidence-frozen": f"Tune the model once, refresh counts {fresh}, leave evidence as it is.",
        "retrieval": f"Tune the model once, refresh evidence and counts {fresh}.",
        "hybrid": f"Refresh the table {fresh} and {tuning}.",
        "hybrid-live": f"Refresh the table {fresh}, {tuning}, and let live signals in.",
        "hybrid-adaptive": f"Refresh the table when drift is found (here {fresh} on average) and {tuning}.",
        "hybrid-cost": f"Refresh the table when staleness costs more (here {fresh} on average) and {tuning}.",
        "hybrid-plain": f"Refresh the table {fresh} and {tuning}, without the sequence score in the mixture.",
        "hybrid-sequence": f"Refresh the table {fresh}, {tuning}, with the sequence score in the mixture.",
        "counts": f"Run plain counts, refreshed {fresh}{unpaid}",
        "counts-live": f"Run plain counts with live signals, refreshed {fresh}{unpaid}",
        "counts-sequence": f"Run counts with the sequence score, refreshed {fresh}{unpaid}",
        "content": f"Run counts with content, refreshed {fresh}{unpaid}",
        "content-sequence": f"Run counts with content and the sequence score, refreshed {fresh}{unpaid}",
        "sequence": "Run the sequence model: no table was shown to be better.",
        "popularity-live": "Offer what is popular right now, updated by every event: nothing that costs more "
        "was shown to be better.",
        "popularity": "Offer what is popular of late: nothing that costs more was shown to be better.",
        "last-successor": "Offer what most often followed: nothing that costs more was shown to be better.",
    }.get(arm.split("@")[0], f"Run {arm}.")


def drift_sentence(drift: Mapping[str, Any]) -> str:
    """Whether successors change here beyond chance."""
    if drift.get("jaccard") is None or drift.get("z") is None:
        return "The log is too short or too thin to tell drift from chance."
    overlap = f"mean Jaccard of the top 5 {drift['jaccard']:.3f}, {drift['null']:.3f} without drift"
    figures = f"({overlap}, z = {signed(drift['z'], 1)})"
    if drift["z"] < -1.96:
        return f"Successors change from window to window by more than chance {figures}."
    return f"Successors change from window to window no more than chance would make them {figures}."


def _why(choice: Choice, arms: Mapping[str, Mapping[str, Any]], log: Mapping[str, Any], margin: float) -> str:
    on = f"On {log['n']:,} transitions of {log['users']:,} people"
    text = f"{on}, {choice.arm} reaches hit@5 {rate(arms[choice.arm]['hit_at_5'])}"
    if choice.cheaper:
        text += "; every cheaper arm was beaten beyond its interval"
    if choice.rival is None:
        return f"{text}."
    ahead = f"{choice.rival} minus {choice.arm}: {points(choice.ahead)}"
    limit = f"{100 * margin:.1f} points"
    if choice.shown:
        return f"{text}. No other arm can be {limit} better ({ahead})."
    needed = f"; about {choice.needed:,} transitions would tell" if choice.needed else ""
    return f"{text}. No difference to {choice.rival} can be shown on so few transitions ({ahead}{needed})."


def _slower(
    arms: Mapping[str, Mapping[str, Any]],
    differences: Mapping[str, Mapping[str, Any]],
    log: Mapping[str, Any],
    margin: float,
) -> list[str]:
    """What a slower cadence than the log's would lose."""
    sentences, first = [], reference(list(arms))
    for arm in arms:
        days = own_days(arm)
        if days is None or not arm.startswith(f"{first}@"):
            continue
        ahead = differences[f"{first}_vs_{arm}"]["hit_at_5"]
        usual = span(float(log["every_days"]))
        sentences.append(
            f"Refreshing {span(days)} instead of {usual}: {points(negated(ahead))} in hit@5, "
            f"{_worth(negated(ahead), margin, int(log['users']))}."
        )
    return sentences


def _worth(change: Mapping[str, Any], margin: float, users: int) -> str:
    if not_below(change, margin, users):
        return "which is enough"
    lost = verdict(change, margin, users) == "worse"
    return "which is a loss" if lost else "too uncertain to call it enough"


def _cadence(
    arm: str, tables: Mapping[str, Any], log: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    """Days between refreshes (for adaptive arms their mean) and between tunings; None where there is none."""
    days = float(log["days"])
    refreshes, tunings = int(tables["refreshes"]), int(tables["tunings"])
    family = arm.split("@")[0]
    if family in ("static", "retrieval-frozen"):
        return None, None
    tune = float(log["tune_days"]) if tunings > 1 else None
    if family == "finetune":
        return tune, tune
    if own := own_days(arm):
        return float(own), tune
    sometimes = (own_policy(arm) or family in ("hybrid-adaptive", "hybrid-cost")) and refreshes > 1
    return days / refreshes if sometimes else float(log["every_days"]), tune
