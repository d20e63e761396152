"""What drives a log: the fitted weights with their intervals, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MEANINGS = {
    "last": "what people move on to after their last interest",
    "pair": "what people move on to after their last two interests",
    "triple": "what people move on to after their last three interests",
    "recent": "what people move on to after each of their recent interests",
    "planner": "the planner",
    "sequence": "the sequence model over the ten most recent interests",
}
_POPULARITY = "popularity_"


@dataclass(frozen=True, slots=True)
class Drive:
    """One feature of the mixture: its weight with a 95 % interval clustered by user."""

    name: str
    meaning: str
    weight: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Drives:
    """The mixture behind a release.

    Attributes:
        verdict: whether the planner earns its place, or why nothing could be fitted, in a sentence.
        counts_win: the planner's weight can't be told from zero, or there is no planner.
        fused: the planner's score is part of the ranking.
        features: weights of users with several recent interests, then those of planner and sequence model
            beside the count score.
        planner: the planner's weight even where it is not used; None without a planner.
        held_out: transitions (and users) the weights were fitted on.
    """

    verdict: str
    counts_win: bool
    fused: bool
    features: tuple[Drive, ...]
    planner: Drive | None
    held_out: int
    held_out_users: int

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Drives:
        """From a table's `mixture.json`; without weights where nothing could be fitted."""
        if why := stored.get("unfitted"):
            return cls(why, True, False, (), None, int(stored["held_out"]), int(stored["held_out_users"]))
        unfounded = stored.get("unfounded", ())
        weights = [
            _drive(name, stored["counts"][name]) for name in stored["features"] if name not in unfounded
        ]
        planner = None if stored["planner"] is None else _drive("planner", stored["planner"])
        fused = stored["fused"] or {}
        beside = [_drive(name, fused[name]) for name in ("planner", "sequence") if name in fused]
        return cls(
            _verdict(planner, stored) + _unfounded(unfounded),
            bool(stored["counts_win"]),
            "planner" in fused,
            (*weights, *beside),
            planner,
            int(stored["held_out"]),
            int(stored["held_out_users"]),
        )


def _drive(name: str, fitted: Mapping[str, float]) -> Drive:
    meaning = _MEANINGS.get(name, name)
    if name.startswith(_POPULARITY):
        meaning = f"what is popular, halved every {name.removeprefix(_POPULARITY).removesuffix('d')} days"
    return Drive(name, meaning, float(fitted["weight"]), float(fitted["low"]), float(fitted["high"]))


def _unfounded(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(names)
    return f"; nothing could be fitted for {listed}: no held-out transition follows so many interests"


def _verdict(planner: Drive | None, stored: Mapping[str, Any]) -> str:
    rows, users = stored.get("planner_held_out") or (stored["held_out"], stored["held_out_users"])
    on = f"on {rows:,} held-out transitions of {users:,} users"
    if planner is None:
        return f"plain counts, no planner; weights fitted {on}"
    figure = f"{planner.weight:.2f}, 95 % interval {planner.low:.2f} to {planner.high:.2f}"
    margin = stored.get("planner_margin")
    beside = "sequence" in stored  # then the planner is judged on top of both
    rivals = "counts and sequence model" if beside else "the counts"
    if margin is not None:
        low, high = margin["low"], margin["high"]
        on += f"; it changes the loss by {margin['nll']:+.4f} nats ({low:+.4f} to {high:+.4f})"
    if stored["counts_win"]:
        without = "counts and sequence model win here" if beside else "counts win here"
        if planner.low > 0:
            return f"{without}: the planner ({figure}) makes them worse where it was not weighed, {on}"
        return f"{without}: the planner's weight ({figure}) is not above zero {on}"
    return f"the planner adds to {rivals}: its weight is {figure} {on}"
