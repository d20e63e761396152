"""What `freshet simulate` found, for people at a terminal."""

from __future__ import annotations

from typing import Any


def told(found: dict[str, Any]) -> str:
    """A line for every arm, and what each is worth against the first."""
    arms = {name: found["arms"][name] for name in found["order"]}
    control = found["order"][0]
    lines = [
        found["simulated"],
        f"{found['world']['name']} world, drift {found['world']['drift']}, seed {found['world']['seed']}; "
        f"{found['days']} days, refreshes on days {', '.join(map(str, found['refreshes']))}",
        "passes of trainings: "
        + ", ".join(f"{step} {passes:g}" for step, passes in found["trained"].items()),
        *[
            f"the clock ended a training of {step}: another machine may get further"
            for step in found["stopped"]
        ],
        "",
        f"{'arm':16s} users  offers  taken %  disliked %  true chance %  lost to the best %",
    ]
    for name, arm in arms.items():
        per = arm["per_impression"]
        lines.append(
            f"{name:16s} {arm['users']:5d} {arm['impressions']:7d} {_percent(per['satisfied']):>8s} "
            f"{_percent(per['negative']):>11s} {_percent(per['expected']):>14s} "
            f"{_percent(per['regret']):>19s}"
        )
    for name, arm in arms.items():
        if name != control:
            lines += [
                "",
                f"{name} against {control}, relative, 95 % intervals by user (CUPED by sessions before):",
            ]
            for key, said in (
                ("satisfied", "satisfied outcomes"),
                ("negative", "negative interactions"),
                ("expected", "true chance of a satisfied one"),
                ("expected_negative", "true chance of a negative one"),
                ("worth", "true worth beside the best"),
            ):
                one = arm["effect"][key]
                shares = f"per impression {_signed(one['per_impression'])}"
                lines.append(f"  {said:30s} per user {_signed(one['per_user_cuped']):24s} {shares}")
    return "\n".join(lines)


def compared(found: dict[str, Any]) -> str:
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


def _signed(one: dict[str, Any]) -> str:
    if one["relative"] is None:
        return "-"
    low, high = (f"{100 * one[end]:+.1f}" if one[end] is not None else "?" for end in ("low", "high"))
    return f"{100 * one['relative']:+.1f} % [{low}, {high}]"
