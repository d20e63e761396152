"""Can `counts` be beaten by a one-line baseline? Popularity at fixed half-lives, on a log that was replayed.

    freshet replay -w shop --arms counts,popularity,popularity-live
    python benchmarks/one_line.py --workspace shop --json

For each half-life, in days: hit@5 of popularity that is refreshed when `counts` are, on the same transitions
with the same filter, and minus that of `counts` (percent and points), and the same of nats; 95 % intervals
clustered by user. Half-lives are tried on the judged time itself: the best of them is chosen with hindsight,
which no arm of a replay may do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.errors import ConfigError, FreshetError
from freshet.core.types import AsOf
from freshet.pipeline import snapshot_of
from freshet.stages import counts
from freshet.wiring import open_sandbox, open_workspace
from shared import parse, parser, tell, workspace

HALF_LIVES = "0.5,1,1.5,2,3,5,7,14,28,56,112,448"
TOP = 5


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path)
    made.add_argument("--half-lives", default=HALF_LIVES, help="in days, comma-separated")
    options = parse(made, "workspace", half_lives="7,28")
    try:
        with workspace(options, replayed=True) as root:
            found = measure(root, [float(days) for days in options.half_lives.split(",")])
    except FreshetError as error:
        sys.exit(f"{error.message}: {error.hint}")
    tell(options, found, lambda: readable(found))


def readable(found: dict[str, Any]) -> str:
    lines = [f"{found['n']:,} transitions of {found['users']:,} users; counts: hit@5 {found['counts']:.2f} %"]
    for days, one in found["popularity"].items():
        points, nats = one["points"], one["nats"]
        lines.append(
            f"popularity halved every {days} days: {one['hit_at_5']:.2f} %, minus counts "
            f"{points[0]:+.2f} [{points[1]:+.2f}, {points[2]:+.2f}] points, "
            f"{nats[0]:+.4f} [{nats[1]:+.4f}, {nats[2]:+.4f}] nats"
        )
    return "\n".join(lines)


def measure(root: Path, half_lives: list[float]) -> dict[str, Any]:
    """By half-life, and of `counts`, on the last replay of a workspace."""
    folders = sorted(root.glob("replay/*/replay.json"), key=lambda path: path.stat().st_mtime)
    if not folders:
        raise ConfigError(f"{root} holds no replay", hint="freshet replay --arms counts,popularity")
    log = json.loads(folders[-1].read_text(encoding="utf-8"))["log"]
    judged = pq.read_table(
        folders[-1].with_name("judged.parquet"), columns=["arm", "origin", "rank", "nll", "user"]
    )
    own = judged.filter(pc.equal(judged["arm"], "counts"))
    if not len(own):
        raise ConfigError(
            f"{folders[-1]} has no arm `counts`", hint="freshet replay --arms counts,popularity"
        )
    rows = own.num_rows
    hit, nll = np.zeros((len(half_lives), rows), bool), np.zeros((len(half_lives), rows))
    ws = open_workspace(root)
    start, end, every = AsOf.parse(log["from"]), AsOf.parse(log["to"]), int(log["every_days"])
    sandbox, done, at = open_sandbox(ws, start), 0, start
    with sandbox.hold("one-line baselines") as held:
        while at.day < end.day:
            until = min(at.plus(every), end, key=lambda moment: moment.day)
            with sandbox.recorded(held, "one-line baselines", str(at)) as run:
                known, later = snapshot_of(sandbox, run, at), snapshot_of(sandbox, run, until)
                test = later.transitions.between(at, until)
                part = slice(done, done + len(test))
                if own["user"].to_numpy()[part].tolist() != test.user.tolist():
                    raise ConfigError(
                        "the replay judged a sample of users", hint="replay with a higher --limit"
                    )
                for place, days in enumerate(half_lives):
                    sums = known.transitions.sums(at, days, 0)
                    hit[place, part], nll[place, part] = _scored(sums, len(known.interests), test)
                done += len(test)
            at = until
    user, theirs = own["user"].to_numpy(), own["rank"].to_numpy() < TOP
    return {
        "n": rows,
        "users": len(np.unique(user)),
        "counts": 100 * float(theirs.mean()),
        "popularity": {
            f"{days:g}": {
                "hit_at_5": 100 * float(hit[place].mean()),
                "points": counts.mean_by_user(100.0 * hit[place] - 100.0 * theirs, user),
                "nats": counts.mean_by_user(nll[place] - own["nll"].to_numpy(), user),
            }
            for place, days in enumerate(half_lives)
        },
    }


def _scored(sums: Any, interests: int, test: Any) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(n,) whether what came next is among the first five by popularity, and its nats."""
    [share] = counts.popularity_of([sums], interests)
    logp = counts.log_softmax(np.broadcast_to(np.log(share), test.known.shape), test.known)
    own = logp[np.arange(len(test)), test.successor]
    return (logp > own[:, None]).sum(axis=1) < TOP, -own


if __name__ == "__main__":
    main()
