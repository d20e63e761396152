"""What is a planner worth that is asked once per interest, before anything was counted?

    python benchmarks/prior.py --events E.parquet --items I.parquet --positive "value >= 7" \\
        --interests 100 --novelty-days 30 --json
    python benchmarks/prior.py --json                   # a SIMULATED log whose rules are known
    python benchmarks/prior.py --quick                  # the same, small, in a minute

The same transitions are judged for each of `--shares` per cent of the users that is learned from, over the
last quarter of the log in `--origins` refreshes: counts with `[planner] use = "prior"` minus counts, and the
same beside content. No language model is asked; these stand in for one:

`words`: how near the words of two interests are (WordLlama, static embeddings of their descriptions), as
answers relative to popularity. Real, but content knows the same words.
`nothing`: answers drawn from a hash. What a planner costs that knows nothing.
`everybody_<noise>` (SIMULATED): what all users before the first origin moved on to, with noise of so many
nats on every log-probability. A planner can't know it; it says what knowing would be worth.
`truth_<noise>` (SIMULATED, on a simulated log): the simulator's own probabilities of the first origin's day.

Differences are `{value, ci95}`, in nats and in hit@5, negative nats = the prior helps; intervals clustered by
user. `share` and `pseudo_counts` are the fitted ones at each origin; `stands_in`: nothing could be fitted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.backends.encoders.wordllama_encoder import WordLlamaEncoder
from freshet.backends.planners.fake import FakePlanner, ranking_of
from freshet.cli.replay_runs import ReplayOptions, parse_shares, planned
from freshet.core.prompts import Prompts
from freshet.core.types import AsOf, Evidence, PlannerPrior, PlannerRows, Ranking, Transitions
from freshet.pipeline import snapshot_of
from freshet.replay import Plan
from freshet.run_context import LogSnapshot, RunContext
from freshet.simulator import World, generate
from freshet.simulator.themes import THEMES
from freshet.simulator.world import truth
from freshet.stages import counts, interests
from freshet.stages.content import step as vectors
from freshet.stages.content.format import FULL
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.transitions.step import learned_by
from freshet.storage.artifacts import committed
from freshet.storage.ledger import Run
from freshet.storage.manifests import TransitionsManifest
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import Show, folder, parse, parser, tell

SHARPNESS = 4.0
"""Nats per unit of cosine of what nearness of words says; fixed beforehand, no log was looked at."""
NOISES = (0.5, 1.0, 2.0)
"""Standard deviations, in nats, of what is added to each log-probability of a SIMULATED planner."""
LARGE = World(themes=60, items=1500, users=3000, days=150, change_day=100, sessions=10, seed=1136)
SMALL = World(themes=8, items=96, users=150, days=50, change_day=40, sessions=8)


@dataclass(frozen=True, slots=True)
class Judged:
    """Each judged transition by one arm: nats lost, whether it was among the first five, and whose it is."""

    nll: NDArray[np.float64]
    hit: NDArray[np.float64]
    user: NDArray[np.uint64]

    @classmethod
    def of(cls, logp: NDArray[np.float64], test: Transitions) -> Judged:
        rows = np.arange(len(test))
        own = logp[rows, test.successor]
        better = (logp > own[:, None]).sum(axis=1)
        return cls(-own, (better < 5).astype(np.float64), test.user)

    @classmethod
    def joined(cls, parts: list[Judged]) -> Judged:
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in cls.__slots__))

    def minus(self, other: Judged) -> dict[str, Any]:
        """What this arm changes against another one."""
        return {
            "nll": _estimate(self.nll - other.nll, self.user),
            "hit_at_5": _estimate(self.hit - other.hit, self.user),
        }


def _estimate(values: NDArray[np.float64], user: NDArray[np.uint64]) -> dict[str, Any]:
    value, low, high = counts.mean_by_user(values, user)
    return {"value": value, "ci95": [low, high]}


def main() -> None:
    """Measure and print."""
    options = arguments()
    with folder(options.work) as root:
        world = None
        if options.events is None:
            world = SMALL if options.quick else LARGE
            if not (root / "world").exists():
                generate(world, root / "world")
            options.events, options.items = (
                root / "world" / f"{name}.parquet" for name in ("events", "items")
            )
        found = measured(root / "prior", options, world)
    tell(options, found, lambda: readable(found))


def readable(found: Mapping[str, Any]) -> str:
    """A line for each share and prior."""
    lines = [f"{found['judged']:,} transitions of {found['users']:,} users judged"]
    for percent, one in found["shares"].items():
        lines.append(
            f"{percent} % of the users ({one['learned_transitions']:,} transitions): counts "
            f"{one['counts']['nll']['value']:.4f} nats, {one['counts']['hit_at_5']['value']:.2%} hit@5"
        )
        for name, line in one["priors"].items():
            for beside in ("counts", "content"):
                nll, hit = line[f"minus_{beside}"]["nll"], line[f"minus_{beside}"]["hit_at_5"]
                low, high = nll["ci95"]
                lines.append(
                    f"   {name:16} beside {beside:8} {nll['value']:+.4f} [{low:+.4f}, {high:+.4f}] nats, "
                    f"{100 * hit['value']:+.2f} points of hit@5; share {line['share']}"
                )
    return "\n".join(lines)


def measured(root: Path, options: argparse.Namespace, world: World | None) -> dict[str, Any]:
    """The figures; see the module."""
    ws = settled(root, options)
    plan = plan_of(ws, options.origins, options.limit)
    with ws.run("prior") as run:
        snapshots = {at: snapshot_of(ws, run, at) for at in (*plan.origins, plan.end)}
        priors = priors_of(ws, snapshots[plan.start], plan, world)
        shares = {
            f"{percent:g}": one_share(ws, run, plan.learned_by(percent), snapshots, priors)
            for percent in parse_shares(options.shares)
        }
    last = shares[next(reversed(shares))]
    return {
        "simulated": world is not None,
        "period": {"from": str(plan.start), "to": str(plan.end), "every_days": plan.every},
        "interests": len(snapshots[plan.start].interests),
        "judged": last.pop("judged"),
        "users": last.pop("users"),
        "shares": shares,
    }


def settled(root: Path, options: argparse.Namespace) -> Workspace:
    """A workspace on the log."""
    root.mkdir(parents=True, exist_ok=True)
    days = '"ever"' if options.novelty_days == "ever" else options.novelty_days
    (root / "freshet.toml").write_text(
        f"[events]\nfiles = [{json.dumps(str(options.events.resolve()))}]\n"
        f"items = {json.dumps(str(options.items.resolve()))}\n"
        f"positive = {json.dumps(options.positive)}\n[interests]\ncount = {options.interests}\n"
        f'[transitions]\nnovelty_days = {days}\n[planner]\nkind = "counts"\n'
    )
    return replace(open_workspace(root), reporter=Show())


def plan_of(ws: Workspace, origins: int, limit: int) -> Plan:
    """The last quarter of the log at so many origins."""

    def planned_with(every: str | None) -> Plan:
        return planned(ws, ReplayOptions.parse(every, None, None, None, limit, 0, arms="counts"))

    span = planned_with(None)
    return planned_with(f"{-(-(span.end.day - span.start.day).days // origins)}d")


def priors_of(ws: Workspace, log: LogSnapshot, plan: Plan, world: World | None) -> dict[str, PlannerPrior]:
    """What stands in for a planner's answers; see the module."""
    size, words = len(log.interests), log.interests.descriptions
    meaning = WordLlamaEncoder().encode(words)
    near = SHARPNESS * (meaning - meaning.mean(axis=0)) @ (meaning - meaning.mean(axis=0)).T
    np.fill_diagonal(near, -np.inf)
    each = np.arange(size, dtype=np.int16)[:, None]
    prompts = Prompts.of(each, words, Evidence.none(1)).take(range(size))
    found = {
        "words": _prior("words", _ranking(near), relative=True),
        "nothing": _prior("nothing", FakePlanner(size).rank(prompts, size)),
    }
    fitter = fitter_for(ws.config, log, plan.every)
    known = np.log(fitter.model(log.as_of).last)
    simulated = {"everybody": known}
    if world is not None:
        simulated = {"truth": np.log(_truth(ws, log, world))}
    for name, logp in simulated.items():
        for noise in NOISES:
            drawn = np.random.default_rng(7).normal(0, noise, logp.shape)
            found[f"{name}_{noise:g}"] = _prior(f"{name}_{noise:g}", _ranking(logp + drawn))
    return found


