"""The gates: a planner that has lost the form or adds nothing does not rank unseen by a person.

Form. *Exact match* (description mode): share of unconstrained outputs that equal an interest's description,
at least 90 %. *Label reach* and *label mass* (label mode): every interest's label can be answered, and at
least 90 % of the probability of the next token lies on labels where nothing forces it there.

Signal. *Recall*: share of held-out transitions whose successor is the planner's first choice among the
interests the user doesn't know, at least max(1.5 %, 2/N). Popularity alone passes that threshold of the
paper. So *gain over popularity* and *gain over counts* say what the planner adds to them, in nats per
transition: all of the 95 % interval has to be a gain.

A gate that applies and can't be measured fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from freshet.core.errors import ArtifactError, PlannerError, PlannerGone
from freshet.core.ports import Planner
from freshet.core.types import Prompt, Transitions, Usage

FORM = 400
"""Prompts that the gates of form ask; a share of 90 % is known to 3 points from so many."""

EXAMPLES = 5
"""Failures of one gate that are shown to the reviewer."""

ORDER = ("exact_match", "label_reach", "label_mass", "recall", "gain_over_popularity", "gain_over_counts")
"""All gates, in the order in which they are reported."""

Consequence = Literal["halt", "weigh"]
"""Of failing: the run waits for a person, or goes on, and each table weighs the planner for itself."""

T = TypeVar("T")

Interval = tuple[float, float, float]
"""Mean, and the ends of its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate.

    Attributes:
        value: a share, or the nats per transition of a gain; None where it could not be measured.
        threshold: the least share; of a gain, what all of its interval must be above.
        low, high: 95 % interval of a gain, clustered by user; None for shares.
        consequence: what failing leads to.
        reason: why it could not be measured, or what fails it, where the value doesn't tell.
    """

    name: str
    value: float | None
    threshold: float
    passed: bool
    low: float | None = None
    high: float | None = None
    consequence: Consequence = "halt"
    reason: str = ""

    @property
    def halts(self) -> bool:
        return not self.passed and self.consequence == "halt"

    @property
    def is_gain(self) -> bool:
        return self.name.startswith("gain")

    @property
    def measured(self) -> str:
        """The value with its interval."""
        if self.value is None:
            return "not measured"
        if self.low is None:
            return f"{self.value:.1%}"
        return f"{self.value:+.4f} nats ({self.low:+.4f} to {self.high:+.4f})"

    @property
    def needed(self) -> str:
        return f"all above {self.threshold:g}" if self.is_gain else f"at least {self.threshold:.1%}"

    @property
    def verdict(self) -> str:
        """Passed, or failed and what that leads to."""
        if self.passed:
            return "passed"
        leads = "the run waits for a person"
        if self.consequence == "weigh":
            leads = (
                "counts win here, and tables leave the planner out unless its weight is shown to be above 0"
            )
        return f"failed: {self.reason + '; ' if self.reason else ''}{leads}"

    def __str__(self) -> str:
        return f"gate {self.name}: {self.measured}, needs {self.needed}: {self.verdict}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What evidence in the prompts gains on held-out transitions, in nats with 95 % intervals by user.

    Attributes:
        alone: of the planner by itself.
        fused: of the mixture of counts and planner; None where that could not be weighed.
    """

    alone: Interval
    fused: Interval | None

    @property
    def helps(self) -> bool:
        """Whether all of the interval is a gain where it counts: in the mixture."""
        return self.fused is not None and self.fused[1] > 0

    def as_dict(self) -> dict[str, Any]:
        return {"helps": self.helps, "alone": self.alone, "fused": self.fused}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Evidence:
        """From `as_dict`."""
        return cls(tuple(stored["alone"]), None if stored["fused"] is None else tuple(stored["fused"]))

    def __str__(self) -> str:
        def nats(gain: Interval | None) -> str:
            return "not measured" if gain is None else "{:+.4f} nats ({:+.4f} to {:+.4f})".format(*gain)

        so = "prompts carry it" if self.helps else "prompts go without"
        return f"evidence in prompts gains {nats(self.fused)} beside counts, {nats(self.alone)} alone: {so}"


_GATE = TypeAdapter(Gate)


@dataclass(frozen=True, slots=True)
class GateReport:
    """The verdict.

    Attributes:
        gates: those that apply.
        recall: by planner, popularity and counts, on the same transitions.
        sample: number of held-out transitions.
        users: that they are of.
        failures: examples of what went wrong, for the reviewer.
        evidence: what evidence in the prompts gains; None where the configuration decides.
        usage: what asking the planner cost.
    """

    gates: tuple[Gate, ...]
    recall: dict[str, float]
    sample: int
    users: int
    failures: tuple[dict[str, str], ...]
    evidence: Evidence | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def passed(self) -> bool:
        """Whether nothing halts: a gate may fail that only leaves the planner out."""
        return not any(gate.halts for gate in self.gates)

    def as_dict(self) -> dict[str, Any]:
        recall = self.recall["planner"]
        gates = {gate.name: asdict(gate) for gate in self.gates}
        for gate in gates.values():
            del gate["name"]
        return {
            "passed": self.passed,
            "sample": self.sample,
            "users": self.users,
            "gates": gates,
            "recall": self.recall,
            "lift": {
                name: recall / value if value else None
                for name, value in self.recall.items()
                if name != "planner"
            },
            "failures": list(self.failures),
            "evidence": self.evidence.as_dict() if self.evidence is not None else None,
        }


