"""How fast the bulk engine is: against what a user would run instead, and against the limit of the machine.

    python benchmarks/bulk_inference.py --json
    python benchmarks/bulk_inference.py --workspace shop

By default on a SIMULATED log (`freshet.simulator`), from which interests with real descriptions are formed
and a `scratch` model is tuned in description mode; `--workspace` takes a workspace whose model writes
descriptions. Prompts are contexts of two interests: all second interests after a sample of first ones, as
they come in a table; with evidence, they are the prompts that the pipeline would ask at the end of the log.

- `ratio`: contexts per second of `LocalPlanner.rank`, words to ranking, over those of transformers `generate`
  with `prefix_allowed_tokens_fn`, 5 beams, `renormalize_logits=True`, `length_penalty=0`: same model, prompts
  and cores. `generate` gets the best of several batch sizes and numbers of threads. `ratio_per_process`: the
  same against one such process for each core, each with one thread and its share of the prompts.
- `share_of_forward_limit`: time the model needs for as many tokens as must be computed (`own_tokens_per_row`:
  each token of the prompts' common beginnings once, then a row's own tokens and those of its beams), read as
  plain batches of rows of that length with the next token of each row scored, over the engine's time. The
  forward gets the best of several batch sizes; both use every core in the same way.
- `top1_agreement`: share of the sampled contexts with the same best name in both, where the two best differ
  by more than 1e-5. `largest_error`: of the engine's scores, against whole names scored one by one, uncached.
- `..._label...`: the same of label mode: the shape of `scratch` with RANDOM weights (one forward pass and no
  search, so weights don't matter). `by_shape`: both modes on larger RANDOM models, Qwen3-shaped, with the
  words of the log as vocabulary; `--shapes` chooses them, the largest reads few prompts.
- `beam`: how often the beam's top 1 and top 5 differ from an unpruned search, and the mass it finds.

Rounds of all contestants alternate; each figure is the median over rounds of ratios within a round.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Qwen3Config, Qwen3ForCausalLM

from freshet import operations, pipeline
from freshet.backends.planners import model_folder as folder
from freshet.backends.planners import scratch
from freshet.backends.planners import tokenisation as wording
from freshet.backends.planners.decoder import threads_for
from freshet.backends.planners.local_planner import LocalPlanner
from freshet.core.errors import GateFailed
from freshet.core.prompts import TEMPLATE, Prompts, ShortWording, names
from freshet.core.types import Evidence, Interests, Prompt
from freshet.pipeline import snapshot_of
from freshet.run_context import RunContext
from freshet.simulator import World, generate
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.events.step import latest
from freshet.stages.evidence.step import gather
from freshet.stages.table import enumerate_contexts
from freshet.stages.tuning.step import attempted
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import Show, parse, parser, tell

SHOW = Show()
BEAMS = 5
TIED = 1e-5
UNPRUNED = 10**6


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as made:
        root = options.workspace or make_workspace(Path(made), options)
        result = measure(open_workspace(root, SHOW), options)
    tell(options, result, lambda: readable(result))


def make_workspace(into: Path, options: argparse.Namespace) -> Path:
    """A workspace on a SIMULATED log, with a tuned model that writes descriptions."""
    SHOW.say("simulating a log and tuning a model in description mode")
    generate(World(users=options.users, items=min(2 * options.users, World().items)), into / "world")
    (into / "freshet.toml").write_text(
        '[events]\nfiles = ["world/events.parquet"]\nitems = "world/items.parquet"\npositive = "value >= 7"\n'
        f'[interests]\ncount = {options.interests}\n[planner]\nkind = "scratch"\nmode = "description"\n'
        f"[tuning]\nmax_steps = {options.steps}\n"
    )
    ws = open_workspace(into, SHOW)
    operations.import_log(ws, datetime.now(UTC))
    try:
        pipeline.finetune(ws)
    except GateFailed as failed:  # a model too weak to serve is as fast as a better one
        SHOW.say(f"the gate stays closed, the benchmark goes on: {failed}")
    return into


@dataclass(frozen=True, slots=True)
class Shape:
    """A model with RANDOM weights, for speed alone.

    Attributes:
        contexts: prompts to read, at most.
        batches: tokens of a plain forward pass that are tried.
    """

    hidden: int
    layers: int
    heads: int
    key_heads: int
    width: int
    contexts: int
    batches: tuple[int, ...]

    def write(self, tokenizer: Any, mode: str, interests: int, into: Path) -> Path:
        """A model folder of this shape."""
        torch.manual_seed(0)
        config = Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden,
            intermediate_size=3 * self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_heads,
            head_dim=self.width,
            max_position_embeddings=scratch.LONGEST,
            tie_word_embeddings=True,
        )
        card = folder.Card("scratch", mode, "random weights", TEMPLATE, interests, False)
        folder.save(Qwen3ForCausalLM(config), tokenizer, card, into)
        return into


BATCHES = (1024, 2048, 4096, 8192)
LABELS = Shape(scratch.HIDDEN, scratch.LAYERS, scratch.HEADS, scratch.KEY_HEADS, 16, 8000, BATCHES)
SHAPES = {
    "1M": Shape(128, 5, 8, 4, 16, 4000, BATCHES),
    "10M": Shape(384, 6, 6, 3, 64, 800, BATCHES[:3]),
    "100M": Shape(768, 14, 12, 6, 64, 99, (512, 1024)),
}


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured: a planner and prompts.

    Attributes:
        planner: as the pipeline opens it, with `BEAMS` beams.
        wide: the same without pruning.
        folder: of the model.
        interests: that it ranks.
        sets: "without evidence" and "with evidence" -> prompts in the order of a table; `labels` the same
            prompts of label mode.
        chunk: prompts per call, as in the pipeline.
    """

    planner: LocalPlanner
    wide: LocalPlanner
    folder: Path
    interests: Interests
    sets: dict[str, list[Prompt]]
    labels: dict[str, list[Prompt]]
    chunk: int


