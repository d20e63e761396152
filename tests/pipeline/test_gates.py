"""The gates, through the pipeline on a SIMULATED world: who adds nothing fails, who knows something passes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from freshet import inspect, operations, pipeline
from freshet.backends.planners.fake import FakePlanner, FakeTuner, ranking_of
from freshet.core.errors import GateFailed
from freshet.core.ports import Abilities, Progress, TuningJob, silent
from freshet.core.types import RECENT, Interests, Prompt, Ranking, Transitions, TuningReport
from freshet.simulator import generate
from freshet.stages.tuning import Gate, gates_of, planner_sample
from freshet.stages.tuning import gate_verdict as gating
from freshet.stages.tuning import planner_evaluation as evaluation
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace
from tests.pipeline.world import NOW, WORLD, copied, settings, step, with_tuner, workspace

LABELS = Abilities(labels=True)
RELATIVE = Abilities(labels=True, relative=True)
NONSENSE = "nothing that was ever described"


class Taught(FakePlanner):
    """Answers by what was counted in its examples, in one of several ways.

    Args:
        counts: (N + 1, N) successors after each last interest, of all in the last row.
        way: uniform, noise, popularity or after (the last interest).
        text: what it writes; '' = the name of its first choice.
    """

    def __init__(
        self, counts: np.ndarray, way: str, abilities: Abilities, names: Sequence[str], text: str
    ) -> None:
        super().__init__(counts.shape[1])
        self.counts, self.way, self.able, self.names, self.text = counts, way, abilities, names, text

    @property
    def version(self) -> str:
        return f"taught-{self.way}-{self.able}-{self.counts.sum()}"

    @property
    def abilities(self) -> Abilities:
        return self.able

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        if self.way == "noise":
            return super().rank(prompts, top)
        popular = (self.counts[-1] + 1) / (self.counts[-1] + 1).sum()
        shares = np.tile(popular, (len(prompts), 1))
        if self.way == "uniform":
            shares = np.ones_like(shares)
        if self.way == "after":
            own = self.counts[[prompt.context[-1] for prompt in prompts]]
            shares = (own + 20 * popular) / (own.sum(axis=1, keepdims=True) + 20)
            shares = shares / popular if self.able.relative else shares
        return ranking_of(np.log(shares / shares.sum(axis=1, keepdims=True)), top)

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        if not self.able.generates:
            return super().generate(prompts)
        first = self.rank(prompts, 1).successors[:, 0]
        return [self.text or self.names[i] for i in first.tolist()]

    def label_mass(self, prompts: Sequence[Prompt]) -> np.ndarray:
        return np.ones(len(prompts)) if self.able.labels else super().label_mass(prompts)


class Teacher(FakeTuner):
    """Counts its examples."""

    def __init__(self, way: str, abilities: Abilities = LABELS, text: str = "") -> None:
        self.way, self.able, self.text = way, abilities, text

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        counts = np.zeros((len(job.interests) + 1, len(job.interests)))
        for example in job.examples:
            counts[[example.prompt.context[-1], -1], example.successor] += 1
        report = super().tune(job, into, progress)
        (into / "counts.json").write_text(json.dumps(counts.tolist()))
        return report

    def version(self, model: Path, interests: Interests) -> str:
        return self.open(model, interests).version

    def abilities(self, model: Path, interests: Interests) -> Abilities:
        return self.able

    def open(self, model: Path, interests: Interests) -> Taught:
        counts = np.array(json.loads((model / "counts.json").read_text()))
        return Taught(counts, self.way, self.able, interests.descriptions, self.text)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Event and item files of a world with enough people to tell a gain from chance."""
    folder = tmp_path_factory.mktemp("large")
    generate(replace(WORLD, users=900, drift="static"), folder)
    return folder


