"""Step: what live signals are worth on held-out windows.

Windows are cut into stretches of the length of a refresh cadence, since what live signals are worth depends
on how old a table gets: at the start of each the release's score and the usual shares are as of then. At
each held-out transition the overlay holds the moves strictly before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import AsOf, ContentView, FloatArray, Mixture, Transitions
from freshet.stages import counts, live
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.counts.holdout_windows import Stretch
from freshet.stages.transitions import Established

PSEUDO = (30.0, 100.0, 300.0)
"""Pseudo-counts tried."""
HISTORY = 10
"""Half-lives after which a move is forgotten: a thousandth of it is left."""
RELEASE = "release"
"""The release's log-probability among what is weighed; its weight is 1."""


@dataclass(frozen=True)
class Calibrated:
    """An overlay as of now, and what was found.

    Attributes:
        overlay: with the weights that are significantly above zero; None where live signals don't pay.
        fitted: weights of all lifts.
        gain: change of nats per held-out transition (value, low, high), negative = it helps; 95 % interval
            clustered by user. The weights are fitted on the same transitions, which flatters it a little.
    """

    overlay: live.Overlay | None
    fitted: Mixture
    gain: tuple[float, float, float]


def calibrate(
    fitter: CountFitter,
    settings: live.Settings,
    scorer_of: Callable[[Stretch], counts.Scorer],
    content: ContentView | None = None,
    known: Established | None = None,
) -> Calibrated:
    """Weigh the lifts; those whose weight is not significantly above zero are left out.

    Args:
        settings: their pseudo-counts are chosen here.
        scorer_of: the release's score as it would have been at the start of a stretch.
        content: what the score's vectors tell about users; None = nothing.
        known: since when users count in full; None = all do.

    Raises:
        NotEnoughData: fewer than 20 held-out transitions.
    """
    names = (RELEASE, *settings.names)
    past, stretches = _past(fitter, settings, known), _stretches(fitter, scorer_of, content)
    best: tuple[float, Mixture, list[counts.Held], live.Overlay] | None = None
    for pseudo in PSEUDO:
        overlay, held = _pass(past, replace(settings, pseudo=pseudo), stretches, known)
        fitted = _fit(names, held)
        likelihood = sum(float(counts.log_likelihood(block, fitted.weights).sum()) for block in held)
        if best is None or likelihood > best[0]:
            best = likelihood, fitted, held, overlay
    assert best is not None
    _, fitted, held, overlay = best
    used = _kept(fitted, held)
    if used is None:
        return Calibrated(None, fitted, (0.0, 0.0, 0.0))
    weights = np.zeros(len(settings.names))
    weights[[settings.names.index(name) for name in used.names[1:]]] = used.weights[1:]
    now = fitter.log.as_of
    overlay = (
        _knowing(overlay, known, now)
        .against(microseconds(now), fitter.model(now).after_last.coarse())
        .weighted(weights)
    )
    return Calibrated(overlay, fitted, _gain(held, weights, overlay.bound))


def running(
    overlay: live.Overlay, records: NDArray[np.void], queries: NDArray[np.void]
) -> Iterator[live.Overlay]:
    """The overlay as each of the moves `queries` is about to happen; it takes in all `records` on the way.

    Args:
        records, queries: in the order of time. Moves of one moment don't see each other.
    """
    before = np.searchsorted(records["time"], queries["time"], side="left").tolist()
    done = 0
    for until in before:
        if until > done:
            overlay.apply(records[done:until])
            done = until
        yield overlay
    overlay.apply(records[done:])


def by_time(records: NDArray[np.void]) -> NDArray[np.void]:
    """Moves in the order of time."""
    return records[np.argsort(records["time"], kind="stable")]


def microseconds(moment: AsOf) -> int:
    """A moment in microseconds since 1970."""
    return moment.day_number * DAY


@dataclass(frozen=True)
class _Stretch:
    """What is held out between two refreshes, in the order of time, and all moves since the one before.

    Attributes:
        queries: the transitions held out, row by row those of `held`.
        fused: (n, N) the release's log-probabilities, 0 at what is no candidate.
        model: the release's counts.
    """

    start: AsOf
    held: Transitions
    queries: NDArray[np.void]
    fused: FloatArray
    model: counts.CountModel
    records: NDArray[np.void]