def prepare(ws: Workspace, count: int, seed: int) -> Bench:
    """Open the model and choose the prompts.

    Raises:
        SystemExit: the workspace has no model that writes descriptions.
    """
    with ws.run("benchmark") as run:
        known = snapshot_of(ws, run, latest(ws))
    model = attempted(ws, known, known.as_of)
    if model is None or ws.config.planner.mode != "description" or ws.config.transitions.k != 2:
        sys.exit("the workspace needs a tuned model, [planner] mode = 'description' and [transitions] k = 2")
    planner = LocalPlanner(model.path / "model", known.interests, beam=BEAMS, device="auto")
    wide = LocalPlanner(model.path / "model", known.interests, beam=UNPRUNED, device="auto")
    contexts = chosen(enumerate_contexts(len(known.interests), 2), len(known.interests), count, seed)
    chosen_evidence = gather(RunContext(ws, run, known, fitter_for(ws.config, known)), known.as_of, contexts)

    def prompts(mode: str) -> dict[str, list[Prompt]]:
        wording, everyone = ShortWording(names(known.interests.descriptions, mode)), range(len(contexts))
        told = {"without evidence": Evidence.none(2), "with evidence": chosen_evidence}
        return {name: Prompts.of(contexts, wording, said).take(everyone) for name, said in told.items()}

    return Bench(
        planner,
        wide,
        model.path / "model",
        known.interests,
        prompts("description"),
        prompts("label"),
        ws.config.inference.chunk,
    )


def chosen(contexts: NDArray[np.int16], interests: int, count: int, seed: int) -> NDArray[np.int16]:
    """The pairs that begin with some of the interests, at least `count` where there are so many."""
    pairs = contexts[(contexts >= 0).all(axis=1)]
    first = np.random.default_rng(seed).permutation(interests)[: max(1, round(count / (interests - 1)))]
    return pairs[np.isin(pairs[:, 0], first)]