def _ranking(scores: NDArray[np.floating[Any]]) -> Ranking:
    """Scores (N, N) in nats as a planner's answers."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return ranking_of(logp.astype(np.float64), len(scores))


def _prior(name: str, ranking: Ranking, *, relative: bool = False) -> PlannerPrior:
    size = len(ranking)
    rows = PlannerRows(
        np.arange(size, dtype=np.int16)[:, None],
        np.zeros((size, 16), np.uint8),
        ranking.successors,
        ranking.logp,
        np.zeros(size, np.int32),
        (name,),
    )
    return PlannerPrior(name, name, rows, relative)


def _truth(ws: Workspace, log: LogSnapshot, world: World) -> NDArray[np.float64]:
    """(N, N) what follows each interest in a SIMULATED world, whose themes interests nearly are."""
    inputs = TransitionsManifest.of(committed(ws.store, "transitions", log.version)).inputs
    assigned = interests.load_assignment(committed(ws.store, "assignments", inputs.assignment).path)
    items = pq.read_table(ws.root.parent / "world" / "items.parquet", columns=["item_id", "category"])
    names = [name for name, _ in THEMES]
    theme_of = {
        item: names.index(of) for item, of in zip(*(c.to_pylist() for c in items.columns), strict=True)
    }
    shared = np.full((len(log.interests), world.themes), 1e-9)
    for item, interest in zip(assigned.items, assigned.interest.tolist(), strict=True):
        if interest >= 0:
            shared[interest, theme_of[item]] += 1
    of_interest = shared / shared.sum(axis=1, keepdims=True)
    of_theme = shared / shared.sum(axis=0, keepdims=True)
    day = (log.as_of.day - world.start).days
    follows = of_interest @ truth(world, min(day, world.days - 1)) @ of_theme.T
    return np.asarray(follows / follows.sum(axis=1, keepdims=True))


def one_share(
    ws: Workspace,
    run: Run,
    plan: Plan,
    snapshots: Mapping[AsOf, LogSnapshot],
    priors: Mapping[str, PlannerPrior],
) -> dict[str, Any]:
    """What each prior changes where a share of the users is learned from."""
    whole, judged = snapshots[plan.end], dict[tuple[str, str], list[Judged]]()
    fitted = dict[str, list[CountFitter]]()
    learned = 0
    for at in plan.origins:
        log = snapshots[at]
        if plan.learners is not None:
            log = learned_by(ws, run, log, plan.learners)
        learned = len(log.transitions.between(AsOf.parse(log.window[0]), at))
        test = whole.transitions.between(at, plan.until(at), plan.limit_per_origin, plan.seed)
        content = None
        for name, prior in (("", None), *priors.items()):
            fitter = fitter_for(ws.config, replace(log, prior=prior), plan.every)
            ctx = RunContext(ws, run, fitter.log, fitter)
            content = content or vectors.make(ctx)
            assert content is not None
            fusion = fitter.fuse(None, None, vectors.held_out_view(ctx, content))
            view = vectors.view(ws, whole, content, FULL, test)
            scorers = {
                "counts": (fitter.scorer(), None),
                "content": (fitter.scorer(None, fusion, None, vectors.centroids(content)), view),
            }
            for arm, (scorer, seen) in scorers.items():
                judged.setdefault((arm, name), []).append(Judged.of(scorer.rows(test, seen).fused, test))
            fitted.setdefault(name, []).append(fitter)
    joined = {key: Judged.joined(parts) for key, parts in judged.items()}
    plain = {arm: joined[arm, ""] for arm in ("counts", "content")}
    return {
        "learned_transitions": learned,
        "judged": len(plain["counts"].nll),
        "users": len(np.unique(plain["counts"].user)),
        **{
            arm: {"nll": _estimate(one.nll, one.user), "hit_at_5": _estimate(one.hit, one.user)}
            for arm, one in plain.items()
        },
        "content_minus_counts": plain["content"].minus(plain["counts"]),
        "priors": {
            name: {
                **{f"minus_{arm}": joined[arm, name].minus(plain[arm]) for arm in plain},
                "share": [fitter.fit.share for fitter in fitted[name]],
                "pseudo_counts": [fitter.fit.prior_counts[0] for fitter in fitted[name]],
                "stands_in": [bool(fitter.fit.unfitted) for fitter in fitted[name]],
                "held_out_change": [fitter.prior_margin for fitter in fitted[name]],
            }
            for name in priors
        },
    }


def arguments() -> argparse.Namespace:
    """The options of this call."""
    made = parser(__doc__)
    made.add_argument("--events", type=Path)
    made.add_argument("--items", type=Path)
    made.add_argument("--positive", default="value >= 7")
    made.add_argument("--interests", type=int, default=60)
    made.add_argument("--novelty-days", default="30", help="H in days, or 'ever'")
    made.add_argument("--shares", default="0.3,1,3,10,100", help="per cent of the users, comma-separated")
    made.add_argument("--origins", type=int, default=3, help="refreshes in the judged period")
    made.add_argument("--limit", type=int, default=20_000, help="transitions judged at most")
    made.add_argument("--work", type=Path, help="a folder to keep, so that a killed run goes on")
    return parse(made, "", interests=8, shares="10,100", origins=2)


if __name__ == "__main__":
    main()
