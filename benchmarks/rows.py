"""What is lost where a pair of interests has no row of its own in a table?

    freshet init movies --events movietweetings --positive "value >= 7" --interests 100 --planner counts
    freshet import -w movies
    python benchmarks/rows.py --workspace movies --json

Serving loses nothing: it scores every user by the mixture, with or without a row. What reads rows alone, such
as an export, answers a pair without one by its last interest. Here held-out transitions of people with at
least two recent interests are ranked by rows as counts from before them, fitted in other folds, would have
made them; what the person knows is left out.

hit_at_5, nll   percent and nats per transition, by rows of: `served` the mixture over all recent interests,
                as serving ranks; `all` the last two interests; `observed` those of pairs that the log held,
                else the last interest; `half`, `tenth` those of the busiest half or tenth of observed pairs;
                `none` the last interest alone
listed_share    share of transitions whose pair has a row
minus_all       difference from `all` with a 95 % interval, paired, resampled by user
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet import pipeline
from freshet.core.types import context_codes
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.counts.holdout_windows import Stretch
from freshet.stages.events.step import latest
from freshet.stages.table.contexts import busiest
from freshet.wiring import open_workspace
from shared import parse, parser, tell, workspace

SHARES = {"observed": 1.0, "half": 0.5, "tenth": 0.1, "none": 0.0}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path)
    options = parse(made, "workspace")
    with workspace(options) as root:
        ws = open_workspace(root)
        with ws.run("benchmark") as run:
            fitter = pipeline.context_of(ws, run, latest(ws)).fitter
            found = measure(fitter)
    tell(options, found)


def measure(fitter: CountFitter) -> dict[str, Any]:
    """Figures over all stretches between two refreshes of the held-out windows."""
    parts = [one for part in fitter.holdout.stretches if (one := judged(fitter, part)) is not None]
    names = list(parts[0]["nll"])
    user = np.concatenate([part["user"] for part in parts])
    found: dict[str, Any] = {"transitions": len(user), "users": len(np.unique(user)), "rows": {}}
    values = {
        figure: {name: np.concatenate([part[figure][name] for part in parts]) for name in names}
        for figure in ("hit", "nll")
    }
    for name in names:
        hit, nll = values["hit"][name], values["nll"][name]
        line: dict[str, Any] = {"hit_at_5": round(100 * hit.mean(), 2), "nll": round(nll.mean(), 4)}
        if name in SHARES:
            listed = np.concatenate([part["listed"][name] for part in parts])
            line["listed_share"] = round(float(listed.mean()), 4)
        line["minus_all"] = {
            "hit_at_5": change(100 * (hit - values["hit"]["all"]), user),
            "nll": change(nll - values["nll"]["all"], user),
        }
        found["rows"][name] = line
    return found


def judged(fitter: CountFitter, part: Stretch) -> dict[str, Any] | None:
    """Each transition of a stretch by the rows of each kind; None where nobody has two recent interests."""
    held = part.held.take(np.flatnonzero(part.held.recent[:, -2] >= 0))
    sums = fitter.counts.after(part.start, fitter.fit.half_life, 2)
    if not len(held) or not len(sums.weight):
        return None
    scorer = fitter.cross_fitted(part)
    by_pair = scorer(held.recent[:, -2:], held.known).fused
    by_last = scorer(held.recent[:, -1:], held.known).fused
    ranked = {"served": scorer(held.recent, held.known).fused, "all": by_pair}
    observed, listed = len(np.unique(context_codes(sums.contexts))), {}
    for name, share in SHARES.items():
        [pairs] = busiest([sums], round(share * observed))
        listed[name] = np.isin(context_codes(held.recent[:, -2:]), context_codes(pairs))
        ranked[name] = np.where(listed[name][:, None], by_pair, by_last)
    index = np.arange(len(held))
    nll = {name: -scores[index, held.successor] for name, scores in ranked.items()}
    hit = {
        name: (scores > scores[index, held.successor][:, None]).sum(axis=1) < 5
        for name, scores in ranked.items()
    }
    return {
        "user": held.user,
        "nll": nll,
        "hit": {name: one.astype(float) for name, one in hit.items()},
        "listed": listed,
    }


def change(values: NDArray[np.float64], user: NDArray[np.uint64], draws: int = 1000) -> list[float]:
    """Mean, and the 95 % interval over bootstrap samples of users."""
    _, place = np.unique(user, return_inverse=True)
    total, count = np.bincount(place, values), np.bincount(place)
    random = np.random.default_rng(0)
    means = []
    for _ in range(draws):
        chosen = random.integers(0, len(total), len(total))
        means.append(total[chosen].sum() / count[chosen].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return [round(float(each), 4) for each in (values.mean(), low, high)]


if __name__ == "__main__":
    main()
