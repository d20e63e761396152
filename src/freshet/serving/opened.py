"""A release opened for serving: everything an answer needs, in memory or mapped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.config import Config
from freshet.core.ports import Journal
from freshet.core.types import TRANSITION, AsOf, BoolArray, Entry, Evidence, Interests, indices_of
from freshet.experiments.feedback.format import Feedback, read_feedback
from freshet.serving.choosing import likeness_of
from freshet.serving.recall import Recalled, horizon, recall
from freshet.serving.rules import RequestRules
from freshet.serving.shelf import Shelf
from freshet.stages import counts, evidence, interests, live, table
from freshet.stages.items.format import open_ranker
from freshet.stages.table.format import is_fitted, open_one_user, open_popularity, open_scorer
from freshet.storage.artifacts import Artifact, Store, committed
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.releases import Release

Counted = Callable[[NDArray[np.uint64], NDArray[np.int64]], BoolArray]
"""(n,) users by number, (n,) times in microseconds -> whether each move counts."""

MICROSECONDS = 1_000_000
BATCH = 20_000
"""Journal entries that an overlay sees at a time."""


@dataclass
class OpenRelease:
    """One release; immutable but for its overlay, which follows the journal, and its rules.

    Attributes:
        made: its table's artifact.
        one: the mixture for one user.
        popularity: (N,) shares of recent popularity, at the half-life that does best by itself.
        items: interest index of each item, as far as it has one.
        index: interest index by stable id, -1 where there is none; ids beyond the end have none.
        k, horizon, seed: what a context is; H in microseconds.
        since: moment of the table, in microseconds since 1970: moves from then on are live.
        overlay: live signals, None where they don't pay or there are none.
        shelf: items and their ranker, None where there is none.
        feedback: what people did with proposals, None where it doesn't pay or there is none.
        missing: what the release goes without, as `kind/version`: a part beside its table is lost or damaged.
        counted: which moves the overlay counts; None = all. Of an arm whose evidence is its own.
        position: of the last journal entry that the overlay has seen.
    """

    release: Release
    made: Artifact
    interests: Interests
    table: table.Table
    scorer: counts.Scorer
    one: counts.OneUser
    popularity: NDArray[np.float64]
    likeness: NDArray[np.float32]
    items: dict[str, int]
    index: NDArray[np.int16]
    k: int
    horizon: int
    seed: int
    since: int
    overlay: live.Overlay | None
    shelf: Shelf | None
    rules: RequestRules
    feedback: Feedback | None = None
    missing: tuple[str, ...] = ()
    fitted: bool = True
    counted: Counted | None = None
    position: int = 0
    _catching_up: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def said(self) -> Evidence:
        """Evidence by context; read when it is first asked for."""
        return evidence.read(self.made.path / "evidence.parquet")

    @cached_property
    def by_counts(self) -> counts.OneUser:
        """The mixture of counts alone."""
        return counts.OneUser(counts.Scorer(self.scorer.model, self.scorer.count_weights))

    def apart(self, overlay: live.Overlay | None, counted: Counted) -> OpenRelease:
        """The same release with live signals of its own, which count some moves only."""
        own = threading.Lock()
        return replace(self, overlay=overlay, counted=counted, position=0, _catching_up=own)

    def warm(self) -> None:
        """Make now what is made once and kept, so that no request has to wait for it."""
        _ = self.said.find(np.full((1, self.k), -1, np.int16))
        if self.shelf is not None:
            self.shelf.warm()

    def recall(self, ids: NDArray[np.int32], times: NDArray[np.int64], now: int, user: int) -> Recalled:
        """A user (by number) at a moment, who engaged these interests last at these times."""
        size = len(self.interests)
        return recall(ids, times, self.index, size, now, self.horizon, user, self.seed)

    def indices(self, ids: NDArray[np.int32]) -> NDArray[np.int16]:
        """Interest indices of stable ids, -1 for those that this release doesn't have."""
        return indices_of(ids, self.index)

    def catch_up(self, journal: Journal, now: int) -> int:
        """Let the overlay see what the journal of events holds behind `position`; returns how many entries.

        Args:
            now: microseconds since 1970; a client's clock that is ahead must not age what others told.

        Raises:
            StateError: the journal can't be read.
        """
        seen = 0
        with self._catching_up:
            full = True
            while full:  # a part of a batch is the end: who waited for none might wait for ever
                entries = journal.read(self.position, BATCH)
                if entries and self.overlay is not None:
                    self._fold(self.overlay, entries, now)
                self.position = entries[-1].position if entries else self.position
                seen += len(entries)
                full = len(entries) == BATCH
        return seen

    def _fold(self, overlay: live.Overlay, entries: list[Entry], now: int) -> None:
        moves = np.frombuffer(
            b"".join(entry.body[: TRANSITION.itemsize] for entry in entries), TRANSITION
        ).copy()
        moves = moves[(moves["time"] >= self.since) & (moves["successor"] >= 0)]
        if self.counted is not None:
            moves = moves[self.counted(moves["user"], moves["time"])]
        moves["last"], moves["successor"] = self.indices(moves["last"]), self.indices(moves["successor"])
        overlay.apply(moves[moves["successor"] >= 0], now)


def open_release(
    store: Store, config: Config, release: Release, counted: Counted | None = None
) -> OpenRelease:
    """Open a release; what is lost beside its table doesn't keep it from serving, but is `missing`.

    Raises:
        ArtifactError: a necessary part of it is missing or damaged.
        ConfigError: a rule names an interest that it doesn't have.
    """
    parts, missing = parts_of(store, release), missing_of(store, release)
    made, known = parts.table, interests.load(parts.interests.path)
    ranker = f"rankers/{release.ranker}"
    scorer = open_scorer(made, len(known))
    settings = made.manifest["settings"]["transitions"]
    moment = AsOf.parse(release.as_of).moment.timestamp()
    return OpenRelease(
        release=release,
        made=made,
        interests=known,
        table=table.Table(made.path, len(known)),
        scorer=scorer,
        one=open_one_user(made, scorer),
        popularity=open_popularity(made, scorer),
        likeness=likeness_of(known.vectors),
        items=_items(parts.assignment),
        index=known.index_by_id(),
        k=settings["k"],
        horizon=horizon(settings["novelty_days"]),
        seed=settings["seed"],
        since=int(moment) * MICROSECONDS,
        overlay=read_overlay(store, release),
        shelf=None
        if not release.ranker or ranker in missing
        else Shelf.of(open_ranker(committed(store, "rankers", release.ranker))),
        rules=RequestRules.of(config, known),
        feedback=_feedback(store, release, missing),
        missing=missing,
        fitted=is_fitted(made),
        counted=counted,
    )


def read_overlay(store: Store, release: Release) -> live.Overlay | None:
    """A release's live signals as they were when it was made; None where they don't pay or are lost."""
    if not release.overlay or f"overlays/{release.overlay}" in missing_of(store, release):
        return None
    return live.read(committed(store, "overlays", release.overlay).path)


def _feedback(store: Store, release: Release, missing: tuple[str, ...]) -> Feedback | None:
    if not release.feedback or f"feedback/{release.feedback}" in missing:
        return None
    return read_feedback(committed(store, "feedback", release.feedback).path)


def _items(assignment: Artifact) -> dict[str, int]:
    """Which interest each item belongs to, as the table was made with it."""
    read = pq.read_table(assignment.path / "assignment.parquet", columns=["item", "interest"])
    return dict(zip(read["item"].to_pylist(), read["interest"].to_pylist(), strict=True))
