"""Which scores enter the mixture beside the counts: those that held-out transitions can tell from nothing.

First the sequence score beside the counts, on all held-out transitions; then content on top of what that
gave; then the planner on top of both, on the sample of them that a planner was asked about. So what is used
without the planner doesn't depend on that sample, and with it differs by the planner alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.types import CONTENT, EARLIER_ITEMS, ENGAGED_ITEMS, TEXT_ITEMS, Fusion, Mixture
from freshet.stages.counts.mixture import FEWEST, Held, fit, log_likelihood, scores
from freshet.stages.counts.scorer import COUNTS, PLANNER, SEQUENCE

Change = tuple[float, float, float]
"""(value, low, high) nats per transition that something changes, negative = it helps; 95 % by user."""


SPREAD = 1.0
"""Standard deviation of what is believed beforehand of a content weight, in nats per unit of cosine: at 2,
the few examples of a small log fit weights that hurt, at 0.5 large logs lose (decision 40)."""
COUNTS_SPREAD = 0.2
"""The same for how far the weight of counts may be from 1 beside content alone: in folds, the counts of a
small log are weaker than those that serve, and would be weighed too little."""


@dataclass(slots=True)
class Blocks:
    """Held-out transitions with their features, each block of one fold.

    Features are counts, then the planner's score, then the sequence model's, then those of content, as far as
    they are there.
    """

    held: list[Held] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)

    def add(self, fold: int, held: Held) -> None:
        """Add the transitions of a fold."""
        if len(held.successor):
            self.held.append(held)
            self.folds.append(fold)

    def without(self, fold: int) -> list[Held]:
        """Transitions of the other folds; all of them where there is one fold."""
        others = [held for held, of in zip(self.held, self.folds, strict=True) if of != fold]
        return others or self.held


@dataclass(frozen=True, slots=True)
class Weighed:
    """What is mixed beside a planner, weighed; any number of planners can be weighed on top of it.

    Attributes:
        names: features of the held-out transitions, in their order.
        fitted: weights of counts and sequence model; `used` those of all that is used.
        by_fold: the weights that are used, as fitted on the other folds; {} where they are no fit.
        parts, content, content_margin, without_context: as in `Fusion`.
    """

    names: tuple[str, ...]
    fitted: Mixture
    used: Mixture
    by_fold: dict[int, NDArray[np.float64]]
    parts: dict[str, Change]
    content: Mixture | None = None
    content_margin: Change | None = None
    without_context: Mixture | None = None

    def fused(self, sample: Blocks | None) -> Fusion:
        """With a planner on top, by held-out transitions that it was asked about; None = without one.

        Raises:
            NotEnoughData: fewer than 20 of them.
        """
        fitted, used, margin, parts = self.fitted, self.used, None, dict(self.parts)
        if sample is not None:
            planner, used, margin, parts[PLANNER] = _planner(self, sample)
            fitted = _joined(fitted, planner)
        return Fusion(
            fitted,
            None if used.names == (COUNTS,) else used,
            margin,
            parts,
            self.content,
            self.content_margin,
            self.without_context,
        )


def weigh(rest: Blocks, names: tuple[str, ...] = (COUNTS,), unplanned: Blocks | None = None) -> Weighed:
    """Weigh sequence model and content beside the counts; leave out what is not shown to help.

    A score is left out where its weight is not significantly above zero, or where the mixture with it loses
    to the mixture without it by more than the interval, in folds on which it was not weighed. A mixture that
    so loses to one of its parts gives way to it. Weights of content are believed to be small beforehand, so
    that few examples can't fit large ones; it is left out where it does not lower the loss in folds on which
    it was not weighed. With fewer than 20 held-out transitions counts alone are used.

    Args:
        rest: held-out transitions without a planner's score.
        names: features of `rest`, in their order.
        unplanned: transitions of users who have items but no recent interest, with the counts and the
            features of content; None without content.
    """
    fitted, used, by_fold = _alone(COUNTS), _alone(COUNTS), dict[int, NDArray[np.float64]]()
    content = content_margin = without_context = None
    parts: dict[str, Change] = {}
    enough = sum(len(held.successor) for held in rest.held) >= FEWEST
    if SEQUENCE in names and enough:
        fitted, used, by_fold, parts = _sequence(_only(rest, names, (COUNTS, SEQUENCE)))
    near = tuple(name for name in names if name in CONTENT)
    if near and enough:
        content, content_margin, own = _content(rest, names, used, near)
        if content_margin[0] < 0:
            used, by_fold = content, own
    if unplanned is not None:
        without_context = _without_context(unplanned, near)
    return Weighed(names, fitted, used, by_fold, parts, content, content_margin, without_context)


def fuse(
    rest: Blocks,
    sample: Blocks | None,
    names: tuple[str, ...] = (COUNTS,),
    unplanned: Blocks | None = None,
) -> Fusion:
    """`weigh` what is mixed beside a planner, then the planner.

    Args:
        sample: those of the held-out transitions that the planner was asked about, with its score after the
            counts; None without a planner.

    Raises:
        NotEnoughData: fewer than 20 held-out transitions, and a planner to weigh.
    """
    return weigh(rest, names, unplanned).fused(sample)


def _sequence(
    rest: Blocks,
) -> tuple[Mixture, Mixture, dict[int, NDArray[np.float64]], dict[str, Change]]:
    """Weights of counts and sequence model, what is used of them, also by fold, and what they change."""
    names = (COUNTS, SEQUENCE)
    fitted = fit(names, rest.held)
    parts, by_fold = _beside_parts(rest, names)
    best = max(parts, key=lambda name: parts[name][0])
    if _loses(parts[best]):
        return fitted, _alone(best), {}, parts
    if float(fitted.low[1]) > 0:
        return fitted, fitted, by_fold, parts
    return fitted, _alone(COUNTS), {}, parts


def _beside_parts(
    rest: Blocks, names: tuple[str, ...]
) -> tuple[dict[str, Change], dict[int, NDArray[np.float64]]]:
    """What the mixture changes against each of its parts alone, in folds on which it was not weighed.

    With the weights for each fold.
    """
    fused, alone, user = [], {name: list[NDArray[np.float64]]() for name in names}, []
    by_fold = {}
    for fold in sorted(set(rest.folds)):
        weights = by_fold[fold] = _weights(names, rest.without(fold), rest.held)
        for held in _of(rest, fold):
            fused.append(log_likelihood(held, weights))
            for name, unit in zip(names, np.eye(len(names)), strict=True):
                alone[name].append(log_likelihood(held, unit))
            user.append(held.user)
    total, users = np.concatenate(fused), np.concatenate(user)
    return {name: mean_by_user(np.concatenate(alone[name]) - total, users) for name in names}, by_fold


def _content(
    rest: Blocks, names: tuple[str, ...], base: Mixture, near: tuple[str, ...]
) -> tuple[Mixture, Change, dict[int, NDArray[np.float64]]]:
    """Weights of content on top of the rest, what content changes, and the weights by fold.

    The change is measured against the rest weighed anew, in folds on which neither was weighed.
    """
    chosen = (*base.names, *near)
    blocks = _only(rest, names, chosen)
    fitted = _fitted(chosen, blocks.held)
    return fitted, *_content_margin(blocks, chosen, len(base.names))


def _content_margin(
    blocks: Blocks, names: tuple[str, ...], first: int
) -> tuple[Change, dict[int, NDArray[np.float64]]]:
    """What the features behind the `first` ones change, in folds on which no weight was fitted.

    With the weights of all features for each fold.
    """
    change, user, by_fold = [], [], {}
    for fold in sorted(set(blocks.folds)):
        others = blocks.without(fold)
        both = by_fold[fold] = _weights(names, others, blocks.held)
        without = _weights(names[:first], _first(others, first), _first(blocks.held, first))
        for held in _of(blocks, fold):
            [alone] = _first([held], first)
            change.append(log_likelihood(alone, without) - log_likelihood(held, both))
            user.append(held.user)
    return mean_by_user(np.concatenate(change), np.concatenate(user)), by_fold


def _without_context(unplanned: Blocks, near: tuple[str, ...]) -> Mixture | None:
    """Weights for users with items but no recent interest; None where too few are held out, or nothing helps.

    Of content they have the features of items alone: features of recent interests are zero.
    """
    names = (COUNTS, *near)
    usable = tuple(name for name in near if name in (TEXT_ITEMS, ENGAGED_ITEMS, EARLIER_ITEMS))
    if sum(len(held.successor) for held in unplanned.held) < FEWEST:
        return None
    fitted, margin, _ = _content(unplanned, names, _alone(COUNTS), usable)
    return fitted if margin[0] < 0 and len(fitted.names) > 1 else None


def _planner(weighed: Weighed, sample: Blocks) -> tuple[Mixture, Mixture, Change, Change]:
    """The planner's weight on top of the rest, and what is used of all; then what the planner changes beside
    the rest, and the mixture beside the planner.

    In each fold the rest is weighed on the others, so that it is as good as it is on what comes next.
    """
    names = ("rest", PLANNER)
    scored, base = Blocks(), weighed.used
    for fold in sorted(set(sample.folds)):
        weights = weighed.by_fold.get(fold, base.weights)
        for held in _of(sample, fold):
            scored.add(fold, _reduced(held, base.names, weights, weighed.names))
    fitted = fit(names, scored.held)
    margin, alone = _margin(scored, names)
    used = base
    if _loses(alone) and alone[0] > margin[0]:
        used = _alone(PLANNER)
    elif float(fitted.low[1]) > 0 and not _loses(margin):
        used = _with_planner(base, fitted)
    return replace(fitted, names=(COUNTS, PLANNER)), used, margin, alone


def _margin(scored: Blocks, names: tuple[str, ...]) -> tuple[Change, Change]:
    """What the planner changes beside the rest, and what the mixture changes beside the planner alone.

    Both in folds on which neither its weight nor that of the rest was fitted.
    """
    change, against, user = [], [], []
    by_itself = np.array([0.0, 1.0])
    for fold in sorted(set(scored.folds)):
        others = scored.without(fold)
        both = _weights(names, others, scored.held)
        rest = _weights(names[:1], _first(others), _first(scored.held))
        for held, without in zip(_of(scored, fold), _first(_of(scored, fold)), strict=True):
            mixed = log_likelihood(held, both)
            change.append(log_likelihood(without, rest) - mixed)
            against.append(log_likelihood(held, by_itself) - mixed)
            user.append(held.user)
    users = np.concatenate(user)
    return mean_by_user(np.concatenate(change), users), mean_by_user(np.concatenate(against), users)


def _weights(names: Sequence[str], held: Sequence[Held], otherwise: Sequence[Held]) -> NDArray[np.float64]:
    """Weights fitted on some transitions; on others where these are too few."""
    try:
        return _fitted(names, held).weights
    except NotEnoughData:
        return _fitted(names, otherwise).weights


def _fitted(names: Sequence[str], held: Sequence[Held]) -> Mixture:
    """Fitted weights; those of content are believed to be small beforehand, that of counts alone to be 1."""
    if not any(name in CONTENT for name in names) and tuple(names) != (COUNTS,):
        return fit(names, held)
    own = np.inf if SEQUENCE in names else COUNTS_SPREAD
    spread = [SPREAD if name in CONTENT else own if name == COUNTS else np.inf for name in names]
    centre = np.array([name == COUNTS for name in names], np.float64)
    return fit(names, held, spread=spread, centre=centre)


def _reduced(
    held: Held, names: tuple[str, ...], weights: NDArray[np.float64], rest_names: tuple[str, ...]
) -> Held:
    """Two features: the weighed sum of the rest, and the planner's score, which comes after the counts."""
    order = (COUNTS, PLANNER, *rest_names[1:])
    columns = [order.index(name) for name in names]
    rest = scores(held.features[:, columns], weights).astype(np.float32)
    planner = held.features[:, order.index(PLANNER)]
    return replace(held, features=np.stack([rest, planner], axis=1))


