"""What is a planner worth that is asked once per interest, before anything was counted?

    python benchmarks/prior.py --events E.parquet --items I.parquet --positive "value >= 7" \\
        --interests 100 --novelty-days 30 --json
    python benchmarks/prior.py --json                   # a SIMULATED log whose rules are known
    python benchmarks/prior.py --quick                  # the same, small, in a minute

Platforms are made of a log by taking `--shares` per cent of its users, and nobody else, `--platforms` times
without anybody twice; interests are those of the whole log. In `--origins` refreshes over the last quarter
each platform makes counts with `[planner] use = "prior"` and without, alone and beside content. `own`: judged
by what the platform's own users did next, as on a first day. `others`: by what all users did next,
almost all of them new to it; these profit from counts of moves that a platform's own users have made already.

No language model is asked; these stand in for one:

`words`: how near the words of two interests are (WordLlama, static embeddings of their descriptions), as
answers relative to popularity. Real, but content knows the same words.
`nothing`: answers drawn from a hash. What a planner costs that knows nothing.
`truth_<noise>` (SIMULATED, on a simulated log): the simulator's own probabilities of the first origin's day,
with noise of so many nats on every log-probability.

Differences are `{value, ci95}`, in nats and in hit@5, negative nats = the prior helps; intervals by user.
`share` and `pseudo_counts` are means of the fitted ones; `used` and `stands_in` say in what share of the
refreshes the prior got a share at all, and in what share nothing could be fitted, so that it stood in.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.backends.encoders.wordllama_encoder import WordLlamaEncoder
from freshet.backends.planners.fake import FakePlanner, ranking_of
from freshet.cli.replay_runs import ReplayOptions, parse_shares, planned
from freshet.core.prompts import Prompts, ShortWording
from freshet.core.types import AsOf, Evidence, Learners, PlannerPrior, PlannerRows, Ranking, Transitions
from freshet.core.user_draws import mixed_all
from freshet.pipeline import snapshot_of
from freshet.replay import Plan
from freshet.run_context import LogSnapshot, RunContext
from freshet.simulator import World, generate
from freshet.simulator.themes import THEMES
from freshet.simulator.world import truth
from freshet.stages import counts, interests
from freshet.stages.content import step as vectors
from freshet.stages.content.format import FULL
from freshet.stages.counts.early import Early
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.transitions.step import part_of
from freshet.storage.artifacts import committed
from freshet.storage.ledger import Run
from freshet.storage.manifests import TransitionsManifest
from freshet.storage.workspace import Workspace, version_of
from freshet.wiring import open_workspace
from shared import Show, folder, parse, parser, tell

SHARPNESS = 4.0
"""Nats per unit of cosine of what nearness of words says; fixed beforehand, no log was looked at."""
ARMS, WHOSE = ("counts", "content"), ("own", "others")
NOISES = (0.0, 1.0, 2.0)
"""Standard deviations, in nats, of what is added to each log-probability of a SIMULATED planner."""
LARGE = World(themes=60, items=1500, users=3000, days=150, change_day=100, sessions=10, seed=1136)
SMALL = World(themes=8, items=96, users=150, days=50, change_day=40, sessions=8)


@dataclass(frozen=True, slots=True)
class Platform:
    """A part of the users as a log of its own: from `low` on below `high`, of draws between 0 and 1."""

    low: float
    high: float

    def kept(self, users: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """(n,) whether each user is on the platform."""
        drawn = (mixed_all(users) >> np.uint64(11)).astype(np.float64) / 2.0**53
        return np.asarray((drawn >= self.low) & (drawn < self.high))

    def log(self, ws: Workspace, run: Run, known: LogSnapshot) -> LogSnapshot:
        """The log of its users alone."""
        rule = version_of(benchmark="prior", low=self.low, high=self.high)
        found = part_of(ws, run, known, rule, {"platform": rule}, lambda users, _: self.kept(users))
        # as where some users are learned from: too few transitions are no error, popularity stands in
        return replace(found, learners=Learners(100 * (self.high - self.low)))


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
    lines = []
    for percent, one in found["shares"].items():
        for whose in WHOSE:
            of, fits, size = one[whose], one["fits"], one["learned_transitions"][1]
            counted = of["counts"]
            lines.append(
                f"{one['platforms']} platforms of {percent} %, about {size:,} transitions, {whose}: "
                f"{of['judged']['n']:,} judged; counts {counted['nll']['value']:.4f} nats, "
                f"{counted['hit_at_5']['value']:.2%} hit@5; content {_said(of['content_minus_counts'])}"
            )
            for name, line in of["priors"].items():
                lines += [f"   {name:12} beside {arm:8} {_said(line[f'minus_{arm}'])}" for arm in ARMS]
                lines[-1] += f"  used {fits[name]['used']:.0%}, stands in {fits[name]['stands_in']:.0%}"
    return "\n".join(lines)


def _said(change: Mapping[str, Any]) -> str:
    nll, hit = change["nll"], change["hit_at_5"]
    (low, high), (least, most) = nll["ci95"], hit["ci95"]
    return (
        f"{nll['value']:+.4f} [{low:+.4f}, {high:+.4f}] nats, "
        f"{100 * hit['value']:+.2f} [{100 * least:+.2f}, {100 * most:+.2f}] points of hit@5"
    )


def divided(percent: float, platforms: int) -> list[Platform]:
    """So many platforms of a share of the users, fewer where there are not enough users."""
    share = percent / 100
    return [Platform(n * share, (n + 1) * share) for n in range(min(platforms, int(1 / share + 1e-9)))]


def measured(root: Path, options: argparse.Namespace, world: World | None) -> dict[str, Any]:
    """The figures; see the module."""
    ws = settled(root, options)
    plan = plan_of(ws, options.origins, options.limit)
    with ws.run("prior") as run:
        snapshots = {at: snapshot_of(ws, run, at) for at in (*plan.origins, plan.end)}
        priors = priors_of(ws, snapshots[plan.start], world)
        shares = {
            f"{percent:g}": one_share(ws, run, plan, snapshots, priors, divided(percent, options.platforms))
            for percent in parse_shares(options.shares)
        }
    return {
        "simulated": world is not None,
        "period": {"from": str(plan.start), "to": str(plan.end), "every_days": plan.every},
        "interests": len(snapshots[plan.start].interests),
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


def priors_of(ws: Workspace, log: LogSnapshot, world: World | None) -> dict[str, PlannerPrior]:
    """What stands in for a planner's answers; see the module."""
    size, words = len(log.interests), log.interests.descriptions
    meaning = WordLlamaEncoder().encode(words)
    near = SHARPNESS * (meaning - meaning.mean(axis=0)) @ (meaning - meaning.mean(axis=0)).T
    np.fill_diagonal(near, -np.inf)
    each = np.arange(size, dtype=np.int16)[:, None]
    prompts = Prompts.of(each, ShortWording(words), Evidence.none(1)).take(range(size))
    found = {
        "words": _prior("words", _ranking(near), relative=True),
        "nothing": _prior("nothing", FakePlanner(size).rank(prompts, size)),
    }
    if world is not None:
        logp = np.log(_truth(ws, log, world))
        for noise in NOISES:
            drawn = np.random.default_rng(7).normal(0, noise, logp.shape)
            found[f"truth_{noise:g}"] = _prior(f"truth_{noise:g}", _ranking(logp + drawn))
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
    platforms: list[Platform],
) -> dict[str, Any]:
    """What each prior changes on platforms of one size."""
    judged = dict[tuple[str, str, str], list[Judged]]()
    fitted = dict[str, list[CountFitter]]()
    learned = []
    for platform in platforms:
        for at in plan.origins:
            log = platform.log(ws, run, snapshots[at])
            learned.append(len(log.transitions.between(AsOf.parse(log.window[0]), at)))
            for name, fitter in judge(ws, run, plan, log, snapshots[plan.end], platform, priors, judged):
                fitted.setdefault(name, []).append(fitter)
    joined = {key: Judged.joined(parts) for key, parts in judged.items()}
    return {
        "platforms": len(platforms),
        "learned_transitions": [min(learned), int(np.median(learned)), max(learned)],
        **{whose: of_whom(joined, whose, list(priors)) for whose in WHOSE},
        "fits": {
            name: {
                "used": float(np.mean([fitter.fit.share > 0 for fitter in fitters])),
                "stands_in": float(np.mean([bool(fitter.fit.unfitted) for fitter in fitters])),
                "share": float(np.mean([fitter.fit.share for fitter in fitters])),
                "pseudo_counts": float(np.mean([fitter.fit.prior_counts[0] for fitter in fitters])),
            }
            for name, fitters in fitted.items()
        },
    }


