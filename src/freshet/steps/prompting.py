"""Step: evidence -> prompts -> planner rows, for the table and for the windows its weights are fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet import evidence, inference
from freshet.errors import NotEnoughData, PlannerError
from freshet.ports import Noted, Planner
from freshet.prompts import Prompts, names
from freshet.steps.counting import Counting, Window
from freshet.steps.knowledge import Knowledge
from freshet.types import AsOf, Context, Evidence, PlannerRows, Sums, Usage, pack_contexts
from freshet.workspace import Run, Workspace

PROBE = 64
"""Prompts timed to foretell a run's length where no earlier run tells it."""


@dataclass(frozen=True, slots=True)
class Questions:
    """All prompts that a table needs: those of its rows, then those its planner's weight is fitted on.

    Attributes:
        said: evidence of the table's prompts.
        rows: how many of the prompts are the table's.
        windows: held-out windows, each with the number of its prompts; theirs follow in this order.
    """

    said: Evidence
    prompts: Prompts
    rows: int
    windows: list[tuple[Window, int]]


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
    known: Knowledge,
    counting: Counting,
    moment: AsOf,
    contexts: NDArray[np.int16],
    previous: Evidence | None,
    withheld: frozenset[int],
) -> Evidence:
    """Evidence for contexts (n, k) as it was before a moment; `previous` steadies it."""
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
    known: Knowledge,
    counting: Counting,
    contexts: NDArray[np.int16],
    previous: Evidence | None,
    withheld: frozenset[int],
    *,
    planned: bool,
) -> Questions:
    """Evidence and prompts of the table's contexts (n, k), and of held-out windows if there is a planner.

    The planner's weight must be fitted on answers it could have given at the time: evidence comes from before
    each window. Users are sampled until the budget of prompts is spent.

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
        said = gather(ws, known, counting, known.as_of, contexts, previous, withheld)
        prompts = Prompts.of(contexts, words, said)
        windows = []
        budget = ws.config.inference.calibration_prompts // max(len(counting.windows), 1) if planned else 0
        for window in counting.windows if planned else ():
            sample, asked = _within(window, counting.k, budget)
            then = gather(ws, known, counting, window.start, asked, None, withheld)
            prompts += Prompts.of(asked, words, then)
            windows.append((sample, len(asked)))
        step.details = {"contexts": len(contexts), "with_evidence": len(said)}
    return Questions(said, prompts, len(contexts), windows)


def plan(ws: Workspace, asked: Questions, planner: Planner, stored: PlannerRows | None) -> inference.Plan:
    """Which rows are copied and which must be inferred."""
    top = min(ws.config.inference.top, len(asked.prompts.names))
    return inference.make_plan(asked.prompts, planner.version, asked.prompts.names, top, stored)


def foretell(ws: Workspace, run: Run, asked: Questions, planned: inference.Plan, planner: Planner) -> Cost:
    """Tell what the plan will infer and copy, and what that should cost; the planner is loaded only if asked.

    Time follows from the pace of the last inference in the ledger, or of a few prompts where there is none.
    """
    anew = len(planned.changed)
    usage = inference.expected(planned, planner, ws.config.inference.chunk) if anew else Usage()
    seconds = 0.0 if not anew else _seconds(ws, planned, planner, usage)
    money = None if seconds is None else run.money(seconds, usage.tokens)
    cost = Cost(usage.tokens, usage.flops, seconds, money)
    rows = rows_of(asked, planned)
    run.say(
        f"plan: {rows['changed']:,} of {rows['rows']:,} rows changed, {rows['copied']:,} copied; {anew:,} "
        f"prompts to infer, held-out ones included: about {cost} {run.record.currency}"
    )
    return cost


def rows_of(asked: Questions, planned: inference.Plan) -> dict[str, Any]:
    """How many rows a plan infers and copies; a prompt that occurs twice is inferred once."""
    changed = planned.source < 0
    anew = int(changed[: asked.rows].sum())
    return {
        "rows": asked.rows,
        "changed": anew,
        "copied": asked.rows - anew,
        "prompts": len(planned.changed),
        "calibration": {"rows": len(changed) - asked.rows, "changed": int(changed[asked.rows :].sum())},
    }


def infer(
    ws: Workspace, run: Run, asked: Questions, planner: Planner, stored: PlannerRows | None, origin: str
) -> Answers:
    """Plan, tell what it will cost, infer what changed, copy the rest."""
    with run.step("inference") as step:
        planned = plan(ws, asked, planner, stored)
        expected = foretell(ws, run, asked, planned, planner)
        if len(planned.changed) and isinstance(planner, Noted) and planner.note:
            run.say(f"planner: {planner.note}")
        start = monotonic()
        outcome = inference.run(
            planned,
            planner,
            top=min(ws.config.inference.top, len(asked.prompts.names)),
            chunk=ws.config.inference.chunk,
            origin=origin,
            work=ws.root / "work",
            progress=run.progress("inference"),
        )
        seconds = monotonic() - start
        step.add(outcome.usage)
        actual = Cost(step.tokens, step.flops, seconds, run.money(seconds, step.tokens))
        step.details = {
            **rows_of(asked, planned),
            "resumed": outcome.resumed,
            "failed": len(outcome.failures),
            "by": _by(ws),
            "expected": asdict(expected),
            "actual": asdict(actual),
        }
        if outcome.inferred:
            run.say(f"inference: {outcome.inferred:,} prompts, {actual} {run.record.currency}")
        for row, reason in outcome.failures[:3]:
            [prompt] = asked.prompts.take([row])
            run.say(f"  the planner failed on {prompt.context}: {reason}")
    edges = np.cumsum([asked.rows, *(size for _, size in asked.windows)]).tolist()
    windows = [
        (window, _part(outcome.rows, slice(start, end)))
        for (window, _), start, end in zip(asked.windows, edges, edges[1:], strict=False)
    ]
    return Answers(_part(outcome.rows, slice(0, asked.rows)), windows)


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


def _seconds(ws: Workspace, planned: inference.Plan, planner: Planner, usage: Usage) -> float | None:
    """What inference should take, by the last run that inferred enough to tell; None if nothing tells."""
    for record in reversed(ws.ledger.records()):
        for step in reversed(record.steps):
            told = step.details
            if step.name == "inference" and told.get("by") == _by(ws) and told["prompts"] >= PROBE:
                spent = told["actual"]
                if spent["tokens"]:  # 0 where all of it was resumed
                    return float(spent["seconds"]) / int(spent["tokens"]) * usage.tokens
    return _probed(planned, planner)


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
