"""What people see of `freshet simulate`, as lines of text."""

from __future__ import annotations

from typing import Any

PLANNERS = {
    "scratch": "scratch, a small label transformer built from the log (no pretrained language model)",
    "counts": "counts, no model",
}
POPULARITY = "popularity"
"""The arm beside which gains are shown as well: what they are worth beyond popularity that is up to date."""
ORACLES = {
    "truth_first_release": "oracle: the truth as of the first release, a month old",
    "truth_last_refresh": "oracle: the truth as of the last refresh",
    "truth_today": "oracle: the truth of today",
    "popularity_first_release": "oracle: popularity counted as of the first release, a month old",
    "popularity_last_refresh": "oracle: popularity counted as of the last refresh",
    "popularity_today": "oracle: popularity of today, its true value",
}


def experiment(found: dict[str, Any]) -> str:
    """A line for every arm, and what each is worth against the first."""
    arms = {name: found["arms"][name] for name in found["order"]}
    control = found["order"][0]
    lines = [
        found["simulated"],
        f"{found['world']['name']} world, drift {found['world']['drift']}, seed {found['world']['seed']}; "
        f"{found['days']} days, refreshes on days {', '.join(map(str, found['refreshes']))}",
        f"planner: {PLANNERS.get(found['planner'], found['planner'])}",
        *(_training(step, found) for step in found["trained"]),
        "",
        f"{'arm':26s} users  offers  taken %  disliked %  true chance %  true worth %, 95 % by user",
    ]
    for name, arm in arms.items():
        per = arm["per_impression"]
        lines.append(
            f"{name:26s} {arm['users']:5d} {arm['impressions']:7d} {_percent(per['satisfied']):>8s} "
            f"{_percent(per['negative']):>11s} {_percent(per['expected']):>14s} "
            f"{_percent(per['worth']):>13s} {_ends(arm['interval']['worth'])}"
        )
    lines += [
        "",
        "oracles by the world's own rules, known in a simulation alone and served to nobody:",
    ]
    for name, one in found["oracles"].items():
        lines.append(f"{ORACLES[name]:68s} {_percent(one['worth']):>6s} {_ends(one['interval'])}")
    for name, arm in arms.items():
        if name != control:
            lines += _against(name, control, arm["effect"])
        if POPULARITY in arm.get("against", {}):
            lines += _against(name, POPULARITY, arm["against"][POPULARITY])
    return "\n".join(lines)


def _training(step: str, found: dict[str, Any]) -> str:
    """How far a step's training got."""
    steps = ", ".join(f"{name} {count:,}" for name, count in found["steps"][step].items())
    line = f"trained: {step} {found['trained'][step]:g} passes" + (f" (steps: {steps})" if steps else "")
    return f"{line}, cut short by the clock, or perhaps" if step in found["stopped"] else line


def _against(name: str, other: str, effects: dict[str, Any]) -> list[str]:
    """What an arm is worth against another one."""
    lines = ["", f"{name} against {other}, relative, 95 % intervals by user (CUPED by sessions before):"]
    for key, title in (
        ("satisfied", "satisfied outcomes"),
        ("negative", "negative interactions"),
        ("expected", "true chance of a satisfied one"),
        ("expected_negative", "true chance of a negative one"),
        ("worth", "true worth beside the best"),
    ):
        one = effects[key]
        shares = f"per impression {_signed(one['per_impression'])}"
        lines.append(f"  {title:30s} per user {_signed(one['per_user_cuped']):24s} {shares}")
    return lines


def compared_worlds(found: dict[str, Any]) -> str:
    """The decay of a log beside those of worlds, a line for each."""
    lines = [
        found["simulated"],
        f"{'':12s} level   kept after 1, 2, 3 months   popularity moved   pairs kept",
    ]
    for name, one in found.items():
        if name == "simulated":
            continue
        decays = one.get("decays", [one])
        lines += [_decay(name, decay) for decay in decays]
        if "world" in one:
            lines.append(" " * 13 + ", ".join(f"{key} {value:g}" for key, value in one["world"].items()))
    return "\n".join(lines)


def _decay(name: str, one: dict[str, Any]) -> str:
    kept = "  ".join(f"{k:.2f}+-{n:.2f}" for k, n in zip(one["kept"], one["noise"], strict=True))
    moved = " ".join(f"{value:.2f}" for value in one["popular"])
    pairs = "-" if one["pair_kept"] is None else f"{one['pair_kept']:.2f}+-{one['pair_noise']:.2f}"
    return f"{name:12s} {one['level']:.3f}   {kept}   {moved}   {pairs} (n {one['pairs']})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _ends(one: dict[str, Any]) -> str:
    return f"[{_percent(one['low'])}, {_percent(one['high'])}]"


def _signed(one: dict[str, Any]) -> str:
    if one["relative"] is None:
        return "-"
    low, high = (f"{100 * one[end]:+.1f}" if one[end] is not None else "?" for end in ("low", "high"))
    return f"{100 * one['relative']:+.1f} % [{low}, {high}]"
