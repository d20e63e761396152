"""A release opened for reading: its table, its interests, and what its fitted weights say in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from freshet.core.errors import ArtifactError
from freshet.core.types import (
    CONTENT,
    EARLIER_ITEMS,
    ENGAGED_INTERESTS,
    ENGAGED_ITEMS,
    TEXT_INTERESTS,
    TEXT_ITEMS,
    Context,
    Evidence,
    Interests,
)
from freshet.stages import evidence, interests, table
from freshet.storage.artifacts import Artifact
from freshet.storage.durable import read_json
from freshet.storage.manifests import TableManifest
from freshet.storage.releases import Release
from freshet.storage.sound_reading import OTHERWISE
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Named:
    """An interest as a person meets it."""

    id: int
    description: str


@dataclass(frozen=True)
class Opened:
    """A release with its artifact, its table (memory-mapped) and its interests."""

    release: Release
    made: Artifact
    interests: Interests
    table: table.Table

    @cached_property
    def evidence(self) -> Evidence:
        """Evidence by context; read once, it has a row for almost every context."""
        return evidence.read(self.made.path / "evidence.parquet")

    def weights(self) -> dict[str, Any]:
        """The fitted mixture behind the table, as it was stored."""
        stored = dict(read_json(self.made.path / "mixture.json"))
        if "transition_half_life" not in stored:  # where it was not yet chosen on held-out windows
            stored["transition_half_life"] = stored["scales"]["transition_half_life"]
        return stored

    def named(self, index: int) -> Named:
        return Named(int(self.interests.ids[index]), self.interests.descriptions[index])

    def names(self, context: Context) -> tuple[Named, ...]:
        return tuple(self.named(index) for index in context)


def open_release(ws: Workspace, number: int | None = None) -> Opened:
    """Open a release; the current one unless a number is given.

    Raises:
        ArtifactError: there is no such release, or a part of it is missing.
    """
    release = ws.releases.current() if number is None else ws.releases.get(number)
    if release is None:
        raise ArtifactError("no release is published yet", hint="`freshet run` makes the first one")
    made = artifact(ws, "tables", release.table)
    known = interests.load(artifact(ws, "interests", release.interests).path)
    return Opened(release, made, known, table.Table(made.path, len(known)))


def open_waiting(ws: Workspace, table_version: str, run: str) -> Opened:
    """A table that waits for review, as the release (number 0) that it would become.

    Raises:
        ArtifactError: a part of it is missing.
    """
    made = artifact(ws, "tables", table_version)
    manifest = TableManifest.of(made)
    release = Release(0, manifest.as_of, table_version, "", manifest.inputs.interests, run, None)
    known = interests.load(artifact(ws, "interests", release.interests).path)
    return Opened(release, made, known, table.Table(made.path, len(known)))


def artifact(ws: Workspace, kind: str, version: str) -> Artifact:
    """An artifact that must be there; raises ArtifactError if it isn't."""
    found = ws.store.find(kind, version)
    if found is None:
        raise ArtifactError(
            f"{kind}/{version} is missing from {ws.root}", hint="`freshet run` makes what is missing"
        )
    return found


