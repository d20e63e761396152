"""The gates of the paper: a planner that has lost the format or the signal halts the run for a person.

*Exact match*: share of unconstrained outputs that equal an interest's description, >= 90 %.
*Recall*: share of held-out transitions whose successor is the planner's first choice among the interests
the user doesn't know, >= max(1.5 %, 2/N), since chance is 1/N. Popularity and counts are judged on the same
transitions and reported beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.config import GatesConfig
from freshet.errors import PlannerError
from freshet.ports import Generator, Planner
from freshet.types import Prompt, Transitions

GENERATED = 400
"""Prompts written freely for exact match; a share of 90 % is known to 3 points from so many."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: `value` is None where it is not applicable."""

    name: str
    value: float | None
    threshold: float
    passed: bool


@dataclass(frozen=True, slots=True)
class GateReport:
    """The verdict.

    Attributes:
        gates: exact match and recall.
        recall: by planner, popularity and counts, on the same transitions.
        sample: number of held-out transitions.
        failures: examples of what went wrong, for the reviewer.
    """

    gates: tuple[Gate, ...]
    recall: dict[str, float]
    sample: int
    failures: tuple[dict[str, str], ...]

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)

    def as_dict(self) -> dict[str, Any]:
        recall = self.recall["planner"]
        return {
            "passed": self.passed,
            "sample": self.sample,
            "gates": {
                g.name: {"value": g.value, "threshold": g.threshold, "passed": g.passed} for g in self.gates
            },
            "recall": self.recall,
            "lift": {
                name: recall / value if value else None
                for name, value in self.recall.items()
                if name != "planner"
            },
            "failures": list(self.failures),
        }


def judge(
    planner: Planner,
    prompts: Sequence[Prompt],
    held: Transitions,
    names: Sequence[str],
    mode: str,
    baselines: dict[str, NDArray[np.float64]],
    config: GatesConfig,
    popularity: NDArray[np.float64] | None = None,
) -> GateReport:
    """Judge a planner on held-out transitions.

    Args:
        prompts: one per row of `held`, with evidence from before it.
        held: transitions the planner wasn't tuned on.
        names: what the planner may write.
        mode: description or label (exact match is not applicable to labels).
        baselines: (n, N) log-probabilities by name, -inf for what the user knows.
        popularity: (n, N) log-shares that the planner's answers are relative to; None = they stand alone.
    """
    logp = _answers(planner, prompts, len(names)) + (0.0 if popularity is None else popularity)
    logp[held.known] = -np.inf
    recall = {"planner": _recall(logp, held)}
    recall |= {name: _recall(scores, held) for name, scores in baselines.items()}

    failures: list[dict[str, str]] = []
    exact: float | None = None
    if mode == "description" and isinstance(planner, Generator):
        written = planner.generate(prompts[:GENERATED])
        allowed = set(names)
        wrong = [(p, w) for p, w in zip(prompts[:GENERATED], written, strict=True) if w not in allowed]
        exact = 1.0 - len(wrong) / max(len(written), 1)
        failures += [{"gate": "exact_match", "prompt": p.text, "wrote": w} for p, w in wrong[:5]]
    floor = max(config.recall, 2 / len(names))
    gates = (
        Gate("exact_match", exact, config.exact_match, exact is None or exact >= config.exact_match),
        Gate("recall", recall["planner"], floor, recall["planner"] >= floor),
    )
    if not gates[1].passed:
        first = np.where(np.isfinite(logp).any(axis=1), logp.argmax(axis=1), -1)
        missed = np.flatnonzero(first != held.successor)[:5]
        failures += [
            {
                "gate": "recall",
                "prompt": prompts[row].text,
                "predicted": names[int(first[row])] if first[row] >= 0 else "",
                "happened": names[int(held.successor[row])],
            }
            for row in missed.tolist()
        ]
    return GateReport(gates, recall, len(held), tuple(failures))


def _answers(planner: Planner, prompts: Sequence[Prompt], interests: int) -> NDArray[np.float64]:
    """(n, N) log-probabilities; a prompt that can't be ranked has no answer, which is a miss."""
    logp = np.full((len(prompts), interests), -np.inf)
    try:
        ranking = planner.rank(prompts, interests)
    except PlannerError:
        if len(prompts) > 1:
            alone = [_answers(planner, [prompt], interests) for prompt in prompts]
            return np.concatenate(alone)
        return logp
    for row, (successors, values) in enumerate(zip(ranking.successors, ranking.logp, strict=True)):
        listed = successors >= 0
        logp[row, successors[listed]] = values[listed]
    return logp


def _recall(scores: NDArray[np.float64], held: Transitions) -> float:
    first = scores.argmax(axis=1)
    answered = np.isfinite(scores[np.arange(len(scores)), first])
    return float((answered & (first == held.successor)).mean())
