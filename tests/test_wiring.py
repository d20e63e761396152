"""Which encoder a configuration gives, and that it costs nothing until it is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners.endpoint.token_tuner import TokenTuner
from freshet.backends.planners.vllm_tuner import VllmTuner
from freshet.core.config import Config, ContentConfig, load
from freshet.core.errors import ConfigError
from freshet.core.ports import Tuner
from freshet.storage.vector_cache import PLACE
from freshet.wiring import WatchedConfig, encoder_for, make_tuner, open_sandbox, open_workspace
from tests.backends.encoders.checkpoint import make
from tests.backends.encoders.embeddings_server import MODEL, serving
from tests.pipeline.world import FIRST


def settings(root: Path, content: str) -> Path:
    """A workspace with this section."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "freshet.toml").write_text(f'[planner]\nkind = "counts"\n[content]\n{content}\n')
    return root


def test_words_have_no_encoder(tmp_path: Path) -> None:
    assert encoder_for(Config().content, tmp_path) is None
    assert open_workspace(settings(tmp_path, "")).encoder is None


def test_vectors_are_kept_in_the_workspace_and_a_replay_shares_them(tmp_path: Path) -> None:
    ws = open_workspace(settings(tmp_path, 'encoder = "wordllama"'))
    assert not (tmp_path / "cache").exists()
    assert ws.encoder is not None
    found = ws.encoder.encode(["a rose", "the sea"])
    assert len(list((tmp_path / PLACE / ws.encoder.version).iterdir())) == 1
    assert open_sandbox(ws, FIRST).encoder is ws.encoder
    again = open_workspace(tmp_path).encoder
    assert again is not None
    assert np.array_equal(again.encode(["a rose", "the sea"]), found)


@pytest.mark.slow
def test_a_folder_is_named_from_the_workspace(tmp_path: Path) -> None:
    model = make(tmp_path / "models" / "tiny")
    ws = open_workspace(settings(tmp_path / "shop", 'encoder = "transformers"\nmodel = "../models/tiny"'))
    absolute = encoder_for(ContentConfig(encoder="transformers", model=str(model)), tmp_path)
    assert ws.encoder is not None
    assert absolute is not None
    assert ws.encoder.version == absolute.version
    assert ws.encoder.encode(["old ghost"]).shape == (1, 24)
    shutil.rmtree(model)
    with pytest.raises(ConfigError):
        open_workspace(tmp_path / "shop").encoder.version  # type: ignore[union-attr] # noqa: B018


@pytest.mark.slow
def test_a_server_is_asked_with_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "s3cret")
    with serving(make(tmp_path / "tiny"), key="s3cret") as server:
        content = (
            f'encoder = "openai"\nmodel = "{MODEL}"\nendpoint = "{server.endpoint}"\napi_key_env = "SHOP_KEY"'
        )
        ws = open_workspace(settings(tmp_path / "shop", f"{content}\nbatch_size = 2"))
        assert ws.encoder is not None
        assert ws.encoder.encode(["old ghost", "sea", "rose", "sea"]).shape == (4, 24)
        assert [len(batch) for batch in server.asked] == [2, 1]
        open_workspace(tmp_path / "shop").encoder.encode(["sea"])  # type: ignore[union-attr]
        assert len(server.asked) == 2
    files = [path for path in (tmp_path / "shop").rglob("*") if path.is_file()]
    assert len(files) == 2  # the settings and the vectors
    assert all(b"s3cret" not in path.read_bytes() for path in files)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["wordllama", "transformers", "openai"])
def test_opening_a_workspace_loads_no_encoder(tmp_path: Path, encoder: str) -> None:
    root = settings(tmp_path, f'encoder = "{encoder}"\nmodel = "m"\nendpoint = "http://127.0.0.1:1/v1"')
    code = (
        "import sys; from pathlib import Path; from freshet.wiring import open_workspace;"
        f"assert open_workspace(Path({str(root)!r})).encoder is not None;"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    loaded = set(done.stdout.split())
    assert (
        loaded & {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "httpx"} == set()
    )
    assert "numpy" in loaded


def test_watched_settings_that_become_empty_are_refused_and_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "freshet.toml"
    path.write_text("[table]\nwidth = 7\n")
    watched = WatchedConfig(path)
    before = watched()
    path.write_text("\n")
    for _ in range(2):  # as often as it is looked at
        with pytest.raises(ConfigError, match="has become empty"):
            watched()
    path.write_text("[table]\nwidth = 8\n")
    assert (before.table.width, watched().table.width) == (7, 8)


def test_settings_that_are_empty_from_the_start_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").touch()
    assert WatchedConfig(tmp_path / "freshet.toml")() == Config()


SERVED = 'kind = "openai"\nmodel = "m"\nendpoint = "http://localhost:1/v1"\nanswers = "tokens"\ntokenizer = "../tuned"'


def test_a_tuned_model_in_a_server_is_asked_as_it_was_tuned(tmp_path: Path) -> None:
    tuner, config = planner_of(tmp_path / "shop", SERVED)
    assert isinstance(tuner, TokenTuner)
    assert not tuner.trains
    assert (config.planner.template, config.planner.shortlist) == ("", 0)  # chat models have others
    assert tuner.recipe == ""  # the folder isn't there
    assert not (tmp_path / "shop" / "answers").exists()


def test_a_tuned_model_in_a_server_is_neither_asked_in_batches_nor_tuned_there(tmp_path: Path) -> None:
    for number, more in enumerate(['batch = "openai"', "[tuning]\nhosted = true"]):
        with pytest.raises(ConfigError, match="does not go with"):
            planner_of(tmp_path / str(number), f"{SERVED}\n{more}")


def test_vllm_reads_what_is_tuned_here(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    tuner, _ = planner_of(tmp_path / "shop", 'kind = "transformers"\nmodel = "../base"\nengine = "vllm"')
    other, _ = planner_of(tmp_path / "other", 'kind = "transformers"\nmodel = "../base"')
    assert isinstance(tuner, VllmTuner)
    assert not isinstance(other, VllmTuner)
    assert tuner.recipe == other.recipe  # models are the same, tables are not
    assert tuner.trains


def planner_of(root: Path, planner: str) -> tuple[Tuner | None, Config]:
    root.mkdir()
    (root / "freshet.toml").write_text(f"[planner]\n{planner}\n")
    config = load(root / "freshet.toml")
    return make_tuner(root, config, lambda _: None), config
