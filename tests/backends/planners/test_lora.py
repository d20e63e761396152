"""Fine-tuning of a checkpoint that comes with its own BPE tokenizer: all weights, then LoRA on top."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners import base_model, model_folder
from freshet.backends.planners.fine_tuning import Recipe, fine_tune
from freshet.backends.planners.lora import LoraTuner, lora_config
from freshet.backends.planners.training_fit import Wishes
from freshet.checks import check_planner
from freshet.core.errors import ConfigError, PlannerError
from freshet.core.ports import Abilities, Budget, silent
from freshet.core.prompts import names
from tests.backends.planners import worlds
from tests.backends.planners.tokenizers_made import CHATML, LLAMA2, tokenizer


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
    assert planner.abilities == Abilities(generates=True, labels=mode == "label", options=True)
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


def right(tuner: LoraTuner, folder: Path, mode: str = "description") -> tuple[float, float]:
    """Shares of prompts whose first answer, and whose unconstrained text, follow the rule of the world."""
    planner = tuner.open(folder, worlds.interests())
    asked = worlds.prompts(mode, 100, seed=2)
    truth = [worlds.rule(prompt.context) for prompt in asked]
    known = names(worlds.DESCRIPTIONS, mode)
    check_planner(planner, asked[:4], worlds.N)
    written = [text == known[i] for text, i in zip(planner.generate(asked), truth, strict=True)]
    return float((planner.rank(asked, 3).successors[:, 0] == truth).mean()), float(np.mean(written))


@pytest.mark.parametrize(
    ("kind", "template", "model", "mode", "rank"),
    [
        ("bytes", CHATML, "qwen3", "description", 0),
        ("ends", LLAMA2, "llama", "description", 16),
        ("ends", None, "llama", "label", 0),  # an output head of its own gets rows, too
        ("prepended", None, "llama", "description", 0),
    ],
)
def test_learns_the_rule_with_tokenizers_and_templates_of_many_kinds(
    tmp_path: Path, kind: str, template: str | None, model: str, mode: str, rank: int
) -> None:
    base = worlds.save_checkpoint(tmp_path / "base", model, tokenizer=tokenizer(kind, template))
    tuner = LoraTuner(str(base), device="cpu")
    job = worlds.job(mode, worlds.examples(mode, 500), epochs=6, learning_rate=1e-2, lora_rank=rank)
    tuner.tune(job, tmp_path / "tuned")
    assert model_folder.read_card(tmp_path / "tuned").chat == (template is not None)
    assert min(right(tuner, tmp_path / "tuned", mode)) > 0.9


def test_a_chat_template_is_used_unless_the_settings_say_otherwise(base: Path, tmp_path: Path) -> None:
    chatty = worlds.save_checkpoint(tmp_path / "chatty", tokenizer=tokenizer(template=CHATML))
    job = worlds.job("description", worlds.examples("description", 16), budget=Budget(1))
    for name, chat in (("auto", "auto"), ("off", False)):
        LoraTuner(str(chatty), device="cpu", chat=chat).tune(job, tmp_path / name)
        assert model_folder.read_card(tmp_path / name).chat == (chat == "auto")
    assert LoraTuner(str(chatty), chat=False).recipe != LoraTuner(str(chatty)).recipe
    with pytest.raises(ConfigError, match="chat = true, and the tokenizer has no chat template"):
        LoraTuner(str(base), device="cpu", chat=True).tune(job, tmp_path / "on")


def test_a_template_is_part_of_a_planners_version(tmp_path: Path) -> None:
    chatty = worlds.save_checkpoint(tmp_path / "chatty", tokenizer=tokenizer(template=CHATML))
    tuner = LoraTuner(str(chatty), device="cpu")
    job = worlds.job("description", worlds.examples("description", 16), budget=Budget(1))
    tuner.tune(job, tmp_path / "tuned")
    before = tuner.version(tmp_path / "tuned", worlds.interests())
    [template] = (tmp_path / "tuned").glob("*.jinja")
    template.write_text(template.read_text().replace("<think>", "<thought>"))
    assert tuner.version(tmp_path / "tuned", worlds.interests()) != before


@pytest.mark.parametrize("rank", [0, 16])
def test_bf16_learns_the_rule_and_is_saved_in_16_bits(base: Path, tmp_path: Path, rank: int) -> None:
    from safetensors.torch import load_file

    tuner = LoraTuner(str(base), device="cpu", wishes=Wishes(precision="bf16"))
    samples = worlds.examples("description", 500)
    job = worlds.job("description", samples, epochs=6, learning_rate=1e-2, lora_rank=rank)
    tuner.tune(job, tmp_path / "tuned")
    tensors = load_file(tmp_path / "tuned" / "model.safetensors")
    assert {str(values.dtype) for values in tensors.values()} == {"torch.bfloat16"}
    assert min(right(tuner, tmp_path / "tuned")) > 0.9
    assert tuner.recipe != LoraTuner(str(base)).recipe


@pytest.mark.parametrize("rank", [0, 8])
@pytest.mark.parametrize("wishes", [Wishes(micro_batch=8), Wishes(checkpointing=True)], ids=str)
def test_how_a_batch_is_read_changes_no_more_than_rounding(
    base: Path, tmp_path: Path, rank: int, wishes: Wishes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    def without_dropout(*given):  # which is drawn by portions
        made = lora_config(*given)
        made.lora_dropout = 0.0
        return made

    monkeypatch.setattr("freshet.backends.planners.lora.lora_config", without_dropout)
    samples = worlds.examples("description", 100)
    job = worlds.job("description", samples, budget=Budget(5), learning_rate=1e-3, lora_rank=rank)
    reports = [
        LoraTuner(str(base), device="cpu", wishes=how).tune(job, tmp_path / name)
        for name, how in (("whole", Wishes()), ("parts", wishes))
    ]
    assert reports[0].losses == pytest.approx(reports[1].losses, abs=2e-3)
    assert reports[0].steps == reports[1].steps
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    start = load_file(base / "model.safetensors")
    moved = max(float((one[name] - start[name]).abs().max()) for name in one)
    apart = max(float((one[name] - other[name]).abs().max()) for name in one)
    assert apart < 0.1 * moved


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gpt2"])
def test_a_merged_model_scores_as_its_base_with_the_adapter(tmp_path: Path, kind: str) -> None:
    import torch

    job = worlds.job("description", worlds.examples("description", 200), learning_rate=1e-2, lora_rank=8)
    base = worlds.save_checkpoint(tmp_path / "base", kind)
    known = base_model.prepared(str(base), job)
    ids = torch.arange(40).reshape(2, 20)
    for dtype, bound in ((torch.float32, 1e-4), (torch.bfloat16, 0.05)):
        model, words = base_model.load(known, "cpu", dtype)
        words.tokenizer.pad_token = words.tokenizer.eos_token
        lora = lora_config(8, "description", model)
        recipe = Recipe(epochs=2, learning_rate=1e-2, batch_size=32)
        adapted, _ = fine_tune(model, words, job, recipe, silent, "base", lora)
        with torch.no_grad():
            expected = adapted.eval()(input_ids=ids).logits.float()
            merged = adapted.merge_and_unload()
            found = merged(input_ids=ids).logits.float()
        spread = float(expected.std())
        assert float((found - expected).abs().max()) < bound * spread * 10
        assert float((found - expected).abs().mean()) < bound * spread