def measure(ws: Workspace, options: argparse.Namespace) -> dict[str, Any]:
    bench = prepare(ws, options.contexts, options.seed)
    rng = np.random.default_rng(options.seed)
    figures: dict[str, dict[str, Any]] = {}
    for name, prompts in bench.sets.items():
        SHOW.say(f"{name}: {len(prompts)} prompts")
        sample = [
            prompts[i] for i in sorted(rng.choice(len(prompts), min(options.sample, len(prompts)), False))
        ]
        figures[name] = {
            **race(bench, prompts, sample, options.rounds, not options.quick),
            **exactness(bench, sample, options.naive, ws),
        }
    without, told = figures["without evidence"], figures["with evidence"]
    model = bench.planner._model
    labels = shaped(bench, LABELS, "label", options)
    by_shape = {
        name: {mode: shaped(bench, SHAPES[name], mode, options) for mode in ("description", "label")}
        for name in options.shapes
    }
    return {
        "contexts_per_s": without["contexts_per_s"],
        "baseline_contexts_per_s": without["baseline_contexts_per_s"],
        "ratio": without["ratio"],
        "ratio_with_evidence": told["ratio"],
        "ratio_per_process": without["ratio_per_process"],
        "ratio_per_process_with_evidence": told["ratio_per_process"],
        "top1_agreement": min(without["top1_agreement"], told["top1_agreement"]),
        "share_of_forward_limit": without["share_of_forward_limit"],
        "share_of_forward_limit_with_evidence": told["share_of_forward_limit"],
        "own_tokens_per_row": without["own_tokens_per_row"],
        "own_tokens_per_row_with_evidence": told["own_tokens_per_row"],
        "largest_error": max(without["largest_error"], told["largest_error"]),
        "by_prompts": figures,
        "contexts_per_s_label": labels["by_prompts"]["without evidence"]["contexts_per_s"],
        "contexts_per_s_label_with_evidence": labels["by_prompts"]["with evidence"]["contexts_per_s"],
        "share_of_forward_limit_label": labels["by_prompts"]["without evidence"]["share_of_forward_limit"],
        "share_of_forward_limit_label_with_evidence": labels["by_prompts"]["with evidence"][
            "share_of_forward_limit"
        ],
        "labels": labels,
        "by_shape": by_shape,
        "log": "simulated" if options.workspace is None else str(options.workspace),
        "interests": bench.planner._trie.size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "shared_beginnings": not bench.planner.note,
    }


def shaped(bench: Bench, shape: Shape, mode: str, options: argparse.Namespace) -> dict[str, Any]:
    """Speed of the engine on a model of this shape against a raw forward, without and with evidence."""
    tokenizer = bench.planner._words.tokenizer
    if mode == "label":
        said = {
            word for prompts in bench.labels.values() for prompt in prompts for word in prompt.text.split()
        }
        said |= {*names(bench.interests.descriptions, mode)}
        tokenizer = scratch.build_tokenizer((scratch.PAD, scratch.UNKNOWN, scratch.END, *sorted(said)))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        model = shape.write(tokenizer, mode, len(bench.interests), Path(made) / "model")
        planner = LocalPlanner(model, bench.interests, beam=BEAMS, device="auto")
    parameters = sum(parameter.numel() for parameter in planner._model.parameters())
    for name, prompts in (bench.sets if mode == "description" else bench.labels).items():
        SHOW.say(f"{parameters:,} random parameters, {mode}, {name}")
        part = prompts[: shape.contexts]
        tokens = planner.rank(part[: bench.chunk], BEAMS).usage.tokens
        own = tokens / min(bench.chunk, len(part))
        batches = shape.batches[:1] if options.quick else shape.batches
        limit = Forward.best(planner, round(own), min(2 * tokens, 60_000), batches)
        seconds, shares = [], []
        for _ in range(options.rounds):
            taken, tokens = engine_seconds(planner, part, bench.chunk)
            seconds.append(taken)
            shares.append(limit.seconds_per_token(tokens) * tokens / taken)
        found[name] = {
            "prompts": len(part),
            "contexts_per_s": len(part) / statistics.median(seconds),
            "share_of_forward_limit": statistics.median(shares),
            "share_range": [min(shares), max(shares)],
            "own_tokens_per_row": own,
        }
    return {"parameters": parameters, "mode": mode, "by_prompts": found}


def engine_seconds(planner: LocalPlanner, prompts: list[Prompt], chunk: int) -> tuple[float, int]:
    """Time to rank prompts chunk by chunk, and the tokens read."""
    start, tokens = time.perf_counter(), 0
    for at in range(0, len(prompts), chunk):
        tokens += planner.rank(prompts[at : at + chunk], BEAMS).usage.tokens
    return time.perf_counter() - start, tokens


