"""Whether a model answers alike wherever it runs: in this process, in vLLM, in llama.cpp.

    FRESHET_VLLM_PYTHON=.../bin/python python benchmarks/parity.py --server vllm --json
    FRESHET_LLAMA_CPP=.../llama.cpp python benchmarks/parity.py --server llama --json
    python benchmarks/parity.py --server transformers --json
    .../bin/python benchmarks/parity.py --server vllm-offline --json        # the Python where vLLM is

A checkpoint in the shape of Qwen3 with random weights and a tokenizer trained on the descriptions is saved to
disk, once to write descriptions and once to write labels. The same prompts go to `LocalPlanner` on the folder
and to the planner on the server that serves it; every interest is ranked. Everything is in float32.

- `same_first`: share of prompts whose first choice is the same. `largest`, `typical`: largest and median
  difference of a log-probability. `mass`: largest difference of the share that lies on labels.
- `contract`: whether `freshet.checks.check_planner` holds.
- `per_second`, `local_per_second`: prompts ranked in a second. `start_s`, `memory_mb`: of the server.
- `transformers serve` tells no probabilities of tokens: `same_text` is the share of prompts after which it
  writes the same greedy text as the model here.

`--server simulated`, which `--quick` takes, is a SIMULATED server with the next tokens of the model here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import real_servers
import simulated_tokens
from freshet.backends.http_json import JsonClient
from freshet.backends.planners import model_folder
from freshet.backends.planners.bulk.plain import PlainReader
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.endpoint.token_tuner import TokenTuner
from freshet.backends.planners.local_planner import LocalPlanner
from freshet.backends.planners.lora import add_labels
from freshet.backends.planners.vllm_tuner import VllmTuner
from freshet.checks import check_planner
from freshet.core.ports import Budget, Planner, TuningJob
from freshet.core.prompts import TEMPLATE, names, render
from freshet.core.types import Interests, Prompt, Ranking
from shared import Show, parse, parser, tell

SERVERS = ("simulated", "vllm", "vllm-offline", "llama", "transformers")
MODES = ("description", "label")
SHOW = Show()


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--server", choices=SERVERS, help="where the model runs besides here")
    made.add_argument("--interests", type=int, default=100)
    made.add_argument("--prompts", type=int, default=1000)
    made.add_argument("--hidden", type=int, default=256)
    options = parse(made, needs="server", server="simulated", interests=12, prompts=20, hidden=64)
    found: dict[str, Any] = {"server": options.server, "version": version_of(options.server)}
    for mode in MODES:
        with tempfile.TemporaryDirectory() as work:
            found[mode] = measure(options, mode, Path(work))
    tell(options, found)


def measure(options: argparse.Namespace, mode: str, work: Path) -> dict[str, Any]:
    """Figures of one mode."""
    interests = interests_of(options.interests)
    folder = save_checkpoint(work / "model", interests, mode, options.hidden)
    prompts = prompts_of(interests, mode, options.prompts)
    local = LocalPlanner(folder, interests, device="cpu")
    if options.server == "transformers":
        return same_text(folder, local, prompts, work)
    with planner_on(options, folder, interests, mode, work) as (planner, told):
        SHOW.say(f"{options.server}: {len(prompts)} prompts in {mode} mode")
        planner.rank(prompts[:50], len(interests))  # the first call compiles
        seconds, got = timed(planner, prompts, len(interests))
        local_seconds, expected = timed(local, prompts, len(interests))
        away = np.abs(scores(got) - scores(expected))
        check_planner(planner, prompts[:6], len(interests))
        found = {
            "prompts": len(prompts),
            "interests": len(interests),
            "same_first": float((got.successors[:, 0] == expected.successors[:, 0]).mean()),
            "largest": float(away.max()),
            "typical": float(np.median(away)),
            "contract": True,
            "failures": len(got.failures),
            "requests": got.usage.requests,
            "per_second": round(len(prompts) / seconds, 1),
            "local_per_second": round(len(prompts) / local_seconds, 1),
            **told,
        }
        if mode == "label":
            mass = np.abs(planner.label_mass(prompts) - local.label_mass(prompts))
            found["mass"] = float(mass.max())
        return found


@contextmanager
def planner_on(
    options: argparse.Namespace, folder: Path, interests: Interests, mode: str, work: Path
) -> Iterator[tuple[Planner, dict[str, Any]]]:
    """The planner on a server that serves the folder, and what is known of the server."""
    if options.server == "vllm-offline":
        os.environ.update(real_servers.QUIET)
        start = time.monotonic()
        planner = VllmTuner("").open(folder, interests)
        yield planner, {"start_s": round(time.monotonic() - start, 1)}
        return
    if options.server == "simulated":
        with simulated_tokens.serving(next_tokens(folder), simulated_tokens.SimulatedTokens()) as server:
            yield opened(server.endpoint, folder, interests, mode, work), {}
        return
    with real_servers.serving(options.server, folder, work) as running:
        planner = opened(running.endpoint, folder, interests, mode, work)
        memory = round(real_servers.memory_mb(running.pid))
        yield planner, {"start_s": round(running.seconds, 1), "memory_mb": memory}


def opened(endpoint: str, folder: Path, interests: Interests, mode: str, work: Path) -> Planner:
    tuner = TokenTuner(EndpointSettings(endpoint, "tuned"), folder, Spending())
    tuner.tune(job_of(interests, mode), work / "card")
    return tuner.open(work / "card", interests)


def same_text(folder: Path, local: LocalPlanner, prompts: list[Prompt], work: Path) -> dict[str, Any]:
    """How often `transformers serve` writes what the model here writes."""
    room = 8
    with real_servers.serving("transformers", folder, work) as running:
        client = JsonClient(running.endpoint, "", 120)
        start = time.monotonic()
        written = [written_by(client, running.model, prompt, room) for prompt in prompts]
        seconds = time.monotonic() - start
        expected = local.generate(prompts)
        same = np.mean([_words(a)[:4] == _words(b)[:4] for a, b in zip(written, expected, strict=True)])
        return {
            "prompts": len(prompts),
            "same_text": float(same),
            "per_second": round(len(prompts) / seconds, 1),
            "start_s": round(running.seconds, 1),
            "memory_mb": round(real_servers.memory_mb(running.pid)),
        }


def written_by(client: JsonClient, model: str, prompt: Prompt, most: int) -> str:
    body = {"model": model, "prompt": prompt.text, "max_tokens": most, "temperature": 0}
    return str(client.asked("/completions", body, json.loads)["choices"][0]["text"])


def _words(text: str) -> str:
    return "".join(text.split())


def timed(planner: Planner, prompts: list[Prompt], top: int) -> tuple[float, Ranking]:
    start = time.monotonic()
    ranking = planner.rank(prompts, top)
    return time.monotonic() - start, ranking


def scores(ranking: Ranking) -> np.ndarray:
    """(n, N) log-probabilities in the order of the interests, those that were found."""
    found = np.full((len(ranking), ranking.successors.shape[1]), np.nan)
    rows, places = np.nonzero(ranking.successors >= 0)
    found[rows, ranking.successors[rows, places]] = ranking.logp[rows, places]
    return np.nan_to_num(found, nan=-1e9)


def interests_of(count: int, seed: int = 0) -> Interests:
    """Interests described by two to four of sixty words that are made up."""
    rng = np.random.default_rng(seed)
    syllables = ["ba", "de", "fi", "go", "lu", "ma", "ne", "po", "ri", "tu", "va", "ze"]
    words = sorted({"".join(rng.choice(syllables, rng.integers(2, 4))) for _ in range(60)})
    described: dict[str, None] = {}
    while len(described) < count:
        described[" ".join(rng.choice(words, rng.integers(2, 5), replace=False))] = None
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    return Interests(np.arange(count, dtype=np.int32), tuple(described), vectors)


def prompts_of(interests: Interests, mode: str, count: int, seed: int = 1) -> list[Prompt]:
    rng = np.random.default_rng(seed)
    known = names(interests.descriptions, mode)
    pairs = [tuple(int(i) for i in rng.choice(len(known), 2, replace=False)) for _ in range(count)]
    return [Prompt(pair, render(pair, known)) for pair in pairs]


def job_of(interests: Interests, mode: str) -> TuningJob:
    return TuningJob(interests, [], interests.descriptions, mode, 0, 0, 0, 0, Budget(), 0)


def save_checkpoint(into: Path, interests: Interests, mode: str, hidden: int) -> Path:
    """A random model in the shape of Qwen3, as a folder that `freshet finetune` might have written."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    text = [prompt.text for prompt in prompts_of(interests, "description", 200)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator([*text, *interests.descriptions], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>")
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=4,
        num_attention_heads=hidden // 32,
        num_key_value_heads=max(1, hidden // 64),
        head_dim=32,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=None,
        tie_word_embeddings=True,
        initializer_range=0.1,  # far from uniform answers, so that errors show
    )
    model = Qwen3ForCausalLM(config).eval()
    if mode == "label":
        add_labels(model, tokenizer, interests)
    card = model_folder.Card("transformers", mode, "random", TEMPLATE, len(interests), True)
    model_folder.save(model, tokenizer, card, into)
    return into


def next_tokens(folder: Path) -> simulated_tokens.NextTokens:
    model, _ = model_folder.load(folder, "cpu")
    plain = PlainReader(model, np.arange(model.config.vocab_size))
    return lambda text: plain.logits([list(text)])[0][0].double().log_softmax(0).numpy()


def version_of(server: str) -> str:
    """What is measured."""
    if server == "vllm":
        code = "import vllm, torch; print('vllm', vllm.__version__, 'torch', torch.__version__)"
        return output([os.environ["FRESHET_VLLM_PYTHON"], "-c", code]).splitlines()[-1]
    if server == "vllm-offline":
        import vllm

        return f"vllm {vllm.__version__} transformers {version('transformers')}"
    if server == "llama":
        program = Path(os.environ["FRESHET_LLAMA_CPP"]) / "build" / "bin" / "llama-server"
        return output([str(program), "--version"]).splitlines()[0]
    return f"transformers {version('transformers')}"


def output(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""}
    )
    return (done.stdout + done.stderr).strip()


if __name__ == "__main__":
    main()
