"""What diversity and exploration cost in hits, on a log that was replayed.

    freshet replay -w shop --arms hybrid,counts
    python benchmarks/choosing.py --workspace shop --json

Takes the tables that arm `hybrid` had at each origin of the last replay, and the transitions of the days
after each origin; of more than `--limit`, every so many. Interests are chosen as serving does it, three and
five at a time. `hit@3`, `hit@5`: percent of transitions whose successor was among them, with a 95 % interval
clustered by user; `likeness`: mean cosine between two of the three shown. Exploration is averaged over
`--draws` draws.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.types import AsOf
from freshet.pipeline import snapshot_of
from freshet.serving.policy import Policy, choose, similarity_of
from freshet.stages.table.format import open_scorer
from freshet.wiring import open_sandbox, open_workspace
from shared import parse, parser, tell, workspace

POLICIES = {
    **{f"diversity {d:g}": Policy(0.0, 1.0, d) for d in (0.0, 0.1, 0.3, 0.6, 1.0, 2.0)},
    **{f"explore 0.1, temperature {t:g}": Policy(0.1, t, 0.0) for t in (0.5, 1.0)},
    "explore 1, temperature 1": Policy(1.0, 1.0, 0.0),
}


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path)
    made.add_argument("--limit", type=int, default=6000)
    made.add_argument("--draws", type=int, default=3)
    options = parse(made, "workspace", limit=200, draws=1)
    with workspace(options, replayed=True) as root:
        found = measure(root, options.limit, options.draws)
    tell(options, found, lambda: "\n".join(f"{name:30} {one}" for name, one in found["policies"].items()))


def measure(root: Path, limit: int, draws: int) -> dict[str, Any]:
    """The figures; see the module."""
    ws = open_workspace(root)
    results = max(
        (p.parent for p in (root / "replay").glob("*/states.parquet")), key=lambda p: p.stat().st_mtime
    )
    states = pq.read_table(results / "states.parquet", columns=["arm", "origin", "table"])
    states = states.filter(pc.equal(states["arm"], "hybrid")).sort_by("origin")
    origins, tables = states["origin"].to_pylist(), states["table"].to_pylist()
    end = results.name.split("_")[1]
    sandbox = open_sandbox(ws, AsOf.parse(results.name.split("_")[0]))
    with sandbox.run("benchmark") as run:
        known = snapshot_of(sandbox, run, AsOf.parse(end))
    likeness = similarity_of(known.interests.vectors)
    untils = [*(AsOf(day) for day in origins[1:]), AsOf.parse(end)]
    scores, successors, users = [], [], []
    for origin, until, version in zip(origins, untils, tables, strict=True):
        made = sandbox.store.find("tables", version)
        assert made is not None
        test = known.transitions.between(AsOf(origin), until)
        rows = np.arange(0, len(test), max(1, len(test) * len(origins) // limit))
        if not len(rows):
            continue
        some = test.take(rows)
        scores.append(open_scorer(made, len(known.interests))(some.recent, some.known).fused)
        successors.append(some.successor)
        users.append(some.user)
    logp, right, user = np.concatenate(scores), np.concatenate(successors), np.concatenate(users)
    return {
        "transitions": len(right),
        "users": len(np.unique(user)),
        "policies": {
            name: evaluate(policy, logp, right, user, likeness, draws) for name, policy in POLICIES.items()
        },
    }


def evaluate(
    policy: Policy,
    logp: NDArray[np.float64],
    right: NDArray[np.int16],
    user: NDArray[np.uint64],
    likeness: NDArray[np.float32],
    draws: int,
) -> dict[str, Any]:
    """Hits and likeness of a policy."""
    rng, times = np.random.default_rng(0), draws if policy.share else 1
    hits = np.zeros((2, len(right)))
    near = []
    for _ in range(times):
        for row, scores in enumerate(logp):
            places = choose(scores, scores, likeness, 5, policy, rng.random(6)).interests
            hits[0, row] += right[row] in places[:3]
            hits[1, row] += right[row] in places
            pairs = likeness[np.ix_(places[:3], places[:3])]
            near.append(float(pairs[np.triu_indices(len(pairs), 1)].mean()) if len(pairs) > 1 else 0.0)
    hits /= times
    return {
        "hit@3": interval(hits[0], user),
        "hit@5": interval(hits[1], user),
        "likeness": round(float(np.mean(near)), 3),
    }


def interval(values: NDArray[np.float64], user: NDArray[np.uint64]) -> list[float]:
    """Mean in percent, and its 95 % interval clustered by user."""
    mean = float(values.mean())
    _, inverse = np.unique(user, return_inverse=True)
    error = float(np.sqrt(np.square(np.bincount(inverse, values - mean)).sum())) / len(values)
    return [round(100 * x, 2) for x in (mean, mean - 1.96 * error, mean + 1.96 * error)]


if __name__ == "__main__":
    main()
