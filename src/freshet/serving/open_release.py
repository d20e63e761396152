"""A release opened for serving: everything an answer needs, in memory or mapped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.config import Config
from freshet.core.pauses import NONE, Pauses
from freshet.core.ports import Journal
from freshet.core.types import (
    RECENT,
    TRANSITION,
    AsOf,
    BoolArray,
    Context,
    Entry,
    Evidence,
    History,
    Interests,
    indices_of,
)
from freshet.experiments.feedback.format import Feedback, read_feedback
from freshet.serving.item_selection import ItemSelector
from freshet.serving.policy import similarity_of
from freshet.serving.request_rules import RequestRules
from freshet.serving.user_context import UserContext, context_at, horizon
from freshet.stages import counts, evidence, interests, live, table
from freshet.stages.content import ContentItems, read_items
from freshet.stages.counts import NOBODY
from freshet.stages.items.format import open_ranker
from freshet.stages.table.format import is_fitted, open_popularity, open_scorer, open_single_user_scorer
from freshet.stages.users.format import open_user_part
from freshet.storage.artifacts import Artifact, Store, committed
from freshet.storage.manifests import TableManifest
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.releases import Release
from freshet.storage.sound_reading import sound

OwnTransitions = Callable[[NDArray[np.uint64], NDArray[np.int64]], BoolArray]
"""(n,) users by number, (n,) times in microseconds -> whether each transition counts."""

BATCH = 500
"""Journal entries that an overlay sees at a time."""


@dataclass
class OpenRelease:
    """One release; immutable but for its overlay, which follows the journal, and its rules.

    Attributes:
        artifact: its table's.
        single_user: the mixture for one user at a time.
        popularity: (N,) shares of recent popularity, at the half-life that does best by itself.
        items: interest index of each item, as far as it has one.
        index: interest index by stable id, -1 where there is none; ids beyond the end have none.
        k, horizon, seed: what a context is; H in microseconds.
        similarity: (N, N) of interests, cosines not below 0.
        since: moment of the table, in microseconds since 1970: transitions from then on are live.
        overlay: live signals, None where they don't pay or there are none.
        selector: chooses items of interests, None where there is no ranker.
        content: the items that tell what a user is near to, None where content is no part of the mixture.
        feedback: what people did with proposals, None where it doesn't pay or there is none.
        missing: what the release goes without, as `kind/version`: a part beside its table is lost or damaged.
        own: which transitions the overlay counts, of an isolated arm; None = all.
        position: of the last journal entry that the overlay has seen.
    """

    release: Release
    artifact: Artifact
    interests: Interests
    table: table.Table
    scorer: counts.Scorer
    single_user: counts.SingleUserScorer
    popularity: NDArray[np.float64]
    similarity: NDArray[np.float32]
    items: dict[str, int]
    index: NDArray[np.int16]
    k: int
    horizon: int
    seed: int
    since: int
    overlay: live.Overlay | None
    selector: ItemSelector | None
    content: ContentItems | None
    rules: RequestRules
    feedback: Feedback | None = None
    missing: tuple[str, ...] = ()
    fitted: bool = True
    own: OwnTransitions | None = None
    position: int = 0
    _catching_up: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def evidence(self) -> Evidence:
        """Evidence by context; read when it is first asked for."""
        return evidence.read(self.artifact.path / "evidence.parquet")

    @cached_property
    def single_user_counts(self) -> counts.SingleUserScorer:
        """The mixture of counts alone."""
        return counts.SingleUserScorer(counts.Scorer(self.scorer.model, self.scorer.count_weights))

    def isolated(self, overlay: live.Overlay | None, own: OwnTransitions) -> OpenRelease:
        """The same release with live signals of its own, which count some transitions only."""
        return replace(self, overlay=overlay, own=own, position=0, _catching_up=threading.Lock())

    def warm(self) -> None:
        """Make now what is made once and kept, so that no request has to wait for it."""
        _ = self.evidence.find(np.full((1, self.k), -1, np.int16))
        if self.selector is not None:
            self.selector.warm()
            self.selector.engaged(History.empty())
        # a user of whom something is known goes ways that nobody else goes
        profile = NOBODY
        if self.content is not None:
            profile = self.content.profile(self.content.last(History.empty()))
        bonus = np.zeros(0) if self.overlay is None else self.overlay.bonus(0, self.since)
        recent, allowed = np.zeros(RECENT, np.int16), np.zeros(len(self.interests), bool)
        for user in (recent, np.full_like(recent, -1)):
            self.single_user(user, allowed, bonus, profile, 0)

    def user_context(
        self, ids: NDArray[np.int32], times: NDArray[np.int64], now: int, user: int
    ) -> UserContext:
        """The context at a moment of a user (by number) who engaged these interests last at these times."""
        size = len(self.interests)
        return context_at(ids, times, self.index, size, now, self.horizon, user, self.seed)

    def bursts(self, now: int) -> list[dict[str, Any]]:
        """Interests that people take up much more often right now than of late."""
        if self.overlay is None:
            return []
        return [
            {
                "id": int(self.interests.ids[burst.successor]),
                "description": self.interests.descriptions[burst.successor],
                "seen": round(burst.seen, 2),
                "expected": round(burst.expected, 2),
            }
            for burst in self.overlay.bursts(now)
        ]

    def context(self, seen: UserContext) -> Context:
        """The user's own context: the last k of their recent interests."""
        return tuple([i for i in seen.recent[-self.k :].tolist() if i >= 0])

    def asked_on(self, row: int) -> str | None:
        """The day as of which the planner answered a row of a user; None for row -1."""
        if row < 0 or self.scorer.users is None:
            return None
        rows = self.scorer.users.rows.rows
        return rows.origins[int(rows.origin[row])]

    def indices(self, ids: NDArray[np.int32]) -> NDArray[np.int16]:
        """Interest indices of stable ids, -1 for those that this release doesn't have."""
        return indices_of(ids, self.index)

    def catch_up(self, journal: Journal, now: int) -> int:
        """Let the overlay see what the journal of events holds behind `position`; returns how many entries.

        Args:
            now: microseconds since 1970; a client's clock that is ahead must not age what others did.

        Raises:
            StateError: the journal can't be read.
        """
        seen = 0
        with self._catching_up:
            full, pauses = True, Pauses()
            while full:  # a part of a batch is the end: who waited for none might wait for ever
                entries = journal.read(self.position, BATCH)
                if entries and self.overlay is not None:
                    self._fold(self.overlay, entries, now)
                self.position = entries[-1].position if entries else self.position
                seen += len(entries)
                full = len(entries) == BATCH
                if full:
                    pauses()
        return seen

    def _fold(self, overlay: live.Overlay, entries: list[Entry], now: int) -> None:
        found = np.frombuffer(
            b"".join(entry.body[: TRANSITION.itemsize] for entry in entries), TRANSITION
        ).copy()
        found = found[(found["time"] >= self.since) & (found["successor"] >= 0)]
        if self.own is not None:
            found = found[self.own(found["user"], found["time"])]
        found["last"], found["successor"] = self.indices(found["last"]), self.indices(found["successor"])
        overlay.apply(found[found["successor"] >= 0], now)


