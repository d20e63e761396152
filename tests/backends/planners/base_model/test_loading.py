"""What people name as a base checkpoint: it is used, or refused with the reason before it is tuned."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from freshet.backends.planners.lora import LoraTuner
from freshet.core.errors import ConfigError
from freshet.core.ports import TuningPlan
from tests.backends.planners import worlds

PLAN = TuningPlan(worlds.DESCRIPTIONS, "description", k=2, evidence_top=3, lora_rank=4)
SHAPE = {
    "vocab_size": 290,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.save_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture
def base(good: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(good, tmp_path / "base"))


def check(base: Path | str, plan: TuningPlan = PLAN) -> None:
    LoraTuner(str(base), device="cpu").check(plan)


def refused(base: Path | str, message: str, plan: TuningPlan = PLAN) -> None:
    """It is refused in these words, and never with the advice to delete what is the user's."""
    with pytest.raises(ConfigError, match=message) as caught:
        check(base, plan)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert str(base) in caught.value.message
    assert not re.search(r"delet|remov|restore", caught.value.hint, re.IGNORECASE)


def edited(**keys: object) -> Change:
    """Set keys of `config.json`; None takes one out."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        content = {**json.loads(path.read_text()), **keys}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


def written(name: str, content: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return change


def without(pattern: str) -> Change:
    def change(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.unlink()

    return change


def halved(name: str) -> Change:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return change


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def retyped(kind: str) -> Change:
    """One matrix in another type, as files of quantised weights have them."""

    def change(folder: Path) -> None:
        import torch
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / "model.safetensors")
        name = "model.layers.0.mlp.up_proj.weight"
        tensors[name] = tensors[name].to(getattr(torch, kind))
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def tokens_added(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new1>", "<new2>"])
    tokenizer.save_pretrained(folder)


def special_tokens_added(**tokens: object) -> Change:
    """Tokens that stand for no text, without rows in the model."""

    def change(folder: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_special_tokens(tokens)
        tokenizer.save_pretrained(folder)

    return change


def a_pipe(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return change


def a_folder(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def no_end(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    content = json.loads(path.read_text())
    del content["eos_token"]
    path.write_text(json.dumps(content))


def linked_to_itself(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(folder / "config.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("*"), "the folder is empty"),
        (without("config.json"), r"no config\.json"),
        (written("config.json", b'{"model_type": "qw'), r"config\.json: can't be read as JSON"),
        (written("config.json", b"[]"), "holds no JSON object"),
        (written("config.json", b"\xff\xfe"), "can't be read as JSON"),
        (linked_to_itself, "can.t be read as JSON: .*symbolic links"),
        (edited(model_type=None), "model_type None"),
        (edited(model_type="from-tomorrow"), "model_type 'from-tomorrow' is not one that transformers"),
        (edited(model_type="own", auto_map={"AutoModelForCausalLM": "m.M"}), "code of its own .* never|ever run"),
        (edited(hidden_size="wide"), "transformers can't read it.*hidden_size"),
        (edited(num_attention_heads=0), "transformers can't build the model"),
        (edited(vocab_size=300), r"embed_tokens.weight has shape \(290, 64\) in the weights, \(300, 64\)"),
        (edited(num_hidden_layers=3, layer_types=None), "the weights lack model.layers.2"),
        (edited(num_hidden_layers=1, layer_types=None), "hold model.layers.1.* of a layer that the model does not"),
        (edited(tie_word_embeddings=False), "the weights lack lm_head.weight"),
        (edited(vision_config={"depth": 1}), "reads more than text"),
        (edited(quantization_config={"quant_method": "gptq", "bits": 4}), r"quantised \(gptq\)"),
        (edited(quantization={"bits": 4, "group_size": 64}), "quantised"),
        (retyped("int8"), "of type I8"),
        (retyped("float8_e4m3fn"), "of type F8_E4M3"),
        (halved("model.safetensors"), r"model\.safetensors: damaged or cut short"),
        (written("model.safetensors", b""), "damaged or cut short"),
        (written("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS"),
        (without("model.safetensors"), "no weights"),
        (both(without("*.safetensors"), written("pytorch_model.bin", b"x")), "the weights are in pytorch_model.bin"),
        (both(without("*"), written("m.gguf", b"GGUF")), r"only m\.gguf"),
        (both(without("*.safetensors"), written("model.safetensors.index.json", b"{}")), "lists no weights"),
        (
            both(
                without("*.safetensors"),
                written("model.safetensors.index.json", b'{"weight_map": {"a": "shard-1.safetensors"}}'),
            ),
            r"shard-1\.safetensors: missing",
        ),
        (without("token*"), "no tokenizer, or one that knows no words"),
        (halved("tokenizer.json"), "the tokenizer can't be read"),
        (written("tokenizer.json", b"{}"), "the tokenizer can't be read"),
        (a_pipe("config.json"), r"config\.json: is no file"),
        (a_folder("model.safetensors"), r"model\.safetensors: is no file"),
        (special_tokens_added(pad_token="<pad>"), "go up to number 290"),
        (tokens_added, "go up to number 291, the model has 290 rows"),
        (no_end, "no end-of-text token"),
        (edited(max_position_embeddings=32), "has 32 positions, a prompt may need"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_tuned_is_refused(base: Path, change: Change, message: str) -> None:
    check(base)
    change(base)
    refused(base, message)


@pytest.mark.parametrize(
    "change",
    [
        edited(vocab_size=290),
        edited(architectures=None),
        edited(auto_map={"AutoModelForCausalLM": "m.M"}),  # transformers has the code itself
        retyped("bfloat16"),
        edited(attn_implementation="flash_attention_2"),
        edited(_attn_implementation="flash_attention_2"),
        special_tokens_added(additional_special_tokens=["<image>"]),  # as Gemma 3 has it
        without("generation_config.json"),
        written("pytorch_model.bin", b"the same weights in another format"),
    ],
)
def test_what_does_no_harm_is_used(base: Path, change: Change) -> None:
    change(base)
    check(base)


def test_an_interest_is_no_token_without_a_row(base: Path) -> None:
    special_tokens_added(additional_special_tokens=["<image>"])(base)
    refused(base, "does not know the interest '<image>'", replace(PLAN, descriptions=("war", "<image>")))


def test_what_cannot_be_read_stops_no_other_step(base: Path) -> None:
    """Of a cache whose files were cleared away the links are left; a recipe is asked for before the check."""
    whole = LoraTuner(str(base)).recipe
    (base / "model.safetensors").unlink()
    (base / "model.safetensors").symlink_to(base / "gone")
    assert LoraTuner(str(base)).recipe not in ("", whole)
    refused(base, "no weights")


def saved(kind: str, folder: Path, good: Path) -> Path:
    """A small random checkpoint of a kind, with the tokenizer of the good one."""
    import transformers as t

    made = {
        "BertForMaskedLM": lambda: t.BertForMaskedLM(t.BertConfig(**SHAPE)),
        "BertLMHeadModel": lambda: t.BertLMHeadModel(t.BertConfig(**SHAPE)),
        "T5": lambda: t.T5ForConditionalGeneration(
            t.T5Config(vocab_size=290, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        ),
        "ViT": lambda: t.ViTForImageClassification(
            t.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        ),
        "classifier": lambda: t.LlamaForSequenceClassification(t.LlamaConfig(**SHAPE, pad_token_id=0)),
        "headless": lambda: t.LlamaModel(t.LlamaConfig(**SHAPE)),
        "mamba": lambda: t.MambaForCausalLM(t.MambaConfig(vocab_size=290, hidden_size=32, num_hidden_layers=1)),
        "GPT2Model": lambda: t.GPT2Model(t.GPT2Config(vocab_size=290, n_embd=32, n_layer=1, n_head=2)),
    }[kind]()  # fmt: skip
    made.save_pretrained(folder)
    for path in good.glob("token*"):
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("BertForMaskedLM", "an encoder"),
        ("BertLMHeadModel", "an encoder"),  # transformers opens it, and it reads ahead
        ("T5", "an encoder with a decoder"),
        ("ViT", "a ViTForImageClassification, expected a causal language model"),
        ("classifier", "a LlamaForSequenceClassification, expected a LlamaForCausalLM"),
        ("headless", "the weights lack lm_head.weight"),
        ("mamba", "LoRA does not go with a model of type mamba"),
    ],
)
def test_another_kind_of_model_is_refused(kind: str, message: str, good: Path, tmp_path: Path) -> None:
    refused(saved(kind, tmp_path / kind, good), message)


def test_a_body_whose_head_is_its_embeddings_is_whole(good: Path, tmp_path: Path) -> None:
    check(saved("GPT2Model", tmp_path / "gpt2", good))


def test_shards_are_used_or_the_missing_one_is_named(good: Path, base: Path) -> None:
    from transformers import AutoModelForCausalLM

    (base / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(good).save_pretrained(base, max_shard_size="60KB")
    check(base)
    shards = sorted(base.glob("model-*.safetensors"))
    assert len(shards) > 2
    halved(shards[1].name)(base)
    refused(base, f"{shards[1].name}: damaged or cut short")
    shards[0].unlink()
    refused(base, f"{shards[0].name}: missing")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing-here", "there is no such folder"),
        ("file.gguf", "a GGUF file"),
        ("model.safetensors", "a file, expected a folder"),
        ("loop", "a link that leads nowhere"),
    ],
)
def test_no_folder(tmp_path: Path, name: str, message: str) -> None:
    if name == "loop":
        (tmp_path / name).symlink_to(tmp_path / name)
    elif name != "nothing-here":
        (tmp_path / name).write_bytes(b"GGUF")
    refused(tmp_path / name, message)


def test_the_folder_above_names_the_checkpoint_in_it(base: Path) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {base}"):
        check(base.parent)


@pytest.mark.parametrize("name", ["some-org/some-model", "some-model"])
def test_a_name_of_the_hub_is_not_asked_for(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(name, "no checkpoint of that name was downloaded")


@pytest.mark.parametrize("name", ["https://huggingface.co/gpt2", "../x", "a/b/c"])
def test_what_can_be_no_name_of_the_hub_is_a_folder(name: str) -> None:
    refused(name, "there is no such folder")


def test_without_interests_the_shortest_prompt_has_to_fit(base: Path) -> None:
    early = TuningPlan((), "description", k=2, evidence_top=3, lora_rank=4)
    edited(max_position_embeddings=32)(base)
    check(base, early)
    edited(max_position_embeddings=4)(base)
    refused(base, "has 4 positions", early)


def test_interests_that_the_tokenizer_cannot_write_are_refused(base: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<end>", "next", ":", "liked", ";", "|", "war", "drama", "Drama"]
    bare = Tokenizer(WordLevel({word: row for row, word in enumerate(words)}, unk_token="<unk>"))
    bare.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=bare, unk_token="<unk>", eos_token="<end>").save_pretrained(base)
    check(base, TuningPlan(("war", "drama"), "description", 2, 0, 4))
    refused(
        base, "does not know the interest 'horror'", TuningPlan(("war", "horror"), "description", 2, 0, 4)
    )
    check(base, TuningPlan(("war", "horror"), "label", 2, 0, 4))  # labels become tokens of their own


def test_weights_that_are_not_finite_are_refused_when_loaded(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    job = worlds.job("description", worlds.examples("description", 4))
    with pytest.raises(ConfigError, match=r"model\.norm\.weight holds numbers that are not finite"):
        LoraTuner(str(base), device="cpu").tune(job, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_model_that_computes_no_numbers_is_refused_when_loaded(base: Path, tmp_path: Path) -> None:
    edited(rms_norm_eps=-1.0)(base)
    job = worlds.job("description", worlds.examples("description", 4))
    with pytest.raises(ConfigError, match="what it computes is not finite"):
        LoraTuner(str(base), device="cpu").tune(job, tmp_path / "into")


def test_a_model_that_reads_ahead_is_refused_when_loaded(good: Path, tmp_path: Path) -> None:
    from transformers import XLNetConfig, XLNetLMHeadModel

    config = XLNetConfig(vocab_size=290, d_model=32, n_layer=1, n_head=2, d_inner=32, initializer_range=0.2)
    XLNetLMHeadModel(config).save_pretrained(tmp_path / "xlnet")
    for path in good.glob("token*"):
        shutil.copy(path, tmp_path / "xlnet")
    job = worlds.job("description", worlds.examples("description", 4))
    with pytest.raises(ConfigError, match="it reads ahead"):
        LoraTuner(str(tmp_path / "xlnet"), device="cpu").tune(job, tmp_path / "into")


@pytest.mark.parametrize("device", ["cuda:99", "banana"])
def test_a_device_that_is_not_there_is_refused(good: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=device):
        LoraTuner(str(good), device=device).check(PLAN)


def test_what_was_downloaded_before_is_found_by_its_name(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    snapshot = tmp_path / "models--some-org--some-model" / "snapshots" / "0123456789abcdef"
    shutil.copytree(good, snapshot)
    (tmp_path / "models--some-org--some-model" / "refs").mkdir()
    (tmp_path / "models--some-org--some-model" / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check("some-org/some-model")
    (snapshot / "model.safetensors").unlink()  # the download was broken off
    with pytest.raises(ConfigError, match=f"{snapshot}: no weights"):
        check("some-org/some-model")
