"""Step: evidence -> prompts -> planner rows, for the table and for the windows its weights are fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.context import LogSnapshot
from freshet.core.errors import NotEnoughData, PlannerError
from freshet.core.ports import Planner
from freshet.core.prompts import Prompts, names
from freshet.core.types import AsOf, Context, Evidence, PlannerRows, Sums, Usage, pack_contexts
from freshet.stages import evidence, inference
from freshet.stages.counts.fitter import CountFitter, Window
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace

PROBE = 64
"""Prompts timed to foretell a run's length where no earlier run tells it."""


@dataclass(frozen=True, slots=True)
class Questions:
    """All prompts that a table needs: those of its rows, and those its planner's weight is fitted on.

    Attributes:
        said: evidence of the table's prompts.
        rows: the table's prompts.
        held: those of the held-out windows, one window after the other.
        windows: held-out windows, each with the number of its prompts.
    """

    said: Evidence
    rows: Prompts
    held: Prompts
    windows: list[tuple[Window, int]]


@dataclass(frozen=True, slots=True)
class Planned:
    """What is copied, what is inferred, and whom to ask: for the table's rows, for the held-out windows.

    A planner that was refitted on the windows leaves them to its forerunner, which hasn't seen them.
    """

    rows: inference.Plan
    held: inference.Plan
    planner: Planner
    judged: Planner

    @property
    def parts(self) -> tuple[tuple[inference.Plan, Planner], ...]:
        return (self.rows, self.planner), (self.held, self.judged)

    @property
    def prompts(self) -> int:
        """How many prompts have to be inferred."""
        return len(self.rows.changed) + len(self.held.changed)


@dataclass(frozen=True, slots=True)
class Cost:
    """What inference should cost, or did; `seconds` and `money` are None where nothing foretells them."""

    tokens: int
    flops: float
    seconds: float | None
    money: float | None

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.tokens:,} tokens"
        return f"{self.tokens:,} tokens, {self.seconds:.1f} s, {self.money:.4f}"


@dataclass(frozen=True, slots=True)
class Answers:
    """Planner rows of the table, and those of the held-out windows."""

    rows: PlannerRows
    windows: list[tuple[Window, PlannerRows]]

    def calibration(self) -> PlannerRows:
        """The rows of all windows."""
        return joined([rows for _, rows in self.windows])


def gather(
    ws: Workspace,
    known: LogSnapshot,
    counting: CountFitter,
    moment: AsOf,
    contexts: NDArray[np.int16],
    previous: Evidence | None = None,
    withheld: frozenset[int] = frozenset(),
) -> Evidence:
    """Evidence for contexts (n, k) as it was before a moment; `previous` steadies it.

    Args:
        withheld: interests that it may not name.
    """
    config, days = ws.config.evidence, known.scales.evidence_days
    if config.level == "none":
        return Evidence.none(counting.k)

    def supports(skip: int) -> list[Sums]:
        return [
            known.transitions.supports(moment, days, length, config.user_cap, skip)
            for length in range(counting.k + 1)
        ]

    window = evidence.Window(supports(0), supports(days) if config.rank_by == "trend" else [])
    return evidence.choose(
        window, contexts, len(known.interests), counting.strengths, config, previous, withheld
    )


def questions(
    ws: Workspace,
    run: Run,
    known: LogSnapshot,
    counting: CountFitter,
    contexts: NDArray[np.int16],
    previous: Evidence | None,
    withheld: frozenset[int],
    *,
    planned: bool,
    until: AsOf | None = None,
) -> Questions:
    """Evidence and prompts of the table's contexts (n, k), and of held-out windows if there is a planner.

    The planner's weight must be fitted on answers it could have given at the time: evidence comes from before
    each window. Users are sampled until the budget of prompts is spent. Evidence after `until` is left out.

    Raises:
        NotEnoughData: a planner's weight can't be fitted, since nothing is held out.
    """
    if planned and not counting.windows:
        raise NotEnoughData(
            f"the last windows ({known.scales.window_days} days each) hold no transitions",
            hint="raise [counts] window_days or fit_windows, or import more events",
        )
    words = names(known.interests.descriptions, ws.config.planner.mode)
    with run.step("evidence") as step:
        said = gather(ws, known, counting, _earlier(known.as_of, until), contexts, previous, withheld)
        rows = Prompts.of(contexts, words, said)
        held = Prompts.of(contexts[:0], words, Evidence.none(counting.k))
        windows = []
        budget = ws.config.inference.calibration_prompts // max(len(counting.windows), 1) if planned else 0
        for window in counting.windows if planned else ():
            sample, asked = _within(window, counting.k, budget)
            then = gather(ws, known, counting, _earlier(window.start, until), asked, None, withheld)
            held += Prompts.of(asked, words, then)
            windows.append((sample, len(asked)))
        step.details = {"contexts": len(contexts), "with_evidence": len(said)}
    return Questions(said, rows, held, windows)


