"""The closed loop on SIMULATED people, several seeds: what fresh tables are worth, and where nothing changes.

Every seed is a world of its own (`freshet simulate`), of each of three kinds:

- gradual: preset `shorts`, where most of what changes is popularity;
- static: the same without drift, trends or new items: the control, in which nothing must be found;
- transitions: preset `transitions`, where popularity stays and who moves on to what changes.

All arms are in one experiment per world, so that what popularity alone is worth is measured, not inferred.
Effects are relative to the first arm, and to `popularity`. Oracles know the rules of the world, which is
possible in a simulation alone. Seeds are pooled by their mean; one interval takes worlds as given and users
as drawn, the other is Student's t over worlds, which holds users' noise too.

    python benchmarks/closed_loop.py --seeds 5 --jobs 2 --work loop

Each world's figures are saved in --work as it ends, and taken from there the next time, so a run that was
broken off goes on where it was. `tables.md` and `summary.json` in --work hold what is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from freshet.cli.show_simulation import ORACLES, POPULARITY
from freshet.storage.durable import write_json
from shared import parse, parser, tell

WORLDS = {
    "gradual": ("shorts", "gradual"),
    "static": ("shorts", "static"),
    "transitions": ("transitions", "gradual"),
}
"""Kinds of worlds: a preset and its drift."""
FIGURES = ("satisfied", "negative", "expected", "expected_negative", "regret", "worth")
SCALES = ("per_user", "per_user_cuped", "per_impression")
QUICK = {
    "users": 100,
    "days": 2,
    "seeds": 1,
    "refresh_days": "1,2",
    "planner": "counts",
    "arms": "static,popularity,counts",
    "worlds": "transitions",
}
"""Of --quick: a run of the machinery, whose figures say nothing."""


def lived(options: argparse.Namespace, kind: str, seed: int) -> dict[str, Any]:
    """Figures of one world and what they cost; it is lived through where that was not done before."""
    preset, drift = WORLDS[kind]
    asked = ["--preset", preset, "--drift", drift, "--seed", str(seed), "--arms", options.arms]
    asked += ["--days", str(options.days), "--users", str(options.users)]
    asked += ["--refresh-days", options.refresh_days, "--planner", options.planner]
    saved = options.work / f"{kind}-{seed}.json"
    if saved.exists():
        found = dict(json.loads(saved.read_text()))
        if found["asked"] != asked:
            sys.exit(f"{saved} holds another experiment ({' '.join(found['asked'])}): choose another --work")
        return found
    folder = options.work / f"{kind}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was broken off
    began = time.monotonic()
    call = [sys.executable, "-m", "freshet", "simulate", *asked, "--dir", str(folder), "--json"]
    with (options.work / f"{kind}-{seed}.log").open("w") as log:
        child = subprocess.Popen(
            call, stdout=subprocess.DEVNULL, stderr=log, env={"OMP_NUM_THREADS": "1"} | os.environ
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(call)} failed, see {log.name}")
    found = {
        "asked": asked,
        "minutes": (time.monotonic() - began) / 60,
        "cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60,
        "peak_mb": usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024),
        "figures": json.loads((folder / "figures.json").read_text()),
    }
    write_json(saved, found)
    if not options.keep:
        shutil.rmtree(folder)
    print(f"{kind} world, seed {seed}: {found['minutes']:.1f} minutes", file=sys.stderr, flush=True)
    return found


def mean(values: Sequence[float], variances: Sequence[float]) -> dict[str, Any]:
    """Mean over worlds, 95 % by users (worlds as given) and, of several, Student's t over worlds."""
    each, n = np.array(values, float), len(values)
    by_users = math.sqrt(sum(variances)) / n * norm.ppf(0.975)
    found = {"mean": float(each.mean()), "least": float(each.min()), "most": float(each.max()), "worlds": n}
    found |= {"low": found["mean"] - by_users, "high": found["mean"] + by_users}
    if n > 1:
        half = float(student.ppf(0.975, n - 1) * each.std(ddof=1) / math.sqrt(n))
        found |= {"low_over_worlds": found["mean"] - half, "high_over_worlds": found["mean"] + half}
    return found


