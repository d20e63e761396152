"""Does the planner beat plain counts on a log? Rolling evaluation with the production pipeline.

The last 30 % of time is the test. At every refresh the pipeline runs as of that moment (interests were fitted
once, before the test; the planner is tuned again every `--tune-days`), and the published mixture scores the
transitions that follow until the next refresh, interests the user knows removed. Nothing after a refresh
reaches it.

    python benchmarks/quality.py --events E.parquet --items I.parquet --positive "value >= 7" \
        --interests 100 --novelty-days 30 --json

Popularity is the recent one whose half-life was best on the held-out windows before each refresh. Intervals
are 95 % paired bootstrap by user.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet import counts, events, pipeline
from freshet.errors import GateFailed
from freshet.ports import Artifact
from freshet.steps.counting import Counting
from freshet.steps.knowledge import learn
from freshet.steps.publishing import open_planner, open_scorer
from freshet.steps.sources import import_sources
from freshet.types import AsOf, Transitions
from freshet.wiring import open_workspace
from freshet.workspace import Workspace
from show import Show

ARMS = ("popularity", "counts", "planner", "fused")
BOOTSTRAPS = 1000


@dataclass
class Judged:
    """Per test transition: user, context length, and for every arm rank (0 = first) and nll (nats)."""

    user: list[NDArray[np.uint64]]
    length: list[NDArray[np.int64]]
    rank: dict[str, list[NDArray[np.int64]]]
    nll: dict[str, list[NDArray[np.float64]]]


def main() -> None:
    options = arguments()
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
    start = days[0] + timedelta(days=round((days[-1] - days[0]).days * (1 - options.test_share)))
    end = AsOf(days[-1]).minus(-1)
    with ws.run("learn") as run:
        first = learn(ws, run, AsOf(start))  # interests are fitted here, before the test
        everything = learn(ws, run, end)  # transitions of the test, by the same interests
        assert everything.interests_version == first.interests_version
    every = options.refresh_days or first.scales.window_days
    tune = options.tune_days or 4 * first.scales.window_days
    judged = Judged([], [], {arm: [] for arm in ARMS}, {arm: [] for arm in ARMS})
    weights: list[dict[str, float]] = []
    gates: list[dict[str, Any]] = []
    moment, tuned = AsOf(start), None
    refreshes = 0
    while moment.day < end.day:
        following = min(moment.minus(-every), end, key=lambda m: m.day)
        if ws.tuner is not None and (tuned is None or (moment.day - tuned.day).days >= tune):
            gates.append(tune_planner(ws, moment))
            tuned = moment
        record = pipeline.fast_path(ws, moment)
        made = [s.artifact for s in record.steps if s.name == "table"][-1].split("/")[1]
        artifact = ws.store.find("tables", made)
        assert artifact is not None
        scorer = open_scorer(artifact, len(first.interests))
        mixture = json.loads((artifact.path / "mixture.json").read_text())
        if mixture["planner"]:
            weights.append(mixture["planner"])
        test = everything.transitions.between(moment, following)
        with ws.run("judge") as run:
            known = learn(ws, run, moment)
            popular = best_popularity(Counting(known, ws.config.transitions.k, 5000))
        if len(test):
            judge(judged, scorer, popular, artifact, test)
        refreshes += 1
        show.say(f"{moment}: judged {sum(map(len, judged.user))} transitions")
        moment = following
    return summary(judged, weights, refreshes, options) | {"gates": gates}


def tune_planner(ws: Workspace, moment: AsOf) -> dict[str, Any]:
    """The slow path; a failed gate is approved, so that the figures show what it would have let through."""
    try:
        record = pipeline.slow_path(ws, moment)
    except GateFailed:
        record = pipeline.approve(ws, ws.ledger.records()[-1].id, "benchmark")
    report = next(step for step in record.steps if step.name == "gates").details
    return {"as_of": str(moment), **{key: report[key] for key in ("passed", "gates", "recall", "sample")}}


def best_popularity(counting: Counting) -> int:
    """Index of the half-life that was best on the held-out windows."""
    totals = np.zeros(len(counting.known.scales.half_lives))
    for window in counting.windows:
        model, rows = counting.model(window.start), np.arange(len(window.held))
        for i, popularity in enumerate(model.popularity):
            scores = np.broadcast_to(popularity, window.held.known.shape)
            totals[i] += counts.log_softmax(scores, window.held.known)[rows, window.held.successor].sum()
    return int(totals.argmax())


def judge(judged: Judged, scorer: counts.Scorer, popular: int, table: Artifact, test: Transitions) -> None:
    """Score the transitions of one period."""
    rows = np.arange(len(test))
    popularity = np.broadcast_to(scorer.model.popularity[popular], test.known.shape)
    planner = open_planner(table, scorer.model.interests)
    scores = scorer(test.recent, test.known)
    alone = scores.count
    if planner is not None:
        features = planner.feature(test.recent, np.exp(scores.count)).astype(np.float64)
        alone = counts.log_softmax(features, test.known)
    arms = {
        "popularity": counts.log_softmax(popularity, test.known),
        "counts": scores.count,
        "planner": alone,
        "fused": scores.fused,
    }
    judged.user.append(test.user)
    judged.length.append(np.minimum((test.recent >= 0).sum(axis=1), 2))
    for arm, logp in arms.items():
        right = logp[rows, test.successor]
        judged.rank[arm].append((logp > right[:, None]).sum(axis=1))
        judged.nll[arm].append(-right)


def summary(
    judged: Judged, weights: list[dict[str, float]], refreshes: int, options: argparse.Namespace
) -> dict[str, Any]:
    user = np.concatenate(judged.user)
    length = np.concatenate(judged.length)
    rank = {arm: np.concatenate(judged.rank[arm]) for arm in ARMS}
    nll = {arm: np.concatenate(judged.nll[arm]) for arm in ARMS}
    result: dict[str, Any] = {"n": len(user), "users": len(np.unique(user)), "refreshes": refreshes}
    for arm in ARMS:
        result[arm] = figures(rank[arm], nll[arm])
        result[arm]["by_context_length"] = {
            str(size): figures(rank[arm][length == size], nll[arm][length == size])
            | {"n": int((length == size).sum())}
            for size in (0, 1, 2)
            if (length == size).any()
        }
    for name, a, b in (
        ("fused_minus_counts", "fused", "counts"),
        ("counts_minus_popularity", "counts", "popularity"),
        ("planner_minus_counts", "planner", "counts"),
    ):
        result[name] = {
            "hit_at_5": difference((rank[a] < 5).astype(np.float64) - (rank[b] < 5), user, options.seed),
            "nll": difference(nll[a] - nll[b], user, options.seed),
        }
    if weights:
        result["planner_weight"] = {
            "value": float(np.mean([w["weight"] for w in weights])),
            "ci95": [
                float(np.mean([w["low"] for w in weights])),
                float(np.mean([w["high"] for w in weights])),
            ],
            "last": weights[-1],
        }
    return result


def figures(rank: NDArray[np.int64], nll: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "hit_at_1": float((rank < 1).mean()),
        "hit_at_5": float((rank < 5).mean()),
        "nll": float(nll.mean()),
    }


def difference(values: NDArray[np.float64], user: NDArray[np.uint64], seed: int) -> dict[str, Any]:
    """Mean of paired differences with a 95 % bootstrap interval over users."""
    _, inverse = np.unique(user, return_inverse=True)
    total = np.bincount(inverse, values)
    count = np.bincount(inverse).astype(float)
    random = np.random.default_rng(seed)
    means = np.empty(BOOTSTRAPS)
    for i in range(BOOTSTRAPS):
        draw = random.integers(0, len(total), len(total))
        means[i] = total[draw].sum() / count[draw].sum()
    return {
        "value": float(values.mean()),
        "ci95": [float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))],
    }


def readable(result: dict[str, Any]) -> str:
    lines = [f"{result['n']} test transitions of {result['users']} users, {result['refreshes']} refreshes"]
    for arm in ARMS:
        f = result[arm]
        lines.append(
            f"{arm:12s} hit@1 {f['hit_at_1']:6.2%}  hit@5 {f['hit_at_5']:6.2%}  nll {f['nll']:.4f}"
            + "".join(
                f"   |{size}: {g['hit_at_5']:.2%} {g['nll']:.3f} (n={g['n']})"
                for size, g in f["by_context_length"].items()
            )
        )
    for name in ("fused_minus_counts", "counts_minus_popularity", "planner_minus_counts"):
        for metric, d in result[name].items():
            lines.append(f"{name} {metric}: {d['value']:+.4f} [{d['ci95'][0]:+.4f}, {d['ci95'][1]:+.4f}]")
    if "planner_weight" in result:
        w = result["planner_weight"]
        lines.append(f"planner weight {w['value']:.3f} [{w['ci95'][0]:.3f}, {w['ci95'][1]:.3f}]")
    return "\n".join(lines)


def settings(options: argparse.Namespace) -> str:
    days = '"ever"' if options.novelty_days == "ever" else options.novelty_days
    return "\n".join(
        [
            "[events]",
            f"files = [{json.dumps(str(options.events.resolve()))}]",
            f"items = {json.dumps(str(options.items.resolve()) if options.items else '')}",
            f"positive = {json.dumps(options.positive)}",
            "[interests]",
            f"count = {options.interests}",
            "[transitions]",
            f"novelty_days = {days}",
            "[planner]",
            f'kind = "{options.planner}"',
            *([f'mode = "{options.mode}"'] if options.mode else []),
            "[table]",
            "max_churn = 1.0",
            *options.set,
        ]
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--positive", default="")
    parser.add_argument("--interests", type=int, default=100)
    parser.add_argument("--novelty-days", default="30", help="H in days, or 'ever'")
    parser.add_argument("--planner", default="scratch", choices=["scratch", "counts", "fake"])
    parser.add_argument("--mode", choices=["description", "label"], help="default: as `freshet init`")
    parser.add_argument("--refresh-days", type=int, help="default: one window (7 days on a busy log)")
    parser.add_argument("--tune-days", type=int, help="default: four windows")
    parser.add_argument("--test-share", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workspace", help="keep the workspace here")
    parser.add_argument("--set", action="append", default=[], help="more lines of freshet.toml")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
