"""What a sequence score adds to plain counts on a log: rolling evaluation without a planner.

As in `quality.py`, the last 30 % of time is the test, interests are fitted once before it, counts and weights
are refreshed every window, and the sequence model is trained again every four windows. The weight of its
score is fitted on windows that its early weights have not seen; its full weights score.

    python benchmarks/sequence.py --events E.parquet --items I.parquet --positive "value >= 7" --json

Intervals are 95 % paired bootstrap by user.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet import counts, events
from freshet.ports import Artifact
from freshet.steps import sequencing
from freshet.steps.counting import Counting
from freshet.steps.knowledge import learn
from freshet.steps.sources import import_sources
from freshet.types import AsOf, Transitions
from freshet.wiring import open_workspace
from freshet.workspace import Workspace
from quality import arguments, difference, figures, settings
from show import Show

ARMS = ("counts", "sequence", "counts_sequence")


def main() -> None:
    options = arguments()
    options.planner, options.mode = "counts", None
    show = Show()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(options.workspace or scratch)
        root.mkdir(parents=True, exist_ok=True)
        (root / "freshet.toml").write_text(settings(options))
        ws = open_workspace(root, show)
        with ws.run("import") as run:
            import_sources(ws, run, datetime.now(UTC))
        result = evaluate(ws, options, show)
    print(json.dumps(result) if options.json else readable(result))


def evaluate(ws: Workspace, options: argparse.Namespace, show: Show) -> dict[str, Any]:
    """Roll through the test period."""
    days = [day.day for day in events.EventLog(ws.root).snapshot().days]
    start = AsOf(days[0] + timedelta(days=round((days[-1] - days[0]).days * (1 - options.test_share))))
    end = AsOf(days[-1]).minus(-1)
    with ws.run("learn") as run:
        first = learn(ws, run, start)  # interests are fitted here, before the test
        everything = learn(ws, run, end)  # transitions of the test, by the same interests
    every = options.refresh_days or first.scales.window_days
    tune = options.tune_days or 4 * first.scales.window_days
    judged: list[tuple[Transitions, dict[str, NDArray[np.float64]]]] = []
    weights: list[dict[str, dict[str, float]]] = []
    made: Artifact | None = None
    moment = start
    while moment.day < end.day:
        following = min(moment.minus(-every), end, key=lambda m: m.day)
        with ws.run("refresh") as run:
            known = learn(ws, run, moment)
            counting = Counting(known, ws.config.transitions.k, ws.config.counts.fit_examples)
            if made is None or moment.day >= AsOf.parse(made.manifest["as_of"]).minus(-tune).day:
                made = sequencing.train(ws, run, known, counting)
        early, full = (sequencing.open_model(made, name) for name in (sequencing.EARLY, sequencing.FULL))
        fusion = counting.fused(None, early.logits)
        assert fusion is not None
        weights.append(fusion.judged.as_dict())
        test = everything.transitions.between(moment, following)
        if len(test):
            scored = counting.scorer(None, fusion.used, full.logits)(test.recent, test.known)
            alone = sequencing.alone(counting, full)(test.recent, test.known)
            logp = dict(zip(ARMS, (scored.count, alone.fused, scored.fused), strict=True))
            judged.append((test, logp))
        show.say(f"{moment}: judged {sum(len(rows) for rows, _ in judged)} transitions")
        moment = following
    return summary(judged, weights, options.seed)


def summary(
    judged: list[tuple[Transitions, dict[str, NDArray[np.float64]]]],
    weights: list[dict[str, dict[str, float]]],
    seed: int,
) -> dict[str, Any]:
    """Figures of every arm by context length, their differences, and the fitted weights."""
    user = np.concatenate([rows.user for rows, _ in judged])
    length = np.concatenate([counts.length_class(rows.recent) for rows, _ in judged])
    rank, nll = {}, {}
    for arm in ARMS:
        right = [(logp[arm], logp[arm][np.arange(len(rows)), rows.successor]) for rows, logp in judged]
        rank[arm] = np.concatenate([(logp > hit[:, None]).sum(axis=1) for logp, hit in right])
        nll[arm] = np.concatenate([-hit for _, hit in right])
    result: dict[str, Any] = {"n": len(user), "users": len(np.unique(user)), "refreshes": len(weights)}
    for arm in ARMS:
        result[arm] = figures(rank[arm], nll[arm])
        result[arm]["by_context_length"] = {
            str(size): figures(rank[arm][length == size], nll[arm][length == size])
            for size in (0, 1, 2)
            if (length == size).any()
        }
    for a, b in (("sequence", "counts"), ("counts_sequence", "counts"), ("counts_sequence", "sequence")):
        hit = (rank[a] < 5).astype(np.float64) - (rank[b] < 5)
        result[f"{a}_minus_{b}"] = {
            "hit_at_5": difference(hit, user, seed),
            "nll": difference(nll[a] - nll[b], user, seed),
        }
    result["weights"] = {
        name: float(np.mean([fitted[name]["weight"] for fitted in weights])) for name in weights[0]
    }
    return result


def readable(result: dict[str, Any]) -> str:
    """The result as lines of text."""
    lines = [f"{result['n']} test transitions of {result['users']} users, {result['refreshes']} refreshes"]
    lines += [
        f"{arm:16s} hit@1 {result[arm]['hit_at_1']:6.2%}  hit@5 {result[arm]['hit_at_5']:6.2%}  "
        f"nll {result[arm]['nll']:.4f}"
        for arm in ARMS
    ]
    lines += [
        f"{name} {metric}: {d['value']:+.4f} [{d['ci95'][0]:+.4f}, {d['ci95'][1]:+.4f}]"
        for name in result
        if "_minus_" in name
        for metric, d in result[name].items()
    ]
    return "\n".join([*lines, f"mean weights: {result['weights']}"])


if __name__ == "__main__":
    main()
