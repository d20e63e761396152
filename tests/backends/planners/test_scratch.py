"""`scratch` learns a planted world, in both modes, and says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from freshet.backends.planners.scratch import ScratchTuner
from freshet.checks import check_planner
from freshet.core.errors import ArtifactError, NotEnoughData, PlannerError
from freshet.core.ports import Abilities
from freshet.core.prompts import names
from freshet.core.types import Example, Interests, TuningReport
from freshet.stages.tuning.lazy_planner import LazyPlanner
from tests.backends.planners import worlds


@pytest.fixture(scope="module", params=["description", "label"])
def tuned(request, tmp_path_factory) -> tuple[str, Path, TuningReport]:
    """A model tuned on the planted rule and on prompts whose evidence gives the answer away."""
    mode = request.param
    known = names(worlds.DESCRIPTIONS, mode)
    told = [Example(p, a, known[a]) for p, a in worlds.with_evidence(mode, 400, seed=1)]
    samples = [x for pair in zip(worlds.examples(mode, 400), told, strict=True) for x in pair]
    into = tmp_path_factory.mktemp(mode)
    report = ScratchTuner(device="cpu").tune(worlds.job(mode, samples, epochs=8), into)
    return mode, into, report


def test_learns_the_rule_and_writes_it(tuned) -> None:
    mode, into, report = tuned
    planner = ScratchTuner(device="cpu").open(into, worlds.interests())
    asked = worlds.prompts(mode, 200, seed=2)
    truth = np.array([worlds.rule(prompt.context) for prompt in asked])
    ranking = planner.rank(asked, 5)
    assert (ranking.successors[:, 0] == truth).mean() > 0.9
    known = names(worlds.DESCRIPTIONS, mode)
    written = planner.generate(asked)
    assert np.mean([text == known[i] for text, i in zip(written, truth, strict=True)]) > 0.9
    assert report.losses[-1] < report.losses[0] / 4
    assert report.epochs == pytest.approx(8)
    assert report.usage.tokens > 8 * 800 * 8
    assert report.usage.flops > report.usage.tokens * 1e5


def test_uses_evidence(tuned) -> None:
    mode, into, _ = tuned
    planner = ScratchTuner(device="cpu").open(into, worlds.interests())
    pairs = worlds.with_evidence(mode, 200, seed=3)
    found = planner.rank([prompt for prompt, _ in pairs], 1).successors[:, 0]
    assert (found == np.array([answer for _, answer in pairs])).mean() > 0.8


def test_contract(tuned) -> None:
    mode, into, _ = tuned
    planner = ScratchTuner(device="cpu").open(into, worlds.interests())
    asked = worlds.prompts(mode, 4) + [p for p, _ in worlds.with_evidence(mode, 2, seed=4)]
    check_planner(planner, asked, worlds.N)
    assert planner.abilities == Abilities(generates=True, labels=mode == "label", options=True)
    model = SimpleNamespace(path=into.parent, folder=into.parent)
    late = LazyPlanner(ScratchTuner(device="cpu"), model, worlds.interests(), into.name)  # type: ignore[arg-type]
    check_planner(late, asked, worlds.N)
    if mode == "label":
        assert late.label_mass(asked).min() > 0.9


def test_the_folder_is_safe_and_honest(tuned) -> None:
    mode, into, _ = tuned
    assert {path.suffix for path in into.iterdir()} <= {".json", ".safetensors"}
    card = json.loads((into / "freshet.json").read_text())
    assert (card["kind"], card["mode"], card["world_knowledge"]) == ("scratch", mode, False)
    assert "no world knowledge" in card["note"]


def test_other_descriptions_are_refused_with_the_unknown_one_named(tuned) -> None:
    mode, into, _ = tuned
    changed = Interests(np.arange(1, dtype=np.int32), ("zither music",), np.eye(1, 8, dtype=np.float32))
    if mode == "label":
        more = tuple(f"d{i}" for i in range(worlds.N + 1))
        vectors = np.eye(worlds.N + 1, 8, dtype=np.float32)
        changed = Interests(np.arange(worlds.N + 1, dtype=np.int32), more, vectors)
    with pytest.raises(PlannerError, match="zither music" if mode == "description" else "<i12>"):
        ScratchTuner(device="cpu").open(into, changed)


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    samples = worlds.examples("description", 96)
    steps: list[tuple[int, int]] = []
    reports = [
        ScratchTuner(device="cpu").tune(
            worlds.job("description", samples, epochs=2), tmp_path / name, lambda *at: steps.append(at)
        )
        for name in ("one", "two")
    ]
    assert reports[0] == reports[1]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    assert steps[-1] == (6, 6)
    assert (reports[0].steps, reports[0].stopped_after) == (6, None)


def test_no_examples_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="no examples"):
        ScratchTuner(device="cpu").tune(worlds.job("description", []), tmp_path / "model")


def test_missing_or_damaged_folders_are_artifact_errors(tuned, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(ArtifactError, match=r"freshet\.json"):
        ScratchTuner().open(tmp_path / "nowhere", worlds.interests())
    for name in ("freshet.json", "model.safetensors", "config.json", "tokenizer.json"):
        copy = tmp_path / name
        shutil.copytree(tuned[1], copy)
        (copy / name).write_bytes((copy / name).read_bytes()[:20])
        with pytest.raises(ArtifactError, match="cannot be read"):
            ScratchTuner().open(copy, worlds.interests())
    (tmp_path / "model.safetensors" / "model.safetensors").unlink()
    with pytest.raises(ArtifactError):
        ScratchTuner().open(tmp_path / "model.safetensors", worlds.interests())