def _stretches(
    fitter: CountFitter, scorer_of: Callable[[Stretch], counts.Scorer], content: ContentView | None
) -> list[_Stretch]:
    found, done = [], fitter.holdout.start
    records = [fitter.holdout.timed(window) for window in fitter.holdout.windows]
    parts = fitter.holdout.stretches
    ends = [*(part.start for part in parts), fitter.log.as_of][1:]
    for part, end in zip(parts, ends, strict=True):
        queries = records[part.window][part.rows]
        order = np.argsort(queries["time"], kind="stable")
        held, queries = part.held.take(order), queries[order]
        scorer = scorer_of(part)
        fused = np.where(held.known, 0.0, scorer.rows(held, content).fused).astype(np.float32)
        over = AsOf.from_day_number(int(queries["time"][-1] // DAY) + 1)
        until = max(over, end, key=lambda moment: moment.day)  # two windows may lie after one refresh
        since = by_time(fitter.log.transitions.records(done, until))
        found.append(_Stretch(part.start, held, queries, fused, scorer.model, since))
        done = until
    return found


def _knowing(overlay: live.Overlay, known: Established | None, moment: AsOf) -> live.Overlay:
    """The overlay of a release made at a moment: users count in full who are established then."""
    return overlay if known is None else replace(overlay, established=known.known_on(moment.day_number))


def _past(fitter: CountFitter, settings: live.Settings, known: Established | None) -> live.Overlay:
    """An overlay that holds what came before the held-out windows."""
    until, days = fitter.holdout.start, fitter.log.scales.window_days
    start = until.minus(round(HISTORY * settings.half_lives[-1]))
    overlay = live.Overlay.empty(settings, len(fitter.log.interests), microseconds(start))
    while start.day < until.day:  # in parts: a year of a large log need not be in memory at once
        end = min(start.plus(days), until, key=lambda moment: moment.day)
        overlay = _knowing(overlay, known, start)
        overlay.apply(by_time(fitter.log.transitions.records(start, end)))
        start = end
    return overlay


def _pass(
    past: live.Overlay, settings: live.Settings, stretches: list[_Stretch], known: Established | None
) -> tuple[live.Overlay, list[counts.Held]]:
    """The overlay as of now, and the held-out transitions: the release's score, then the lifts."""
    overlay, found = replace(past.copy(), settings=settings), []
    refreshed: AsOf | None = None
    for stretch in stretches:
        held, start = stretch.held, microseconds(stretch.start)
        before = int(np.searchsorted(stretch.records["time"], start))
        overlay.apply(stretch.records[:before])
        if stretch.start != refreshed:
            overlay, refreshed = overlay.against(start, stretch.model.after_last.coarse()), stretch.start
            overlay = _knowing(overlay, known, stretch.start)
        features = np.empty((len(held), 1 + len(overlay.weights), held.known.shape[1]), np.float32)
        features[:, 0] = stretch.fused
        features[:, 1:] = overlay.lifts_before(stretch.records[before:], stretch.queries)
        found.append(counts.Held(features, held.known, held.successor, held.user))
    return overlay, found


def _fit(names: tuple[str, ...], held: list[counts.Held]) -> Mixture:
    return counts.fit(names, held, np.eye(len(names))[0], fixed=1)


def _kept(fitted: Mixture, held: list[counts.Held]) -> Mixture | None:
    """Weights of what is significantly above zero, the least significant left out first; None of nothing."""
    used = fitted
    while float(used.low[1:].min()) <= 0:
        least = used.names[1 + int(used.low[1:].argmin())]
        names = tuple(name for name in used.names if name != least)
        if len(names) == 1:
            return None
        columns = [fitted.names.index(name) for name in names]
        used = _fit(names, [replace(block, features=block.features[:, columns]) for block in held])
    return used


def _gain(held: list[counts.Held], weights: NDArray[np.float64], most: float) -> tuple[float, float, float]:
    """What the bounded sum of weighted lifts changes."""
    change = []
    for block in held:
        rows, base = np.arange(len(block.successor)), block.features[:, 0].astype(np.float64)
        bonus = np.clip(counts.scores(block.features[:, 1:], weights), -most, most)
        before, after = (counts.log_softmax(score, block.known) for score in (base, base + bonus))
        change.append(before[rows, block.successor] - after[rows, block.successor])
    return counts.mean_by_user(np.concatenate(change), np.concatenate([block.user for block in held]))
