"""What pages to explore look at: the release that serves, opened once, and answers that leave no trace.

Opening takes longer than a page may, so that what was opened is kept until another release serves.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from freshet import inspect
from freshet.core.types import Answer
from freshet.inspect.context_scores import ContextScorer
from freshet.inspect.interest_tree import Branch, tree
from freshet.inspect.item_lookup import ItemLookup
from freshet.inspect.take_ups import TakeUps
from freshet.serving import Query, Recommender
from freshet.stages.interests.format import load_paths
from freshet.storage.workspace import Workspace
from freshet.wiring import open_recommender

MOST_KEPT = 512
"""Charts and the like that are kept of a release; what was asked for longest ago goes first."""
Made = TypeVar("Made")


class ReleaseView:
    """A release, and what was made of it so far.

    Attributes:
        opened: its table and interests.
    """

    def __init__(self, ws: Workspace, opened: inspect.Opened) -> None:
        self._ws = ws
        self.opened = opened
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    @property
    def number(self) -> int:
        return self.opened.release.number

    def items(self) -> ItemLookup:
        """Its items."""
        return self.once("items", lambda: ItemLookup.of(self._ws, self.opened))

    def take_ups(self) -> TakeUps:
        """What was taken up before it."""
        return self.once("take_ups", lambda: TakeUps.of(self._ws, self.opened))

    def scorer(self) -> ContextScorer:
        """The parts of its mixture."""
        return self.once("scorer", lambda: ContextScorer(self.opened))

    def listing(self) -> inspect.Listing:
        """Its interests with figures."""
        return self.once("listing", lambda: inspect.listing(self._ws, self.opened.release.interests))

    def tree(self) -> Branch:
        """Its interests, those that are alike together."""

        def grown() -> Branch:
            interests = inspect.artifact(self._ws, "interests", self.opened.release.interests)
            ids = self.opened.interests.ids.tolist()
            return tree(self.listing(), dict(zip(ids, load_paths(interests.path), strict=True)))

        return self.once("tree", grown)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` returns; made once however many ask for it at the same time."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                found: Made = self._made[key]
                return found
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._made:
                    return self._made[key]  # type: ignore[no-any-return]
            made = make()
            with self._lock:
                self._made[key] = made
                self._making.pop(key, None)
                while len(self._made) > MOST_KEPT:
                    self._made.popitem(last=False)
        return made


class Explorer:
    """The release that serves, and answers as it would give them.

    Args:
        workspace: opens it, or returns it as it was opened before.
    """

    def __init__(self, workspace: Callable[[], Workspace]) -> None:
        self._workspace = workspace
        self._view: ReleaseView | None = None
        self._recommender: Recommender | None = None
        self._looking, self._previewing = threading.Lock(), threading.Lock()

    @property
    def opened(self) -> int | None:
        """The number of the release that pages look at; None before the first look."""
        view = self._view
        return None if view is None else view.number

    def release(self) -> ReleaseView:
        """The release that serves.

        Raises:
            ArtifactError: there is none yet, or a part of it is missing.
        """
        ws = self._workspace()
        current = ws.releases.current()
        with self._looking:
            if self._view is None or current is None or self._view.opened.release != current:
                self._view = ReleaseView(ws, inspect.open_release(ws))
            return self._view

    def preview(self, query: Query, explore: bool) -> Answer:
        """What a server would answer right now, live signals included; nothing of it is kept anywhere.

        Raises:
            FreshetError: no release serves, or what is remembered of users can't be read.
        """
        recommender = self._opened()
        recommender.follow()
        return recommender.preview(query, explore)

    def _opened(self) -> Recommender:
        with self._previewing:
            if self._recommender is None:
                self._recommender = open_recommender(self._workspace().root, join=False)
                weakref.finalize(self, self._recommender.close)
            else:
                self._recommender.reload()
            return self._recommender