def open_release(
    store: Store,
    config: Config,
    release: Release,
    own: OwnTransitions | None = None,
    pauses: Pauses = NONE,
) -> OpenRelease:
    """Open a release; what is lost beside its table doesn't keep it from serving, but is `missing`.

    Args:
        pauses: between its parts, where the process answers requests meanwhile.

    Raises:
        ArtifactError: a necessary part of it is missing or damaged.
        ConfigError: a rule names an interest that it doesn't have.
    """
    return _opened(parts_of(store, release).table, store, config, release, own, pauses)


@sound
def _opened(
    artifact: Artifact,
    store: Store,
    config: Config,
    release: Release,
    own: OwnTransitions | None,
    pauses: Pauses,
) -> OpenRelease:
    after = pauses.after
    parts, missing = after((parts_of(store, release), missing_of(store, release)))
    known = after(interests.load(parts.interests.path))
    scorer = after(open_scorer(artifact, len(known)))
    scorer = after(replace(scorer, users=_users(store, release, scorer, missing)))
    settings = artifact.manifest["settings"]["transitions"]
    return OpenRelease(
        release=release,
        artifact=artifact,
        interests=known,
        table=after(table.Table(artifact.path, len(known))),
        scorer=scorer,
        single_user=after(open_single_user_scorer(artifact, scorer)),
        popularity=after(open_popularity(artifact, scorer)),
        similarity=after(similarity_of(known.vectors)),
        items=after(_items(parts.assignment)),
        index=known.index_by_id(),
        k=settings["k"],
        horizon=horizon(settings["novelty_days"]),
        seed=settings["seed"],
        since=AsOf.parse(release.as_of).microseconds,
        overlay=after(read_overlay(store, release)),
        selector=after(_selector(store, release, missing)),
        content=after(_content(store, artifact, scorer, missing)),
        rules=after(RequestRules.of(config, known)),
        feedback=after(_feedback(store, release, missing)),
        missing=missing,
        fitted=is_fitted(artifact),
        own=own,
    )


def read_overlay(store: Store, release: Release) -> live.Overlay | None:
    """A release's live signals as they were when it was made; None where they don't pay or are lost."""
    if not release.overlay or f"overlays/{release.overlay}" in missing_of(store, release):
        return None
    return live.read(committed(store, "overlays", release.overlay).path)


def _selector(store: Store, release: Release, missing: tuple[str, ...]) -> ItemSelector | None:
    if not release.ranker or f"rankers/{release.ranker}" in missing:
        return None
    return ItemSelector.of(open_ranker(committed(store, "rankers", release.ranker)))


def _content(
    store: Store, table: Artifact, scorer: counts.Scorer, missing: tuple[str, ...]
) -> ContentItems | None:
    """The items behind a table's content; without them, recent interests stand in for what a user engaged."""
    version = TableManifest.of(table).inputs.content
    if scorer.content is None or f"content/{version}" in missing:
        return None
    return read_items(committed(store, "content", version).path)


def _feedback(store: Store, release: Release, missing: tuple[str, ...]) -> Feedback | None:
    if not release.feedback or f"feedback/{release.feedback}" in missing:
        return None
    return read_feedback(committed(store, "feedback", release.feedback).path)


def _users(
    store: Store, release: Release, scorer: counts.Scorer, missing: tuple[str, ...]
) -> counts.UserPart | None:
    """Rows of single users, mapped; without them users are answered by their pairs."""
    if not release.users or f"user_rows/{release.users}" in missing:
        return None
    return open_user_part(committed(store, "user_rows", release.users), scorer)


@sound
def _items(assignment: Artifact) -> dict[str, int]:
    """Which interest each item belongs to, as the table was made with it."""
    read = pq.read_table(assignment.path / "assignment.parquet", columns=["item", "interest"])
    return dict(zip(read["item"].to_pylist(), read["interest"].to_pylist(), strict=True))
