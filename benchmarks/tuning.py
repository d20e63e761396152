"""Tuning of checkpoints: tokens per second, memory told before against memory taken, going on after a kill.

    python benchmarks/tuning.py --json
    python benchmarks/tuning.py --quick

Checkpoints are made here, with the shapes of Qwen 3 (tied tables) and Llama (two tables), random weights and
a byte-pair tokenizer that is trained on the prompts; so nothing is said about what tuning is good for. Each
training runs in a process of its own, in which a tiny one came before it: what libraries load is not counted.

- `tokens_per_s`: tokens of prompts and answers read, over the seconds between steps of the optimiser.
- `share_of_peak`: floating point operations that the training has to make (those of two forward passes with
  LoRA, three with all weights; scores of words only where an answer is) per second, over those of the best
  square matrix product. Products are timed between steps, in the same process.
- `peak_mb` against `told_mb`: the highest resident memory over that before the checkpoint was opened, against
  the forecast. `told_ratio` is told / taken.
- `resume`: a training is killed with SIGKILL after a step that was kept, and goes on in another process;
  `equal` says whether its files are those of a training that nobody killed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from freshet.core.ports import Budget, TuningJob
from freshet.core.prompts import render
from freshet.core.types import ContextEvidence, Example, Interests, Prompt, Successor
from shared import Show, parse, parser, tell

SHOW = Show()
WORDS = (
    "war", "drama", "comedy", "horror", "western", "family", "crime", "mystery", "romance", "space", "robot",
    "history", "travel", "music", "dance", "garden", "kitchen", "ocean", "mountain", "winter", "summer",
    "school", "police", "doctor", "ghost", "dragon", "magic", "puzzle", "racing", "football", "chess",
)  # fmt: skip
SHAPES = {
    "10M": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "vocab_size": 16_000},
    "100M": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "vocab_size": 32_000},
    "0.6B": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "vocab_size": 151_936},
    "tiny": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 2_000},
}
PRODUCT = {"float32": 1024, "bf16": 1024}


def main() -> None:
    options = arguments()
    if options.child:
        print(json.dumps(child(json.loads(options.child))), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ranks = (options.rank,) if options.quick else (options.rank, 0)
        trainings = [
            measure(folder, family, size, rank, precision, options)
            for size in options.sizes.split(",")
            for family in options.families.split(",")
            for rank in ranks
            for precision in options.precisions.split(",")
        ]
        small = options.sizes.split(",")[0]
        resumed = [resume(folder, small, rank, options) for rank in ranks]
    told = [one["told_ratio"] for one in trainings]
    result = {
        "simulated": True,
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
        "trainings": trainings,
        "told_ratio": {"least": min(told), "most": max(told)},
        "resume": resumed,
    }
    tell(options, result)


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--sizes", default="10M,100M", help="of checkpoints: tiny, 10M, 100M")
    made.add_argument("--families", default="qwen3,llama", help="whose shapes they have: qwen3, llama")
    made.add_argument("--precisions", default="float32", help="float32, bf16")
    made.add_argument("--steps", type=int, default=6, help="of the optimiser, in each training")
    made.add_argument("--batch", type=int, default=32, help="examples of a step")
    made.add_argument("--micro", type=int, default=0, help="examples read at once; 0 = as many as fit")
    made.add_argument("--rank", type=int, default=16, help="of LoRA's updates")
    made.add_argument("--checkpointing", action="store_true", help="layers are computed twice")
    made.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parse(made, sizes="tiny", families="qwen3", steps=3, batch=4)


def ask(task: dict[str, Any]) -> dict[str, Any] | None:
    """Run a task in a process of its own; None where it killed itself."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore", "MALLOC_ARENA_MAX": "1"},
    )
    if done.returncode == -signal.SIGKILL:
        return None
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(
    folder: Path, family: str, size: str, rank: int, precision: str, options: argparse.Namespace
) -> dict[str, Any]:
    """One training of a checkpoint of a family and size."""
    what = "LoRA" if rank else "all weights"
    SHOW.say(f"{family} {size}, {what}, {precision}")
    task = {
        "do": "measure",
        "base": str(checkpoint(folder, family, size)),
        "tiny": str(checkpoint(folder, family, "tiny")),
        "into": str(folder / f"out-{time.monotonic_ns()}"),
        "rank": rank,
        "precision": precision,
        "steps": options.steps,
        "batch": options.batch,
        "micro": options.micro,
        "checkpointing": options.checkpointing,
    }
    return {"family": family, "size": size, "trained": what, "precision": precision, **(ask(task) or {})}


