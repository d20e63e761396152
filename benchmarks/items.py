"""How often a list of ten items holds what a user takes up next, on a log that was replayed.

    freshet replay -w shop --arms hybrid,counts
    python benchmarks/items.py --workspace shop --json

Every judged transition is a step of a user into an interest that is novel to them; the items they engage
there are the targets. *Within the interest*: the true interest is given, its items are ranked. *End to end*:
ten items of all interests are shown; `hybrid` multiplies its probability of an interest (its table as of the
origin) with that of the item within it. All methods know what lies before the origin of the replay, leave out
what the user engaged lately, and, unless they are called unrestricted, the items of interests that the user
knows. What is trained is trained `--trainings` times, evenly over the replay; popularity is counted anew at
every origin. Half-lives and weights come from days before each training. Of more transitions than `--limit`,
whole users are drawn.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.backends.sequences.trainers import TorchRankingTrainer
from freshet.core.config import RankerConfig
from freshet.core.ports import Budget
from freshet.core.types import AsOf, Transitions
from freshet.core.user_numbers import keys
from freshet.pipeline import snapshot_of
from freshet.run_context import LogSnapshot
from freshet.stages import events
from freshet.stages import items as ranking
from freshet.stages.items import holdout as held_out
from freshet.stages.items import training_data as teaching
from freshet.stages.table.format import open_scorer
from freshet.storage.workspace import Workspace
from freshet.wiring import open_sandbox, open_workspace
from shared import parse, parser, tell, workspace

TOP = 10
Floats = NDArray[np.floating[Any]]
Hits = dict[str, list[NDArray[np.float64]]]
"""Method -> 1 or 0 for every transition, in parts."""


@dataclass(frozen=True)
class Trained:
    """Scores of items by what was trained at one origin: within interests, `alone` without any.

    `plain` is the ranker with what it knows beforehand, and no histories.
    """

    ranker: ranking.Score
    plain: ranking.Score
    popular: ranking.Score
    alone: ranking.Score
    popular_alone: ranking.Score
    about: dict[str, Any]


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path)
    made.add_argument("--trainings", type=int, default=2)
    made.add_argument("--limit", type=int, default=6000)
    made.add_argument("--examples", type=int, default=25_000, help="engagements learned from, at most")
    made.add_argument("--steps", type=int, default=0, help="of one training, at most; 0 = by its recipe")
    options = parse(made, "workspace", trainings=1, limit=200, examples=2000, steps=10)
    config = RankerConfig(max_examples=options.examples, max_steps=options.steps or "auto")
    with workspace(options, replayed=True) as root:
        found = measure(root, options.trainings, options.limit, config)
    parts = ("within", "end_to_end")
    lines = [f"{part:11} {name:44} {figure}" for part in parts for name, figure in found[part].items()]
    tell(options, found, lambda: "\n".join(lines))


def measure(root: Path, trainings: int, limit: int, config: RankerConfig) -> dict[str, Any]:
    """The figures; see the module."""
    ws = open_workspace(root)
    folder, origins, tables = _replayed(root)
    start, end = folder.name.split("_")[:2]
    sandbox = open_sandbox(ws, AsOf.parse(start))
    with sandbox.run("benchmark") as run:
        known = snapshot_of(sandbox, run, AsOf.parse(end))
    whole = teaching.gather(sandbox, known)
    user = _users(sandbox, whole)
    train_at = {origins[len(origins) * i // trainings] for i in range(trainings)}
    share = min(1.0, limit / max(1, len(known.transitions.between(AsOf.parse(start), AsOf.parse(end)))))
    trained: list[Trained] = []
    judged = _Judged()
    for origin, until, table in zip(origins, [*origins[1:], AsOf.parse(end)], tables, strict=True):
        if origin in train_at:
            trained.append(_train(_before(whole, origin), config))
            print(f"trained as of {origin}: {trained[-1].about}", file=sys.stderr, flush=True)
        made = sandbox.store.find("tables", table)
        assert made is not None
        scorer = open_scorer(made, len(known.interests))
        asked, targets, transitions = _asked(whole, user, known, origin, until, share)
        if len(asked):
            interests = scorer(transitions.recent, transitions.known).fused
            judged.add(whole, origin.day_number, trained[-1], asked, targets, transitions, interests)
    return {
        "log": root.name,
        "from": start,
        "to": end,
        "origins": len(origins),
        "trainings": [made.about for made in trained],
        "items": len(whole.about.ids),
        "interests": len(known.interests),
        **judged.told(),
    }


def _replayed(root: Path) -> tuple[Path, list[AsOf], list[str]]:
    """The last replay with arm `hybrid`: its folder, origins and tables."""
    found = sorted((root / "replay").glob("*/states.parquet"), key=lambda path: path.stat().st_mtime)
    for path in reversed(found):
        states = pq.read_table(path, columns=["arm", "origin", "table"])
        states = states.filter(pc.equal(states["arm"], "hybrid")).sort_by("origin")
        if len(states):
            origins = [AsOf(day) for day in states["origin"].to_pylist()]
            return path.parent, origins, states["table"].to_pylist()
    raise SystemExit(f"{root} holds no replay with arm `hybrid`: run `freshet replay` first")


def _before(whole: teaching.TrainingData, moment: AsOf) -> teaching.TrainingData:
    """The lessons of everything before a moment."""
    day = moment.day_number
    log, rows = whole.log.before(day), whole.rows.take(whole.rows.day < day)
    return replace(whole, log=log, rows=rows, now=day)


def _train(data: teaching.TrainingData, config: RankerConfig) -> Trained:
    """The ranker, and the same network without interests: one interest holds all items."""
    alone = replace(data, start=np.array([0, len(data.about.ids)]))
    within, plain, told = _taught(data, config)
    without, _, told_alone = _taught(alone, config)
    half_life, other_half_life = told["half_life"], told_alone["half_life"]
    about = {"as_of_day": data.now, "ranker": told, "without_interests": told_alone}
    popular, popular_alone = held_out.popular(half_life), held_out.popular(other_half_life)
    return Trained(within, plain, popular, without, popular_alone, about)


def _taught(
    data: teaching.TrainingData, config: RankerConfig
) -> tuple[ranking.Score, ranking.Score, dict[str, Any]]:
    """Trained early to choose passes and weights, then on everything, as `freshet ranker` does."""
    trainer, held = TorchRankingTrainer(), held_out.Held.of(data)
    budget = Budget(None if config.max_steps == "auto" else config.max_steps)
    early, first = trainer.train(held.job(config, budget))
    judged, weights = held.evaluate(early)
    full, _ = trainer.train(data.job(config, budget, held.offset, data.rows, epochs=first.epochs))
    final = np.array([*weights["prior"], weights["histories"]])
    about = {"passes": first.epochs, "rows": first.rows, "weights": np.round(final, 3).tolist()}
    about |= {"half_life": weights["best_half_life"], "held_out": judged}
    plain = held_out.ranked(data.half_lives, held.offset, None)
    return held_out.ranked(data.half_lives, final, held_out.histories(full)), plain, about


def _users(sandbox: Workspace, whole: teaching.TrainingData) -> NDArray[np.uint64]:
    """The key of each user of the log, by number."""
    days = [str(day.path) for day in events.EventLog(sandbox.source).snapshot().days]
    rule = events.parse(sandbox.config.events.positive).sql or "true"
    with duckdb.connect() as db:
        names = db.sql(
            f'SELECT DISTINCT "user" FROM read_parquet($days, union_by_name = true) '
            f'WHERE coalesce(({rule}), false) AND item IN (SELECT unnest($ids)) ORDER BY "user"',
            params={"days": days, "ids": list(whole.about.ids)},
        ).to_arrow_table()
    return keys(names["user"])


def _asked(
    whole: teaching.TrainingData,
    user: NDArray[np.uint64],
    known: LogSnapshot,
    origin: AsOf,
    until: AsOf,
    share: float,
) -> tuple[ranking.Rows, list[NDArray[np.int32]], Transitions]:
    """Transitions of a window with the items that were engaged in each."""
    test = known.transitions.between(origin, until)
    test = test.take(test.user % 10_000 < share * 10_000)
    day = whole.rows.day
    inside = (day >= origin.day_number) & (day < until.day_number) & whole.rows.novel
    rows = whole.rows.take(inside)
    steps = zip(test.user.tolist(), test.day.tolist(), test.successor.tolist(), strict=True)
    place = {step: number for number, step in enumerate(steps)}
    interest = whole.about.interest[rows.item].tolist()
    found: dict[int, list[int]] = {}
    for row, key in enumerate(zip(user[rows.user].tolist(), rows.day.tolist(), interest, strict=True)):
        if key in place:
            found.setdefault(place[key], []).append(row)
    asked = rows.take(np.array([same[0] for same in found.values()], np.int64))
    targets = [rows.item[same] for same in found.values()]
    return asked, targets, test.take(np.array(list(found), np.int64))


class _Judged:
    """Hits so far, by method."""

    def __init__(self) -> None:
        self.users: list[NDArray[np.int64]] = []
        self.within: Hits = {}
        self.listed: Hits = {}

    def add(
        self,
        whole: teaching.TrainingData,
        day: int,
        trained: Trained,
        asked: ranking.Rows,
        targets: list[NDArray[np.int32]],
        transitions: Transitions,
        interests: Floats,
    ) -> None:
        """Judge the transitions of one origin."""
        log = whole.log.before(day)
        interest = whole.about.interest
        true = transitions.successor[:, None] == interest  # (n, V)
        novel = ~transitions.known[:, interest]
        out = np.broadcast_to(log.first >= day, true.shape).copy()
        for back in range(asked.recent.shape[1]):
            seen = asked.recent[:, back]
            rows = np.flatnonzero(seen >= 0)
            out[rows, seen[rows]] = True
        scores = {
            "ranker": trained.ranker,
            "without histories": trained.plain,
            "popularity": _logarithm(trained.popular),
            "alone": trained.alone,
            "popular alone": trained.popular_alone,
        }
        scored = {name: np.where(out, -np.inf, score(log, day, asked)) for name, score in scores.items()}
        self.users.append(asked.user)
        for name in ("ranker", "without histories", "popularity"):
            self._hit(self.within, name, np.where(true, scored[name], -np.inf), targets)
        step = interests[:, interest]
        lists = {
            "hybrid, ranker": step + _within(scored["ranker"], whole.start, interest),
            "hybrid, popularity": step + _within(scored["popularity"], whole.start, interest),
            "popularity": np.where(novel, scored["popular alone"], -np.inf),
            "popularity, unrestricted": scored["popular alone"],
            "sequence without interests": np.where(novel, scored["alone"], -np.inf),
            "sequence without interests, unrestricted": scored["alone"],
        }
        for name, listed in lists.items():
            self._hit(self.listed, name, listed, targets)

    def _hit(self, into: Hits, name: str, scores: Floats, targets: list[NDArray[np.int32]]) -> None:
        best = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
        shown = np.take_along_axis(scores, best, axis=1) > -np.inf
        hits = [
            float(np.isin(wanted, chosen[there]).any())
            for wanted, chosen, there in zip(targets, best, shown, strict=True)
        ]
        into.setdefault(name, []).append(np.array(hits))

    def told(self) -> dict[str, Any]:
        """Percent of transitions with a hit, and differences, with 95 % intervals by user."""
        user = np.concatenate(self.users)
        within = {name: np.concatenate(parts) for name, parts in self.within.items()}
        listed = {name: np.concatenate(parts) for name, parts in self.listed.items()}
        ours = listed["hybrid, ranker"]
        return {
            "transitions": len(user),
            "users": len(np.unique(user)),
            "within": {
                **{name: _percent(hits, user) for name, hits in within.items()},
                "ranker minus popularity": _percent(within["ranker"] - within["popularity"], user),
                "ranker minus without histories": _percent(
                    within["ranker"] - within["without histories"], user
                ),
            },
            "end_to_end": {name: _percent(hits, user) for name, hits in listed.items()},
            "hybrid_ranker_minus": {
                name: _percent(ours - hits, user) for name, hits in listed.items() if hits is not ours
            },
        }


def _logarithm(popular: ranking.Score) -> ranking.Score:
    """Log-popularity; what nobody has engaged comes last."""
    return lambda log, day, rows: np.log(popular(log, day, rows) + ranking.LITTLE)


def _within(scores: Floats, start: NDArray[np.int64], interest: NDArray[np.int16]) -> Floats:
    """(n, V) log-probabilities of items within their interests."""
    highest = np.maximum(scores.max(axis=1, keepdims=True), -1e9)
    shares = np.exp(scores - highest)
    sums = np.add.reduceat(np.hstack([shares, np.zeros((len(shares), 1))]), start[:-1], axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(shares) - np.log(np.maximum(sums, 1e-300))[:, interest])


def _percent(values: NDArray[np.float64], user: NDArray[np.int64]) -> dict[str, float]:
    return {name: round(100 * value, 2) for name, value in ranking.interval(values, user).items()}


if __name__ == "__main__":
    main()
