"""The five questions of the first page, each with a verdict in words, its reasons, and where they lead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from freshet import inspect
from freshet.alerting.catalogue import KINDS
from freshet.core.errors import ArtifactError, FreshetError
from freshet.inspect.level_listing import service_levels
from freshet.inspect.service_level import ServiceLevel, State
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace

FRESH = (
    "evidence_age",
    "model_age",
    "events_age",
    "live_age",
    "stream_age",
    "stream_lag",
    "drift",
    "expected_loss",
)
"""Levels that answer the first question; all others answer the second."""
LINKS = {
    "last_run": "runs",
    "review": "reviews",
    "release": "releases",
    "rolled_back": "releases",
    "evidence_age": "releases",
    "model_age": "releases",
    "drift": "reports",
    "expected_loss": "reports",
}
"""Pages that tell more of a level."""
WORDS: dict[State, tuple[str, str]] = {
    "breach": ("no", "bad"),
    "warn": ("look", "warn"),
    "unknown": ("not known", ""),
    "ok": ("yes", "good"),
    "off": ("no promise", ""),
}
DAYS = 30
"""Days whose costs are added up."""
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Reason:
    """A level as a line.

    Attributes:
        word, tone, sentence: how it stands.
        link: the page that tells more, '' = none; `to`: what the page is called.
        first: what to do first where an alert is raised, and `alert`, its name in the runbook; '' = nothing.
    """

    word: str
    tone: str
    sentence: str
    link: str
    to: str = ""
    first: str = ""
    alert: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: in a word, its tone ('', good, warn, bad), a sentence, reasons with the worst first."""

    word: str
    tone: str
    sentence: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Spent:
    """What runs of one command cost: how many, money, seconds, tokens."""

    command: str
    runs: int
    money: float
    seconds: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Costs:
    """What was spent in the last `DAYS` days, by command, and by the last refresh."""

    by_command: tuple[Spent, ...]
    money: float
    currency: str
    last: Record | None
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Fallible:
    """Something of a page that may fail by itself: then `trouble` says why."""

    value: object = None
    trouble: str = ""
    hint: str = field(default="")


def part(make: Callable[[], Made]) -> Fallible:
    """What `make` returns, or why it can't."""
    try:
        return Fallible(make())
    except FreshetError as error:
        return Fallible(None, error.message, error.hint)


def answers(ws: Workspace, now: datetime, measure: bool) -> tuple[Verdict, Verdict]:
    """Is it fresh, and is it healthy?

    Args:
        measure: work out what is not known, which takes seconds.
    """
    levels = service_levels(ws, now, measure=measure).levels
    fresh = [level for level in levels if level.name in FRESH]
    healthy = [level for level in levels if level.name not in FRESH]
    return verdict(fresh), verdict(healthy)


def verdict(levels: Sequence[ServiceLevel]) -> Verdict:
    """The worst of some levels, in its words; what is not known weighs nothing beside others."""
    order: tuple[State, ...] = ("breach", "warn", "ok", "unknown", "off")
    ranked = sorted(levels, key=lambda level: order.index(level.state))
    if not ranked:
        return Verdict("not known", "", "Nothing is measured.")
    word, tone = WORDS[ranked[0].state]
    reasons = tuple(_reason(one) for one in ranked)
    bad = [one for one in ranked if one.state in ("breach", "warn")]
    sentence = _sentence(bad[0].sentence) if bad else "Every promise is kept."
    return Verdict(word, tone, sentence, reasons)


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a run cost; whether it `released`, and has `steps`, without which it is none of a list's."""

    started: str
    command: str
    money: float
    seconds: float
    tokens: int
    steps: bool
    released: bool

    @classmethod
    def of(cls, record: Record) -> _Cost:
        return cls(
            record.started,
            record.command.split()[0],
            record.money,
            record.seconds,
            sum(step.tokens for step in record.steps),
            bool(record.steps),
            record.release is not None and record.outcome == "done",
        )


def _reason(level: ServiceLevel) -> Reason:
    """A level, with the first thing to do where it raises an alert: for newcomers."""
    to = link = LINKS.get(level.name, "")
    if level.run:
        link = f"{link}/{level.run}"
        to = f"{'review' if level.name == 'review' else 'run'} {level.run}"
    kind = next((one for one in KINDS if one.level == level.name and level.state in one.states), None)
    shown = Reason(_state_word(level.state), WORDS[level.state][1], level.sentence, link, to)
    if kind is None:
        return shown
    return replace(shown, first=kind.first.replace("RUN", level.run or "RUN"), alert=kind.name)


def costs(ws: Workspace, now: datetime) -> Costs:
    """What runs cost, by the ledger; a damaged record is counted, and left out."""
    since = (now - timedelta(days=DAYS)).isoformat()
    sums: dict[str, list[_Cost]] = defaultdict(list)
    last: Path | None = None
    currency, damaged = ws.config.prices.currency, 0
    for path in ws.ledger.paths():
        try:
            one = ws.ledger.digest(path, _Cost.of)
        except ArtifactError:
            damaged += 1
            continue
        if one.released:
            last = path
        if one.started >= since and one.steps:
            sums[one.command].append(one)
    spent = [
        Spent(
            command,
            len(found),
            sum(one.money for one in found),
            sum(one.seconds for one in found),
            sum(one.tokens for one in found),
        )
        for command, found in sums.items()
    ]
    spent.sort(key=lambda one: (-one.money, -one.seconds))
    record = None if last is None else ws.ledger.get(last.stem)
    return Costs(tuple(spent), sum(one.money for one in spent), currency, record, damaged)


def place_of_planner(ws: Workspace) -> Verdict:
    """Does the LLM earn its place, by the weights fitted for the release that serves?"""
    opened = inspect.open_release(ws)
    drives = inspect.Drives.of(opened.weights())
    reasons = [Reason("", "", _sentence(text), "") for text in (drives.prior, drives.content) if text]
    sentence = _sentence(drives.verdict)
    if drives.planner is None:
        return Verdict("not asked", "", sentence, tuple(reasons))
    if drives.counts_win:
        return Verdict("no", "warn", sentence, tuple(reasons))
    return Verdict("yes", "good", sentence, tuple(reasons))


def _state_word(state: State) -> str:
    return {"breach": "broken", "warn": "look", "ok": "kept", "unknown": "not known", "off": "no promise"}[
        state
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
