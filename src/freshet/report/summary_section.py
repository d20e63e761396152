"""Section: the answer in words. What serves, whether the planner helps, what a refresh cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from freshet import inspect
from freshet.report import formatting, refresh_section
from freshet.report.subject import Subject
from freshet.simulator import SIMULATED
from freshet.storage.ledger import Record


@dataclass(frozen=True, slots=True)
class CostLine:
    """One figure of a table made from nothing beside the same figure of the last refresh."""

    name: str
    full: str
    last: str
    share: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The opening of the page.

    Attributes:
        headline: what serves.
        planner: what ranks, and what it can know.
        verdict: whether the planner adds to counts.
        changed: what the last refresh changed; `costs` compares it with a full table.
        simulated: says so, or is empty where nothing marks the log as simulated.
        waiting: what waits for a person, if anything does.
    """

    headline: str
    planner: str
    verdict: str
    changed: str
    costs: tuple[CostLine, ...]
    cost_names: tuple[str, str]
    simulated: str
    origin: str
    waiting: tuple[str, ...]


def gather_summary(subject: Subject) -> Summary:
    """What the page says first."""
    made = [record for record in subject.records if refresh_section.made_table(record)]
    last = _maker(subject, made)
    full = _full(made, last)
    costs = _costs(full, last) if full and last and full.id != last.id else ()
    whole = "a full table" if last and refresh_section.details(last, "inference") else "the first run"
    names = (f"{whole} (run {full.id})", f"last refresh (run {last.id})") if full and last else ("", "")
    return Summary(
        _headline(subject),
        _planner(subject),
        _verdict(subject),
        _changed(subject, last),
        costs,
        names,
        SIMULATED if subject.simulated else "",
        _origin(subject),
        tuple(
            f"Run {r.id} waits for review: {r.message}." for r in subject.records if r.outcome == "waiting"
        ),
    )


def _headline(subject: Subject) -> str:
    if subject.opened is None:
        return "Nothing is serving yet: no table has been published."
    release = subject.opened.release
    return f"Release {release.number} is serving, as of {formatting.day(release.as_of)}."


def _planner(subject: Subject) -> str:
    model = subject.model
    if model is None:
        return "Counts only: no planner takes part in the ranking."
    kind, mode = (model.manifest["settings"]["planner"][name] for name in ("kind", "mode"))
    if kind == "scratch":
        return (
            f"The planner is “scratch”: a small {mode} transformer made from this catalogue and log alone. "
            "It has no world knowledge."
        )
    if kind == "fake":
        return "The planner is “fake”, a stand-in for tests: its answers mean nothing."
    return f"The planner is a language model fine-tuned from {model.manifest['base']}."


def _verdict(subject: Subject) -> str:
    if subject.opened is None:
        return "Not known before a table is made."
    drives = inspect.Drives.of(subject.opened.weights())
    planner = drives.planner
    if not drives.features:
        return drives.verdict[0].upper() + drives.verdict[1:] + "."
    if planner is None:
        return "There is no planner to compare: counts make every ranking."
    figure = (
        f"its fitted weight beside the counts is {formatting.fixed(planner.weight)} "
        f"(95\u202f% interval {formatting.fixed(planner.low)} to {formatting.fixed(planner.high)})"
    )
    if planner.low > 0:
        return f"The planner adds to the counts here: {figure}, above zero."
    holds = "which lies below zero" if planner.high < 0 else "which holds zero"
    use = "it still enters the ranking" if drives.fused else "it is left out of the ranking"
    return f"Counts win here: {figure}, {holds}; {use}."


def _changed(subject: Subject, last: Record | None) -> str:
    if subject.opened is None or last is None:
        return "There has been no refresh yet."
    release = subject.opened.release
    inferred = refresh_section.details(last, "inference")
    sentences = []
    if inferred:
        copied = inferred["rows"] - inferred["changed"]
        why = f" and copied {copied:,}, since their prompts had not changed" if copied else ""
        sentences.append(
            f"The planner answered {inferred['changed']:,} of {inferred['rows']:,} rows anew{why}."
        )
    if release.previous is not None:
        diff = inspect.compare(subject.ws, release.previous, release.number, most=0)
        if diff.rows:
            sentences.append(
                f"Against release {release.previous}, {diff.changed:,} of {diff.rows:,} rows have another "
                f"top 5 or another order in it; on average {formatting.percent(diff.churn)} of a top 5 was "
                "replaced."
            )
    cost = formatting.money(last.money, last.currency)
    tokens = formatting.several(sum(step.tokens for step in last.steps), "token")
    sentences.append(f"It took {formatting.seconds(last.seconds)}, {tokens} and {cost}.")
    if cut := inspect.cut_short(subject.ws, release):
        sentences.append(f"The clock ended the training of {' and '.join(cut)} before its own end.")
    return " ".join(sentences)


def _origin(subject: Subject) -> str:
    if subject.simulated:
        return "No figure on this page was measured on real people."
    if subject.simulated is None:
        return "The source files are not at hand, so this page can't tell whether the log was simulated."
    return "Nothing marks the source files as simulated."


def _maker(subject: Subject, made: list[Record]) -> Record | None:
    """The run that made the table that serves."""
    if subject.opened is None:
        return None
    table = f"tables/{subject.opened.release.table}"
    found = [r for r in made if any(step.artifact == table for step in r.steps)]
    return found[0] if found else None


def _full(made: list[Record], last: Record | None) -> Record | None:
    """The latest run up to `last` that copied no row; with plain counts, the first run."""
    if last is None:
        return None
    earlier = [record for record in made if record.id <= last.id]
    inferred = [(record, refresh_section.details(record, "inference")) for record in earlier]
    if not refresh_section.details(last, "inference"):
        return earlier[0]
    whole = [record for record, found in inferred if found and found["changed"] == found["rows"]]
    return whole[-1] if whole else None


def _costs(full: Record, last: Record) -> tuple[CostLine, ...]:
    """Cost by path, full table first; lines that are zero in both are left out."""
    both = (full, last)
    lines = [
        _cost_line(
            "rows inferred",
            [refresh_section.details(record, "inference").get("changed", 0) for record in both],
        )
    ]
    for slow, path in ((True, "slow path (tuning, gates)"), (False, "fast path")):
        phases = [
            [
                phase
                for phase in refresh_section.phases(record)
                if (phase.name in refresh_section.SLOW) == slow
            ]
            for record in both
        ]
        lines.append(_cost_line(f"tokens, {path}", [sum(p.tokens for p in found) for found in phases]))
        spent = [sum(p.seconds for p in found) for found in phases]
        lines.append(_cost_line(f"time, {path}", spent, formatting.seconds))
    currency = last.currency
    lines.append(
        _cost_line("money", [r.money for r in both], lambda value: formatting.money(value, currency))
    )
    return tuple(line for line in lines if line is not None)


def _cost_line(
    name: str, figures: Sequence[float], show: Callable[[float], str] = formatting.number
) -> CostLine | None:
    full, last = figures
    return CostLine(name, show(full), show(last), last / full if full else None) if any(figures) else None
