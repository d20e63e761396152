from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from freshet.backends.encoders.transformers_encoder import TransformersEncoder
from freshet.core.errors import ConfigError

from .checkpoint import POSITIONS, WIDTH, make, with_modules

TEXTS = ["old ghost house", "", "dark sea", "rose garden and a king " * 9, " ", "Chess!"]


def hidden(folder: Path, text: str, longest: int = POSITIONS) -> NDArray[np.float64]:
    """(tokens, d) the last layer for one text, by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    read = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
    with torch.no_grad():
        return np.asarray(model(**read).last_hidden_state[0].numpy(), np.float64)


def unit(vectors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    stacked = np.stack(vectors)
    return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint that may be changed."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def test_the_mean_of_the_tokens_is_the_default(checkpoint: Path) -> None:
    found = TransformersEncoder(str(checkpoint), 2).encode(TEXTS)
    assert (found.shape, found.dtype) == ((6, WIDTH), np.float32)
    wanted = unit([hidden(checkpoint, TEXTS[i]).mean(axis=0) for i in (0, 2, 3, 5)])
    assert np.allclose(found[[0, 2, 3, 5]], wanted, atol=1e-5)
    assert not found[[1, 4]].any()


@pytest.mark.parametrize(
    ("settings", "take"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, 0),
        ({"pooling_mode_lasttoken": True}, -1),
        ({"pooling_mode": "cls"}, 0),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, None),
    ],
)
def test_the_pooling_of_the_folder_is_used(copy: Path, settings: dict[str, Any], take: int | None) -> None:
    with_modules(copy, settings, "Normalize")
    found = TransformersEncoder(str(copy), 8).encode(TEXTS)
    rows = [hidden(copy, TEXTS[i]) for i in (0, 2, 3, 5)]
    wanted = unit([row.mean(axis=0) if take is None else row[take] for row in rows])
    assert np.allclose(found[[0, 2, 3, 5]], wanted, atol=1e-5)


def test_batches_change_nothing(checkpoint: Path) -> None:
    texts = [" ".join(["ghost", "rose", "sea"][: 1 + i % 3] * (1 + i % 4)) for i in range(30)]
    alone = TransformersEncoder(str(checkpoint), 1).encode(texts)
    seen: list[tuple[int, int]] = []
    together = TransformersEncoder(str(checkpoint), 8).encode(texts, lambda *counts: seen.append(counts))
    assert np.allclose(alone, together, atol=1e-5)
    assert seen == [(8, 30), (16, 30), (24, 30), (30, 30)]


def test_texts_are_cut_to_the_least_limit(copy: Path) -> None:
    long = "ghost rose sea " * 20
    assert np.allclose(
        TransformersEncoder(str(copy), 1).encode([long])[0],
        unit([hidden(copy, long).mean(axis=0)]),
        atol=1e-5,
    )
    with_modules(
        copy, {"pooling_mode_mean_tokens": True}, sentences={"max_seq_length": 7, "do_lower_case": False}
    )
    assert np.allclose(
        TransformersEncoder(str(copy), 1).encode([long])[0],
        unit([hidden(copy, long, 7).mean(axis=0)]),
        atol=1e-5,
    )


def test_a_default_prompt_is_put_before_texts(copy: Path) -> None:
    with_modules(copy, {"pooling_mode_mean_tokens": True})
    settings = {"prompts": {"query": "king ", "document": "old "}, "default_prompt_name": "document"}
    (copy / "config_sentence_transformers.json").write_text(json.dumps(settings))
    found = TransformersEncoder(str(copy), 1).encode(["sea", ""])
    assert np.allclose(found[0], unit([hidden(copy, "old sea").mean(axis=0)]), atol=1e-5)
    assert not found[1].any()


def test_nothing_to_encode(checkpoint: Path) -> None:
    encoder = TransformersEncoder(str(checkpoint), 4)
    assert encoder.encode([]).shape == (0, WIDTH)
    assert encoder.encode(["\t"]).shape == (1, WIDTH)
    assert np.isfinite(encoder.encode(["\ud800", "🍺 ビール"])).all()


def test_a_folder_is_known_by_its_bytes(checkpoint: Path, copy: Path, tmp_path: Path) -> None:
    version = TransformersEncoder(str(checkpoint), 4).version
    assert TransformersEncoder(str(copy), 9).version == version
    assert TransformersEncoder(str(make(tmp_path / "other", seed=1)), 4).version != version
    with_modules(copy, {"pooling_mode_cls_token": True})
    with_pooling = TransformersEncoder(str(copy), 4).version
    assert with_pooling != version
    with_modules(copy, {"pooling_mode_mean_tokens": True})
    assert TransformersEncoder(str(copy), 4).version not in (version, with_pooling)


def test_a_name_of_the_hub_is_looked_for_on_this_machine_alone(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache is laid out as its own client does, and read by it."""
    from huggingface_hub import constants

    commit = "0" * 40
    cache = tmp_path / "hub"
    place = cache / "models--somebody--tiny-encoder"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    shutil.copytree(checkpoint, place / "snapshots" / commit)
    with_modules(place / "snapshots" / commit, {"pooling_mode_cls_token": True})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    found = TransformersEncoder("somebody/tiny-encoder", 4).encode(TEXTS[:1])
    assert np.allclose(found, unit([hidden(checkpoint, TEXTS[0])[0]]), atol=1e-5)
    with pytest.raises(ConfigError, match=r"somebody/absent.*no checkpoint of that name was downloaded"):
        _ = TransformersEncoder("somebody/absent", 4).version


