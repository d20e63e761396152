"""What is content worth, and from what size of log on? The same people judged at shares of the users.

    python benchmarks/content.py --events E.parquet --items I.parquet --positive "value >= 7" \\
        --interests 100 --novelty-days 30 --json
    python benchmarks/content.py --quick                # a SIMULATED log, about a minute

A replay of the last quarter of the log, cut into `--origins` refreshes, for each of `--shares` per cent of
the users that is learned from: what `freshet replay --shares` does, with one tuning per share. Arms differ by
a source of knowledge: `counts`, `content` (counts with what items say and who engages with them),
`counts_sequence`, `content_sequence` (both with the sequence score) and, with `--planner scratch`, `hybrid`
(all of that and the planner). `planner` is what the hybrid's planner says by itself, judged on people with a
recent interest alone: it is asked about no others. `first_choice`: how often the first of two arms differs
from the second in what it puts first, and how often each was right there. `weights`: of content beside the
counts as of the last origin, with what content changes on held-out windows (nats, negative = it helps).

Of more than one `--encoder` the first is that of all arms; with the others `content` alone is replayed, on
the same transitions, as `content_by_<encoder>`.

Every figure is `{value, ci95}`, the interval clustered by user; figures outside `shares` are those of the
largest share.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from freshet.cli.replay_runs import ReplayOptions, Rolled, parse_shares, planned, rolled
from freshet.pipeline import snapshot_of
from freshet.replay import Plan
from freshet.replay.figures.aligned import Aligned, align
from freshet.replay.figures.arm_metrics import Measured, hits, measure, planner
from freshet.replay.figures.groups import Groups, divide
from freshet.replay.figures.intervals import DRAWS, Resampled, estimate, ratio
from freshet.replay.replay_plan import BY_SOURCE
from freshet.run_context import RunContext
from freshet.stages.content import step as vectors
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.counts.step import early_of
from freshet.stages.transitions.step import learned_by
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import Show, folder, parse, parser, simulated, tell

ADDED = (
    ("content", "counts"),
    ("counts-sequence", "counts"),
    ("content-sequence", "counts-sequence"),
    ("content", "counts-sequence"),
    ("hybrid", "content-sequence"),
    ("hybrid", "counts"),
    ("counts", "popularity"),
)
"""Arms that differ by a source of knowledge, and the one that has it against the one in its place."""
CHOICES = (("content", "counts"), ("content-sequence", "counts-sequence"), ("hybrid", "content-sequence"))
FIGURES = ("hit_at_5", "nll")


def main() -> None:
    """Measure and print."""
    options = arguments()
    with folder(options.work) as root:
        if options.quick:
            simulated(root / "shop")
            options.events, options.items = (
                root / "shop" / "world" / f"{name}.parquet" for name in ("events", "items")
            )
        found = measured(root / "content", options)
    tell(options, found, lambda: readable(found))


def readable(found: Mapping[str, Any]) -> str:
    """A line for each share."""

    def said(one: Mapping[str, Any]) -> str:
        value, (low, high) = one["value"], one["ci95"] or (float("nan"),) * 2
        return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"

    lines = [f"{found['judged']['n']:,} transitions of {found['judged']['users']:,} users judged"]
    for percent, one in found["shares"].items():
        lines.append(
            f"{percent:>4} % of the users ({one['learned']['users']:,}): content minus counts "
            f"{said(one['content_minus_counts']['nll'])} nats, "
            f"{said(one['content_minus_counts']['hit_at_5'])} of hit@5"
        )
    return "\n".join(lines)


def measured(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The figures; see the module."""
    encoders = options.encoder.split(",")
    shares: dict[str, Any] = {}
    with settled(root, options, encoders[0]) as ws:
        plan = plan_of(ws, options.origins, options.limit)
    for percent in parse_shares(options.shares):
        started = time.monotonic()
        part = plan.learned_by(percent)
        with settled(root, options, encoders[0]) as ws:
            done = rolled(ws, part, root / "frames" / f"{percent:g}")
            weights = weights_of(done.sandbox, part)
        judged = [done.results.judged]
        for encoder in encoders[1:]:
            alone = replace(part, arms=tuple(arm for arm in part.arms if arm.name == "content"))
            with settled(root, options, encoder) as ws:
                other = rolled(ws, alone, root / "frames" / f"{percent:g}-{encoder}")
            judged.append(renamed(other.results.judged, f"content-by-{encoder}"))
        shares[f"{percent:g}"] = {
            **figures(done, pa.concat_tables(judged), encoders[1:], plan.seed),
            "weights": weights,
            "seconds": time.monotonic() - started,
        }
    last = shares[next(reversed(shares))]
    return {
        "simulated": bool(done.log["simulated"]),
        "period": {"from": str(plan.start), "to": str(plan.end), "every_days": plan.every},
        "interests": done.log["interests"],
        "encoder": encoders[0],
        "planner_used": options.planner,
        "judged": last["judged"],
        "shares": shares,
        **{name: one for name, one in last.items() if "_minus_" in name or name.startswith("by_")},
        "weights": last["weights"],
        "first_choice": last["first_choice"],
    }