def race(
    bench: Bench, prompts: list[Prompt], sample: list[Prompt], rounds: int, crowded: bool
) -> dict[str, Any]:
    """Engine, raw forward and `generate`, one after the other, several times."""
    planner = bench.planner
    usage = planner.rank(prompts[: bench.chunk], BEAMS).usage
    own = usage.tokens / min(bench.chunk, len(prompts))
    limit = Forward.best(planner, round(own), 60_000 if crowded else 10_000)
    rival = Rival.best(planner, sample)
    crowded &= planner._model.device.type == "cpu"
    crowd = Crowd(planner, bench.folder, rival.batch) if crowded else None
    if crowd is not None:
        crowd.seconds(sample[:64])  # warm
    found: dict[str, list[float]] = {"engine": [], "forward": [], "generate": [], "processes": []}
    tokens = 0
    for number in range(rounds):
        SHOW.say(f"  round {number + 1} of {rounds}")
        taken, tokens = engine_seconds(planner, prompts, bench.chunk)
        found["engine"].append(taken / len(prompts))
        found["forward"].append(limit.seconds_per_token(tokens) * tokens / len(prompts))
        part = sample if number == 0 else sample[: len(sample) // 4]
        found["generate"].append(rival.seconds(part) / len(part))
        if crowd is not None:
            found["processes"].append(crowd.seconds(part) / len(part))
    ratios = [b / e for e, b in zip(found["engine"], found["generate"], strict=True)]
    if crowd is not None:
        crowd.pool.shutdown()
    beside = [b / e for e, b in zip(found["engine"], found["processes"], strict=False)]
    shares = [f / e for e, f in zip(found["engine"], found["forward"], strict=True)]
    return {
        "prompts": len(prompts),
        "contexts_per_s": 1 / statistics.median(found["engine"]),
        "baseline_contexts_per_s": 1 / statistics.median(found["generate"]),
        "limit_contexts_per_s": 1 / statistics.median(found["forward"]),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "ratio_per_process": statistics.median(beside) if beside else None,
        "share_of_forward_limit": statistics.median(shares),
        "share_range": [min(shares), max(shares)],
        "own_tokens_per_row": tokens / len(prompts),
        "prompt_tokens": float(np.mean([len(ids) for ids in planner._tokens(prompts)])),
        "forward_batch": limit.rows,
        "generate_batch": rival.batch,
        "generate_threads": rival.threads,
    }


@dataclass(frozen=True, slots=True)
class Forward:
    """A plain forward pass over rows of `length` random tokens, as many workers at once as the engine has."""

    planner: LocalPlanner
    length: int
    rows: int

    @classmethod
    def best(
        cls, planner: LocalPlanner, length: int, tokens: int, batches: Sequence[int] = BATCHES
    ) -> Forward:
        """The size of batch with which so many tokens are read soonest."""
        tried = [cls(planner, length, max(1, batch // length)) for batch in batches]
        for contestant in tried:
            contestant.seconds_per_token(2 * contestant.rows * length)  # warm
        return min(tried, key=lambda contestant: contestant.seconds_per_token(tokens))

    def seconds_per_token(self, tokens: int) -> float:
        model = self.planner._model
        engine = self.planner._engine
        assert engine is not None
        workers = engine._workers()
        passes = max(1, round(tokens / (workers * self.rows * self.length)))
        ids = torch.randint(0, model.config.vocab_size, (self.rows, self.length), device=model.device)

        def work(_: int) -> None:
            with torch.inference_mode():
                for _ in range(passes):
                    model(input_ids=ids, use_cache=False, logits_to_keep=1)

        with threads_for(model), ThreadPoolExecutor(workers) as pool:
            start = time.perf_counter()
            list(pool.map(work, range(workers)))
            if model.device.type == "cuda":
                torch.cuda.synchronize()
            return (time.perf_counter() - start) / (passes * workers * ids.numel())


@dataclass(frozen=True, slots=True)
class Rival:
    """transformers `generate` with constrained beams, on left-padded batches of like length."""

    planner: LocalPlanner
    batch: int
    threads: int

    @classmethod
    def best(cls, planner: LocalPlanner, prompts: list[Prompt]) -> Rival:
        part = prompts[:: max(1, len(prompts) // 512)][:512]
        tried = [
            cls(planner, batch, threads)
            for batch in (32, 128, 512)
            for threads in sorted({1, torch.get_num_threads()})
        ]
        tried[0].seconds(part[:16])  # warm
        return min(tried, key=lambda contestant: contestant.seconds(part))

    def seconds(self, prompts: list[Prompt]) -> float:
        start = time.perf_counter()
        self.answers(prompts)
        return time.perf_counter() - start

    def answers(self, prompts: list[Prompt]) -> NDArray[np.int64]:
        """The best interest of each prompt."""
        planner = self.planner
        ids = wording.prompt_tokens(planner._words.tokenizer, [prompt.text for prompt in prompts])
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            return generated(planner._model, planner._words.tokenizer, tuple(planner.names), ids, self.batch)
        finally:
            torch.set_num_threads(before)


class Crowd:
    """One process of `generate` for each core, each with one thread and its share of the prompts."""

    def __init__(self, planner: LocalPlanner, model: Path, batch: int) -> None:
        self.planner, self.batch, self.size = planner, batch, torch.get_num_threads()
        spawn = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(
            self.size, spawn, initializer=_join, initargs=(model, tuple(planner.names), batch)
        )

    def seconds(self, prompts: list[Prompt]) -> float:
        """Of the slowest member, tokenising included as it is for a single process."""
        start = time.perf_counter()
        ids = wording.prompt_tokens(self.planner._words.tokenizer, [prompt.text for prompt in prompts])
        list(self.pool.map(_share, [ids[i :: self.size] for i in range(self.size)]))
        return time.perf_counter() - start


_member: dict[str, Any] = {}


def _join(model: Path, known: tuple[str, ...], batch: int) -> None:
    torch.set_num_threads(1)
    loaded, tokenizer = folder.load(model, "cpu")
    _member.update(model=loaded, tokenizer=tokenizer, names=known, batch=batch)


def _share(ids: list[list[int]]) -> int:
    return len(generated(_member["model"], _member["tokenizer"], _member["names"], ids, _member["batch"]))


@cache
def allowed_tokens(
    tokenizer: Any, names: tuple[str, ...]
) -> tuple[list[list[int]], dict[tuple[int, ...], list[int]]]:
    """Tokens of every name, and which may follow each beginning of one."""
    completions = wording.completion_tokens(tokenizer, names)
    following: dict[tuple[int, ...], list[int]] = {}
    for tokens in completions:
        for depth, token in enumerate(tokens):
            options = following.setdefault(tuple(tokens[:depth]), [])
            if token not in options:
                options.append(token)
    return completions, following


def generated(
    model: Any, tokenizer: Any, names: tuple[str, ...], ids: list[list[int]], batch: int
) -> NDArray[np.int64]:
    """The best name of each prompt by transformers' `generate`."""
    end = wording.end_token(tokenizer)
    completions, following = allowed_tokens(tokenizer, names)
    by_tokens = {tuple(tokens): index for index, tokens in enumerate(completions)}
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    best = np.full(len(ids), -1)
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        width = max(len(ids[row]) for row in rows)
        padded = [[end] * (width - len(ids[row])) + ids[row] for row in rows]
        mask = [[0] * (width - len(ids[row])) + [1] * len(ids[row]) for row in rows]

        def allowed(_: int, so_far: torch.Tensor, width: int = width) -> list[int]:
            return following.get(tuple(so_far[width:].tolist()), [end])

        with torch.inference_mode():
            written = model.generate(
                input_ids=torch.tensor(padded, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
                num_beams=BEAMS,
                do_sample=False,
                renormalize_logits=True,
                length_penalty=0.0,
                max_new_tokens=max(map(len, completions)),
                prefix_allowed_tokens_fn=allowed,
                eos_token_id=end,
                pad_token_id=end,
            )
        for row, answer in zip(rows, written[:, width:].tolist(), strict=True):
            kept = tuple(answer[: answer.index(end) + 1]) if end in answer else tuple(answer)
            best[row] = by_tokens.get(kept, -1)
    return best


def exactness(bench: Bench, sample: list[Prompt], naive: int, ws: Workspace) -> dict[str, Any]:
    """Whether the answers are right: against `generate`, against naive scoring, against no pruning."""
    planner = bench.planner
    found = planner.rank(sample, BEAMS)
    SHOW.say("  comparing the best names with generate's")
    other = Rival(planner, 64, torch.get_num_threads()).answers(sample)
    clear = found.logp[:, 0] - found.logp[:, 1] > TIED
    scored = sample[:: max(1, len(sample) // naive)][:naive]
    rows = planner.rank(scored, BEAMS)
    SHOW.say("  scoring whole names one by one")
    errors = []
    for row, prompt in enumerate(scored):
        kept = rows.successors[row] >= 0
        expected = one_by_one(planner, prompt, rows.successors[row][kept])
        errors.append(np.abs(expected - rows.logp[row][kept]).max())
    top = min(ws.config.inference.top, planner._trie.size)
    pruned, whole = planner.rank(sample, top), bench.wide.rank(sample, top)
    return {
        "top1_agreement": float((found.successors[:, 0] == other)[clear].mean()),
        "compared": int(clear.sum()),
        "largest_error": float(max(errors)),
        "scored_one_by_one": len(scored),
        "beam": {
            "beams": BEAMS,
            "top1_differs": float((pruned.successors[:, 0] != whole.successors[:, 0]).mean()),
            "top5_differs": float((pruned.successors[:, :5] != whole.successors[:, :5]).any(axis=1).mean()),
            "mass_found": float(
                np.exp(pruned.logp).sum(axis=1).mean() / np.exp(whole.logp).sum(axis=1).mean()
            ),
            "contexts": len(sample),
        },
    }


def one_by_one(planner: LocalPlanner, prompt: Prompt, interests: Sequence[int]) -> NDArray[np.float64]:
    """Log-probability of whole names: one forward pass each, every token renormalised over those allowed."""
    model, tokenizer = planner._model, planner._words.tokenizer
    [start] = wording.prompt_tokens(tokenizer, [prompt.text])
    answers = wording.completion_tokens(tokenizer, planner.names)
    found = np.zeros(len(interests))
    for row, interest in enumerate(interests):
        answer = answers[interest]
        with torch.no_grad():
            ids = torch.tensor([start + answer], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits[0].double()
        for depth, token in enumerate(answer):
            allowed = sorted({other[depth] for other in answers if other[:depth] == answer[:depth]})
            scores = logits[len(start) + depth - 1]
            found[row] += float(scores[token] - torch.logsumexp(scores[allowed], 0))
    return found


def readable(result: dict[str, Any]) -> str:
    lines = [
        f"{result['log']} log, {result['interests']} interests, {result['parameters']:,} parameters, "
        f"{result['device']}, {result['threads']} threads, torch {result['torch']}"
    ]
    for name, figures in result["by_prompts"].items():
        lines += [
            f"{name} ({figures['prompts']} prompts of {figures['prompt_tokens']:.1f} tokens)",
            f"  engine   {figures['contexts_per_s']:9.0f} contexts/s, "
            f"{figures['own_tokens_per_row']:.1f} own tokens per row",
            f"  generate {figures['baseline_contexts_per_s']:9.0f} contexts/s: ratio {figures['ratio']:.1f} "
            f"[{figures['ratio_range'][0]:.1f}, {figures['ratio_range'][1]:.1f}]; against one process a core "
            f"{figures['ratio_per_process'] or 0:.1f}",
            f"  limit    {figures['limit_contexts_per_s']:9.0f} contexts/s: share "
            f"{figures['share_of_forward_limit']:.2f} "
            f"[{figures['share_range'][0]:.2f}, {figures['share_range'][1]:.2f}]",
            f"  same best name on {figures['top1_agreement']:.2%} of {figures['compared']}, largest error "
            f"{figures['largest_error']:.1e} in {figures['scored_one_by_one']} contexts",
            f"  {BEAMS} beams against all: top 1 differs on {figures['beam']['top1_differs']:.2%}, top 5 on "
            f"{figures['beam']['top5_differs']:.2%}, mass found {figures['beam']['mass_found']:.4f}",
        ]
    for parts in (
        result["labels"],
        *(mode for shape in result["by_shape"].values() for mode in shape.values()),
    ):
        lines.append(f"{parts['parameters']:,} random parameters, {parts['mode']}")
        lines += [
            f"  {name} ({figures['prompts']} prompts): {figures['contexts_per_s']:.0f} contexts/s, share "
            f"{figures['share_of_forward_limit']:.2f} "
            f"[{figures['share_range'][0]:.2f}, {figures['share_range'][1]:.2f}]"
            for name, figures in parts["by_prompts"].items()
        ]
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path, help="a workspace with a model that writes descriptions")
    made.add_argument("--interests", type=int, default=100, help="of the simulated log")
    made.add_argument("--users", type=int, default=World().users, help="of the simulated log")
    made.add_argument("--steps", type=int, default=300, help="of tuning, at most")
    made.add_argument("--contexts", type=int, default=8000, help="prompts for the engine, about so many")
    made.add_argument("--sample", type=int, default=1000, help="of them for generate")
    made.add_argument("--naive", type=int, default=50, help="of them scored one by one")
    made.add_argument(
        "--shapes", nargs="*", choices=SHAPES, default=[*SHAPES], help="of larger random models, or none"
    )
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seed", type=int, default=0)
    small: dict[str, Any] = {
        "interests": 8,
        "users": 150,
        "steps": 10,
        "contexts": 30,
        "sample": 8,
        "naive": 2,
    }
    return parse(made, rounds=1, shapes=["1M"], **small)


if __name__ == "__main__":
    main()
