"""The contract of planners, and equal answers, against real inference servers where they are installed.

docs/how-to/servers.md says how; `benchmarks/real_servers.py` which environment variables name them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import real_servers
from freshet.backends.http_json import JsonClient
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.endpoint.token_probe import find_dialect
from freshet.backends.planners.endpoint.token_tuner import TokenTuner
from freshet.backends.planners.local_planner import LocalPlanner
from freshet.backends.planners.lora import LoraTuner
from freshet.backends.planners.token_planner import TokenPlanner
from freshet.checks import check_planner
from freshet.core.errors import ConfigError
from freshet.core.ports import TuningPlan
from tests.backends.planners import worlds
from tests.backends.planners.endpoint.tuned_models import HEAD_DIM, save_tuned

ROOT = Path(__file__).parents[4]
SERVED = [(kind, mode) for kind in ("vllm", "llama") for mode in ("description", "label")]


@pytest.fixture(scope="module", params=SERVED, ids=[" ".join(one) for one in SERVED])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TokenPlanner, LocalPlanner, str]]:
    """A planner on a real server, one in this process on the same folder, and their mode."""
    kind, mode = request.param
    why = real_servers.missing(kind)
    if why:
        pytest.skip(why)
    work = tmp_path_factory.mktemp(f"{kind}-{mode}")
    tuner = LoraTuner(str(worlds.save_checkpoint(work / "base", head_dim=HEAD_DIM)), device="cpu")
    folder = work / "model"
    tuner.tune(worlds.job(mode, worlds.examples(mode, 1500), epochs=2), folder)
    with real_servers.serving(kind, folder, work) as server:
        tuner = TokenTuner(EndpointSettings(server.endpoint, server.model), folder, Spending())
        tuner.check(TuningPlan(worlds.DESCRIPTIONS, mode, 2, 3, 0))
        tuner.tune(worlds.job(mode, []), work / "card")
        planner = tuner.open(work / "card", worlds.interests())
        yield planner, LocalPlanner(folder, worlds.interests(), device="cpu"), mode


def test_a_real_server_keeps_the_planners_contract(both) -> None:
    planner, _, mode = both
    check_planner(planner, worlds.prompts(mode, 6), worlds.N)


def test_a_real_server_answers_as_the_model_here_does(both) -> None:
    planner, local, mode = both
    prompts = worlds.prompts(mode, 100)
    got, expected = planner.rank(prompts, worlds.N), local.rank(prompts, worlds.N)
    assert (got.successors[:, 0] == expected.successors[:, 0]).mean() >= 0.99
    assert np.abs(scores(got) - scores(expected)).max() < 1e-3
    assert planner.generate(prompts[:10]) == local.generate(prompts[:10])
    if mode == "label":
        assert (planner.label_mass(prompts) <= local.label_mass(prompts) + 1e-4).all()


def scores(ranking) -> np.ndarray:
    """(n, N) log-probabilities in the order of the interests."""
    return np.take_along_axis(ranking.logp, np.argsort(ranking.successors, axis=1), axis=1)


def test_transformers_serve_is_found_to_tell_no_tokens(tmp_path: Path) -> None:
    why = real_servers.missing("transformers")
    if why:
        pytest.skip(why)
    folder = save_tuned(tmp_path / "model", "label")
    with (
        real_servers.serving("transformers", folder, tmp_path) as server,
        pytest.raises(ConfigError, match="does not tell the probabilities of tokens"),
    ):
        find_dialect(JsonClient(server.endpoint, "", 60), server.model, [5, 6], [7, 8])


OFFLINE = """
import sys
from pathlib import Path
import numpy as np
from freshet.backends.planners.lora import LoraTuner
from freshet.backends.planners.vllm_tuner import VllmTuner
from freshet.checks import check_planner
from tests.backends.planners import worlds

folder, mode = Path(sys.argv[1]), sys.argv[2]
prompts = worlds.prompts(mode, 100)
planner = VllmTuner("", beam=16).open(folder, worlds.interests())
local = LoraTuner("", beam=16).open(folder, worlds.interests())
check_planner(planner, prompts[:6], worlds.N)
got, expected = planner.rank(prompts, worlds.N), local.rank(prompts, worlds.N)
order = lambda one: np.take_along_axis(one.logp, np.argsort(one.successors, axis=1), axis=1)
assert (got.successors[:, 0] == expected.successors[:, 0]).mean() >= 0.99
assert np.abs(order(got) - order(expected)).max() < 1e-3
assert planner.generate(prompts[:10]) == local.generate(prompts[:10])
assert planner.version != local.version
refitted = VllmTuner("", beam=16).open(folder, worlds.interests())  # beside the one that was judged
assert np.array_equal(refitted.rank(prompts, 3).successors, got.successors[:, :3])
assert np.array_equal(planner.rank(prompts, 3).successors, got.successors[:, :3])
print("kept")
"""


@pytest.mark.parametrize("mode", ["description", "label"])
def test_vllm_in_the_process_keeps_the_contract_and_answers_alike(tmp_path: Path, mode: str) -> None:
    """Freshet itself has to be importable where vLLM is."""
    why = real_servers.missing("vllm")
    if why:
        pytest.skip(why)
    folder = save_tuned(tmp_path / "model", mode)
    done = subprocess.run(
        [os.environ["FRESHET_VLLM_PYTHON"], "-c", OFFLINE, str(folder), mode],
        env={**os.environ, **real_servers.QUIET, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "kept" in done.stdout


def test_a_model_that_vllm_cannot_run_is_refused_in_words(tmp_path: Path) -> None:
    why = real_servers.missing("vllm")
    if why:
        pytest.skip(why)
    worlds.save_checkpoint(tmp_path)  # its heads are too narrow for vLLM on a processor
    code = (
        "import sys; from pathlib import Path; from freshet.core.errors import PlannerError\n"
        "from freshet.backends.planners.vllm_offline import VllmReader\n"
        "try: VllmReader(Path(sys.argv[1]), 256)\n"
        "except PlannerError as error: print('refused:', error)\n"
    )
    done = subprocess.run(
        [os.environ["FRESHET_VLLM_PYTHON"], "-c", code, str(tmp_path)],
        env={**os.environ, **real_servers.QUIET, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "refused: vLLM can't run the model" in done.stdout, done.stdout + done.stderr[-2000:]
    assert 'engine = "torch"' in done.stdout


def test_vllm_that_is_not_installed_is_named_before_training() -> None:
    code = (
        "from freshet.backends.planners import vllm_offline\n"
        "from freshet.core.errors import MissingExtra\n"
        "vllm_offline.find_spec = lambda name: None\n"
        "try: vllm_offline.need_vllm()\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'engine = "vllm" needs vLLM' in done.stdout