def _only(blocks: Blocks, names: tuple[str, ...], chosen: tuple[str, ...]) -> Blocks:
    """The same transitions with some of the features."""
    if chosen == names:
        return blocks
    columns = [names.index(name) for name in chosen]
    held = [replace(one, features=one.features[:, columns]) for one in blocks.held]
    return Blocks(held, list(blocks.folds))


def _first(blocks: Sequence[Held], many: int = 1) -> list[Held]:
    return [replace(held, features=held.features[:, :many]) for held in blocks]


def _of(blocks: Blocks, fold: int) -> list[Held]:
    return [held for held, of in zip(blocks.held, blocks.folds, strict=True) if of == fold]


def _loses(change: Change) -> bool:
    """Whether all of the interval is a loss."""
    return change[1] > 0


def _alone(name: str) -> Mixture:
    """One score as it is."""
    one = np.ones(1)
    if name == COUNTS:
        return Mixture((COUNTS,), one, one, one, 0, 0)
    weights = np.array([0.0, 1.0])
    return Mixture((COUNTS, name), weights, weights, weights, 0, 0)


def _with_planner(base: Mixture, fitted: Mixture) -> Mixture:
    """Weights of everything: those of the rest times what is left of it beside the planner."""
    left = float(fitted.weights[0])
    where = 1  # after the counts, before the sequence model
    names = (*base.names[:where], PLANNER, *base.names[where:])

    def spliced(rest: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([left * rest[:where], own[1:], left * rest[where:]])

    return Mixture(
        names,
        spliced(base.weights, fitted.weights),
        spliced(base.low, fitted.low),
        spliced(base.high, fitted.high),
        fitted.examples,
        fitted.users,
    )


def _joined(sequence: Mixture, planner: Mixture) -> Mixture:
    """The planner's weight on top of the rest, and the sequence model's beside the counts."""
    if sequence.names == (COUNTS,):
        return planner
    return Mixture(
        (*planner.names, SEQUENCE),
        np.append(planner.weights, sequence.weights[1]),
        np.append(planner.low, sequence.low[1]),
        np.append(planner.high, sequence.high[1]),
        planner.examples,
        planner.users,
    )


def mean_by_user(values: NDArray[np.float64], user: NDArray[np.uint64]) -> Change:
    """Mean with a 95 % interval clustered by user."""
    mean = float(values.mean())
    _, inverse = np.unique(user, return_inverse=True)
    by_user = np.bincount(inverse, values - mean)
    error = float(np.sqrt(np.square(by_user).sum())) / len(values)
    return mean, mean - 1.96 * error, mean + 1.96 * error
