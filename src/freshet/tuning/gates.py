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
from freshet.ports import Generator, Planner
from freshet.types import Prompt, Transitions


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
) -> GateReport:
    """Judge a planner on held-out transitions.

    Args:
        prompts: one per row of `held`, with evidence from before it.
        held: transitions the planner wasn't tuned on.
        names: what the planner may write.
        mode: description or label (exact match is not applicable to labels).
        baselines: (n, N) log-probabilities by name, -inf for what the user knows.
    """
    ranking = planner.rank(prompts, len(names))
    logp = np.full(held.known.shape, -np.inf)
    for row, (successors, values) in enumerate(zip(ranking.successors, ranking.logp, strict=True)):
        listed = successors >= 0
        logp[row, successors[listed]] = values[listed]
    logp[held.known] = -np.inf
    recall = {"planner": _recall(logp, held)}
    recall |= {name: _recall(scores, held) for name, scores in baselines.items()}

    failures: list[dict[str, str]] = []
    exact: float | None = None
    if mode == "description" and isinstance(planner, Generator):
        written = planner.generate(prompts)
        allowed = set(names)
        wrong = [(p, w) for p, w in zip(prompts, written, strict=True) if w not in allowed]
        exact = 1.0 - len(wrong) / max(len(prompts), 1)
        failures += [{"gate": "exact_match", "prompt": p.text, "wrote": w} for p, w in wrong[:5]]
    floor = max(config.recall, 2 / len(names))
    gates = (
        Gate("exact_match", exact, config.exact_match, exact is None or exact >= config.exact_match),
        Gate("recall", recall["planner"], floor, recall["planner"] >= floor),
    )
    if not gates[1].passed:
        first = logp.argmax(axis=1)
        missed = np.flatnonzero(first != held.successor)[:5]
        failures += [
            {
                "gate": "recall",
                "prompt": prompts[row].text,
                "predicted": names[int(first[row])],
                "happened": names[int(held.successor[row])],
            }
            for row in missed.tolist()
        ]
    return GateReport(gates, recall, len(held), tuple(failures))


def _recall(scores: NDArray[np.float64], held: Transitions) -> float:
    return float((scores.argmax(axis=1) == held.successor).mean())