def _earlier(moment: AsOf, until: AsOf | None) -> AsOf:
    return moment if until is None else min(moment, until, key=lambda one: one.day)


def plan(ws: Workspace, asked: Questions, planner: Planner, stored: PlannerRows | None) -> Planned:
    """Which rows are copied and which must be inferred."""
    judged = planner.forerunner
    names, top = asked.rows.names, min(ws.config.inference.top, len(asked.rows.names))
    return Planned(
        inference.make_plan(asked.rows, planner.version, names, top, stored),
        inference.make_plan(asked.held, judged.version, names, top, stored),
        planner,
        judged,
    )


def foretell(ws: Workspace, run: Run, planned: Planned) -> Cost:
    """Tell what the plan will infer and copy, and what that should cost; the planner is loaded only if asked.

    Time follows from the pace of the last inference in the ledger, or of a few prompts where there is none.
    """
    anew, chunk = planned.prompts, ws.config.inference.chunk
    wanted = [(part, planner) for part, planner in planned.parts if len(part.changed)]
    usage = sum((inference.expected(part, planner, chunk) for part, planner in wanted), Usage())
    seconds = 0.0 if not anew else _seconds(ws, planned, usage)
    money = None if seconds is None else run.money(seconds, usage.tokens)
    cost = Cost(usage.tokens, usage.flops, seconds, money)
    rows = rows_of(planned)
    run.say(
        f"plan: {rows['changed']:,} of {rows['rows']:,} rows changed, {rows['copied']:,} copied; {anew:,} "
        f"prompts to infer, held-out ones included: about {cost} {run.record.currency}"
    )
    return cost


def rows_of(planned: Planned) -> dict[str, Any]:
    """How many rows a plan infers and copies; a prompt that one planner is asked twice is inferred once."""
    changed, held = planned.rows.source < 0, planned.held.source < 0
    anew = int(changed.sum())
    return {
        "rows": len(changed),
        "changed": anew,
        "copied": len(changed) - anew,
        "prompts": planned.prompts,
        "calibration": {"rows": len(held), "changed": int(held.sum())},
    }


def infer(
    ws: Workspace, run: Run, asked: Questions, planner: Planner, stored: PlannerRows | None, origin: str
) -> Answers:
    """Plan, tell what it will cost, infer what changed, copy the rest."""
    with run.step("inference") as step:
        planned = plan(ws, asked, planner, stored)
        expected = foretell(ws, run, planned)
        if planned.prompts and planner.note:
            run.say(f"planner: {planner.note}")
        start = monotonic()
        outcomes = [
            inference.run(
                part,
                whom,
                top=min(ws.config.inference.top, len(asked.rows.names)),
                chunk=ws.config.inference.chunk,
                origin=origin,
                work=ws.root / "work",
                progress=run.progress("inference"),
            )
            for part, whom in planned.parts
        ]
        seconds = monotonic() - start
        for outcome in outcomes:
            step.add(outcome.usage)
        actual = Cost(step.tokens, step.flops, seconds, run.money(seconds, step.tokens))
        step.details = {
            **rows_of(planned),
            "resumed": sum(outcome.resumed for outcome in outcomes),
            "failed": sum(len(outcome.failures) for outcome in outcomes),
            "by": _by(ws),
            "expected": asdict(expected),
            "actual": asdict(actual),
        }
        if planned.prompts:
            run.say(f"inference: {planned.prompts:,} prompts, {actual} {run.record.currency}")
        for outcome, (part, _) in zip(outcomes, planned.parts, strict=True):
            for row, reason in outcome.failures[:3]:
                [prompt] = part.prompts.take([row])
                run.say(f"  the planner failed on {prompt.context}: {reason}")
    answers, held = (outcome.rows for outcome in outcomes)
    edges = np.cumsum([0, *(size for _, size in asked.windows)]).tolist()
    windows = [
        (window, _part(held, slice(start, end)))
        for (window, _), start, end in zip(asked.windows, edges, edges[1:], strict=False)
    ]
    return Answers(answers, windows)