def pooled(effects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean of relative effects over worlds, with both intervals; nothing where a world could not tell."""
    if any(one["relative"] is None or one["variance"] is None for one in effects):
        return {"relative": None, "worlds": len(effects)}
    found = mean([one["relative"] for one in effects], [one["variance"] for one in effects])
    return {"relative": found.pop("mean"), **found}


def summary(worlds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every arm and every oracle, all worlds of a kind together."""
    figures = [world["figures"] for world in worlds]
    first = figures[0]["order"][0]
    arms = {}
    for name in figures[0]["order"]:
        each = [one["arms"][name] for one in figures]
        shown = np.array([arm["impressions"] for arm in each])
        arms[name] = {"users": sum(arm["users"] for arm in each), "impressions": int(shown.sum())}
        for figure in FIGURES:
            shares = np.array([arm["per_impression"][figure] for arm in each])
            arms[name][figure] = float((shares * shown).sum() / shown.sum())
        arms[name]["level"] = {figure: _level(each, figure) for figure in FIGURES}
        if name == first:
            continue
        arms[name]["effect"] = _effects([arm["effect"] for arm in each])
        days = range(len(each[0]["effect_by_day"]))
        arms[name]["by_day"] = [
            {"day": day + 1, **pooled([arm["effect_by_day"][day] for arm in each])} for day in days
        ]
        arms[name]["against"] = {
            other: _effects([arm["against"][other] for arm in each]) for other in each[0].get("against", {})
        }
        if POPULARITY in figures[0]["arms"] and name != POPULARITY:
            arms[name]["gain_by_popularity"] = _share_of_gain(figures, first, name)
    oracles = {
        name: mean(
            [one["oracles"][name]["worth"] for one in figures],
            [one["oracles"][name]["interval"]["variance"] for one in figures],
        )
        for name in ORACLES
    }
    cost = {key: [round(world[key], 2) for world in worlds] for key in ("minutes", "cpu_minutes", "peak_mb")}
    return {
        **arms,
        "oracles": oracles,
        "trainings": [{key: one[key] for key in ("trained", "steps", "stopped")} for one in figures],
        "cost": cost,
    }


def _level(arms: Sequence[dict[str, Any]], figure: str) -> dict[str, Any]:
    """An arm's figure per offer, worlds alike."""
    return mean(
        [arm["per_impression"][figure] for arm in arms], [arm["interval"][figure]["variance"] for arm in arms]
    )


def _effects(effects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        figure: {scale: pooled([one[figure][scale] for one in effects]) for scale in SCALES}
        for figure in FIGURES
    }


def _share_of_gain(figures: Sequence[dict[str, Any]], first: str, arm: str) -> dict[str, Any]:
    """What share of an arm's gain in worth over the first arm `popularity` has as well.

    A ratio of means over worlds; its interval is by the delta method and Student's t. Null where the gain
    can't be told from zero.
    """
    levels = {
        name: np.array([one["arms"][name]["per_impression"]["worth"] for one in figures])
        for name in (first, POPULARITY, arm)
    }
    whole, part, n = levels[arm] - levels[first], levels[POPULARITY] - levels[first], len(figures)
    if n < 2:
        return {"share": float(part[0] / whole[0]) if whole[0] > 0 else None}
    quantile = float(student.ppf(0.975, n - 1))
    if whole.mean() <= quantile * whole.std(ddof=1) / math.sqrt(n):
        return {"share": None}
    share = float(part.mean() / whole.mean())
    half = quantile * float((part - share * whole).std(ddof=1) / math.sqrt(n) / whole.mean())
    return {"share": share, "low_over_worlds": share - half, "high_over_worlds": share + half}


def table(kind: str, found: dict[str, Any]) -> str:
    """A kind of world as Markdown: arms, what they are worth beyond popularity, oracles, trainings, cost."""
    arms = {name: one for name, one in found.items() if name not in ("oracles", "trainings", "cost")}
    worlds = next(iter(found["oracles"].values()))["worlds"]
    over = " [Student's t over worlds]" if worlds > 1 else ""
    told = f"{worlds} world{'s' if worlds > 1 else ''}; [95 % by users, worlds as given]{over}"
    gains = ["satisfied per user", "negative per user", "worth of an offer"]
    header = ["taken %", "disliked %", "worth %", *gains]
    lines = [
        f"SIMULATED, {kind}, {told}; effects in % of {next(iter(arms))}",
        "",
        f"| {kind} | users, offers | {' | '.join(header)} |",
        "|---" * (len(header) + 2) + "|",
    ]
    for name, arm in arms.items():
        cells = [f"`{name}`", f"{arm['users']:,}, {arm['impressions']:,}"]
        cells += [shares(arm["level"][figure]) for figure in ("satisfied", "negative", "worth")]
        lines.append(_row(cells + (_gains(arm["effect"]) if "effect" in arm else [""] * 3)))
    for name, one in found["oracles"].items():
        lines.append(_row([ORACLES[name], "", "", "", shares(one), "", "", ""]))
    beyond = [name for name, arm in arms.items() if POPULARITY in arm.get("against", {})]
    if beyond:
        lines += [
            "",
            f"| {kind}, against `{POPULARITY}` | {' | '.join(gains)} | share of gain it has too |",
        ]
        lines.append("|---" * 5 + "|")
    for name in beyond:
        share = arms[name]["gain_by_popularity"]
        lines.append(_row([f"`{name}`", *_gains(arms[name]["against"][POPULARITY]), _share(share)]))
    return "\n".join([*lines, "", *_trained(found["trainings"]), _cost(found["cost"])])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _gains(effects: dict[str, Any]) -> list[str]:
    """Cells of satisfied outcomes, negative ones, worth."""
    scales = (("satisfied", "per_user_cuped"), ("negative", "per_user_cuped"), ("worth", "per_impression"))
    return [interval(effects[figure][scale], "relative", "+.1f") for figure, scale in scales]


def _share(one: dict[str, Any]) -> str:
    if one["share"] is None:
        return "no gain to share"
    ends = (
        [f"[{100 * one['low_over_worlds']:.0f}, {100 * one['high_over_worlds']:.0f}]"]
        if "low_over_worlds" in one
        else []
    )
    return " ".join([f"{100 * one['share']:.0f} %", *ends])


def _trained(trainings: Sequence[dict[str, Any]]) -> list[str]:
    """How far trainings got, world by world."""
    lines = []
    for step in trainings[0]["trained"]:
        passes = ", ".join(f"{one['trained'][step]:g}" for one in trainings)
        steps = ", ".join(" + ".join(map(str, one["steps"][step].values())) or "?" for one in trainings)
        cut = sum(step in one["stopped"] for one in trainings)
        lines.append(
            f"Trained: {step} passes {passes}; steps {steps}; cut by the clock in {cut} of {len(trainings)}."
        )
    return lines


def _cost(cost: dict[str, list[float]]) -> str:
    per = ", ".join(
        f"{one:.1f} ({cpu:.1f} of a core)"
        for one, cpu in zip(cost["minutes"], cost["cpu_minutes"], strict=True)
    )
    return f"Cost: minutes per world {per}; peak memory {max(cost['peak_mb']):,.0f} MB."


def interval(one: dict[str, Any], key: str, form: str) -> str:
    """Percent, with the interval by users, then the one over worlds where there are several."""
    if one[key] is None:
        return "-"
    ends = [(one["low"], one["high"])]
    if "low_over_worlds" in one:
        ends.append((one["low_over_worlds"], one["high_over_worlds"]))
    told = " ".join(f"[{100 * low:{form}}, {100 * high:{form}}]" for low, high in ends)
    return f"{100 * one[key]:{form}} {told}"


def shares(one: dict[str, Any]) -> str:
    """A share of offers, in percent."""
    return interval(one, "mean", ".1f")


def carried_out(
    options: argparse.Namespace, live: Callable[[argparse.Namespace, str, int], dict[str, Any]] = lived
) -> dict[str, Any]:
    """All worlds, `options.jobs` at a time, and what they say together."""
    options.work.mkdir(parents=True, exist_ok=True)
    seeds = list(range(options.first_seed, options.first_seed + options.seeds))
    kinds = options.worlds.split(",")
    with ThreadPoolExecutor(options.jobs) as at_once:
        # seed by seed, so that a run that is broken off has something of every kind
        work = {
            (kind, seed): at_once.submit(live, options, kind, seed) for seed, kind in product(seeds, kinds)
        }
        worlds = {key: one.result() for key, one in work.items()}
    note = worlds[kinds[0], seeds[0]]["figures"]["simulated"]
    found: dict[str, Any] = {"note": note, "seeds": seeds, "users": options.users}
    return found | {kind: summary([worlds[kind, seed] for seed in seeds]) for kind in kinds}


def main() -> None:
    options = arguments()
    found = carried_out(options)
    tables = "\n\n".join(table(kind, found[kind]) for kind in options.worlds.split(","))
    write_json(options.work / "summary.json", found)
    (options.work / "tables.md").write_text(tables + "\n", encoding="utf-8")
    tell(options, found, lambda: tables)


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--worlds", default=",".join(WORLDS), help="kinds of worlds")
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--first-seed", type=int, default=1, help="worlds were calibrated on 1000 and above")
    made.add_argument("--users", type=int, default=5000)
    made.add_argument("--days", type=int, default=14)
    made.add_argument("--refresh-days", default="1,4")
    made.add_argument("--arms", default="static,popularity,counts,hybrid,hybrid-live")
    made.add_argument(
        "--planner", default="scratch", help="a small label transformer built from the log, or counts"
    )
    made.add_argument("--work", type=Path, default=Path("closed_loop"), help="folder of results")
    made.add_argument("--jobs", type=int, default=1, help="worlds at a time; each takes a core")
    made.add_argument("--keep", action="store_true", help="keep the workspaces (100 MB each)")
    options = parse(made, **QUICK)
    if unknown := {*options.worlds.split(",")} - {*WORLDS}:
        made.error(f"no worlds {', '.join(sorted(unknown))}: there are {', '.join(WORLDS)}")
    return options


if __name__ == "__main__":
    main()
