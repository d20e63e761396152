"""Which evidence is worth putting into prompts? Hit rate of its successors, and how often prompts change.

For every weekly origin in the last 30 % of time, evidence is chosen as the pipeline would, with each variant
of the settings; a transition of the following week is a hit if its successor is among the named ones.
`changed` is the share of prompts that differ from the week before: the price of a refresh. No planner is
involved.

    python benchmarks/evidence.py --events E.parquet --items I.parquet --positive "value >= 7" --interests 100
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from freshet.core.config import Config, EvidenceConfig
from freshet.core.prompts import Prompts, ShortWording
from freshet.core.types import AsOf, Evidence
from freshet.pipeline import snapshot_of
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import events
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.events.step import import_sources
from freshet.stages.evidence.step import gather
from freshet.stages.table import enumerate_contexts
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import parse, parser, simulated, tell

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "top 1": {"top": 1},
    "top 5": {"top": 5},
    "window x 2": {"window_days": 2},
    "window x 4": {"window_days": 4},
    "window x 16": {"window_days": 16},
    "support 3": {"min_support": 3},
    "support 10": {"min_support": 10},
    "support 20": {"min_support": 20},
    "trend": {"rank_by": "trend"},
    "global": {"level": "global"},
    "user cap 1": {"user_cap": 1},
    "user cap 5": {"user_cap": 5},
    "no user cap": {"user_cap": 1000},
    "no hysteresis": {"hysteresis": 0.0},
    "hysteresis 0.25": {"hysteresis": 0.25},
}


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if options.quick:
            simulated(root / "shop", replayed=False)
            options.events, options.items = (
                root / "shop" / "world" / f"{what}.parquet" for what in ("events", "items")
            )
        days = '"ever"' if options.novelty_days == "ever" else options.novelty_days
        (root / "freshet.toml").write_text(
            f"[events]\nfiles = [{json.dumps(str(options.events.resolve()))}]\n"
            f"items = {json.dumps(str(options.items.resolve()))}\n"
            f"positive = {json.dumps(options.positive)}\n[interests]\ncount = {options.interests}\n"
            f'[transitions]\nnovelty_days = {days}\n[planner]\nkind = "counts"\n'
        )
        ws = open_workspace(root)
        with ws.run("import") as run:
            import_sources(ws, run, datetime.now(UTC))
        result = measure(ws)
    tell(options, result, lambda: readable(result))


def readable(result: dict[str, dict[str, float]]) -> str:
    return "\n".join(
        f"{name:16s} " + "  ".join(f"{key} {value:.3f}" for key, value in figures.items())
        for name, figures in result.items()
    )


def measure(ws: Workspace) -> dict[str, dict[str, float]]:
    """Figures of every variant."""
    log = [day.day for day in events.EventLog(ws.root).snapshot().days]
    start = log[0] + timedelta(days=round((log[-1] - log[0]).days * 0.7))
    with ws.run("learn") as run:
        first = snapshot_of(ws, run, AsOf(start))
        everything = snapshot_of(ws, run, AsOf(log[-1]).plus(1))
    counting = CountFitter(first, 2, 10_000, 7)
    every = first.scales.window_days
    moments = [AsOf(start).minus(-i * every) for i in range((log[-1] - start).days // every)][:12]
    result = {}
    for name, changes in VARIANTS.items():
        settings = dict(changes)
        if "window_days" in settings:
            settings["window_days"] *= every
        result[name] = variant(RunContext(ws, run, everything, counting), moments, settings)
        print(name, result[name], file=sys.stderr)
    return result


def variant(base: RunContext, moments: list[AsOf], changes: dict[str, Any]) -> dict[str, float]:
    ws, known = base.ws, base.log
    evidence = EvidenceConfig(**{**ws.config.evidence.model_dump(), **changes})
    config = Config(**{**ws.config.model_dump(), "evidence": evidence.model_dump()})
    varied = replace(ws, config=config, tuner=None)
    scales = known.scales
    days = scales.evidence_days if evidence.window_days == "auto" else evidence.window_days
    seen = LogSnapshot(
        known.as_of,
        known.interests,
        known.interests_version,
        known.transitions,
        known.version,
        type(scales)(**{**scales.as_dict(), "half_lives": scales.half_lives, "evidence_days": days}),
        known.window,
    )
    ctx = RunContext(varied, base.run, seen, base.fitter)
    contexts = enumerate_contexts(len(known.interests), 2)
    lengths = (contexts >= 0).sum(axis=1)
    said: Evidence | None = None
    before: list[bytes] | None = None
    named = hits = total = with_context = 0
    changed, own = [], []
    for moment in moments:
        said = gather(ctx, moment, contexts, said)
        prompts = Prompts.of(contexts, ShortWording(known.interests.descriptions), said).identities()
        if before is not None:
            changed.append(np.mean([a != b for a, b in zip(before, prompts, strict=True)]))
        before = prompts
        row = said.find(contexts)
        own.append(np.mean((row >= 0) & (said.after[row] == lengths if len(said) else False)))
        test = known.transitions.between(moment, moment.plus(scales.window_days))
        for context, successor in zip(test.contexts(2), test.successor.tolist(), strict=True):
            total += 1
            if context not in said:
                continue
            with_context += 1
            listed = [s.interest for s in said[context].successors]
            named += len(listed)
            hits += successor in listed
    return {
        "hit": hits / max(total, 1),
        "hit_per_named": hits / max(named, 1),
        "covered": with_context / max(total, 1),
        "own_evidence": float(np.mean(own)),
        "changed_per_week": float(np.mean(changed)) if changed else 0.0,
        "n": float(total),
    }


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--events", type=Path)
    made.add_argument("--items", type=Path)
    made.add_argument("--positive", default="")
    made.add_argument("--interests", type=int, default=100)
    made.add_argument("--novelty-days", default="30", help="H in days, or 'ever'")
    return parse(made, "events", positive="value >= 7", interests=8)


if __name__ == "__main__":
    main()
