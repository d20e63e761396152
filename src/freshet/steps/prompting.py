"""Step: evidence -> prompts -> planner rows, for the table and for the windows its weights are fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from freshet import counts, evidence, inference
from freshet.errors import NotEnoughData, PlannerError
from freshet.ports import Planner
from freshet.prompts import names, render
from freshet.steps.counting import Counting, Window
from freshet.steps.knowledge import Knowledge
from freshet.types import AsOf, Context, ContextEvidence, PlannerRows, Prompt, Sums, Usage
from freshet.workspace import Run, Workspace

Evidence = Mapping[Context, ContextEvidence]
PROBE = 64
"""Prompts timed to foretell a run's length."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """Planner rows and the evidence their prompts carried."""

    rows: PlannerRows
    changed: int
    failures: list[tuple[int, str]]


def gather(
    ws: Workspace,
    known: Knowledge,
    counting: Counting,
    moment: AsOf,
    contexts: Sequence[Context],
    previous: Evidence,
    withheld: frozenset[int],
) -> dict[Context, ContextEvidence]:
    """Evidence for contexts as it was before a moment; `previous` steadies it."""
    config, days = ws.config.evidence, known.scales.evidence_days
    if config.level == "none":
        return {}

    def supports(skip: int) -> list[Sums]:
        return [
            known.transitions.supports(moment, days, length, config.user_cap, skip)
            for length in range(counting.k + 1)
        ]

    window = evidence.Window(supports(0), supports(days) if config.rank_by == "trend" else [])
    return evidence.choose(
        window, contexts, len(known.interests), counting.strengths, config, previous, withheld
    )


def ask(
    ws: Workspace,
    run: Run,
    known: Knowledge,
    planner: Planner,
    contexts: Sequence[Context],
    said: Evidence,
    stored: PlannerRows | None,
    *,
    origin: str,
    name: str,
) -> Inferred:
    """Plan, tell what it will cost, infer what changed, copy the rest."""
    config = ws.config.inference
    words = names(known.interests.descriptions, ws.config.planner.mode)
    top = min(config.top, len(words))
    with run.step(name) as step:
        prompts = [Prompt(c, render(c, words, said.get(c))) for c in contexts]
        plan = inference.make_plan(prompts, planner, words, top, stored)
        changed = plan.changed
        seconds, spent = _foretell(plan, planner, top)
        step.add(spent)
        run.say(
            f"{name}: {len(changed)} of {len(prompts)} rows changed, {plan.expected.tokens:,} tokens, "
            f"about {seconds:.0f} s, {run.money(seconds, plan.expected.tokens):.4f} {run.record.currency}"
        )
        outcome = inference.run(
            plan,
            planner,
            k=ws.config.transitions.k,
            top=top,
            chunk=config.chunk,
            origin=origin,
            work=ws.root / "work",
            progress=run.progress(name),
        )
        step.add(outcome.usage)
        step.details = {
            "rows": len(prompts),
            "changed": len(changed),
            "resumed": outcome.resumed,
            "failed": len(outcome.failures),
            "expected_tokens": plan.expected.tokens,
            "full_flops": planner.size(prompts).flops,
        }
        for row, reason in outcome.failures[:3]:
            run.say(f"  the planner failed on {prompts[row].context}: {reason}")
    return Inferred(outcome.rows, len(changed), outcome.failures)


def calibration(
    ws: Workspace,
    run: Run,
    known: Knowledge,
    counting: Counting,
    planner: Planner,
    stored: PlannerRows | None,
    withheld: frozenset[int],
    origin: str,
) -> tuple[list[tuple[Window, counts.PlannerScores]], PlannerRows]:
    """Planner rows for held-out transitions, with evidence from before each of their windows.

    The planner's weight must be fitted on answers it could have given at the time. Users are sampled until
    the budget of prompts is spent.
    """
    if not counting.windows:
        raise NotEnoughData(
            f"the last windows ({known.scales.window_days} days each) hold no transitions",
            hint="raise [counts] window_days or fit_windows, or import more events",
        )
    k = ws.config.transitions.k
    budget = ws.config.inference.calibration_prompts // max(len(counting.windows), 1)
    found: list[tuple[Window, counts.PlannerScores]] = []
    parts: list[PlannerRows] = []
    for window in counting.windows:
        sample, contexts = _within(window, k, budget)
        said = gather(ws, known, counting, window.start, contexts, {}, withheld)
        inferred = ask(
            ws, run, known, planner, contexts, said, stored, origin=origin, name=f"calibration {window.start}"
        )
        parts.append(inferred.rows)
        stored = joined([stored, inferred.rows]) if stored is not None else inferred.rows
        found.append((sample, counts.PlannerScores(inferred.rows, len(known.interests))))
    return found, joined(parts)


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


def _within(window: Window, k: int, budget: int) -> tuple[Window, list[Context]]:
    """As many whole users as the budget of distinct contexts allows, in the order of their keys.

    Users without a recent interest are left out: no planner is asked about them.
    """
    held = window.held.with_context()
    contexts: set[Context] = set()
    keep = np.zeros(len(held), bool)
    for row in np.argsort(held.user, kind="stable").tolist():
        more = needed([int(i) for i in held.recent[row] if i >= 0], k)
        if len(contexts | more) > budget:
            break
        contexts |= more
        keep[row] = True
    if not keep.all():  # the user at the edge of the budget is left out whole
        edge = held.user[keep].max(initial=0)
        keep &= held.user != edge
    return Window(window.start, held.take(keep)), sorted(contexts)


def _foretell(plan: inference.Plan, planner: Planner, top: int) -> tuple[float, Usage]:
    """Seconds the plan should take, from a timed sample of its prompts, and what the sample cost."""
    changed = plan.changed
    if len(changed) < 4 * PROBE:
        return 0.0, Usage()
    sample = [plan.prompts[int(row)] for row in changed[:: len(changed) // PROBE][:PROBE]]
    try:
        warm = planner.rank(sample[: PROBE // 8], top).usage
        start = monotonic()
        timed = planner.rank(sample, top).usage
    except PlannerError:  # a bad prompt; inference finds and reports it
        return 0.0, Usage()
    return (monotonic() - start) / len(sample) * len(changed), warm + timed