@contextmanager
def settled(root: Path, options: argparse.Namespace, encoder: str) -> Iterator[Workspace]:
    """The workspace of a run, with its texts read by one encoder."""
    root.mkdir(parents=True, exist_ok=True)
    days = '"ever"' if options.novelty_days == "ever" else options.novelty_days
    (root / "freshet.toml").write_text(
        f"[events]\nfiles = [{json.dumps(str(options.events.resolve()))}]\n"
        f"items = {json.dumps(str(options.items.resolve()))}\n"
        f"positive = {json.dumps(options.positive)}\n[interests]\ncount = {options.interests}\n"
        f"[transitions]\nnovelty_days = {days}\n[planner]\nkind = {json.dumps(options.planner)}\n"
        f"[content]\nencoder = {json.dumps(encoder)}\n"
    )
    yield replace(open_workspace(root), reporter=Show())


def plan_of(ws: Workspace, origins: int, limit: int) -> Plan:
    """The last quarter of the log at so many origins, tuned once; arms as a replay by shares has them."""

    def planned_with(every: str | None, tune_every: str | None) -> Plan:
        arms = ",".join(name for name in BY_SOURCE if name != "hybrid" or ws.tuner is not None)
        return planned(ws, ReplayOptions.parse(every, tune_every, None, None, limit, 0, arms=arms))

    span = planned_with(None, None)
    days = (span.end.day - span.start.day).days
    return planned_with(f"{-(-days // origins)}d", f"{days}d")


def renamed(judged: pa.Table, arm: str) -> pa.Table:
    """The judged transitions of one arm under another name."""
    place = judged.schema.get_field_index("arm")
    return judged.set_column(place, judged.schema.field(place), pa.array([arm] * len(judged), pa.string()))


def figures(done: Rolled, judged: pa.Table, others: list[str], seed: int) -> dict[str, Any]:
    """What was measured at one share of the users."""
    aligned = align(judged, int(done.log["interests"]))
    resampled = Resampled(aligned.starts, len(aligned), DRAWS, seed)
    divisions = divide(aligned, done.results.circumstances)
    groups = {name: Groups.of(aligned, one, resampled) for name, one in divisions.items()}
    arms = {arm: measure(aligned, scored, resampled, groups) for arm, scored in aligned.arms.items()}
    added = [*ADDED, *((f"content-by-{encoder}", "content") for encoder in others)]
    pairs = {_key(f"{a}-minus-{b}"): (a, b) for a, b in added if {a, b} <= set(arms)}
    return {
        "judged": {"n": len(aligned), "users": resampled.users},
        "learned": done.log["learned"],
        **{_key(arm): overall(one) for arm, one in arms.items()},
        **({"planner": planner(arms["hybrid"])} if "hybrid" in arms else {}),
        **{name: difference(arms[a], arms[b]) for name, (a, b) in pairs.items()},
        **{name: by_group(one, name, arms, pairs) for name, one in groups.items()},
        "first_choice": {
            _key(f"{a}-vs-{b}"): first_choice(aligned, a, b, resampled)
            for a, b in CHOICES
            if {a, b} <= set(arms)
        },
    }


