"""What one GPU does: a table of 761 interests by a model of the shape of Qwen3-0.6B, and tuning it.

    python benchmarks/gpu.py --json > gpu.json
    python benchmarks/gpu.py --contexts 20000 --minutes 8 --json
    python benchmarks/gpu.py --quick --device cpu --json

SIMULATED: weights and tokens are random, only their number and sizes are those of the real thing (28 layers,
1,024 wide, 16 query and 8 key heads of 128, 3,072 in between, 151,936 tokens, tied tables). A prompt is 12
tokens that all share, two names and 6 more; a name is 3 to 6 tokens. A table has N + N (N - 1)
contexts to plan from; the engine gets as many pairs as `--minutes` allow, whole first interests at a time as
they come in a table, and `whole_table_s` is told by their rate. Nothing is downloaded.

peak_tflops      of the best square matrix product, by type of numbers, measured here; `float32` is plain
                 float32 (no TF32), as planners compute
engine           `backends.planners.bulk.Engine`, tokens to ranking, by type: `contexts_per_s`, `tflops`,
                 `share_of_peak` = its tflops over the peak of that type. A planner computes in float32, since
                 what a prompt is answered in 16 bits depends on what is read beside it; bf16 is what that
                 costs. `shares` = whether beginnings of prompts are read once; in bf16 the engine's own check
                 is relaxed to `--agrees`, and `top1_as_float32` = share of contexts with the same best name.
generate_batch   transformers' continuous batching, bf16 (float32 on a CPU), greedy, one name per prompt,
                 whatever it writes: less than the engine gives, which ranks all names by probability;
                 `ratio` = engine in bf16 / generate_batch, `ratio_float32` = the planner's engine.
tuning           tokens per second of `LoraTuner`, a checkpoint of the same shape, and share of the peak.

What fails says why under its name, and the rest goes on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tuning
from freshet.backends.planners.bulk import engine as bulk
from freshet.backends.planners.bulk import trie
from freshet.backends.planners.model_folder import resolve_device
from freshet.core.types import Usage
from shared import Show, parse, parser, tell

SHOW = Show()
QWEN = {
    "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936,
}  # fmt: skip
TINY = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "vocab_size": 2_000,
}  # fmt: skip
TYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
TOP, BEAM, END = 64, 16, 1


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--device", default="auto", help="auto, cpu, cuda")
    made.add_argument("--interests", type=int, default=761)
    made.add_argument("--contexts", type=int, default=0, help="at most; 0 = all that time allows")
    made.add_argument("--minutes", type=float, default=8.0, help="for everything, about")
    made.add_argument("--chunk", type=int, default=4096, help="contexts per call, as [inference] chunk")
    made.add_argument("--agrees", type=float, default=0.1, help="the engine's check of bf16, see AGREES")
    made.add_argument("--rival", type=int, default=2048, help="prompts that generate_batch gets")
    made.add_argument("--steps", type=int, default=12, help="of tuning, with batches of 64")
    options = parse(made, interests=24, contexts=200, minutes=0.3, rival=8, steps=3, device="cpu")
    tell(options, measure(options))


@dataclass
class Task:
    """Names and prompts as tokens, and how long may be spent on each part."""

    options: argparse.Namespace
    shape: dict[str, int]
    device: torch.device
    names: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = np.random.default_rng(0)
        found: dict[tuple[int, ...], None] = {}
        words = min(4_000, self.shape["vocab_size"] - 100)
        while len(found) < self.options.interests:
            found[tuple(random.integers(100, 100 + words, random.integers(3, 7)).tolist())] = None
        self.names = [[*name, END] for name in found]

    @property
    def seconds(self) -> float:
        """For one of six parts."""
        return 60 * self.options.minutes / 6

    def prompts(self, first: int) -> list[list[int]]:
        """Those of all contexts that begin with an interest."""
        begin, between, end = list(range(10, 22)), [30, 31], [40, 41, 42, 43]
        name = [tokens[:-1] for tokens in self.names]
        return [
            [*begin, *name[first], *between, *name[second], *end]
            for second in range(len(name))
            if second != first
        ]

    def model(self, kind: str) -> Any:
        from transformers import Qwen3Config, Qwen3ForCausalLM

        torch.manual_seed(0)
        config = Qwen3Config(
            **self.shape, tie_word_embeddings=True, max_position_embeddings=4096,
            bos_token_id=None, eos_token_id=END, pad_token_id=0, dtype=TYPES[kind],
        )  # fmt: skip
        with self.device:
            return Qwen3ForCausalLM(config).to(TYPES[kind]).eval()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(resolve_device(options.device))
    torch.backends.cuda.matmul.allow_tf32 = False
    task = Task(options, TINY if options.quick else QWEN, device)
    peaks = {name: peak(task, kind) for name, kind in TYPES.items()}
    found: dict[str, Any] = {
        "simulated": True,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "interests": options.interests,
        "table_contexts": options.interests**2,
        "peak_tflops": peaks,
        "engine": {},
    }
    answers: dict[str, np.ndarray] = {}
    for kind in TYPES:
        SHOW.say(f"engine, {kind}")
        found["engine"][kind] = tried(lambda kind=kind: engine(task, kind, peaks[kind], answers))
    both = found["engine"]["bf16"]
    if len(answers) == 2:
        n = min(map(len, answers.values()))
        both["top1_as_float32"] = float((answers["float32"][:n] == answers["bf16"][:n]).mean())
    SHOW.say("generate_batch")
    rival = found["generate_batch"] = tried(lambda: generate_batch(task))
    for name, kind in (("ratio", "bf16"), ("ratio_float32", "float32")):
        rates = found["engine"][kind].get("contexts_per_s"), rival.get("contexts_per_s")
        rival[name] = rates[0] / rates[1] if all(rates) else None
    SHOW.say("tuning")
    found["tuning"] = tried(lambda: tuned(task, peaks))
    return found


def tried(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part's figures, or why there are none; memory of the part before is let go of."""
    try:
        return part()
    except Exception as error:  # noqa: BLE001 - a lent machine is too short to lose the other parts
        return {"failed": f"{type(error).__name__}: {error}"[:500]}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def peak(task: Task, kind: torch.dtype) -> float:
    """TFLOPs per second of the best square matrix product."""
    best = 0.0
    for size in (512,) if task.device.type == "cpu" else (4096, 8192, 12_288):
        left = torch.randn(size, size, device=task.device).to(kind)
        for number in range(6):
            task.wait()
            start = time.perf_counter()
            left @ left
            task.wait()
            if number:
                best = max(best, 2e-12 * size**3 / (time.perf_counter() - start))
    return best


