"""Section: the gates a model had to pass, and its recall beside popularity and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freshet.report.subject import Subject

GATES = {
    "exact_match": "Free writing names an interest exactly",
    "recall": "First choice is what people took up next",
}
MEANINGS = {"planner": "the planner", "counts": "counts, no model", "popularity": "what is popular"}


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate; `value` is None where it does not apply."""

    name: str
    value: float | None
    threshold: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a model.

    Attributes:
        approved: who accepted it although a gate failed, or ''.
        recall: (who, share of first choices that were right), best first.
        failures: what went wrong, as the planner's own prompts and answers.
    """

    model: str
    passed: bool
    approved: str
    sample: int
    gates: tuple[Gate, ...]
    recall: tuple[tuple[str, float], ...]
    failures: tuple[dict[str, Any], ...]
    tuned_as_of: str
    tuned_before: str
    examples: int


def gather(subject: Subject) -> Judged | None:
    """None where there is no model, or it was not judged yet."""
    model = subject.model
    found = subject.ws.store.find("gates", model.version) if model else None
    if model is None or found is None:
        return None
    report = found.manifest["report"]
    recall = sorted(report["recall"].items(), key=lambda pair: -pair[1])
    approved = [
        record.reviewer or "a person"
        for record in subject.records
        if record.outcome == "approved" and (record.waiting or {}).get("model") == model.version
    ]
    return Judged(
        model.version,
        report["passed"],
        approved[-1] if approved else "",
        report["sample"],
        tuple(Gate(GATES.get(name, name), **gate) for name, gate in report["gates"].items()),
        tuple((MEANINGS.get(name, name), value) for name, value in recall),
        tuple(report["failures"]),
        model.manifest["as_of"],
        model.manifest["tuned_before"],
        model.manifest["examples"],
    )
