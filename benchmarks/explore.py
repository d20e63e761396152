"""What an answer costs inside the process: `Recommender.explore` on a synthetic release.

    python benchmarks/explore.py --json

SYNTHETIC: all weights, counts and histories are random; what an answer costs depends on their sizes only. A
release of `--interests` interests with counts of pairs, planner rows of every context, a sequence model over
interests, content in both spaces, live counts, and a ranker of `--items` items; `--users` users in an LMDB
state, each with ten recent interests and 100 items engaged. Users are asked for in random order, one call
at a time.

- `interests_us`: median of `explore(user, interests=3, items=0)`: state, mixture over ten recent interests
  (counts, planner, sequence model, content), live overlay, filter, choice. `explore_us`: with 10 items of
  each of the 3 interests, the items' sequence model included. `_p99` beside each.
- `parts_us`: medians of the parts by themselves.
- `scorer_us`: median of `Scorer` for the same one user, which is what replay scores thousands
  with, and `ratio_vs_scorer` = that over the compiled mixture's.
- `log_limit_us`: the logarithms that the mixture can't do without, by numpy, for N interests: a floor.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.config import Config
from freshet.core.types import (
    CONTENT,
    REMEMBERED,
    TRANSITION,
    Centroids,
    History,
    Interests,
    PlannerRows,
    SequenceWeights,
    Sums,
)
from freshet.core.types.ids import item_key, user_key
from freshet.serving import Query, Recommender
from freshet.serving.item_selection import ItemSelector
from freshet.serving.open_release import OpenRelease
from freshet.serving.policy import similarity_of
from freshet.serving.request_rules import RequestRules
from freshet.stages import counts, live, sequence
from freshet.stages import items as ranking
from freshet.stages.content import ContentItems, ContentVectors
from freshet.stages.table import enumerate_contexts
from freshet.storage.releases import Release
from shared import parse, parser, tell

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000
WIDTH = 64


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--interests", type=int, default=100)
    made.add_argument("--items", type=int, default=50_000)
    made.add_argument("--users", type=int, default=2_000)
    made.add_argument("--rounds", type=int, default=3)
    options = parse(made, interests=20, items=1000, users=100, rounds=1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.interests, options.items, options.users, options.rounds)
    tell(options, found)


def measure(folder: Path, interests: int, items: int, users: int, rounds: int) -> dict[str, Any]:
    """The figures; see the module."""
    rng = np.random.default_rng(0)
    release = synthetic_release(rng, interests, items)
    state = LmdbUserStore(folder / "state", 1.0)
    state.merge((user_key(f"u{n}"), history(rng, interests, items)) for n in range(users))
    recommender = Recommender(Only(release), state)  # type: ignore[arg-type]
    names = [f"u{n}" for n in rng.permutation(users)]

    def asking(count: int) -> Callable[[int], object]:
        queries = [Query(user=name, interests=3, items=count, now=NOW) for name in names]
        return lambda n: recommender.recommend(queries[n])

    seen = np.array([rng.permutation(interests)[:10] for _ in names], np.int16)
    excluded = np.zeros((len(names), interests), bool)
    for row, recent in zip(excluded, seen, strict=True):
        row[recent] = True
    selector, overlay = release.selector, release.overlay
    assert selector is not None
    assert overlay is not None
    recent_items = rng.integers(0, items, (len(names), 100))
    calls: dict[str, Callable[[int], object]] = {
        "interests": asking(0),
        "explore": asking(10),
        "state": lambda n: state.histories([user_key(names[n])]),
        "mixture": lambda n: release.single_user(seen[n], excluded[n]),
        "live": lambda n: overlay.bonus(int(seen[n, -1]), NOW),
        "items": lambda n: selector.ranker.tops(
            selector.ranker.state(recent_items[n]), seen[n, :3].tolist(), recent_items[n], 10
        ),
        "scorer": lambda n: release.scorer(seen[n : n + 1], excluded[n : n + 1]),
        "logs": lambda _: [np.log(release.scorer.model.base) for _ in range(4)],
    }
    times: dict[str, list[list[float]]] = {name: [] for name in calls}
    for call in calls.values():
        for n in range(20):
            call(n)  # compiled, and in the cache
    for _ in range(rounds):
        for name, call in calls.items():
            some = min(len(names), 200 if name == "scorer" else 1000)
            times[name].append([timed(call, n) for n in range(some)])
        recommender.flush()

    def median(name: str) -> float:
        return round(min(statistics.median(one) for one in times[name]) * 1e6, 1)

    def p99(name: str) -> float:
        return round(min(float(np.quantile(one, 0.99)) for one in times[name]) * 1e6, 1)

    recommender.close()
    return {
        "explore_us": median("explore"),
        "explore_us_p99": p99("explore"),
        "interests_us": median("interests"),
        "interests_us_p99": p99("interests"),
        "parts_us": {name: median(name) for name in ("state", "mixture", "live", "items")},
        "scorer_us": median("scorer"),
        "ratio_vs_scorer": round(median("scorer") / median("mixture"), 1),
        "log_limit_us": median("logs"),
        "sizes": {"interests": interests, "items": items, "users": users, "rounds": rounds},
    }


def timed(call: Callable[[int], object], n: int) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call(n)
    return time.perf_counter() - started


class Only:
    """One open release, for ever."""

    def __init__(self, release: OpenRelease) -> None:
        self.current = release
        self.config = Config()
        self.running = ()

    def named(self, _: int | None) -> OpenRelease:
        return self.current

    def open(self) -> list[OpenRelease]:
        return [self.current]


def synthetic_release(rng: np.random.Generator, size: int, items: int) -> OpenRelease:
    """A release of random content."""
    vectors = rng.normal(size=(size, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    interests = Interests(
        np.arange(size, dtype=np.int32), tuple(f"interest {i}, with, words" for i in range(size)), vectors
    )
    suffixes = [random_sums(rng, size, length) for length in (0, 1, 2)]
    model = counts.CountModel.build([suffixes[0]] * 3, suffixes[1:], size, [10.0, 30.0])
    contexts = enumerate_contexts(size, 2)[1:]
    listed = np.argsort(rng.random((len(contexts), size)), axis=1)[:, : min(size, 64)].astype(np.int16)
    logp = np.sort(np.log(rng.dirichlet(np.ones(listed.shape[1]), len(contexts))))[:, ::-1]
    rows = PlannerRows(
        contexts,
        np.zeros((len(contexts), 16), np.uint8),
        listed,
        logp.astype(np.float32),
        np.zeros(len(contexts), np.int32),
        ("",),
    )
    reader = random_model(rng, size, 10, 3)
    scorer = counts.Scorer(
        model,
        rng.uniform(0.1, 0.5, (3, len(counts.feature_names((1.0, 2.0, 3.0), 2)))),
        counts.PlannerScores(rows, size),
        np.array([0.7, 0.2, 0.3]),
        reader.logits,
    )
    overlay = synthetic_overlay(rng, size)
    content = synthetic_content(rng, size, items)
    centroids = content.vectors.centroids
    scorer = replace(scorer, content=counts.ContentPart(centroids, rng.uniform(0.1, 0.5, len(CONTENT))))
    return OpenRelease(
        release=Release(1, "2023-11-14", "", "", "", "", None),
        artifact=None,  # type: ignore[arg-type]
        interests=interests,
        table=Rows(),  # type: ignore[arg-type]
        scorer=scorer,
        single_user=counts.SingleUserScorer(scorer, reader.reader(model.popularity)),
        popularity=model.base,
        similarity=similarity_of(vectors),
        items={},
        index=np.arange(size, dtype=np.int16),
        k=2,
        horizon=30 * DAY,
        seed=0,
        since=NOW - DAY,
        overlay=overlay,
        selector=ItemSelector.of(synthetic_ranker(rng, size, items)),
        content=content,
        rules=RequestRules.of(Config(), interests),
    )


class Rows:
    """A table in which every context has a row."""

    def answered(self, context: tuple[int, ...]) -> int:
        return len(context)


def random_sums(rng: np.random.Generator, size: int, length: int) -> Sums:
    """Counts after contexts of a length, about 20 successors each."""
    contexts = enumerate_contexts(size, max(length, 1))
    contexts = contexts[(contexts >= 0).all(axis=1)] if length else np.zeros((1, 0), np.int16)
    each = min(size, 20) if length else size
    repeated = np.repeat(contexts, each, axis=0)
    successor = np.concatenate([np.sort(rng.permutation(size)[:each]) for _ in range(len(contexts))])
    return Sums(repeated, successor.astype(np.int16), rng.uniform(0.1, 9.0, len(successor)))


def random_model(rng: np.random.Generator, things: int, recent: int, priors: int) -> sequence.SequenceModel:
    """A sequence model of the default sizes."""
    layers, heads, inner = 1, 2, 128

    def array(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)

    return sequence.SequenceModel(
        SequenceWeights(
            embedding=array(things, WIDTH),
            position=array(recent, WIDTH),
            bias=array(things),
            prior=array(priors),
            attention_norm=array(layers, 2, WIDTH),
            attention=array(layers, 3, WIDTH, heads, WIDTH // heads),
            attended=array(layers, WIDTH, WIDTH),
            forward_norm=array(layers, 2, WIDTH),
            inner=array(layers, WIDTH, inner),
            inner_bias=array(layers, inner),
            outer=array(layers, inner, WIDTH),
            outer_bias=array(layers, WIDTH),
            norm=array(2, WIDTH),
        )
    )


def synthetic_ranker(rng: np.random.Generator, size: int, items: int) -> ranking.Ranker:
    """Items over interests of very different sizes."""
    shares = rng.dirichlet(np.full(size, 2.0))
    start = np.concatenate([[0], np.round(np.cumsum(shares) * items)]).astype(np.int64)
    model = random_model(rng, items, 20, 3)
    item_index = ranking.ItemIndex(
        ids=tuple(f"i{n}" for n in range(items)),
        titles=tuple(f"Title of item {n}" for n in range(items)),
        start=start,
        prior=rng.normal(size=items).astype(np.float32),
        popular=np.log(rng.dirichlet(np.ones(items))).astype(np.float32),
        engaged=np.ones(items, bool),
        nearest=np.array([[j for j in range(size) if j != i] for i in range(size)], np.int16),
    )
    return ranking.Ranker(item_index, model.weights.embedding, model.state_of)


def synthetic_content(rng: np.random.Generator, size: int, items: int) -> ContentItems:
    """Every item with a text and somebody who engages with it."""

    def unit(count: int) -> np.ndarray:
        rows = rng.normal(size=(count, WIDTH)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    ids = sorted((f"i{n}" for n in range(items)), key=item_key)
    vectors = ContentVectors(
        unit(items).astype(np.float16),
        unit(items).astype(np.float16),
        rng.integers(0, size, items).astype(np.int16),
        Centroids(unit(size), unit(size)),
    )
    return ContentItems(
        np.array([item_key(item) for item in ids], np.uint64), tuple(ids), tuple(ids), vectors
    )


def history(rng: np.random.Generator, size: int, items: int) -> History:
    """Ten interests and 100 items of the last weeks."""
    recent = rng.permutation(size)[:10].astype(np.int32)
    times = NOW - np.sort(rng.integers(DAY, 20 * DAY, min(100, REMEMBERED)))[::-1]
    keys = np.array([item_key(f"i{n}") for n in rng.permutation(items)[: len(times)]], np.uint64)
    return History(keys, times, recent, NOW - rng.integers(DAY, 20 * DAY, 10))


def synthetic_overlay(rng: np.random.Generator, size: int) -> live.Overlay:
    """Live counts of a day with many moves."""
    moves = np.zeros(10_000, TRANSITION)
    moves["time"] = NOW - DAY + np.sort(rng.integers(0, DAY, len(moves)))
    moves["user"] = rng.integers(0, 2**63, len(moves))
    moves["last"] = rng.integers(0, size, len(moves))
    moves["successor"] = rng.integers(0, size, len(moves))
    settings = live.Settings((0.25, 1.0), 1 / 24, 8, 8.0, 50.0)
    overlay = live.Overlay.empty(settings, size, NOW - DAY)
    overlay.apply(moves)
    return overlay.weighted(np.array([0.2, 0.3, 0.2]))


if __name__ == "__main__":
    main()