def engine(task: Task, kind: str, best: float, answers: dict[str, np.ndarray]) -> dict[str, Any]:
    """The engine over whole first interests, until time or contexts are used up."""
    before = bulk.AGREES
    bulk.AGREES = before if kind == "float32" else task.options.agrees
    try:
        made = bulk.Engine(task.model(kind), trie.build(task.names))
    finally:
        bulk.AGREES = before
    limit = task.options.contexts or task.options.interests**2
    top: list[np.ndarray] = []
    usage, seconds, done, waiting = Usage(), 0.0, 0, []
    made.rank(task.prompts(0)[:256], BEAM, TOP)  # warm
    for first in range(task.options.interests):
        waiting += task.prompts(first)
        if len(waiting) < task.options.chunk and done + len(waiting) < limit:
            continue
        part, waiting = waiting[: task.options.chunk], waiting[task.options.chunk :]
        task.wait()
        start = time.perf_counter()
        ranking = made.rank(part, BEAM, TOP)
        task.wait()
        seconds += time.perf_counter() - start
        top.append(ranking.successors[:, 0])
        usage, done = usage + ranking.usage, done + len(part)
        if done >= limit or seconds > task.seconds:
            break
    answers[kind] = np.concatenate(top)
    tflops = usage.flops / seconds / 1e12
    return {
        "contexts": done,
        "contexts_per_s": done / seconds,
        "whole_table_s": task.options.interests**2 / done * seconds,
        "tokens_per_context": usage.tokens / done,
        "tflops": tflops,
        "share_of_peak": tflops / best,
        "shares": not made.slow,
        "why_not": made.slow,
        "peak_memory_gb": torch.cuda.max_memory_allocated() / 2**30 if task.device.type == "cuda" else None,
    }


def generate_batch(task: Task) -> dict[str, Any]:
    """transformers' continuous batching on some of the prompts, greedy."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    cpu = task.device.type == "cpu"
    model = task.model("float32" if cpu else "bf16")
    # on a GPU it takes what memory there is, as it would by itself; a CPU's is not all for it
    batching = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=512) if cpu else None
    how: dict[str, Any] = {"continuous_batching_config": batching, "progress_bar": False}
    prompts = [prompt for first in range(1, 5) for prompt in task.prompts(first)][: task.options.rival]
    config = GenerationConfig(
        max_new_tokens=max(map(len, task.names)), do_sample=False, eos_token_id=END, pad_token_id=0
    )
    model.generate_batch(prompts[:64], generation_config=config, **how)  # warm
    task.wait()
    start = time.perf_counter()
    written = model.generate_batch(prompts, generation_config=config, **how)
    task.wait()
    seconds = time.perf_counter() - start
    if len(written) < len(prompts):
        raise RuntimeError(f"{len(written)} of {len(prompts)} prompts were answered")
    return {
        "prompts": len(prompts),
        "contexts_per_s": len(prompts) / seconds,
        "written_tokens": sum(len(one.generated_tokens) for one in written.values()),
    }


def tuned(task: Task, peaks: dict[str, float]) -> dict[str, Any]:
    """LoRA by the project's own trainer, as it decides on this machine."""
    from freshet.backends.planners import base_model
    from freshet.backends.planners.lora import LoraTuner
    from freshet.backends.planners.training_fit import Wishes
    from freshet.core.ports import Budget, TuningJob

    batch, steps = 64 if not task.options.quick else 4, task.options.steps
    job = TuningJob(
        interests=tuning.interests(),
        examples=tuning.examples(steps * batch),
        corpus=tuning.interests().descriptions,
        mode="description",
        epochs=1,
        learning_rate=1e-4,
        batch_size=batch,
        lora_rank=16,
        budget=Budget(steps),
        seed=0,
    )
    times: list[float] = []

    def stamp(*_: int) -> None:
        task.wait()
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as scratch:
        base = tuning.checkpoint(Path(scratch), "qwen3", "tiny" if task.options.quick else "0.6B")
        tuner = LoraTuner(str(base), device=task.device.type, wishes=Wishes("auto", checkpointing=False))
        fit = tuner.fitted(base_model.prepared(str(base), job), batch, 0, 16, "description")
        report = tuner.tune(job, Path(scratch) / "model", stamp)
    share = (len(times) - 1) / steps
    seconds = times[-1] - times[0]
    best = peaks["bf16" if fit.execution.low else "float32"]
    return {
        "steps": steps,
        "tokens_per_s": report.usage.tokens * share / seconds,
        "share_of_peak": report.usage.flops * share / seconds / best / 1e12,
        "precision": "bf16" if fit.execution.low else "float32",
        "micro_batch": fit.execution.micro_batch,
    }


if __name__ == "__main__":
    main()