def refused(folder: Path | str) -> str:
    with pytest.raises(ConfigError) as told:
        TransformersEncoder(str(folder), 4).encode(["old ghost"])
    assert "[content] model can't encode" in str(told.value)
    return str(told.value)


def test_what_is_no_encoder_is_refused(tmp_path: Path, copy: Path) -> None:
    assert "there is no such folder" in refused(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    assert "no folder" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in refused(tmp_path / "empty")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert "no *.safetensors" in refused(copy)


@pytest.mark.parametrize(
    ("settings", "further", "told"),
    [
        ({"pooling_mode_max_tokens": True}, (), "the pooling pooling_mode_max_tokens"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, (), "cls and mean"),
        ({"pooling_mode_mean_tokens": True}, ("Dense",), "a module 'Dense', which is not computed here"),
    ],
)
def test_what_is_not_computed_here_is_refused(
    copy: Path, settings: dict[str, Any], further: tuple[str, ...], told: str
) -> None:
    assert told in refused(with_modules(copy, settings, *further))


def test_a_module_outside_of_the_folder_is_refused(copy: Path) -> None:
    (copy / "modules.json").write_text('[{"path": "../elsewhere", "type": "x.Transformer"}]')
    assert "outside of the folder" in refused(copy)


@pytest.mark.parametrize("content", ["{", "[]", '"text"', "\udcff"])
def test_a_damaged_description_is_named(copy: Path, content: str) -> None:
    with_modules(copy, {})
    (copy / "1_Pooling" / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert str(Path("1_Pooling", "config.json")) in refused(copy)


def test_damaged_weights_are_named(copy: Path) -> None:
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "it can't be opened" in refused(copy)


def changed_weights(folder: Path, change: str) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    if change == "drop":
        del weights[name]
    else:
        weights[name][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_weights_that_lack_a_part_are_not_filled_with_noise(copy: Path) -> None:
    changed_weights(copy, "drop")
    assert "the weights lack encoder.layer.1.output.dense.weight" in refused(copy)


def test_weights_that_are_not_finite_are_refused(copy: Path) -> None:
    changed_weights(copy, "nan")
    assert "not finite" in refused(copy)


def test_an_encoder_with_a_decoder_is_refused(copy: Path) -> None:
    from transformers import BartConfig, BartModel

    config = BartConfig(
        vocab_size=80, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
    )  # fmt: skip
    BartModel(config).save_pretrained(copy)
    assert "an encoder with a decoder" in refused(copy)


def test_a_roberta_reads_two_tokens_less_than_it_has_positions(copy: Path) -> None:
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=80, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12, pad_token_id=1,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(copy)
    assert TransformersEncoder(str(copy), 2).encode(["ghost " * 50]).shape == (1, 16)
