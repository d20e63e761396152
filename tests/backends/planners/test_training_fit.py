"""What is read at once, and what is computed twice, so that a training fits into a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.backends.planners import base_model, training_fit
from freshet.backends.planners.lora import LoraTuner
from freshet.backends.planners.training_fit import Fit, Machine, Wishes, is_low
from freshet.core.errors import ConfigError
from freshet.core.ports import TuningPlan
from tests.backends.planners import worlds

PLAN = TuningPlan(worlds.DESCRIPTIONS, "description", k=2, evidence_top=3, lora_rank=0, batch_size=16)
AMPLE = 10**12


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.save_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def deep(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of so many layers that what they keep outweighs the scores of words."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(base, num_hidden_layers=24, layer_types=["full_attention"] * 24)
    into = tmp_path_factory.mktemp("deep")
    AutoModelForCausalLM.from_config(config).save_pretrained(into)
    AutoTokenizer.from_pretrained(base).save_pretrained(into)
    return into


def fitted(base: Path, total: int, monkeypatch: pytest.MonkeyPatch, wishes: Wishes | None = None) -> Fit:
    """How a training on all weights is carried out on a machine with so many bytes."""
    machine = Machine("this machine", total, total)
    monkeypatch.setattr(Machine, "of", classmethod(lambda cls, device: machine))
    tuner = LoraTuner(str(base), device="cpu", wishes=wishes or Wishes())
    return tuner.fitted(base_model.check(str(base), PLAN), PLAN.batch_size, 0, 0, "description")


def total_of(base: Path, monkeypatch: pytest.MonkeyPatch, wishes: Wishes) -> int:
    return fitted(base, AMPLE, monkeypatch, wishes).memory.total


def test_with_room_a_batch_is_read_at_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fitted(base, AMPLE, monkeypatch).execution
    assert (found.micro_batch, found.checkpointing, found.low) == (16, False, False)


def test_with_less_room_fewer_examples_are_read_at_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eight = total_of(base, monkeypatch, Wishes(micro_batch=8))
    found = fitted(base, round(1.01 * eight / training_fit.USED), monkeypatch)
    assert found.execution.micro_batch == 8
    assert not found.execution.checkpointing
    assert found.memory.total == eight


def test_layers_are_computed_twice_where_few_examples_fit_otherwise(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = total_of(deep, monkeypatch, Wishes(micro_batch=2))
    room = round(1.1 * two / training_fit.USED)
    found = fitted(deep, room, monkeypatch).execution
    assert found.checkpointing
    assert found.micro_batch > 2
    kept = fitted(deep, room, monkeypatch, Wishes(checkpointing=False)).execution
    assert (kept.micro_batch, kept.checkpointing) == (2, False)


def test_what_does_not_fit_at_all_is_refused_with_what_it_takes(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"takes .* GB \(weights .* even with 1 examples at once") as caught:
        fitted(base, 10**6, monkeypatch)
    assert "lora_rank = 16" in caught.value.hint


def test_a_forecast_says_what_is_taken_and_what_is_free(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "of", classmethod(lambda cls, device: Machine("this machine", AMPLE, 10)))
    said = LoraTuner(str(base), device="cpu").forecast(PLAN)
    assert said.startswith("training takes about 0.")
    assert "16 examples at once, float32" in said
    assert "Of this machine only 0.0 GB are free now" in said


def test_examples_read_at_once_divide_a_batch(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="micro_batch = 5 does not divide the batch of 16") as caught:
        fitted(base, AMPLE, monkeypatch, Wishes(micro_batch=5))
    assert "1, 2, 4, 8, 16" in caught.value.hint


def test_a_container_may_use_no_more_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("123456\n")
    monkeypatch.setattr(training_fit, "LIMITS", (limit, tmp_path / "none"))
    assert Machine.of("cpu") == Machine("this machine", 123456, 123456)
    limit.write_text("max\n")
    assert Machine.of("cpu").total > 10**8


def test_precision_follows_the_settings_then_the_device() -> None:
    assert is_low("bf16", "cpu")
    assert not is_low("float32", "cpu")
    assert not is_low("auto", "cpu")