_MEANINGS = {
    "last": "what people move on to after their last interest",
    "pair": "what people move on to after their last two interests",
    "triple": "what people move on to after their last three interests",
    "recent": "what people move on to after each of their recent interests",
    "planner": "the planner",
    "sequence": "the sequence model over the ten most recent interests",
    TEXT_ITEMS: "nearness, by text, to the items engaged last",
    TEXT_INTERESTS: "nearness, by text, to recent interests",
    ENGAGED_ITEMS: "nearness, by who engages with what, to the items engaged last",
    ENGAGED_INTERESTS: "nearness, by who engages with what, to recent interests",
    EARLIER_ITEMS: "items of it that the user engaged long ago",
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
        features: weights of users with several recent interests, then those of planner, sequence model and
            content beside the count score.
        content: what content changes, in a sentence; '' without content.
        prior: what a planner that was asked beforehand is worth, in a sentence; '' without one.
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
    content: str = ""
    prior: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Drives:
        """From a table's `mixture.json`; without weights where nothing could be fitted.

        Raises:
            ArtifactError: it holds something else.
        """
        try:
            return cls._of(stored)
        except OTHERWISE as error:
            raise ArtifactError(
                "mixture.json of a table does not hold what it should: "
                f"{type(error).__name__}: {str(error)[:300]}",
                hint="another program wrote it: serve another release with `freshet rollback`",
            ) from error

    @classmethod
    def _of(cls, stored: Mapping[str, Any]) -> Drives:
        on = int(stored["held_out"]), int(stored["held_out_users"])
        if why := stored.get("unfitted"):
            return cls(why, True, False, (), None, *on, prior=prior_of(stored))
        unfitted = stored.get("unfounded", ())
        weights = [
            _drive(name, stored["counts"][name]) for name in stored["features"] if name not in unfitted
        ]
        planner = None if stored["planner"] is None else _drive("planner", stored["planner"])
        fused = stored["fused"] or {}
        beside = [_drive(name, fused[name]) for name in ("planner", "sequence", *CONTENT) if name in fused]
        return cls(
            _verdict(planner, stored) + _unfitted(unfitted),
            bool(stored["counts_win"]),
            "planner" in fused,
            (*weights, *beside),
            planner,
            *on,
            _content(stored),
            prior_of(stored),
        )


def prior_of(stored: Mapping[str, Any]) -> str:
    """What a planner that was asked beforehand is worth, by a table's `mixture.json`; '' without one."""
    prior = stored.get("prior")
    if prior is None:
        return ""
    asked, share = f"{prior['answered']} of {prior['interests']} interests", f"{prior['share']:.0%}"
    margin = prior["margin"]
    if margin is None:
        return (
            f"a prior stands in until weights can be fitted: what planner {prior['planner']} says of {asked} "
            f"makes up {share} of what sparse counts are shrunk to"
        )
    change = (
        f"with it the loss changes by {margin['nll']:+.4f} nats ({margin['low']:+.4f} to "
        f"{margin['high']:+.4f}) where it was not fitted"
    )
    if not prior["share"]:
        return f"the prior of planner {prior['planner']} is left out: {change}"
    told = "helps the counts" if margin["high"] < 0 else "stays in use, though it is not shown to help"
    return (
        f"the prior of planner {prior['planner']} {told}: {change}; what it says of {asked} makes up {share} "
        "of what sparse counts are shrunk to"
    )


def _content(stored: Mapping[str, Any]) -> str:
    margin = stored.get("content_margin")
    if margin is None:
        return ""
    used = any(name in CONTENT for name in stored["fused"] or {})
    if not used and margin["nll"] < 0:
        return "content is left out, as all but the planner is: by itself that predicts better"
    beside = "counts and sequence model" if "sequence" in (stored["fused"] or {}) else "the counts"
    change = f"{margin['nll']:+.4f} nats ({margin['low']:+.4f} to {margin['high']:+.4f})"
    if not used:
        return (
            f"content is left out: beside {beside} it changes the loss by {change} where it was not weighed"
        )
    told = "adds to" if margin["high"] < 0 else "stays in use, though it is not shown to add to"
    return f"content {told} {beside}: it changes the loss by {change} where it was not weighed"


def _drive(name: str, fitted: Mapping[str, float]) -> Drive:
    meaning = _MEANINGS.get(name, name)
    if name.startswith(_POPULARITY):
        meaning = f"what is popular, halved every {name.removeprefix(_POPULARITY).removesuffix('d')} days"
    return Drive(name, meaning, float(fitted["weight"]), float(fitted["low"]), float(fitted["high"]))


def _unfitted(names: Sequence[str]) -> str:
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
