"""Carrying out a plan: chunks are committed, a killed run continues, a bad prompt stops nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Planner, Progress, silent
from freshet.core.types import PlannerRows, Prompt, Ranking, Usage
from freshet.stages.inference.plan import Plan
from freshet.storage.durable import make_folder, written


@dataclass(slots=True)
class Outcome:
    """What running a plan did.

    Attributes:
        rows: all C rows, copied and inferred.
        inferred: rows asked of the planner in this or an earlier, killed attempt.
        resumed: how many of those came from the earlier attempt.
        failures: (row, reason) of prompts the planner could not rank; their rows are empty.
        usage: what the planner reported for the rows inferred by this attempt.
        gone: why the planner stopped answering before the end, '' where it didn't; the rows it was not asked
            about any more are empty, and counted in `skipped`.
    """

    rows: PlannerRows
    inferred: int
    resumed: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    gone: str = ""
    skipped: int = 0


def run(
    plan: Plan,
    planner: Planner,
    *,
    top: int,
    chunk: int,
    origin: str,
    work: Path,
    progress: Progress = silent,
) -> Outcome:
    """Infer the changed rows and copy the others.

    Args:
        top: successors per row.
        chunk: rows per committed file; the answer does not depend on it.
        origin: version of the table the rows are for.
        work: folder for the chunks; kept by the caller until the table is committed.
    """
    rows, changed = _copied(plan, top, origin), plan.changed
    successors, logp = rows.successors, rows.logp
    outcome = Outcome(rows, len(changed))
    make_folder(work)
    asked = _take_committed(plan, outcome, top, chunk, work)
    if outcome.resumed:
        progress(outcome.resumed, len(changed))
    answered = 0

    def questions() -> Iterator[Sequence[Prompt]]:
        for _, index in asked:
            if outcome.gone:
                return
            yield plan.prompts.take(index.tolist())

    for number, ranking in planner.rank_each(questions(), top) if asked else ():
        path, index = asked[number]
        answered += len(index)
        successors[index], logp[index] = ranking.successors, ranking.logp
        outcome.failures += [(int(index[row]), reason) for row, reason in ranking.failures]
        outcome.usage += ranking.usage
        if ranking.gone:
            outcome.gone = outcome.gone or ranking.gone
            empty = int((ranking.successors < 0).all(axis=1).sum())
            outcome.skipped += empty - len(ranking.failures)
        # a chunk that lacks answers is not committed: a repeated run tries it again
        if not (ranking.failures or ranking.gone):
            _commit(path, plan.fingerprints[index], ranking)
        progress(outcome.resumed + answered, len(changed))
    outcome.skipped += len(changed) - outcome.resumed - answered
    outcome.failures.sort()
    twins = plan.source < 0
    successors[twins], logp[twins] = successors[plan.twin[twins]], logp[plan.twin[twins]]
    return outcome


def _take_committed(
    plan: Plan, outcome: Outcome, top: int, chunk: int, work: Path
) -> list[tuple[Path, NDArray[np.int64]]]:
    """Take in the chunks that a killed run has committed; returns the others: where they go, their rows."""
    changed, missing = plan.changed, []
    for start in range(0, len(changed), chunk):
        index = changed[start : start + chunk]
        name = hashlib.blake2b(plan.fingerprints[index].tobytes(), digest_size=12).hexdigest()
        path = work / f"{name}.npz"
        saved = _committed(path, plan.fingerprints[index], top)
        if saved is None:
            missing.append((path, index))
        else:
            outcome.rows.successors[index], outcome.rows.logp[index] = saved
            outcome.resumed += len(index)
    return missing


def _copied(plan: Plan, top: int, origin: str) -> PlannerRows:
    """All rows of a plan: those that are copied, and empty ones for what is inferred."""
    count = len(plan.prompts)
    origins = (*(plan.stored.origins if plan.stored is not None else ()), origin)
    successors = np.full((count, top), -1, np.int16)
    logp = np.full((count, top), -np.inf, np.float32)
    source = np.full(count, len(origins) - 1, np.int32)
    if plan.stored is not None:
        copied = plan.source >= 0
        rows = plan.source[copied]
        successors[copied] = plan.stored.successors[rows]
        logp[copied] = plan.stored.logp[rows]
        source[copied] = plan.stored.origin[rows]
    return PlannerRows(plan.prompts.contexts, plan.fingerprints, successors, logp, source, origins)


def _commit(path: Path, fingerprints: NDArray[np.uint8], ranking: Ranking) -> None:
    """Store a chunk; a zip file keeps a checksum of each array."""
    with written(path) as aside, aside.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            fingerprints=fingerprints,
            successors=ranking.successors,
            logp=ranking.logp,
        )


def _committed(
    path: Path, fingerprints: NDArray[np.uint8], top: int
) -> tuple[NDArray[np.int16], NDArray[np.float32]] | None:
    """(successors, logp) of a chunk, each (rows, top); None without one that is whole and of these rows."""
    chunk = _read(path)
    if chunk is None:
        return None
    found, successors, logp = chunk
    fits = successors.shape == logp.shape == (len(fingerprints), top)
    return (successors, logp) if fits and np.array_equal(found, fingerprints) else None


def is_whole(path: Path) -> bool:
    """Whether a chunk is as it was committed."""
    return _read(path) is not None


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.float32]] | None:
    """(fingerprints, successors, logp), None where a power loss or a hand left less."""
    try:
        # the file is opened here, since NumPy doesn't close one that is no whole archive
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return saved["fingerprints"], saved["successors"], saved["logp"]
    except (OSError, EOFError, KeyError, ValueError, NotImplementedError, BadZipFile):
        return None
