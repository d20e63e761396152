"""Two releases compared: which rows changed, by how much, and what the weights were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError
from freshet.core.types import AsOf, Sums
from freshet.inspect.release_view import Drives, Named, Opened, artifact, open_release
from freshet.stages import inference
from freshet.stages.table import churn
from freshet.stages.transitions import TransitionLog
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

TOP = 5
BLOCK = 100_000
"""Rows compared at a time; bounds memory."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A context whose successors changed: share of the top 5 replaced, decayed count of its transitions."""

    context: tuple[Named, ...]
    churn: float
    transitions: float
    before: tuple[Named, ...]
    after: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from release `a` to release `b`.

    Attributes:
        rows: contexts that both tables cover, matched by the stable ids of their interests.
        only_a, only_b: contexts that one table covers.
        changed: rows whose top 5 differ in members or order; `observed` counts those of contexts that
            occur in the log, of which there are `observed_rows`.
        churn, observed_churn: mean share of the top 5 that was replaced, over all and over observed rows.
        inferred: rows of `b` that the planner answered anew for it; None for plain counts.
        most: observed contexts that changed most, weighted by how often they occur.
    """

    a: Release
    b: Release
    rows: int
    only_a: int
    only_b: int
    changed: int
    churn: float
    observed_rows: int
    observed: int
    observed_churn: float
    inferred: int | None
    most: tuple[Changed, ...]
    drives_a: Drives
    drives_b: Drives


def compare(ws: Workspace, a: int, b: int, most: int = 10) -> Diff:
    """Compare two releases; interests are matched by their stable ids, also across a rebuild.

    Args:
        most: how many contexts to list.

    Raises:
        ConfigError: their interests were formed independently, so that ids mean different things.
    """
    return differences(ws, open_release(ws, a), open_release(ws, b), most)


def differences(ws: Workspace, old: Opened, new: Opened, most: int = 10) -> Diff:
    """The same for releases that are open, of which `new` may be a table that waits for review."""
    a, b = old.release.number, new.release.number
    lineages = [artifact(ws, "interests", o.release.interests).manifest["lineage"] for o in (old, new)]
    if lineages[0] != lineages[1]:
        raise ConfigError(
            f"the interests of releases {a} and {b} were formed independently: their ids can't be compared",
            hint="an --as-of before the first interests forms new ones; compare releases made after them",
        )
    pairs = _matched(old, new)
    replaced, differs = _replaced(old, new, pairs)
    weight = _traffic(ws, new)[pairs[:, 1]]
    seen = weight > 0
    order = np.argsort(-(replaced * weight), kind="stable")[:most]
    return Diff(
        old.release,
        new.release,
        len(pairs),
        len(old.table) - len(pairs),
        len(new.table) - len(pairs),
        int(differs.sum()),
        _mean(replaced),
        int(seen.sum()),
        int((differs & seen).sum()),
        _mean(replaced[seen]),
        _inferred(new),
        tuple(
            _changed(old, new, pairs[row], float(replaced[row]), float(weight[row]))
            for row in order.tolist()
            if replaced[row] * weight[row] > 0
        ),
        Drives.of(old.weights()),
        Drives.of(new.weights()),
    )


def _matched(old: Opened, new: Opened) -> NDArray[np.int64]:
    """(n, 2) rows of the same context in the old and the new table."""
    base = int(max(old.interests.ids.max(), new.interests.ids.max())) + 2
    _, left, right = np.intersect1d(
        _codes(old, base), _codes(new, base), assume_unique=True, return_indices=True
    )
    order = np.argsort(right)
    return np.stack([left[order], right[order]], axis=1).astype(np.int64)


def _codes(opened: Opened, base: int) -> NDArray[np.int64]:
    """Each context as one number, made of the stable ids of its interests."""
    ids = np.append(opened.interests.ids.astype(np.int64), -1)  # index -1, the padding, gives id -1
    codes = np.zeros(len(opened.table), np.int64)
    for column in np.asarray(opened.table.contexts).T:
        codes = codes * base + ids[column] + 1
    return codes


def _tops(opened: Opened, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, TOP) stable ids of the best successors, -1 padded."""
    ids = np.append(opened.interests.ids.astype(np.int64), -1)
    tops = np.full((len(rows), TOP), -1, np.int64)
    best = np.asarray(opened.table.successors[rows, :TOP])
    tops[:, : best.shape[1]] = ids[best]
    return tops


def _replaced(
    old: Opened, new: Opened, pairs: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Per row: share of the top that was replaced, and whether members or order differ."""
    replaced, differs = np.zeros(len(pairs)), np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), BLOCK):
        rows = slice(start, start + BLOCK)
        before, after = _tops(old, pairs[rows, 0]), _tops(new, pairs[rows, 1])
        replaced[rows] = churn(before, after, TOP)
        differs[rows] = (before != after).any(axis=1)
    return replaced, differs


def _traffic(ws: Workspace, opened: Opened) -> NDArray[np.float64]:
    """(rows,) decayed count of the transitions after each context; 0 where the context never occurred."""
    counted = artifact(ws, "transitions", opened.made.manifest["inputs"]["transitions"])
    log = TransitionLog(counted.path, ws.pool, len(opened.interests))
    half_life = opened.weights()["transition_half_life"]
    weight = np.zeros(len(opened.table))
    weight[0] = log.sums(AsOf.parse(opened.release.as_of), half_life, 0).weight.sum()
    for length in range(1, opened.table.k + 1):
        _add(weight, opened, log.sums(AsOf.parse(opened.release.as_of), half_life, length))
    return weight


def _add(weight: NDArray[np.float64], opened: Opened, sums: Sums) -> None:
    row = opened.table.row_numbers(sums.contexts)
    np.add.at(weight, row[row >= 0], sums.weight[row >= 0])


def _inferred(opened: Opened) -> int | None:
    """Rows whose planner answer was made for this very table."""
    folder = opened.made.path / "planner"
    if not folder.exists():
        return None
    rows = inference.read(folder)
    if opened.release.table not in rows.origins:
        return 0
    return int((np.asarray(rows.origin) == rows.origins.index(opened.release.table)).sum())


def _changed(old: Opened, new: Opened, pair: NDArray[np.int64], replaced: float, weight: float) -> Changed:
    def best(opened: Opened, row: int) -> tuple[Named, ...]:
        return opened.names(tuple(i for i in opened.table.successors[row, :TOP].tolist() if i >= 0))

    before, after = pair.tolist()
    context = tuple(index for index in new.table.contexts[after].tolist() if index >= 0)
    return Changed(new.names(context), replaced, weight, best(old, before), best(new, after))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