def _key(name: str) -> str:
    return name.replace("-", "_")


def overall(arm: Measured) -> dict[str, Any]:
    """hit@5 and nll of an arm over all transitions."""
    return {name: estimate(arm.ranks[name][:, 0]) for name in FIGURES}


def difference(a: Measured, b: Measured) -> dict[str, Any]:
    """Of two arms, the first minus the second."""
    return {name: estimate(a.ranks[name][:, 0] - b.ranks[name][:, 0]) for name in FIGURES}


def by_group(
    groups: Groups, division: str, arms: Mapping[str, Measured], pairs: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """By group of a division: its transitions and people, and the differences within it."""
    found = groups.lines({})
    for name, (a, b) in pairs.items():
        ours, theirs = arms[a].within[division], arms[b].within[division]
        lines = groups.lines({one: ours[one] - theirs[one] for one in FIGURES})
        for key, line in lines.items():
            found[key][name] = {one: line[one] for one in FIGURES}
    return found


def first_choice(aligned: Aligned, a: str, b: str, resampled: Resampled) -> dict[str, Any]:
    """Share of transitions at which two arms put another interest first, and who was right of those."""
    ours, theirs = aligned.arms[a], aligned.arms[b]
    changed = ours.top[:, 0] != theirs.top[:, 0]
    right = [changed & hits(one.rank, 1) for one in (ours, theirs)]
    total = resampled.totals(np.stack([np.ones(len(aligned)), changed, *right], axis=1))
    first, second = (ratio(total[:, place], total[:, 1]) for place in (2, 3))
    return {
        "changed": estimate(ratio(total[:, 1], total[:, 0])),
        "n_changed": int(changed.sum()),
        "right": {_key(a): estimate(first), _key(b): estimate(second)},
        "right_difference": estimate(first - second),
    }


def weights_of(sandbox: Workspace, plan: Plan) -> dict[str, Any] | None:
    """What content weighs beside the counts as of the last origin; None where nothing could be fitted."""
    at = plan.origins[-1]
    with sandbox.run("weights of content") as run:
        log = snapshot_of(sandbox, run, at)
        if plan.learners is not None:
            log = learned_by(sandbox, run, log, plan.learners)
        ctx = RunContext(sandbox, run, log, fitter_for(sandbox.config, log, plan.every))
        fusion = ctx.fitter.fuse(None, early_of(ctx, None, vectors.make(ctx)))
    if fusion is None or fusion.content is None:
        return None
    used = () if fusion.used is None else fusion.used.names
    alone = fusion.without_context
    return {
        "fitted": fusion.content.as_dict(),
        "examples": fusion.content.examples,
        "users": fusion.content.users,
        "used": [name for name in used if name != "counts"],
        "held_out_change": fusion.content_margin,
        "without_context": alone.as_dict() if alone is not None else None,
    }


def arguments() -> argparse.Namespace:
    """The options of this call."""
    made = parser(__doc__)
    made.add_argument("--events", type=Path)
    made.add_argument("--items", type=Path)
    made.add_argument("--positive", default="")
    made.add_argument("--interests", type=int, default=100)
    made.add_argument("--novelty-days", default="30", help="H in days, or 'ever'")
    made.add_argument("--shares", default="1,3,10,30,100", help="per cent of the users, comma-separated")
    made.add_argument("--origins", type=int, default=6, help="refreshes in the judged period")
    made.add_argument("--planner", choices=("scratch", "counts", "fake"), default="counts")
    made.add_argument("--encoder", default="tfidf", help="comma-separated; the first is that of all arms")
    made.add_argument("--limit", type=int, default=200_000, help="transitions judged at most")
    made.add_argument("--work", type=Path, help="a folder to keep, so that a killed run goes on")
    quick = {"positive": "value >= 7", "interests": 8, "shares": "30,100", "origins": 2, "planner": "fake"}
    return parse(made, "events", **quick)


if __name__ == "__main__":
    main()
