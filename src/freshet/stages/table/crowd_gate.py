"""The crowd gate: a table in which a first place rests on new users alone waits for a person.

Looked at are the rows of users without an interest and with one. A first place is in question where the
interest was not among the row's first five before. It rests on new users where it is not among the first five
either when only established users are counted. What is held back (`stages.screen`) is in neither. Where most
moves are new users', as on a young log, nothing is judged: nobody is there to bear them out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import GateFailed
from freshet.core.time import DAY, day_name
from freshet.core.types import Interests
from freshet.run_context import RunContext
from freshet.stages import counts, table
from freshet.stages.screen import MATURE
from freshet.stages.screen.step import established_of
from freshet.stages.table.churn_gate import verdict
from freshet.stages.table.format import open_scorer
from freshet.stages.table.step import Companions
from freshet.stages.table.table_plan import rules_of
from freshet.stages.transitions import Established
from freshet.storage.artifacts import Artifact

FIRST = 5
"""Places looked at."""
PERIOD, PERIODS = 4, 4
"""Windows of a period, and periods; in one of them established users must have made `MATURE` of moves."""
NAMED = 10
"""Rows that a waiting run names."""


@dataclass(frozen=True, slots=True)
class Resting:
    """A first place that new users alone account for.

    Attributes:
        after: description of the user's only interest, '' for users without one.
        interest: stable id of what is first; `description`: in words.
        before: its place in the table that serves, from 1.
        without: its place when established users alone are counted.
        new_users, established: people who moved there in the last window, from that interest.
        no_past: of the new users those for whom it was the first engagement of all.
        busiest_day: on which most of the new users came, and how many: a burst is one day's.
    """

    after: str
    interest: int
    description: str
    before: int
    without: int
    new_users: int
    established: int
    no_past: int
    busiest_day: str
    busiest: int


def halt_on_crowd(ctx: RunContext, made: Artifact, companions: Companions) -> None:
    """Halt where the first place of users without an interest, or of several rows, rests on new users.

    Args:
        companions: what would serve with the table; a person approves these too.

    Raises:
        GateFailed: the run waits for `freshet approve` or `freshet reject`.
    """
    ws, run, mode = ctx.ws, ctx.run, ctx.config.screen.gate
    current = ws.releases.current()
    if mode == "off" or current is None or current.table == made.version:
        return
    old = ws.store.find("tables", current.table)
    if old is None or current.interests != ctx.log.interests_version:
        return
    with run.step("crowd") as step:
        share = borne_out(ctx)
        found, rows = resting(ctx, old, made) if share >= MATURE else ([], 0)
        step.details = {
            "rows": rows,
            "resting": [asdict(one) for one in found[:NAMED]],
            "found": len(found),
            "established": share,
        }
    if not found:
        return
    first = found[0]
    said = (
        f"{len(found):,} of {rows:,} first places rest on new users alone, such as '{first.description}' "
        f"{f'after {first.after!r}' if first.after else 'for users without an interest'} (place "
        f"{first.before} so far, {first.without} by established users): {first.new_users:,} new users, "
        f"{first.no_past:,} of them with no other engagement before, and {first.established:,} established "
        f"ones went there lately; {first.busiest:,} of the new ones on {first.busiest_day}"
    )
    run.say(f"crowd: {said}")
    enough = any(not one.after for one in found) or len(found) >= max(2, rows // 20)
    if mode != "halt" or not enough or verdict(ws, made.version) == "approved":
        return
    run.record.waiting = {
        "table": made.version,
        "beside": asdict(companions),
        "crowd": [asdict(one) for one in found[:NAMED]],
    }
    run.end("waiting", "first places rest on new users alone")
    raise GateFailed(
        f"run {run.record.id} waits: {said}",
        hint=f"`freshet approve {run.record.id}` publishes the table, `freshet reject {run.record.id}` "
        "drops it; the current release keeps serving",
    )


def borne_out(ctx: RunContext) -> float:
    """The established users' share of moves, in that of the last periods where it was largest; 0 without.

    Not of the last period alone: a flood of new users would end the gate that it is to pass.
    """
    log, established = ctx.log, established_of(ctx.ws, ctx.log)
    length = PERIOD * log.scales.window_days
    shares = [0.0]
    for back in range(PERIODS):
        end = log.as_of.minus(back * length)
        moves = log.transitions.records(end.minus(length), end)
        if len(moves):
            shares.append(float(established.on(moves["user"], moves["time"] // DAY).mean()))
    return max(shares)


def resting(ctx: RunContext, old: Artifact, made: Artifact) -> tuple[list[Resting], int]:
    """First places that rest on new users, the row without an interest first; and how many rows there are."""
    size, log = len(ctx.log.interests), ctx.log
    known = established_of(ctx.ws, log)
    contexts = np.full((size + 1, ctx.fitter.k), -1, np.int16)
    contexts[1:, -1] = np.arange(size)
    fresh, before = table.Table(made.path, size), table.Table(old.path, size)
    rows = np.stack([fresh.row_numbers(contexts), before.row_numbers(contexts)])
    contexts, rows = contexts[(rows >= 0).all(axis=0)], rows[:, (rows >= 0).all(axis=0)]
    first = np.asarray(fresh.successors[rows[0], 0], np.int64)
    was = _places(np.asarray(before.successors[rows[1]], np.int64), first)
    asked = np.flatnonzero((first >= 0) & (was >= FIRST))
    if not len(asked):
        return [], len(contexts)
    fused = _by_established(ctx, made, known, contexts[asked])
    without = (fused > np.take_along_axis(fused, first[asked, None], axis=1)).sum(axis=1)
    moves = log.transitions.records(log.as_of.minus(log.scales.window_days), log.as_of)
    found = [
        _described(contexts[row, -1], first[row], was[row], place, moves, known, log.interests)
        for row, place in zip(asked.tolist(), without.tolist(), strict=True)
        if place >= FIRST
    ]
    return found, len(contexts)


def _places(successors: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) where each row (n, width) has the wanted interest; behind all where it doesn't."""
    same = successors == wanted[:, None]
    return np.asarray(np.where(same.any(axis=1), same.argmax(axis=1), successors.shape[1]))


