"""The gates on planners whose recall is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from freshet.config import GatesConfig
from freshet.errors import PlannerError
from freshet.tuning import GateReport, judge
from freshet.types import RECENT, Prompt, Ranking, Transitions, Usage

N = 10
NAMES = tuple(f"name {i}" for i in range(N))
ROWS = 40


class Oracle:
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
    """An oracle that also writes; some of its texts are no names."""

    def __init__(self, answers: Sequence[int], right: int, garbled: int) -> None:
        super().__init__(answers, right)
        self.garbled = garbled

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        return [NAMES[0] if _number(p) >= self.garbled else f"nonsense {_number(p)}" for p in prompts]


def _number(prompt: Prompt) -> int:
    return int(prompt.text.split()[-1])


ANSWERS = np.random.default_rng(0).integers(0, N, ROWS).tolist()
PROMPTS = [Prompt((), f"prompt {row}") for row in range(ROWS)]


def held(known: np.ndarray | None = None) -> Transitions:
    return Transitions(
        np.arange(ROWS, dtype=np.uint64),
        np.zeros(ROWS, np.int32),
        np.full((ROWS, RECENT), -1, np.int16),
        np.array(ANSWERS, np.int16),
        np.zeros((ROWS, N), bool) if known is None else known,
    )


def verdict(planner: Oracle, mode: str = "description", **config: float) -> GateReport:
    always = np.full((ROWS, N), -9.0)
    always[:, ANSWERS[0]] = 0.0
    baselines = {"popularity": always, "counts": np.full((ROWS, N), -1.0)}
    return judge(planner, PROMPTS, held(), NAMES, mode, baselines, GatesConfig(**config))


@pytest.mark.parametrize(("right", "passes"), [(40, True), (8, True), (7, False), (0, False)])
def test_recall_is_known_and_chance_raises_the_bar(right: int, passes: bool) -> None:
    report = verdict(Oracle(ANSWERS, right))
    assert report.recall["planner"] == pytest.approx(right / ROWS)
    assert report.recall["popularity"] == pytest.approx(np.mean(np.array(ANSWERS) == ANSWERS[0]))
    assert report.recall["counts"] == pytest.approx(np.mean(np.array(ANSWERS) == 0))
    recall = report.gates[1]
    assert (recall.threshold, recall.passed) == (pytest.approx(2 / N), passes)
    assert report.passed == passes
    assert verdict(Oracle(ANSWERS, right), recall=0.99).passed == (right == 40)
    lift = report.as_dict()["lift"]
    assert lift["popularity"] == pytest.approx((right / ROWS) / report.recall["popularity"])


def test_exact_match_is_measured_on_what_was_written() -> None:
    report = verdict(Writer(ANSWERS, 40, garbled=4))
    assert report.gates[0].value == pytest.approx(0.9)
    assert report.passed
    failing = verdict(Writer(ANSWERS, 40, garbled=5))
    assert not failing.passed
    assert [f["wrote"] for f in failing.failures] == [f"nonsense {i}" for i in range(5)]
    assert {f["gate"] for f in failing.failures} == {"exact_match"}
    assert failing.failures[2]["prompt"] == "prompt 2"


def test_exact_match_is_not_applicable_to_labels_and_to_planners_that_do_not_write() -> None:
    for planner, mode in ((Writer(ANSWERS, 40, garbled=40), "label"), (Oracle(ANSWERS, 40), "description")):
        report = verdict(planner, mode)
        assert report.gates[0].value is None
        assert report.passed
        assert report.as_dict()["gates"]["exact_match"]["value"] is None


def test_failing_recall_shows_what_was_predicted_and_what_happened() -> None:
    report = verdict(Oracle(ANSWERS, 0))
    assert len(report.failures) == 5
    for row, failure in enumerate(report.failures):
        assert failure == {
            "gate": "recall",
            "prompt": f"prompt {row}",
            "predicted": NAMES[(ANSWERS[row] + 1) % N],
            "happened": NAMES[ANSWERS[row]],
        }


def test_interests_the_user_knows_are_no_answers() -> None:
    known = np.zeros((ROWS, N), bool)
    known[np.arange(ROWS), (np.array(ANSWERS) + 1) % N] = True  # the wrong guesses are all known
    report = judge(Oracle(ANSWERS, 0), PROMPTS, held(known), NAMES, "label", {}, GatesConfig())
    # the next in line is interest 0, or 1 where 0 is the guess
    line = [next(i for i in range(N) if i != (a + 1) % N) for a in ANSWERS]
    assert report.recall["planner"] == pytest.approx(np.mean(np.array(line) == ANSWERS))


def test_a_prompt_that_can_not_be_ranked_is_a_miss_and_stops_nothing() -> None:
    broken = frozenset(range(0, ROWS, 4))
    assert verdict(Oracle(ANSWERS, 40, broken)).recall["planner"] == pytest.approx(0.75)
    nothing = verdict(Oracle([0] * ROWS, 40, frozenset(range(ROWS))))
    assert nothing.recall["planner"] == 0.0  # also where interest 0 was right
    assert [f["predicted"] for f in nothing.failures] == [""] * 5


def test_answers_relative_to_popularity_are_judged_with_it() -> None:
    always = np.full((ROWS, N), -9.0)
    always[np.arange(ROWS), ANSWERS] = 9.0
    lost = Oracle(ANSWERS, 0)
    alone = judge(lost, PROMPTS, held(), NAMES, "label", {}, GatesConfig())
    told = judge(lost, PROMPTS, held(), NAMES, "label", {}, GatesConfig(), always)
    assert (alone.recall["planner"], told.recall["planner"]) == (0.0, 1.0)
