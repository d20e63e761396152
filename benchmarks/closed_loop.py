"""The closed loop on SIMULATED people, several seeds: what fresh tables are worth, and where nothing changes.

Every seed is a world of its own (`freshet simulate`), lived through twice: as the preset says, and as the
static control, in which neither tastes nor popularity nor the catalogue change. Effects are relative to the
first arm. Seeds are pooled by their mean; one interval takes worlds as given and users as drawn, the other is
Student's t over worlds, which holds users' noise too.

    python benchmarks/closed_loop.py --seeds 5 --json

Runs that are in --work already are taken as they are.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

FIGURES = ("satisfied", "negative", "expected", "expected_negative", "regret", "worth")
SCALES = ("per_user", "per_user_cuped", "per_impression")


def lived(options: argparse.Namespace, drift: str, seed: int) -> dict[str, Any]:
    """Figures of one world; it is lived through where that was not done before."""
    folder = options.work / f"{drift}{seed}"
    if not (folder / "figures.json").exists():
        call = [sys.executable, "-m", "freshet", "simulate", "--world", options.world, "--drift", drift]
        call += ["--days", str(options.days), "--users", str(options.users), "--arms", options.arms]
        call += ["--refresh-days", options.refresh_days, "--seed", str(seed), "--planner", options.planner]
        subprocess.run([*call, "--dir", str(folder), "--json"], check=True, stdout=subprocess.DEVNULL)
    return dict(json.loads((folder / "figures.json").read_text()))


def pooled(effects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean of relative effects over worlds, with both intervals."""
    values = np.array([one["relative"] for one in effects])
    n, mean = len(values), float(values.mean())
    by_users = math.sqrt(sum(one["variance"] for one in effects)) / n * norm.ppf(0.975)
    found = {
        "relative": mean,
        "low": mean - by_users,
        "high": mean + by_users,
        "least": float(values.min()),
        "most": float(values.max()),
        "worlds": n,
    }
    if n > 1:
        half = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n))
        found |= {"low_over_worlds": mean - half, "high_over_worlds": mean + half}
    return found


def summary(worlds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every arm, all worlds together."""
    found: dict[str, Any] = {}
    control, *others = worlds[0]["order"]
    for name in (control, *others):
        arms = [world["arms"][name] for world in worlds]
        shown = np.array([arm["impressions"] for arm in arms])
        found[name] = {"users": sum(arm["users"] for arm in arms), "impressions": int(shown.sum())}
        for figure in FIGURES:
            shares = np.array([arm["per_impression"][figure] for arm in arms])
            found[name][figure] = float((shares * shown).sum() / shown.sum())
        if name == control:
            continue
        found[name]["effect"] = {
            figure: {scale: pooled([arm["effect"][figure][scale] for arm in arms]) for scale in SCALES}
            for figure in FIGURES
        }
        days = range(len(arms[0]["effect_by_day"]))
        found[name]["by_day"] = [
            {"day": day + 1, **pooled([arm["effect_by_day"][day] for arm in arms])} for day in days
        ]
    return found


def readable(drift: str, found: dict[str, Any]) -> str:
    lines = [f"{drift} (SIMULATED)"]
    for name, arm in found.items():
        shares = ", ".join(f"{figure} {100 * arm[figure]:.2f} %" for figure in FIGURES)
        lines.append(f"  {name:16s} {arm['users']:,} users, {arm['impressions']:,} offers: {shares}")
        for figure, scales in arm.get("effect", {}).items():
            told = [f"{scale} {interval(scales[scale])}" for scale in ("per_user_cuped", "per_impression")]
            lines.append(f"    {figure:18s} {'; '.join(told)}")
    return "\n".join(lines)


def interval(one: dict[str, Any]) -> str:
    """Percent, with the interval by users, then the one over worlds where there are several."""
    ends = [(one["low"], one["high"])]
    if "low_over_worlds" in one:
        ends.append((one["low_over_worlds"], one["high_over_worlds"]))
    told = " ".join(f"[{100 * low:+.1f}, {100 * high:+.1f}]" for low, high in ends)
    return f"{100 * one['relative']:+.1f} % {told}"


def main() -> None:
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    seeds = list(range(options.first_seed, options.first_seed + options.seeds))
    result: dict[str, Any] = {}
    for drift in options.drifts.split(","):
        worlds = [lived(options, drift, seed) for seed in seeds]
        result |= {"note": worlds[0]["simulated"], "seeds": seeds, "users": options.users}
        result[drift] = summary(worlds)
        if not options.json:
            print(readable(drift, result[drift]), flush=True)
    if options.json:
        print(json.dumps(result, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", default="shorts")
    parser.add_argument("--drifts", default="gradual,static", help="the second is the control")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1, help="worlds were calibrated on 1000 and above")
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--refresh-days", default="1,4")
    parser.add_argument("--arms", default="static,hybrid,hybrid-live,counts")
    parser.add_argument("--planner", default="scratch")
    parser.add_argument("--work", type=Path, default=Path("closed_loop"), help="folder of the workspaces")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
