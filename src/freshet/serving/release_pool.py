"""The releases that are open: the one that serves, and those of the arms of experiments.

They are swapped as a whole, so that an answer is of one release.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from freshet.core.config import Config
from freshet.core.errors import ArtifactError, FreshetError, NotServing
from freshet.core.pauses import Pauses
from freshet.core.types import Experiment, ExperimentArm
from freshet.experiments.assignment import OwnEvents
from freshet.serving.arms import OpenExperiment, warm
from freshet.serving.open_release import OpenRelease, open_release, read_overlay
from freshet.serving.request_rules import RequestRules
from freshet.storage.artifacts import Store
from freshet.storage.experiment_registry import Experiments
from freshet.storage.releases import Release, Releases

MOST = 3
"""Releases open at most, beside those that are held: the current one, the one before, one pinned."""


class ReleasePool:
    """Open releases of a workspace; readers see either the old one or the new one.

    Args:
        published: the workspace's releases.
        store: its artifacts.
        settings: reads the configuration anew; called at every reload.
        prepare: called with a release that was opened, before it answers.
        experiments: the workspace's; looked at at every reload.
        forgotten: what changes when people have been forgotten: everything is opened anew then, since what is
            in memory knows them.
    """

    def __init__(
        self,
        published: Releases,
        store: Store,
        settings: Callable[[], Config],
        prepare: Callable[[OpenRelease], object],
        experiments: Experiments,
        forgotten: Callable[[], object] = lambda: None,
    ) -> None:
        self._published = published
        self._store = store
        self._settings = settings
        self._prepare = prepare
        self._experiments = experiments
        self._forgotten, self._anew = forgotten, False
        self._known_forgotten = forgotten()
        self._stamp: tuple[object, ...] | None = None
        self.running: tuple[OpenExperiment, ...] = ()
        self._lock = threading.RLock()
        self._open: dict[int, OpenRelease] = {}
        self._held: frozenset[int] = frozenset()
        self._pinned: int | None = None
        self._current: OpenRelease | None = None
        self.config = settings()
        self._serve(self._wanted())
        with suppress(FreshetError):  # every reload raises it again; serving doesn't wait for it
            self._follow_experiments()

    @property
    def current(self) -> OpenRelease:
        """The release that serves.

        Raises:
            NotServing: there is none.
        """
        if self._current is None:
            raise NotServing("no release serves yet", hint="`freshet run` makes the first one")
        return self._current

    def named(self, number: int | None) -> OpenRelease:
        """An open release by number, None = the current one.

        Raises:
            ArtifactError: it is not open.
        """
        if number is None:
            return self.current
        found = self._open.get(number)
        if found is None:
            listed = ", ".join(map(str, sorted(self._open)))
            raise ArtifactError(f"release {number} is not open", hint=f"open releases: {listed}")
        return found

    def open(self) -> list[OpenRelease]:
        """All open releases, those of arms included."""
        own = [one for running in self.running for one in running.releases.values()]
        return list({id(one): one for one in (*self._open.values(), *own)}.values())

    def reload(self) -> bool:
        """Serve what is wanted now, with the settings of now; whether anything changed.

        Raises:
            FreshetError: that can't be done: the release that serves goes on, with the settings that were
                right last.
        """
        changed, problems = False, list[FreshetError]()
        with self._lock:
            for follow in (
                self._follow_settings,
                self._follow_forgotten,
                self._follow_current,
                self._follow_experiments,
            ):
                try:
                    changed |= follow()
                except FreshetError as error:  # what can't be followed doesn't hold up the others
                    problems.append(error)
        if problems:
            raise problems[0]
        return changed

    def pin(self, number: int | None) -> None:
        """Serve a certain release, whatever `CURRENT` names; None = follow `CURRENT` again.

        Raises:
            ArtifactError: there is no such release, or it can't be opened; everything stays as it was.
        """
        with self._lock:
            self._serve(self._current_release() if number is None else self._published.get(number))
            self._pinned = number

    def hold(self, numbers: frozenset[int]) -> None:
        """Keep these open beside the current one, such as the arms of an experiment.

        Raises:
            ArtifactError: one can't be opened; everything stays as it was.
        """
        with self._lock:
            opened = {number: self._opened(self._published.get(number)) for number in numbers}
            self._held = numbers
            self._open = {**self._open, **opened}

    def listed(self) -> list[dict[str, Any]]:
        """All releases, newest first; of one whose file is damaged only what is known without it."""
        serving = self._current.release.number if self._current else None
        return [
            {
                "number": number,
                "as_of": release.as_of if release else "",
                "open": number in self._open,
                "serving": number == serving,
                "pinned": number == self._pinned,
                "ranker": bool(release and release.ranker),
                "live": bool(release and release.overlay),
                "damaged": release is None,
            }
            for number in reversed(self._published.numbers())
            for release in [self._read(number)]
        ]

    def _follow_settings(self) -> bool:
        config = self._settings()
        if config is self.config or config == self.config:
            return False
        opened = self.open()
        rules = [RequestRules.of(config, one.interests) for one in opened]
        for one, new in zip(opened, rules, strict=True):
            one.rules = new
        self.config = config
        return True

    def _follow_forgotten(self) -> bool:
        """Open everything anew where people were forgotten; the old releases answer until then."""
        found = self._forgotten()
        if found == self._known_forgotten:
            return False
        before, self._open = self._open, {}
        try:
            held = {number: self._opened(self._published.get(number)) for number in self._held}
            self._serve(self._wanted())
            self._open = {**self._open, **held}
        except FreshetError:
            self._open = before
            raise
        self._anew, self._stamp = True, None
        self._follow_experiments()
        self._anew, self._known_forgotten = False, found
        return True

    def _follow_current(self) -> bool:
        wanted = self._wanted()
        if self._current is not None and wanted.number == self._current.release.number:
            return False
        self._serve(wanted)
        return True

    def _follow_experiments(self) -> bool:
        """Open what the arms of running experiments are answered with; whether anything changed.

        One that can't be read or opened goes on as it was, unless it was stopped.

        Raises:
            FreshetError: there is such a one; all others are followed.
        """
        stamp = self._experiments.stamp()
        if stamp == self._stamp:
            return False
        found, damaged = self._experiments.found()
        problems: list[FreshetError] = [*damaged.values()]
        before = {one.experiment.name: one for one in self.running}
        kept = [before[name] for name in damaged if name in before and not self._experiments.stopped(name)]
        for one in found:
            if one.running:
                try:
                    kept.append(self._opened_arms(one))
                except FreshetError as error:
                    problems.append(error)
                    kept += [before[one.name]] if one.name in before else []
        self.running = tuple(sorted(kept, key=lambda one: one.experiment.precedence))
        self._open = {**self._open, **self._fixed()}
        if problems:
            raise problems[0]  # and again at the next look
        self._stamp = stamp
        return True

    def _opened_arms(self, experiment: Experiment) -> OpenExperiment:
        """An experiment with the releases of those arms that don't simply follow the current one."""
        found = {}
        for arm in experiment.arms:
            number = arm.serves.release
            if experiment.isolated:
                found[arm.name] = self._opened_isolated(experiment, arm, number)
            elif number is not None:
                found[arm.name] = self._opened(self._published.get(number))
            warm(found.get(arm.name) or self.current, arm.serves.strategy)
        return OpenExperiment(experiment, found)

    def _opened_isolated(self, experiment: Experiment, arm: ExperimentArm, number: int | None) -> OpenRelease:
        """The release of an isolated arm: no other arm's users change it."""
        if number is None:
            number = self._experiments.pointer(experiment, arm.name)
        for one in () if self._anew else self.running:
            before = one.releases.get(arm.name) if one.experiment == experiment else None
            if before is not None and before.release.number == number:
                return before
        release = self._published.get(number)
        opened = self._open.get(number) or open_release(
            self._store, self.config, release, pauses=self._pauses()
        )
        overlay = read_overlay(self._store, release)
        found = opened.isolated(overlay, OwnEvents(experiment, arm.name))
        found.warm()
        self._prepare(found)
        return found

    def _fixed(self) -> dict[int, OpenRelease]:
        """Releases that arms keep in use beside the current one."""
        return {
            one.release.number: one
            for running in self.running
            for one in running.releases.values()
            if one.own is None
        }

    def _read(self, number: int) -> Release | None:
        """A release as it was opened, else from its file; None where that is damaged."""
        found = self._open.get(number)
        if found is not None:
            return found.release
        try:
            return self._published.get(number)
        except ArtifactError:
            return None

    def _wanted(self) -> Release:
        return self._current_release() if self._pinned is None else self._published.get(self._pinned)

    def _current_release(self) -> Release:
        release = self._published.current()
        if release is None:
            raise NotServing("no release is published yet", hint="`freshet run` makes the first one")
        return release

    def _opened(self, release: Release) -> OpenRelease:
        found = self._open.get(release.number)
        if found is None:
            pauses = self._pauses()
            found = open_release(self._store, self.config, release, pauses=pauses)
            found.warm()
            pauses()
            self._prepare(found)
        return found

    def _pauses(self) -> Pauses:
        """Those of a release that is opened: none as long as nobody is answered."""
        return Pauses(taken=self._current is not None)

    def _serve(self, release: Release) -> None:
        """Open a release beside the others, then let it answer; the longest open go."""
        opened = self._opened(release)
        kept = {n: one for n, one in self._open.items() if n != release.number}
        needed = self._held | self._fixed().keys()
        spare = [n for n in kept if n not in needed and n != self._pinned]
        for number in spare[: max(0, len(spare) - (MOST - 1))]:
            del kept[number]
        self._open = {**kept, release.number: opened}
        self._current = opened