def _by_established(
    ctx: RunContext, made: Artifact, known: Established, contexts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """(n, N) scores of rows by the table's weights where established users alone are counted."""
    fitter, log, scales = ctx.fitter, ctx.log.transitions, ctx.log.scales
    today = ctx.as_of.day_number

    def draw(users: NDArray[np.uint64]) -> NDArray[np.float64]:
        return known.on(users, today).astype(np.float64)

    model = counts.CountModel.build(
        [log.sums_of(ctx.as_of, half_life, 0, draw) for half_life in scales.half_lives],
        [log.sums_of(ctx.as_of, fitter.fit.half_life, j, draw) for j in range(1, fitter.k + 1)],
        len(ctx.log.interests),
        fitter.fit.prior_counts,
        scales.steady,
        fitter.counts.towards(ctx.as_of, fitter.fit.share),
    )
    scorer = open_scorer(made, len(ctx.log.interests))
    return np.asarray(replace(scorer, model=model)(contexts, rules_of(ctx).excluded(contexts)).fused)


def _described(
    after: int,
    interest: int,
    before: int,
    without: int,
    moves: NDArray[np.void],
    known: Established,
    interests: Interests,
) -> Resting:
    own = moves[(moves["successor"] == interest) & ((after < 0) | (moves["last"] == after))]
    days = own["time"] // DAY
    new = ~known.on(own["user"], days)
    busy, people = np.unique(days[new], return_counts=True)
    busiest = int(people.argmax()) if len(people) else -1
    return Resting(
        interests.descriptions[after] if after >= 0 else "",
        int(interests.ids[interest]),
        interests.descriptions[interest],
        int(before) + 1,
        int(without) + 1,
        len(np.unique(own["user"][new])),
        len(np.unique(own["user"][~new])),
        int((own["last"][new] < 0).sum()),
        day_name(int(busy[busiest])) if busiest >= 0 else "",
        int(people[busiest]) if busiest >= 0 else 0,
    )
