"""How fast the three learners learn: examples/s, and floating point operations against the machine's best.

    python benchmarks/learning.py --events log.parquet --items items.parquet --positive "value >= 7" --json
    python benchmarks/learning.py --quick               # a SIMULATED log, as it is without --events

The jobs are those that the steps of a run would begin with, on a workspace of the log. Of the sequence model,
the ranker of items and the `scratch` planner:

- `examples_per_s`: rows learned from over the seconds of a training of `--epochs`, the median of `--rounds`;
  all but the import of torch is in it. `range`: the slowest and the fastest.
- `gflops`: matrix products that were carried out (counted by torch in a training of its own), per second of
  that. `share_of_peak`: of `peak_gflops`, the best float32 product of two large square matrices on all cores,
  timed before each training; `peak_gflops_one` is that on one core. Trainings run on one thread.
- `holdout_nll`: nats per row of a later fifth of the rows, after learning from those before it as production
  does (the ranker: within the interest and over all items, added). `seconds` of that; the planner's is of its
  whole recipe.

`trainings`: what the steps of a run train, `--later` days before the end of the log (`first`) and at its end,
from random weights (`anew`) and from those of the first (`begun`; the ranker always begins anew).

- `steps`, `seconds`: of all trainings of a step; `ended`: why each did.
- `nll`: nats per row of the held-out windows, by the weights that know nothing of them (the ranker: of the
  rows that ended its training). `more`: what `begun` has more than `anew`, and its standard error by user.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import Show, folder, parse, parser, simulated, tell

SIZE = 2048
"""Rows of the matrices whose product is the machine's best."""


SEEDED = "sequence", "tuning", "ranker"
"""Sections of the settings that have a seed of a learner."""


@dataclass(frozen=True)
class Learner:
    """What is measured of one learner.

    Attributes:
        rows: learned from in one epoch.
        short: a training of so many epochs.
        whole: a training as production does it; returns nats per held-out row.
    """

    rows: int
    short: Callable[[float], object]
    whole: Callable[[], float]


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--events", type=Path, help="event file of the log; without one it is SIMULATED")
    made.add_argument("--items", type=Path, help="its item file")
    made.add_argument("--positive", default="", help="its positive rule")
    made.add_argument("--novelty-days", default="30", help="days, or ever")
    made.add_argument("--interests", type=int, default=100)
    made.add_argument("--epochs", type=float, default=1.0, help="of the trainings that are timed")
    made.add_argument("--rounds", type=int, default=3, help="trainings that are timed, of each learner")
    made.add_argument("--later", type=int, default=28, help="days from the first training to the next")
    made.add_argument("--seed", type=int, default=0, help="of these two trainings")
    options = parse(made, rounds=1, epochs=0.5, later=7)
    load = os.getloadavg()[0]
    with folder(None) as root:
        prepare(root, options)
        learners = learners_of(jobs_of(root))
        found: dict[str, Any] = {name: measured(name, learner, options) for name, learner in learners.items()}
    with folder(None) as root:  # of its own: interests have to be formed before the first moment
        prepare(root, options)
        found["trainings"] = trainings(root, options.later, options.seed)
    note = str(options.events) if options.events else "SIMULATED log"
    tell(options, {"note": note, "load": round(load, 1), "cores": os.cpu_count(), **found})


def prepare(root: Path, options: argparse.Namespace) -> None:
    """A workspace with a `scratch` planner on the log."""
    if options.events is None:
        simulated(root, planner="scratch")
        return
    command = [sys.executable, "-m", "freshet", "init", str(root), "--events", str(options.events), "--force"]
    command += ["--interests", str(options.interests), "--planner", "scratch"]
    command += ["--novelty-days", options.novelty_days]
    command += ["--items", str(options.items)] if options.items else []
    command += ["--positive", options.positive] if options.positive else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Asked(Exception):
    """Carries the job of the training that a step was about to begin."""


def jobs_of(root: Path) -> tuple[Any, Any, Any]:
    """What the first trainings of the sequence model, the ranker and the planner would be given."""
    from freshet import due
    from freshet.backends.planners.scratch import ScratchTuner
    from freshet.backends.sequences.trainers import TorchRankingTrainer, TorchSequenceTrainer
    from freshet.pipeline import context_of
    from freshet.stages.events import step as events
    from freshet.stages.items import step as items
    from freshet.stages.sequence import step as sequence
    from freshet.stages.tuning import step as tuning
    from freshet.wiring import open_workspace

    def ask(_: object, job: Any, *__: object) -> Any:
        raise Asked(job)

    def asked(step: Callable[[], object]) -> Any:
        try:
            step()
        except Asked as found:
            return found.args[0]
        raise SystemExit("a step trained nothing: the log is too short")

    sequencer = type("Sequencer", (TorchSequenceTrainer,), {"train": ask})()
    ranker = type("Ranker", (TorchRankingTrainer,), {"train": ask})()
    tuner = type("Planner", (ScratchTuner,), {"tune": ask})()
    ws = replace(open_workspace(root), sequencer=sequencer, ranker=ranker, tuner=tuner)
    with ws.run("run", "") as run:
        events.import_sources(ws, run, datetime.now(UTC))
        ctx = context_of(ws, run, due.moment(ws, run, None, due.end_of_log(ws)))
        return (
            asked(lambda: sequence.train(ctx)),
            asked(lambda: items.train(ws, run, ctx.log)),
            asked(lambda: tuning.finetune(ctx, tuner)),
        )


