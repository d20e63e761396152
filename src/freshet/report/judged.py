"""Section: the gates a model had to pass, and its recall beside popularity and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freshet.report.subject import Subject
from freshet.stages.tuning import Gate, gates_of
from freshet.stages.tuning.gate_verdict import report_of

GATES = {
    "exact_match": "Free writing names an interest exactly",
    "label_reach": "Every interest can be answered",
    "label_mass": "Probability that lies on labels, unconstrained",
    "recall": "First choice is what people took up next",
    "gain_over_popularity": "Gain over popularity",
    "gain_over_counts": "Gain over counts in the mixture",
}
MEANINGS = {"planner": "the planner", "counts": "counts, no model", "popularity": "what is popular"}


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a model.

    Attributes:
        approved: who accepted it although a gate failed, or ''.
        gates: (what it measures, the gate).
        recall: (who, share of first choices that were right), best first.
        failures: what went wrong, as the planner's own prompts and answers.
    """

    model: str
    passed: bool
    approved: str
    sample: int
    users: int
    gates: tuple[tuple[str, Gate], ...]
    recall: tuple[tuple[str, float], ...]
    failures: tuple[dict[str, Any], ...]
    tuned_as_of: str
    tuned_before: str
    examples: int


def gather(subject: Subject) -> Judged | None:
    """None where there is no model, or it was not judged yet."""
    model = subject.model
    report = report_of(subject.ws, model.version) if model else {}
    if model is None or not report:
        return None
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
        report["users"],
        tuple((GATES.get(gate.name, gate.name), gate) for gate in gates_of(report)),
        tuple((MEANINGS.get(name, name), value) for name, value in recall),
        tuple(report["failures"]),
        model.manifest["as_of"],
        model.manifest["tuned_before"],
        model.manifest["examples"],
    )
