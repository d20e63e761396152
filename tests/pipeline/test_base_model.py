"""A base checkpoint that can't be tuned stops a run before anything costly, and is left as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from freshet import doctor, pipeline
from freshet.backends.planners import training_checkpoints
from freshet.backends.planners.fake import FakeTuner
from freshet.core.errors import ConfigError
from freshet.core.ports import Progress, TuningPlan
from freshet.stages.events import EventLog
from freshet.storage.workspace import TRAININGS, Workspace
from tests.backends.planners import worlds
from tests.cli.conftest import answered
from tests.pipeline.world import FAKE, NOW, approving, copied, settings, with_tuner, workspace


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A checkpoint that says of itself that it is an encoder with a decoder."""
    folder = worlds.save_checkpoint(tmp_path / "base")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "is_encoder_decoder": True}))
    return folder


def of(base: Path) -> str:
    return f"model = {json.dumps(str(base))}\nmode = 'label'\n"


@pytest.mark.parametrize("command", ["run", "finetune", "refresh"])
def test_a_command_that_would_tune_refuses_first(world: Path, base: Path, command: str) -> None:
    before = files(base)
    ws = workspace(base.parent / "ws", settings(world, "transformers", of(base)))
    problem = answered(command, "-w", ws.root, code=2)["error"]
    assert problem["type"] == "ConfigError"
    assert "expected a causal (decoder-only) language model" in problem["message"]
    assert not EventLog(ws.root).snapshot().days, "the log was read first"
    assert files(base) == before


def test_a_path_is_of_the_workspace(world: Path, base: Path) -> None:
    base.rename(base.parent / "moved")
    ws = workspace(base.parent / "ws", settings(world, "transformers", of(Path("../moved"))))
    with pytest.raises(ConfigError, match=r"moved/config\.json"):
        pipeline.run(ws, NOW)


def test_a_base_without_room_for_the_descriptions_is_refused_before_samples_are_chosen(
    counted: Workspace, tmp_path: Path, world: Path
) -> None:
    base = worlds.save_checkpoint(tmp_path / "base")
    content = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**content, "max_position_embeddings": 40}))
    text = settings(world, "transformers", f"model = {json.dumps(str(base))}\n")
    ws = copied(counted, tmp_path / "ws", text)
    with pytest.raises(ConfigError, match="has 40 positions, a prompt may need"):
        pipeline.finetune(ws)
    assert [step.name for step in ws.ledger.records()[-1].steps][-1] == "tuning"
    assert not list((ws.root / "models").glob("*"))


def test_the_doctor_tells_and_touches_nothing(counted: Workspace, base: Path, world: Path) -> None:
    before = files(base)
    ws = copied(counted, base.parent / "ws", settings(world, "transformers", of(base)))
    result = doctor.check(ws, repair=True)
    [finding] = [one for one in result.findings if one.where == "freshet.toml"]
    assert str(base) in finding.means
    assert not finding.repair
    assert not result.healthy
    assert files(base) == before


def test_a_base_is_needed_only_where_something_is_tuned(
    counted: Workspace, tmp_path: Path, world: Path
) -> None:
    class Gone(FakeTuner):
        """Its base was there for the first tuning only."""

        asked: list[TuningPlan]

        def check(self, plan: TuningPlan) -> None:
            self.asked.append(plan)
            if len(self.asked) > 2:
                raise ConfigError("the base is gone")

    tuner = Gone()
    tuner.asked = []
    ws = with_tuner(copied(counted, tmp_path / "ws", settings(world, "fake", FAKE)), tuner)
    approving(lambda: pipeline.refresh(ws), ws)
    early, late = tuner.asked
    assert early.descriptions == ()
    assert len(late.descriptions) == 9
    assert (late.mode, late.k, late.evidence_top, late.lora_rank) == ("description", 2, 3, 16)
    pipeline.refresh(ws)


class Watch:
    """A reporter that keeps what is said and, if so wished, breaks a training off."""

    def __init__(self, last: int | None = None) -> None:
        self.said: list[str] = []
        self.steps: list[int] = []
        self.last = last

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, name: str) -> Progress:
        def step(done: int, total: int) -> None:
            if name == "tuning":
                self.steps.append(done)
                if done == self.last:
                    raise KeyboardInterrupt

        return step


def test_the_same_command_goes_on_with_a_training_that_was_broken_off(
    counted: Workspace, tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_checkpoints, "EVERY", 0.0)
    base = worlds.save_checkpoint(tmp_path / "base")
    text = settings(
        world, "transformers", f"model = {json.dumps(str(base))}\n[tuning]\nmax_steps = 5\nrefit = false\n"
    )
    ws = copied(counted, tmp_path / "ws", text)
    broken = Watch(last=3)
    with pytest.raises(KeyboardInterrupt):
        pipeline.finetune(replace(ws, reporter=broken))
    assert list((ws.root / TRAININGS).rglob("checkpoint-2"))
    again = Watch()
    approving(lambda: pipeline.finetune(replace(ws, reporter=again)), ws)
    assert (broken.steps, again.steps) == ([1, 2, 3], [3, 4, 5])
    assert any(line.startswith("training takes about") for line in again.said)
    assert not (ws.root / TRAININGS).exists()