def gates_of(report: dict[str, Any]) -> tuple[Gate, ...]:
    """The gates of a stored report, form first.

    Raises:
        ArtifactError: it is none.
    """
    try:
        names = sorted(report["gates"].keys(), key=ORDER.index)
        return tuple(_GATE.validate_python({"name": name, **report["gates"][name]}) for name in names)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"the report of the gates can't be read: {' '.join(str(error).split())[:300]}",
            hint="`freshet doctor` tells what is damaged; the next `freshet finetune` judges its model",
        ) from None


def exact_match(
    planner: Planner, prompts: Sequence[Prompt], names: Sequence[str], least: float
) -> tuple[Gate, list[dict[str, str]]]:
    """How often free writing is a name, and examples where it isn't."""
    written, reason = _query(planner.abilities.generates, "generates", planner.generate, prompts)
    if written is None:
        return Gate("exact_match", None, least, passed=False, reason=reason), []
    allowed = set(names)
    wrong = [(p, w) for p, w in zip(prompts, written, strict=True) if w not in allowed]
    share = 1.0 - len(wrong) / max(len(written), 1)
    failures = [{"gate": "exact_match", "prompt": p.text, "wrote": w} for p, w in wrong[:EXAMPLES]]
    return Gate("exact_match", share, least, share >= least), failures


def label_gates(
    planner: Planner,
    prompts: Sequence[Prompt],
    names: Sequence[str],
    logp: NDArray[np.float64],
    least: float,
) -> tuple[Gate, Gate]:
    """Whether every label can be answered, by answers (n, N), and the probability that lies on labels."""
    reached = np.isfinite(logp).any(axis=0)
    lost = ", ".join(names[i] for i in np.flatnonzero(~reached)[:EXAMPLES].tolist())
    reach = Gate(
        "label_reach",
        float(reached.mean()),
        1.0,
        bool(reached.all()),
        reason=f"never answered: {lost}" if lost else "",
    )
    mass, reason = _query(planner.abilities.labels, "labels", planner.label_mass, prompts)
    if mass is None:
        return reach, Gate("label_mass", None, least, passed=False, reason=reason)
    share = float(mass.mean())
    return reach, Gate("label_mass", share, least, share >= least)


def recall_gate(
    scores: NDArray[np.float64],
    held: Transitions,
    prompts: Sequence[Prompt],
    names: Sequence[str],
    least: float,
) -> tuple[Gate, list[dict[str, str]]]:
    """How often the first choice is what came next, and examples if that is too rare.

    Args:
        scores: (n, N) by the planner, -inf where it gave no answer or the user knows it.
        prompts: of each of the n rows.
        least: raised to 2/N, since chance is 1/N.
    """
    value, floor = recall(scores, held), max(least, 2 / len(names))
    gate = Gate("recall", value, floor, value >= floor)
    if gate.passed:
        return gate, []
    first = np.where(np.isfinite(scores).any(axis=1), scores.argmax(axis=1), -1)
    missed = np.flatnonzero(first != held.successor)[:EXAMPLES].tolist()
    return gate, [
        {
            "gate": "recall",
            "prompt": prompts[row].text,
            "predicted": names[int(first[row])] if first[row] >= 0 else "",
            "happened": names[int(held.successor[row])],
        }
        for row in missed
    ]


def gain_gate(over: str, gain: Interval | None, consequence: Consequence = "halt", reason: str = "") -> Gate:
    """The planner adds something beyond doubt; a `gain` of None is one that could not be measured."""
    if gain is None:
        return Gate(f"gain_over_{over}", None, 0.0, False, None, None, consequence, reason)
    value, low, high = gain
    return Gate(f"gain_over_{over}", value, 0.0, low > 0, low, high, consequence, reason)


def recall(scores: NDArray[np.float64], held: Transitions) -> float:
    """Share of n transitions whose successor has the highest of scores (n, N); no answer is a miss."""
    first = scores.argmax(axis=1)
    answered = np.isfinite(scores[np.arange(len(scores)), first])
    return float((answered & (first == held.successor)).mean())


def _query(
    able: bool, ability: str, ask: Callable[[Sequence[Prompt]], T], prompts: Sequence[Prompt]
) -> tuple[T | None, str]:
    """The answer, or None and why there is none."""
    if not able:
        return None, f"the planner's abilities don't say `{ability}`"
    try:
        return ask(prompts), ""
    except PlannerGone:
        raise
    except PlannerError as error:
        return None, error.message