def learners_of(jobs: tuple[Any, Any, Any]) -> dict[str, Learner]:
    """The learners by name, and what is measured of each."""
    from freshet.backends.planners.scratch import ScratchTuner
    from freshet.backends.sequences.trainers import TorchRankingTrainer, TorchSequenceTrainer

    sequences, ranking, planning = jobs
    sequencer, ranker = TorchSequenceTrainer(), TorchRankingTrainer()
    tuner = ScratchTuner(beam=len(planning.interests))
    learned = np.setdiff1d(np.arange(len(ranking)), ranking.later)
    only = replace(ranking.take(learned), later=None)
    cut = len(planning.examples) * 4 // 5
    earlier = part_of(planning, np.arange(cut))

    def tune(epochs: float) -> None:
        with tempfile.TemporaryDirectory() as into:
            tuner.tune(replace(earlier, epochs=epochs), Path(into))

    def planner_nll() -> float:
        later = part_of(planning, np.arange(cut, len(planning.examples)))
        with tempfile.TemporaryDirectory() as into:
            tuner.tune(earlier, Path(into))
            planner = tuner.open(Path(into), later.interests)
            return nll(planner, later)

    return {
        "sequence": Learner(
            len(sequences.sequences),
            lambda epochs: sequencer.train(replace(sequences, epochs=epochs, later=None)),
            lambda: sequencer.train(sequences)[1].holdout_nll or float("nan"),
        ),
        "ranker": Learner(
            len(learned),
            lambda epochs: ranker.train(replace(only, epochs=epochs)),
            lambda: ranker.train(ranking)[1].holdout_nll or float("nan"),
        ),
        "planner": Learner(cut, tune, planner_nll),
    }


def part_of(job: Any, rows: NDArray[np.int64]) -> Any:
    """A tuning job on some of its examples."""
    found = replace(job.candidates, known=job.candidates.known[rows], window=job.candidates.window[rows])
    return replace(job, examples=[job.examples[row] for row in rows.tolist()], candidates=found)


def nll(planner: Any, job: Any) -> float:
    """Nats per example of a planner relative to popularity, among what wasn't known."""
    return float(losses(planner, job).mean())


def losses(planner: Any, job: Any) -> NDArray[np.float64]:
    """(n,) of the examples."""
    found = job.candidates
    ranking = planner.rank([example.prompt for example in job.examples], found.known.shape[1])
    scores = np.full(found.known.shape, -np.inf)
    np.put_along_axis(scores, ranking.successors.astype(np.int64), ranking.logp.astype(float), axis=1)
    scores = np.where(found.known, -np.inf, scores + found.popularity[found.window])
    chosen = scores[np.arange(len(scores)), [example.successor for example in job.examples]]
    return np.asarray(np.logaddexp.reduce(scores, axis=1) - chosen)