@pytest.fixture(scope="module")
def imported(large: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with its log imported and counted."""
    ws = workspace(tmp_path_factory.mktemp("imported"), settings(large))
    operations.import_log(ws, NOW)
    operations.form_interests(ws)
    return ws


@dataclass(frozen=True)
class Judging:
    """Tunes in copies of a workspace."""

    imported: Workspace
    world: Path
    into: Path

    def __call__(self, tuner: FakeTuner, mode: str = "label", gates: str = "") -> tuple[Workspace, Record]:
        """The run of a slow path, halted or not."""
        root, text = self.into / str(uuid4()), self.text(mode, gates)
        ws = with_tuner(copied(self.imported, root, text), tuner)
        return ws, slow_path(ws)

    def text(self, mode: str = "label", gates: str = "") -> str:
        return settings(self.world, "fake", f'mode = "{mode}"\n[gates]\n{gates}\n')


@pytest.fixture
def judging(imported: Workspace, large: Path, tmp_path: Path) -> Judging:
    return Judging(imported, large, tmp_path)


def slow_path(ws: Workspace) -> Record:
    try:
        return pipeline.finetune(ws)
    except GateFailed:
        return ws.ledger.records()[-1]


def gates(record: Record) -> dict[str, Gate]:
    return {gate.name: gate for gate in gates_of(step(record, "gates"))}


def failed(record: Record) -> set[str]:
    return {name for name, gate in gates(record).items() if not gate.passed}


@pytest.mark.parametrize("abilities", [LABELS, RELATIVE])
@pytest.mark.parametrize("way", ["uniform", "popularity", "noise"])
def test_who_adds_nothing_to_popularity_waits_for_a_person(
    judging: Judging, way: str, abilities: Abilities
) -> None:
    _, record = judging(Teacher(way, abilities))
    assert record.outcome == "waiting"
    assert failed(record) >= {"gain_over_popularity", "gain_over_counts"}
    assert "gain_over_popularity" in record.message
    assert "gain_over_counts" not in record.message  # that one does not halt


def test_an_even_answer_relative_to_popularity_gains_nothing_over_it(judging: Judging) -> None:
    _, record = judging(Teacher("uniform", RELATIVE))
    gain = gates(record)["gain_over_popularity"]
    assert not gain.passed
    assert gain.value == pytest.approx(0.0, abs=1e-3)  # it is popularity at one of the half-lives


@pytest.mark.parametrize("abilities", [LABELS, RELATIVE])
def test_who_knows_what_a_context_changes_passes(judging: Judging, abilities: Abilities) -> None:
    _, record = judging(Teacher("after", abilities))
    assert record.outcome == "done"
    assert not failed(record) - {"gain_over_counts"}
    found = gates(record)
    assert set(found) == {"label_reach", "label_mass", "recall", "gain_over_popularity", "gain_over_counts"}
    gain = found["gain_over_popularity"]
    assert gain.low is not None
    assert 0 < gain.low < gain.value < gain.high


def test_counts_win_halts_only_where_the_settings_say_so(judging: Judging) -> None:
    teacher = Teacher("after")  # knows a part of what counts know
    _, left_out = judging(teacher)
    _, halted = judging(teacher, gates='gain_over_counts = "halt"')
    assert failed(left_out) == failed(halted) == {"gain_over_counts"}
    assert (left_out.outcome, halted.outcome) == ("done", "waiting")
    assert "counts win here" in gates(left_out)["gain_over_counts"].verdict
    assert "waits for a person" in gates(halted)["gain_over_counts"].verdict


@pytest.mark.parametrize(("text", "passes"), [("", True), (NONSENSE, False)])
def test_exact_match_runs_in_description_mode(judging: Judging, text: str, passes: bool) -> None:
    ws, record = judging(Teacher("after", Abilities(generates=True), text), "description")
    assert (record.outcome, "exact_match" in failed(record)) == ("done" if passes else "waiting", not passes)
    assert gates(record)["exact_match"].value == float(passes)
    wrote = {failure["wrote"] for failure in step(record, "gates")["failures"]}  # type: ignore[attr-defined]
    assert wrote == (set() if passes else {NONSENSE})
    if not passes:
        [waiting] = inspect.status(ws, NOW.date()).waiting
        assert waiting.message == "gate failed: exact_match"


@pytest.mark.parametrize(("mode", "gate"), [("description", "exact_match"), ("label", "label_mass")])
def test_a_gate_of_form_that_can_not_run_fails(judging: Judging, mode: str, gate: str) -> None:
    _, record = judging(Teacher("after", Abilities()), mode)
    assert record.outcome == "waiting"
    found = gates(record)[gate]
    assert (found.value, found.passed) == (None, False)
    assert "abilities" in found.reason


def test_other_settings_of_gates_judge_anew(judging: Judging) -> None:
    ws, record = judging(Teacher("after"))
    assert record.outcome == "done"
    [model] = ws.store.versions("models")
    stricter = with_tuner(workspace(ws.root, judging.text(gates="recall = 1.0")), Teacher("after"))
    halted = slow_path(stricter)
    assert halted.outcome == "waiting"
    assert "recall" in failed(halted)
    assert ws.store.versions("models") == [model]  # it is judged again, not made again
    again = with_tuner(workspace(ws.root, judging.text()), Teacher("after"))
    assert slow_path(again).outcome == "done"
    assert len(ws.store.versions("gates")) == 2


def sample_of(successor: np.ndarray, interests: int) -> tuple[evaluation.Sample, np.ndarray]:
    """What was taken up, by a user each, where popularity and counts (returned) say the same of everything."""
    rows = len(successor)
    held = Transitions.on_days(
        np.arange(rows, dtype=np.uint64),
        np.zeros(rows, np.int32),
        np.full((rows, RECENT), -1, np.int16),
        successor.astype(np.int16),
        np.zeros((rows, interests), bool),
    )
    even = np.full((rows, interests), -np.log(interests))
    return evaluation.Sample(held, [], [], np.arange(rows), even[None], 0, even), even


def test_the_weight_beside_counts_is_fitted_on_other_users() -> None:
    """Answers that are right about half of the users can't earn a weight from themselves alone."""
    rng = np.random.default_rng(1)
    rows, interests = 400, 5
    successor = rng.integers(0, interests, rows)
    sample, even = sample_of(successor, interests)
    knows, lies = even.copy(), even.copy()
    knows[np.arange(rows), successor] += 1.0
    gain, _ = evaluation.beside_counts(knows, sample)
    assert gain is not None
    assert gain[1] > 0.1
    part = np.arange(rows) % evaluation.FOLDS == 0  # one fold's answers are as wrong as the others' are right
    lies[np.arange(rows), successor] += np.where(part, -1.0, 1.0)
    mixed, _ = evaluation.beside_counts(lies, sample)
    assert mixed is not None
    assert mixed[0] < gain[0] * 0.7
    noise = [evaluation.beside_counts(rng.normal(size=even.shape), sample)[0] for _ in range(20)]
    assert np.mean([gain[0] for gain in noise if gain]) < 0  # on what it was fitted on, it could only gain


def test_what_a_planner_leaves_open_is_answered_by_popularity() -> None:
    known = np.zeros((3, 4), bool)
    known[:, 3] = True
    base = np.log(np.array([[0.4, 0.2, 0.2, 0.2]] * 3))
    logp = np.full((3, 4), -np.inf)
    logp[0, 0], logp[1, 1] = np.log(0.5), 0.0  # the third prompt was not answered
    alone = np.exp(planner_sample.forecast_of(logp, known, base, relative=False))
    assert alone[0] == pytest.approx(np.array([0.5, 1 / 6, 1 / 6, 0]) / (0.5 + 1 / 3))
    assert alone[1] == pytest.approx([0, 1, 0, 0], abs=1e-6)
    assert alone[2] == pytest.approx([0.5, 0.25, 0.25, 0])
    told = np.exp(planner_sample.forecast_of(logp, known, base, relative=True))
    assert told[0] == pytest.approx(np.array([0.2, 1 / 30, 1 / 30, 0]) / (0.2 + 1 / 15))
    assert told[2] == pytest.approx([0.5, 0.25, 0.25, 0])


def test_the_status_tells_the_gates_of_what_serves(judging: Judging) -> None:
    ws, _ = judging(Teacher("after"))
    pipeline.refresh(ws, publish=True)
    told = inspect.status(ws, NOW.date()).gates
    assert {gate.name for gate in told} >= {"recall", "gain_over_popularity", "gain_over_counts"}


def test_other_gates_change_nothing_about_evidence(judging: Judging) -> None:
    """What held-out windows said of evidence is known of a model, whatever its gates ask for."""
    auto = judging.text(gates="").replace('level = "instance"', 'level = "auto"')
    root = judging.into / "auto"
    ws = with_tuner(copied(judging.imported, root, auto), Teacher("after"))
    slow_path(ws)
    [model] = ws.store.versions("models")
    said = step(ws.ledger.records()[-1], "gates")["evidence"]
    assert said is not None
    expected = "instance" if said["helps"] else "none"  # type: ignore[index]
    assert gating.with_evidence_of(ws, model).config.evidence.level == expected
    other = with_tuner(workspace(root, auto.replace("[gates]", "[gates]\nsample = 500")), Teacher("after"))
    assert gating.with_evidence_of(other, model).config.evidence.level == expected
    assert gating.with_evidence_of(other, "").config.evidence.level == "none"  # nothing was shown to help
    forced = workspace(root, judging.text())
    assert gating.with_evidence_of(forced, model).config.evidence.level == "instance"


def test_evidence_that_knows_more_helps_and_noise_does_not() -> None:
    rng = np.random.default_rng(3)
    rows, interests = 3000, 6
    truth = rng.normal(size=(rows, interests))
    share = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    successor = np.array([rng.choice(interests, p=one) for one in share])
    sample, even = sample_of(successor, interests)
    knows, noise = np.log(share), rng.normal(size=truth.shape)
    assert evaluation.of_evidence(knows, even, sample).helps
    assert not evaluation.of_evidence(even, knows, sample).helps
    assert not evaluation.of_evidence(noise, even, sample).helps
    assert not evaluation.of_evidence(knows, knows, sample).helps


def test_a_planner_that_adds_nothing_to_its_short_list_waits_for_a_person(
    imported: Workspace, large: Path, tmp_path: Path
) -> None:
    """The list itself tells much of what comes next; that is no merit of who chooses from it at random."""
    text = settings(large, "fake", 'mode = "label"\nshortlist = 4\n[gates]\n')
    for way, passes in (("noise", False), ("after", True)):
        teacher = Teacher(way, replace(LABELS, options=True))
        record = slow_path(with_tuner(copied(imported, tmp_path / way, text), teacher))
        found = gates(record)["gain_over_popularity"]
        assert found.passed == passes, str(found)
        assert gates(record)["label_reach"].passed
