"""Fine-tuning of a checkpoint that comes with its own BPE tokenizer: all weights, then LoRA on top."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners.lora import LoraTuner
from freshet.checks import check_planner
from freshet.errors import ArtifactError
from freshet.prompts import names
from tests.backends.planners import worlds


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return worlds.save_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("mode", ["description", "label"])
@pytest.mark.parametrize("rank", [0, 16])
def test_learns_the_rule(base: Path, tmp_path: Path, mode: str, rank: int) -> None:
    tuner = LoraTuner(str(base), device="cpu")
    job = worlds.job(mode, worlds.examples(mode, 500), epochs=6, learning_rate=1e-2, lora_rank=rank)
    tuner.tune(job, tmp_path)
    planner = tuner.open(tmp_path, worlds.interests())
    asked = worlds.prompts(mode, 100, seed=2)
    truth = np.array([worlds.rule(prompt.context) for prompt in asked])
    assert (planner.rank(asked, 3).successors[:, 0] == truth).mean() > 0.9
    known = names(worlds.DESCRIPTIONS, mode)
    written = planner.generate(asked)
    assert np.mean([text == known[i] for text, i in zip(written, truth, strict=True)]) > 0.9
    check_planner(planner, asked[:4], worlds.N)


def test_missing_base_is_an_artifact_error(tmp_path: Path) -> None:
    tuner = LoraTuner(str(tmp_path / "nothing-here"), device="cpu")
    with pytest.raises(ArtifactError, match="nothing-here"):
        tuner.tune(worlds.job("description", worlds.examples("description", 4)), tmp_path / "into")