def joined(parts: Sequence[PlannerRows]) -> PlannerRows:
    """Several sets of rows as one; equal contexts may occur several times."""
    origins = sorted({name for part in parts for name in part.origins})
    number = {name: index for index, name in enumerate(origins)}
    renamed = [
        np.array([number[name] for name in part.origins], np.int32)[np.asarray(part.origin)] for part in parts
    ]
    return PlannerRows(
        np.concatenate([part.contexts for part in parts]),
        np.concatenate([part.fingerprints for part in parts]),
        np.concatenate([part.successors for part in parts]),
        np.concatenate([part.logp for part in parts]),
        np.concatenate(renamed),
        tuple(origins),
    )


def needed(recent: Sequence[int], k: int) -> set[Context]:
    """Contexts whose planner rows score a user with these recent interests (see counts.planner_score)."""
    if not recent:
        return set()
    last = recent[-1]
    if k == 1 or len(recent) == 1:
        return {(last,)}
    pairs = {(earlier, last) for earlier in recent[:-1]}
    return pairs | ({tuple(recent[-3:])} if k == 3 and len(recent) >= 3 else set())


def _within(window: Window, k: int, budget: int) -> tuple[Window, NDArray[np.int16]]:
    """As many whole users as the budget of distinct contexts allows, in the order of their keys.

    Users without a recent interest are left out: no planner is asked about them.
    """
    held = window.held.with_context()
    contexts: set[Context] = set()
    keep = np.zeros(len(held), bool)
    for row in np.argsort(held.user, kind="stable").tolist():
        more = needed([i for i in held.recent[row].tolist() if i >= 0], k)
        if len(contexts | more) > budget:
            break
        contexts |= more
        keep[row] = True
    if not keep.all():  # the user at the edge of the budget is left out whole
        edge = held.user[keep].max(initial=0)
        keep &= held.user != edge
    return Window(window.start, held.take(keep)), pack_contexts(sorted(contexts), k)


def _part(rows: PlannerRows, part: slice) -> PlannerRows:
    return PlannerRows(
        rows.contexts[part],
        rows.fingerprints[part],
        rows.successors[part],
        rows.logp[part],
        rows.origin[part],
        rows.origins,
    )


def _by(ws: Workspace) -> str:
    """Planners of one kind take alike long."""
    planner = ws.config.planner
    return " ".join([planner.kind, planner.model, planner.mode]) + f" beam {ws.config.inference.beam}"


def _seconds(ws: Workspace, planned: Planned, usage: Usage) -> float | None:
    """What inference should take, by the last run that inferred enough to tell; None if nothing tells."""
    for record in reversed(ws.ledger.records()):
        for step in reversed(record.steps):
            told = step.details
            if step.name == "inference" and told.get("by") == _by(ws) and told["prompts"] >= PROBE:
                spent = told["actual"]
                if spent["tokens"]:  # 0 where all of it was resumed
                    return float(spent["seconds"]) / int(spent["tokens"]) * usage.tokens
    paces = [_probed(part, planner) for part, planner in planned.parts if len(part.changed)]
    return None if None in paces else sum(pace for pace in paces if pace is not None)


def _probed(planned: inference.Plan, planner: Planner) -> float | None:
    changed = planned.changed
    if len(changed) < 4 * PROBE:
        return None
    sample = planned.prompts.take(changed[:: len(changed) // PROBE][:PROBE].tolist())
    try:
        planner.rank(sample[: PROBE // 8], 1)  # the first call also loads and compiles
        start = monotonic()
        planner.rank(sample, 1)
    except PlannerError:  # a bad prompt; inference finds and reports it
        return None
    return (monotonic() - start) / len(sample) * len(changed)
