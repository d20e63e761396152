"""Fine-tuning of a checkpoint that comes with its own BPE tokenizer: all weights, then LoRA on top."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners import model_folder
from freshet.backends.planners.lora import LoraTuner
from freshet.checks import check_planner
from freshet.core.errors import ConfigError, PlannerError
from freshet.core.ports import Abilities, Budget
from freshet.core.prompts import names
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
    assert planner.abilities == Abilities(generates=True, labels=mode == "label")
    if mode == "label":
        assert planner.label_mass(asked).mean() > 0.9


def test_a_tokenizer_that_cuts_up_labels_is_refused(base: Path, tmp_path: Path) -> None:
    model, tokenizer = model_folder.load(base, "cpu")
    model_folder.save(
        model, tokenizer, model_folder.Card("transformers", "label", "base", 1, worlds.N, True), tmp_path
    )
    with pytest.raises(PlannerError, match="does not hold a label as one token"):
        LoraTuner(str(base), device="cpu").open(tmp_path, worlds.interests())


def test_how_a_checkpoint_chats_decides_nothing(base: Path, tmp_path: Path) -> None:
    """Contradicting settings would not be saved after training; penalties would change what is written."""
    answers = {"return_dict": False, "output_attentions": True, "output_hidden_states": True}
    chatty = Path(shutil.copytree(base, tmp_path / "chatty"))
    settings = {"do_sample": False, "temperature": 0.7, "no_repeat_ngram_size": 1, "repetition_penalty": 5.0}
    job = worlds.job("description", worlds.examples("description", 32), budget=Budget(2))
    written = []
    for name, content in (("plain", {}), ("told", settings)):
        (chatty / "generation_config.json").write_text(json.dumps(content))
        config = json.loads((base / "config.json").read_text())
        (chatty / "config.json").write_text(json.dumps({**config, **(answers if content else {})}))
        tuner = LoraTuner(str(chatty), device="cpu")
        tuner.tune(job, tmp_path / name)
        written.append(
            tuner.open(tmp_path / name, worlds.interests()).generate(worlds.prompts("description", 5))
        )
    assert written[0] == written[1]


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_how_a_checkpoint_attends_is_decided_here(base: Path, tmp_path: Path, key: str) -> None:
    """A folder may name a package that is not installed, or code to be fetched from the hub and run."""
    other = Path(shutil.copytree(base, tmp_path / "other"))
    config = json.loads((base / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, key: "kernels-community/flash-attn"}))
    assert model_folder.load(other, "cpu")[0].config._attn_implementation == "sdpa"


def test_a_training_that_diverges_leaves_no_model(base: Path, tmp_path: Path) -> None:
    """One that is kept would be found and judged again by every run that follows."""
    samples = worlds.examples("description", 64)
    job = worlds.job("description", samples, learning_rate=1e30, budget=Budget(3), lora_rank=4)
    with pytest.raises(ConfigError, match=r"training diverged: .* not finite"):
        LoraTuner(str(base), device="cpu").tune(job, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_missing_base_is_a_wrong_setting(tmp_path: Path) -> None:
    tuner = LoraTuner(str(tmp_path / "nothing-here"), device="cpu")
    with pytest.raises(ConfigError, match="nothing-here"):
        tuner.tune(worlds.job("description", worlds.examples("description", 4)), tmp_path / "into")


def test_where_the_checkpoint_lies_is_no_part_of_the_model(base: Path, tmp_path: Path) -> None:
    job = worlds.job("description", worlds.examples("description", 40), epochs=1, lora_rank=4)
    for name in ("here", "there"):
        shutil.copytree(base, tmp_path / name / "base")
        tuner = LoraTuner(str(tmp_path / name / "base"), device="cpu", called="base")
        tuner.tune(job, tmp_path / name / "tuned")
    one, other = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name / "tuned").iterdir())}
        for name in ("here", "there")
    )
    assert one == other
