"""The gates on planners whose recall and form are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from freshet.core.errors import PlannerError
from freshet.core.ports import Abilities, Planner
from freshet.core.types import RECENT, Prompt, Ranking, Transitions, Usage
from freshet.stages.tuning import (
    Gate,
    GateReport,
    answers,
    exact_match,
    gain_gate,
    gates_of,
    label_gates,
    recall_gate,
)

N = 10
NAMES = tuple(f"name {i}" for i in range(N))
ROWS = 40


class Oracle(Planner):
    """Names the successor of the first `right` prompts, the next interest for the others."""

    version = "oracle"

    def __init__(self, answers: Sequence[int], right: int, broken: frozenset[int] = frozenset()) -> None:
        self.answers, self.right, self.broken = answers, right, broken

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        if any(_number(p) in self.broken for p in prompts):
            raise PlannerError("can't read this")
        first = [self.guess(_number(p)) for p in prompts]
        successors = np.array([[a, *[i for i in range(N) if i != a]][:top] for a in first], np.int16)
        logp = np.log(np.tile(np.linspace(0.19, 0.01, N)[:top], (len(prompts), 1))).astype(np.float32)
        return Ranking(successors.reshape(len(prompts), -1), logp)

    def guess(self, row: int) -> int:
        return (self.answers[row] + (row >= self.right)) % N

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        return Usage(len(prompts), 1.0 * len(prompts))


class Writer(Oracle):
    """An oracle that also writes; some of its texts are no names, and some of its mass lies off labels."""

    abilities = Abilities(generates=True, labels=True)

    def __init__(self, garbled: int, mass: float = 1.0) -> None:
        super().__init__(ANSWERS, ROWS)
        self.garbled, self.mass = garbled, mass

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        return [NAMES[0] if _number(p) >= self.garbled else f"nonsense {_number(p)}" for p in prompts]

    def label_mass(self, prompts: Sequence[Prompt]) -> np.ndarray:
        return np.array([self.mass - 0.1, self.mass + 0.1] * (len(prompts) // 2))


def _number(prompt: Prompt) -> int:
    return int(prompt.text.split()[-1])


ANSWERS = np.random.default_rng(0).integers(0, N, ROWS).tolist()
PROMPTS = [Prompt((), f"prompt {row}") for row in range(ROWS)]
HELD = Transitions.on_days(
    np.arange(ROWS, dtype=np.uint64),
    np.zeros(ROWS, np.int32),
    np.full((ROWS, RECENT), -1, np.int16),
    np.array(ANSWERS, np.int16),
    np.zeros((ROWS, N), bool),
)


def judged(planner: Oracle, least: float = 0.015) -> tuple[Gate, list[dict[str, str]]]:
    return recall_gate(answers(planner, PROMPTS, N)[0], HELD, PROMPTS, NAMES, least)


@pytest.mark.parametrize(("right", "passes"), [(40, True), (8, True), (7, False), (0, False)])
def test_recall_is_known_and_chance_raises_the_bar(right: int, passes: bool) -> None:
    gate, failures = judged(Oracle(ANSWERS, right))
    assert (gate.value, gate.threshold) == (pytest.approx(right / ROWS), pytest.approx(2 / N))
    assert (gate.passed, gate.halts, failures == []) == (passes, not passes, passes)
    assert judged(Oracle(ANSWERS, right), 0.99)[0].passed == (right == 40)


def test_failing_recall_shows_what_was_predicted_and_what_happened() -> None:
    _, failures = judged(Oracle(ANSWERS, 0))
    assert len(failures) == 5
    for row, failure in enumerate(failures):
        assert failure == {
            "gate": "recall",
            "prompt": f"prompt {row}",
            "predicted": NAMES[(ANSWERS[row] + 1) % N],
            "happened": NAMES[ANSWERS[row]],
        }


def test_a_prompt_that_can_not_be_ranked_is_a_miss_and_stops_nothing() -> None:
    broken = frozenset(range(0, ROWS, 4))
    assert judged(Oracle(ANSWERS, 40, broken))[0].value == pytest.approx(0.75)
    gate, failures = judged(Oracle([0] * ROWS, 40, frozenset(range(ROWS))))
    assert gate.value == 0.0  # also where interest 0 was right
    assert [f["predicted"] for f in failures] == [""] * 5


def test_exact_match_is_measured_on_what_was_written() -> None:
    gate, failures = exact_match(Writer(garbled=4), PROMPTS, NAMES, 0.9)
    assert (gate.value, gate.passed) == (pytest.approx(0.9), True)
    gate, failures = exact_match(Writer(garbled=5), PROMPTS, NAMES, 0.9)
    assert gate.halts
    assert [f["wrote"] for f in failures] == [f"nonsense {i}" for i in range(5)]
    assert {f["gate"] for f in failures} == {"exact_match"}
    assert failures[2]["prompt"] == "prompt 2"


def test_what_applies_and_cannot_be_measured_fails_and_says_why() -> None:
    silent = Oracle(ANSWERS, ROWS)
    written, _ = exact_match(silent, PROMPTS, NAMES, 0.9)
    reach, mass = label_gates(silent, PROMPTS, NAMES, answers(silent, PROMPTS, N)[0], 0.9)
    assert reach.passed
    for gate in (written, mass, gain_gate("counts", None, "halt", "too few transitions")):
        assert (gate.value, gate.halts) == (None, True)
        assert gate.measured == "not measured"
    assert "the planner's abilities don't say `generates`" in written.verdict
    assert "the planner's abilities don't say `labels`" in mass.verdict


def test_a_planner_that_breaks_down_when_it_is_asked_fails() -> None:
    class Breaks(Oracle):
        abilities = Abilities(generates=True)

        def generate(self, prompts: Sequence[Prompt]) -> list[str]:
            raise PlannerError("the model's scores are not finite")

    gate, _ = exact_match(Breaks(ANSWERS, ROWS), PROMPTS, NAMES, 0.9)
    assert (gate.halts, gate.reason) == (True, "the model's scores are not finite")


@pytest.mark.parametrize(("mass", "passes"), [(0.9, True), (0.89, False)])
def test_label_mass_is_a_mean(mass: float, passes: bool) -> None:
    writer = Writer(0, mass)
    _, gate = label_gates(writer, PROMPTS, NAMES, answers(writer, PROMPTS, N)[0], 0.9)
    assert (gate.value, gate.passed) == (pytest.approx(mass), passes)


def test_a_label_that_no_answer_holds_is_named() -> None:
    writer = Writer(0)
    logp, _ = answers(writer, PROMPTS, N)
    logp[:, 3] = -np.inf
    gate, _ = label_gates(writer, PROMPTS, NAMES, logp, 0.9)
    assert (gate.value, gate.halts, gate.reason) == (pytest.approx(0.9), True, "never answered: name 3")


@pytest.mark.parametrize(("gain", "passes"), [((0.01, 0.001, 0.02), True), ((0.01, 0.0, 0.02), False)])
def test_all_of_a_gain_has_to_be_one(gain: tuple[float, float, float], passes: bool) -> None:
    halting, leaving = gain_gate("popularity", gain), gain_gate("counts", gain, "weigh")
    assert halting.passed == leaving.passed == passes
    assert halting.halts == (not passes)
    assert not leaving.halts
    assert ("counts win here" in leaving.verdict) == (not passes)
    assert "+0.0100 nats" in str(halting)


def test_a_report_passes_unless_a_gate_halts_and_its_gates_can_be_read_back() -> None:
    left_out, halting = (gain_gate("counts", (0.0, -1.0, 1.0), way) for way in ("weigh", "halt"))
    good, _ = judged(Oracle(ANSWERS, ROWS))
    shares = {"planner": 0.2, "popularity": 0.1, "counts": 0.0}
    for last, passed in ((left_out, True), (halting, False)):
        report = GateReport((good, last), shares, ROWS, ROWS, ()).as_dict()
        assert report["passed"] == passed
        assert gates_of(report) == (good, last)
        assert report["lift"] == {"popularity": 2.0, "counts": None}