def trainings(root: Path, later: int, seed: int) -> dict[str, dict[str, Any]]:
    """What a run trains, and what the next one does some days later."""
    from freshet import due
    from freshet.core.errors import GateFailed
    from freshet.pipeline import context_of
    from freshet.stages.events import step as events
    from freshet.stages.items import step as items
    from freshet.stages.sequence import step as sequence
    from freshet.stages.tuning import step as tuning
    from freshet.storage.artifacts import committed
    from freshet.wiring import open_workspace

    ws, show = open_workspace(root), Show()
    seeded = {name: getattr(ws.config, name).model_copy(update={"seed": seed}) for name in SEEDED}
    ws = replace(ws, config=ws.config.model_copy(update=seeded))
    tuner = ws.tuner
    with ws.run("run", "") as run:
        events.import_sources(ws, run, datetime.now(UTC))
        end = due.moment(ws, run, None, due.end_of_log(ws))
        before, now = (context_of(ws, run, at) for at in (end.minus(later), end))

        def told(step: str, train: Callable[[], object]) -> tuple[Any, dict[str, Any]]:
            show.say(step)
            made = train()
            record = [one for one in run.record.steps if one.name == step][-1]
            ended = record.details["trainings"].values()
            return made, {
                "steps": sum(one["steps"] for one in ended),
                "seconds": round(record.seconds, 2),
                "ended": [one.get("ended", "") for one in ended],
            }

        def tuned(ctx: Any, earlier: Any = None) -> Any:
            try:
                return tuning.finetune(ctx, tuner, earlier)
            except GateFailed:  # judged well or badly: it is trained
                judged = run.record.waiting or {}
                run.record.outcome, run.record.waiting = "running", None
                return committed(ws.store, "models", judged["model"])

        found = {}
        for name, step, train, losses in (
            ("sequence", "sequence", sequence.train, sequence_losses),
            ("planner", "tuning", tuned, planner_losses),
        ):
            first, about = told(step, lambda train=train: train(before))
            anew, again = told(step, lambda train=train: train(now))
            begun, further = told(step, lambda train=train, first=first: train(now, first))
            one, user = losses(now, anew)
            other, _ = losses(now, begun)
            more, noise = gain(other, one, user)
            again["nll"], further["nll"] = round(float(one.mean()), 4), round(float(other.mean()), 4)
            found[name] = {"first": about, "anew": again, "begun": further}
            found[name]["more"] = [round(more, 4), round(noise, 4)]
        _, about = told("ranker", lambda: items.train(ws, run, before.log))
        made, again = told("ranker", lambda: items.train(ws, run, now.log))
        again["nll"] = round(made.manifest["trainings"]["early"]["nll"], 4)
        found["ranker"] = {"first": about, "anew": again}
    return found


def held_out(ctx: Any) -> Any:
    """Transitions of the held-out windows, with a context."""
    return ctx.log.transitions.between(ctx.fitter.holdout.start, ctx.as_of).with_context()


def sequence_losses(ctx: Any, made: Any) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """(n,) nats of held-out transitions by weights that know nothing of them, and whose they are."""
    from freshet.stages.sequence import step as sequence

    model, start = sequence.open_model(made, sequence.EARLY), ctx.fitter.holdout.start.day_number
    job = sequence.training_sequences(ctx, ctx.as_of)
    rows = job.take(job.day >= start)
    logits = np.empty(rows.known.shape)
    for moment in np.unique(rows.moment):
        at = rows.moment == moment
        logits[at] = model.logits(rows.recent[at], rows.prior[moment])
    logits[rows.known] = -np.inf
    chosen = logits[np.arange(len(rows)), rows.following]
    return np.logaddexp.reduce(logits, axis=1) - chosen, rows.user


def planner_losses(ctx: Any, made: Any) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """The same by a holdout model, relative to popularity."""
    from freshet.core.ports import Budget
    from freshet.stages.tuning import step as tuning
    from freshet.stages.tuning.lazy_planner import LazyPlanner

    rows = held_out(ctx)
    job = tuning._job(ctx, rows, ctx.as_of, Budget(), Path())
    return losses(LazyPlanner(ctx.ws.tuner, made, ctx.log.interests).holdout_model, job), rows.user


def gain(
    before: NDArray[np.float64], now: NDArray[np.float64], user: NDArray[np.uint64]
) -> tuple[float, float]:
    """Mean of before - now and its standard error by user."""
    from freshet.backends import held_out_gain

    return held_out_gain.gain(before, now, user)


def measured(name: str, learner: Learner, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one learner."""
    from torch.utils.flop_counter import FlopCounterMode

    show = Show()
    show.say(name)
    epochs = options.epochs
    with FlopCounterMode(display=False) as counter:
        learner.short(epochs)
    seconds, peaks, alone = [], [], []
    for _ in range(options.rounds):
        peaks.append(peak(os.cpu_count() or 1))
        alone.append(peak(1))
        start = time.perf_counter()
        learner.short(epochs)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    loss = learner.whole()
    whole = time.perf_counter() - start
    flops, best = counter.get_total_flops() / statistics.median(seconds), statistics.median(peaks)
    speeds = sorted(learner.rows * epochs / taken for taken in seconds)
    return {
        "examples": learner.rows,
        "examples_per_s": round(statistics.median(speeds)),
        "range": [round(speeds[0]), round(speeds[-1])],
        "gflops": round(flops / 1e9, 1),
        "peak_gflops": round(best / 1e9, 1),
        "peak_gflops_one": round(statistics.median(alone) / 1e9, 1),
        "share_of_peak": round(flops / best, 3),
        "holdout_nll": round(loss, 4),
        "seconds": round(whole, 2),
    }


def peak(threads: int, times: int = 3) -> float:
    """FLOPs per second of the best product on so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    left, right = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        left @ right
        taken.append(time.perf_counter() - start)
    torch.set_num_threads(before)
    return 2.0 * SIZE**3 / min(taken)


if __name__ == "__main__":
    main()
