"""The contract, against a real server: `transformers serve` with a small checkpoint."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings, EndpointTuner
from freshet.backends.planners.endpoint.spending import Spending
from freshet.checks import check_planner
from freshet.core.errors import ConfigError

from .asking_world import NAMES, interests, job, prompts
from .chat_checkpoint import make


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Base URL and model of a running server."""
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("`transformers serve` needs the packages fastapi, uvicorn and openai")
    folder = make(tmp_path_factory.mktemp("chat") / "tiny")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    log = folder.parent / "server.log"
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    with log.open("w") as file:
        server = subprocess.Popen(
            [*command, "--port", str(port), "--device", "cpu", "--dtype", "float32"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        for _ in range(1200):
            assert server.poll() is None, log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{endpoint}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield f"{endpoint}/v1", str(folder)
    finally:
        server.terminate()
        server.wait()


def tuner(served: tuple[str, str], root: Path, **changes: object) -> EndpointTuner:
    settings = {"endpoint": served[0], "model": served[1], "timeout": 120.0, "concurrency": 2, **changes}
    return EndpointTuner(EndpointSettings(**settings), root, Spending())  # type: ignore[arg-type]


def test_what_it_ignores_in_silence_is_found_out_and_its_decisions_are_used(
    served: tuple[str, str], tmp_path: Path
) -> None:
    one = tuner(served, tmp_path)
    one.tune(job(interests()), tmp_path / "model")
    planner = one.open(tmp_path / "model", interests())
    card = planner.card
    assert (card.alternatives, card.schema, card.decision, card.form) == (0, False, True, "decision")
    assert "no log-probabilities" not in str(card)
    assert "probabilities of up to 26 options" in planner.note
    check_planner(planner, prompts(6), len(NAMES))
    found = planner.rank(prompts(6), len(NAMES))
    assert np.allclose(np.exp(found.logp.astype(float)).sum(axis=1), 1, atol=1e-5)


def test_free_text_of_a_model_that_babbles_is_never_taken_for_an_answer(
    served: tuple[str, str], tmp_path: Path
) -> None:
    one = tuner(served, tmp_path, answers="text", tries=1)
    one.tune(job(interests()), tmp_path / "model")
    planner = one.open(tmp_path / "model", interests())
    found = planner.rank(prompts(3), len(NAMES))
    assert (found.successors == -1).all()
    assert len(found.failures) == 3
    assert found.usage.invalid == 6


def test_log_probabilities_that_are_asked_for_by_name_are_refused_in_words(
    served: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"'list'.*doesn't keep to a JSON schema"):
        tuner(served, tmp_path, answers="list").tune(job(interests()), tmp_path / "model")