def of_whom(joined: Mapping[tuple[str, str, str], Judged], whose: str, priors: list[str]) -> dict[str, Any]:
    """The figures of one set of judged users."""
    plain = {arm: joined[arm, "", whose] for arm in ARMS}
    return {
        "judged": {"n": len(plain["counts"].nll), "users": len(np.unique(plain["counts"].user))},
        **{
            arm: {"nll": _estimate(one.nll, one.user), "hit_at_5": _estimate(one.hit, one.user)}
            for arm, one in plain.items()
        },
        "content_minus_counts": plain["content"].minus(plain["counts"]),
        "priors": {
            name: {f"minus_{arm}": joined[arm, name, whose].minus(plain[arm]) for arm in ARMS}
            for name in priors
        },
    }


def judge(
    ws: Workspace,
    run: Run,
    plan: Plan,
    log: LogSnapshot,
    whole: LogSnapshot,
    platform: Platform,
    priors: Mapping[str, PlannerPrior],
    judged: dict[tuple[str, str, str], list[Judged]],
) -> Iterator[tuple[str, CountFitter]]:
    """Judge a platform without a prior and with each, at one refresh; gives the counts it ranked by."""
    at = log.as_of
    until = plan.until(at)
    some = whole.transitions.between(at, until, plan.limit_per_origin, plan.seed)
    everybody = whole.transitions.between(at, until)
    tests = {"own": everybody.take(platform.kept(everybody.user)), "others": some}
    ctx = RunContext(ws, run, log, fitter_for(ws.config, log, plan.every))
    content = vectors.make(ctx)
    assert content is not None
    early = vectors.held_out_view(ctx, content)
    views = {whose: vectors.view(ws, whole, content, FULL, test) for whose, test in tests.items()}
    for name, prior in (("", None), *priors.items()):
        fitter = fitter_for(ws.config, replace(log, prior=prior), plan.every)
        fusion = fitter.fuse(None, Early(content=early))
        by_content = fitter.scorer(None, fusion, None, vectors.centroids(content))
        for whose, test in tests.items():
            ranked = {
                "counts": fitter.scorer().rows(test).fused,
                "content": by_content.rows(test, views[whose]).fused,
            }
            for arm, logp in ranked.items():
                judged.setdefault((arm, name, whose), []).append(Judged.of(logp, test))
        yield name, fitter


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
    made.add_argument("--platforms", type=int, default=10, help="of each size, at most")
    made.add_argument("--limit", type=int, default=3_000, help="transitions of `others` at most")
    made.add_argument("--work", type=Path, help="a folder to keep, so that a killed run goes on")
    return parse(made, "", interests=8, shares="10,100", origins=2, platforms=2)


if __name__ == "__main__":
    main()