def resume(folder: Path, size: str, rank: int, options: argparse.Namespace) -> dict[str, Any]:
    """A training that is killed, its successor, and one that was left alone."""
    SHOW.say(f"killing a training of {size}, {'LoRA' if rank else 'all weights'}")
    killed_after = options.steps // 2 + 1
    task = {
        "do": "keep",
        "base": str(checkpoint(folder, "qwen3", size)),
        "rank": rank,
        "precision": "float32",
        "steps": options.steps,
        "batch": options.batch,
        "micro": options.micro,
        "checkpointing": False,
    }
    kept = str(folder / f"kept-{rank}")
    whole = ask({**task, "into": str(folder / f"whole-{rank}"), "kept": f"{kept}-whole"})
    killed = ask({**task, "into": str(folder / f"killed-{rank}"), "kept": kept, "kill": killed_after})
    resumed = ask({**task, "into": str(folder / f"resumed-{rank}"), "kept": kept})
    if whole is None or resumed is None:
        raise SystemExit("a training that was to be left alone was killed")
    return {
        "trained": "LoRA" if rank else "all weights",
        "steps": options.steps,
        "killed_after": killed_after if killed is None else None,
        "done_again": resumed["made"],
        "equal": whole["files"] == resumed["files"],
    }


def checkpoint(folder: Path, family: str, size: str) -> Path:
    """A checkpoint of random weights; made once."""
    into = folder / f"{family}-{size}"
    if into.exists():
        return into
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    shape = SHAPES[size]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([example.prompt.text for example in examples(500)], trainer)
    heads = {"tiny": (2, 2, 16), "0.6B": (16, 8, 128)}  # as Qwen3-0.6B has them
    queries, keys, width = heads.get(size, (shape["hidden_size"] // 64, 2, 64))
    config = {
        **shape,
        "head_dim": width,
        "num_attention_heads": queries,
        "num_key_value_heads": keys,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    torch.manual_seed(0)
    made = {
        "qwen3": lambda: transformers.Qwen3ForCausalLM(
            transformers.Qwen3Config(**config, tie_word_embeddings=True)
        ),
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)),
    }[family]()
    made.save_pretrained(into)
    transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>").save_pretrained(into)
    return into


def interests() -> Interests:
    random = np.random.default_rng(0)
    pairs = [f"{a} {b}" for i, a in enumerate(WORDS) for b in WORDS[i + 1 :]]
    chosen = tuple(pairs[i] for i in np.sort(random.choice(len(pairs), 100, replace=False)))
    vectors = random.normal(size=(len(chosen), 8)).astype(np.float32)
    return Interests(np.arange(len(chosen), dtype=np.int32), chosen, vectors)


def examples(count: int) -> list[Example]:
    random, names = np.random.default_rng(1), interests().descriptions
    found = []
    for _ in range(count):
        first, second, after, *others = (int(i) for i in random.choice(len(names), 6, replace=False))
        context = first, second
        shares = tuple(Successor(index, float(random.uniform(0.02, 0.4)), 20.0) for index in others)
        evidence = ContextEvidence((second,), shares)  # as half of the prompts of a refresh have it
        prompt = Prompt(context, render(context, names, evidence))
        found.append(Example(prompt, after, names[after]))
    return found


def child(task: dict[str, Any]) -> dict[str, Any]:
    """What a process of its own does."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    job = TuningJob(
        interests=interests(),
        examples=examples(task["steps"] * task["batch"]),
        corpus=interests().descriptions,
        mode="description",
        epochs=1,
        learning_rate=1e-4,
        batch_size=task["batch"],
        lora_rank=task["rank"],
        budget=Budget(task["steps"]),
        seed=0,
    )
    return {"measure": trained, "keep": keep}[task["do"]](task, job)


def tuner(task: dict[str, Any], base: str) -> Any:
    from freshet.backends.planners.lora import LoraTuner
    from freshet.backends.planners.training_fit import Wishes

    wishes = Wishes(task["precision"], task["checkpointing"], task["micro"] or "auto")
    return LoraTuner(base, device="cpu", wishes=wishes)


def trained(task: dict[str, Any], job: TuningJob) -> dict[str, Any]:
    """Tokens per second, memory, and what the machine could do meanwhile."""
    from freshet.backends.planners import base_model
    from freshet.backends.planners.decoder import threads_for

    warm = replace(job, examples=job.examples[: task["batch"]], budget=Budget(1))
    tuner(task, task["tiny"]).tune(warm, Path(task["into"]) / "warm")
    peak = peak_of_products(task["precision"])  # its buffers are there before, too
    this = tuner(task, task["base"])
    known = base_model.prepared(task["base"], job)
    fit = this.fitted(known, job.batch_size, 0, job.lora_rank, job.mode)
    before = reset_peak()
    clock = Steps(task["precision"])
    report = this.tune(job, Path(task["into"]) / "model", clock)
    taken = highest() - before
    with threads_for(known.model):
        peak = statistics.median([peak, *clock.peaks])
    seconds = sum(clock.seconds)
    share = len(clock.seconds) / task["steps"]
    return {
        "parameters": sum(p.numel() for p in known.model.parameters()),
        "tokens_per_s": report.usage.tokens * share / seconds,
        "gflops": report.usage.flops * share / seconds / 1e9,
        "peak_gflops": peak / 1e9,
        "share_of_peak": report.usage.flops * share / seconds / peak,
        "micro_batch": fit.execution.micro_batch,
        "checkpointing": fit.execution.checkpointing,
        "longest_tokens": known.tokens,
        "told_mb": fit.memory.total / 1e6,
        "peak_mb": taken / 1e6,
        "told_ratio": fit.memory.total / max(1, taken),
    }


class Steps:
    """Seconds of each step but the first, and matrix products between them, which are not in the seconds."""

    def __init__(self, precision: str) -> None:
        self.seconds: list[float] = []
        self.peaks: list[float] = []
        self._precision = precision
        self._last: float | None = None

    def __call__(self, *_: int) -> None:
        if self._last is not None:
            self.seconds.append(time.perf_counter() - self._last)
        self.peaks.append(peak_of_products(self._precision, times=2))
        self._last = time.perf_counter()


def peak_of_products(precision: str, times: int = 5) -> float:
    """FLOPs per second of the best square matrix product in these numbers."""
    import torch

    size = PRODUCT[precision]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = torch.ones(size, size, dtype=kind), torch.ones(size, size, dtype=kind)
    best = 0.0
    with torch.no_grad():
        for _ in range(times):
            start = time.perf_counter()
            left @ right
            best = max(best, 2.0 * size**3 / (time.perf_counter() - start))
    return best


def reset_peak() -> int:
    """Bytes resident now, from which the highest is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def highest() -> int:
    return status("VmHWM")


def status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"/proc/self/status has no {name}")


def keep(task: dict[str, Any], job: TuningJob) -> dict[str, Any]:
    """A training that keeps every step, and may kill itself; which steps it made, and its files."""
    from freshet.backends.planners import training_checkpoints
    from freshet.storage.checksums import sha256

    training_checkpoints.EVERY = 0.0
    made: list[int] = []

    def progress(done: int, _: int) -> None:
        made.append(done)
        if done == task.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)

    into = Path(task["into"])
    tuner(task, task["base"]).tune(replace(job, kept=Path(task["kept"])), into, progress)
    return {"made": len(made), "files": {path.name: sha256(path) for path in sorted(into.iterdir())}}


if __name__ == "__main__":
    main()
