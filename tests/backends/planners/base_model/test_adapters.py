"""A LoRA adapter as the base checkpoint: what it updates is found and updated in memory, or the reason is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from freshet.backends.planners import base_model, model_folder
from freshet.backends.planners.libraries import quiet
from freshet.backends.planners.lora import LoraTuner, lora_config
from freshet.core.errors import ConfigError
from freshet.core.ports import Budget, TuningPlan
from tests.backends.planners import worlds

PLAN = TuningPlan(worlds.DESCRIPTIONS, "description", k=2, evidence_top=3, lora_rank=4)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.save_checkpoint(tmp_path_factory.mktemp("base") / "whole")


def save_adapter(base: Path, into: Path, named: str | None = None, *, tokenizer: bool = False) -> Path:
    """An adapter of random updates, in PEFT's own files."""
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(base)
        config = lora_config(2, "description", model)
        config.init_lora_weights = False  # not zero, so that it says something
        torch.manual_seed(1)
        get_peft_model(model, config).save_pretrained(into)
    if named is not None:
        edit(into, base_model_name_or_path=named)
    for path in base.glob("token*") if tokenizer else []:
        shutil.copy(path, into)
    return into


def edit(adapter: Path, **keys: object) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def scores(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(12)[None]).logits[0]


def opened(base: Path) -> torch.nn.Module:
    known = base_model.prepared(str(base), worlds.job("description", worlds.examples("description", 4)))
    return base_model.load(known, "cpu")[0]


@pytest.mark.parametrize("tokenizer", [True, False])
def test_an_adapter_is_its_base_with_the_updates(good: Path, tmp_path: Path, tokenizer: bool) -> None:
    from peft import PeftModel

    adapter = save_adapter(good, tmp_path / "adapter", tokenizer=tokenizer)
    LoraTuner(str(adapter), device="cpu").check(PLAN)
    plain, _ = model_folder.load(good, "cpu")
    bare = scores(plain)
    with quiet():
        updated = PeftModel.from_pretrained(plain, str(adapter))
    expected = scores(updated)
    torch.testing.assert_close(scores(opened(adapter)), expected, rtol=0, atol=1e-4)
    assert float((expected - bare).abs().max()) > 0.1


def test_an_adapter_is_tuned_further_and_its_folders_stay(good: Path, tmp_path: Path) -> None:
    adapter = save_adapter(good, tmp_path / "adapter")
    before = {path: path.read_bytes() for folder in (good, adapter) for path in folder.iterdir()}
    job = worlds.job("description", worlds.examples("description", 32), budget=Budget(2), lora_rank=4)
    tuner = LoraTuner(str(adapter), device="cpu")
    tuner.tune(job, tmp_path / "tuned")
    planner = tuner.open(tmp_path / "tuned", worlds.interests())
    assert len(planner.rank(worlds.prompts("description", 3), 3)) == 3
    assert {path: path.read_bytes() for folder in (good, adapter) for path in folder.iterdir()} == before


def test_a_base_beside_the_adapter_is_found_from_its_folder(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "models" / "whole")
    adapter = save_adapter(good, tmp_path / "models" / "adapter", named="../whole")
    LoraTuner(str(adapter), device="cpu").check(PLAN)


def test_the_base_of_an_adapter_is_part_of_the_recipe(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "whole")
    adapter = save_adapter(good, tmp_path / "adapter", named="../whole")
    recipe = LoraTuner(str(adapter)).recipe
    other = worlds.save_checkpoint(tmp_path / "other", "gpt2")
    shutil.copy(other / "model.safetensors", tmp_path / "whole")
    assert LoraTuner(str(adapter)).recipe not in ("", recipe)
    shutil.rmtree(tmp_path / "whole")
    assert LoraTuner(str(adapter)).recipe != recipe


def refused(adapter: Path, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        LoraTuner(str(adapter), device="cpu").check(PLAN)
    assert str(adapter) in caught.value.message
    assert caught.value.hint


def test_a_base_that_is_not_here_is_named(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    adapter = save_adapter(good, tmp_path / "adapter", named="some-org/some-model")
    refused(adapter, "a PEFT adapter of 'some-org/some-model', which is not to be had here")
    edit(adapter, base_model_name_or_path="/nowhere/base")
    refused(adapter, "a PEFT adapter of '/nowhere/base', which is not to be had here")
    edit(adapter, base_model_name_or_path=None)
    refused(adapter, "base_model_name_or_path is empty")


def test_updates_of_another_kind_or_of_an_adapter_are_refused(good: Path, tmp_path: Path) -> None:
    adapter = save_adapter(good, tmp_path / "adapter")
    edit(adapter, peft_type="PREFIX_TUNING")
    refused(adapter, "of type PREFIX_TUNING, expected LORA")
    second = save_adapter(good, tmp_path / "second", named=str(adapter))
    refused(second, "which is an adapter itself")


def test_updates_of_another_model_are_refused(good: Path, tmp_path: Path) -> None:
    adapter = save_adapter(good, tmp_path / "adapter")
    other = worlds.save_checkpoint(tmp_path / "gpt2", "gpt2")
    edit(adapter, base_model_name_or_path=str(other))
    refused(adapter, "has no such layer")


def test_updates_that_lack_a_layer_are_refused(good: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = save_adapter(good, tmp_path / "adapter")
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path)
    refused(adapter, "missing adapter keys")


def test_updates_that_are_damaged_or_pickled_are_refused(good: Path, tmp_path: Path) -> None:
    adapter = save_adapter(good, tmp_path / "adapter")
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    refused(adapter, "damaged or cut short")
    path.rename(adapter / "adapter_model.bin")
    refused(adapter, "the updates are in adapter_model.bin")
    (adapter / "adapter_model.bin").unlink()
    refused(adapter, "no adapter_model.safetensors")
