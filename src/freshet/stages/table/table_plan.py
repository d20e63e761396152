"""What a table is made of: everything its version depends on, and the table before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import Config
from freshet.core.types import AsOf, Eligibility, context_codes
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import table
from freshet.stages.prior import step as prior
from freshet.stages.table.contexts import busiest, is_wide, rows_at_most
from freshet.storage.artifacts import Artifact, newest_first
from freshet.storage.manifests import TableManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace, version_of

CODE = 6


@dataclass(frozen=True)
class TablePlan:
    """A table to be made: everything its version depends on, and what it may copy from.

    Attributes:
        version: hash of all that decides the table's bytes.
        model: version of the planner's model; '' = plain counts.
        previous: the table before this one: its evidence steadies prompts, its rows are copied.
        sequence: the sequence model that may enter the mixture, or None.
        content: the vectors of items and interests that may enter it, or None.
        rules: eligibility.
        contexts: (C, k) rows of the table.
        evidence_until: prompts name nothing that came later; None = all that was known.
    """

    version: str
    model: str
    previous: Artifact | None
    sequence: Artifact | None
    content: Artifact | None
    rules: table.Rules
    contexts: NDArray[np.int16]
    evidence_until: AsOf | None = None


def plan_table(
    ctx: RunContext,
    model: Artifact | None,
    previous: Artifact | None,
    sequence: Artifact | None = None,
    content: Artifact | None = None,
    evidence_until: AsOf | None = None,
) -> TablePlan:
    """What there is to make as of a moment, after a table or as the first one.

    A table for which a planner could not be asked everything is followed by another one of the same moment,
    which copies what was answered.

    Args:
        model: the planner's; None = plain counts.
        evidence_until: prompts name nothing that came later (replay measures what fresh evidence is worth).
    """
    log, fitter = ctx.log, ctx.fitter
    tuned = model.version if model else ""
    version = version_of(
        **({"sequence": sequence.version} if sequence else {}),
        **({"content": content.version} if content else {}),
        **({"evidence_until": str(evidence_until)} if evidence_until else {}),
        **({"prior": log.prior.version} if log.prior else {}),
        **({"rows_at_most": _rows_at_most(ctx)} if _is_wide(ctx) else {}),
        code=CODE,
        as_of=log.as_of,
        transitions=log.version,
        interests=log.interests_version,
        model=tuned,
        previous=previous.version if previous else "",
        every=fitter.holdout.stretch_days,
        config=settings_of(ctx.ws),
    )
    while (made := ctx.ws.store.find("tables", version)) and TableManifest.of(made).not_asked:
        previous, version = made, version_of(goes_on_from=made.version)
    contexts = contexts_of(ctx)
    return TablePlan(version, tuned, previous, sequence, content, rules_of(ctx), contexts, evidence_until)


def rules_of(ctx: RunContext) -> table.Rules:
    """Eligibility rules of the configuration, resolved to the interests of a log."""
    config = ctx.config.table
    return table.Rules.resolve(
        Eligibility(
            frozenset(config.blocked),
            frozenset(config.allowed),
            frozenset(config.withdrawn),
            frozenset(config.sensitive),
        ),
        ctx.log.interests,
    )


def contexts_of(ctx: RunContext) -> NDArray[np.int16]:
    """(C, k) rows of a table."""
    k, size, most = ctx.config.transitions.k, len(ctx.log.interests), _rows_at_most(ctx)
    if _is_wide(ctx):
        pairs, *triples = busiest([ctx.fitter.suffixes(j) for j in range(2, k + 1)], most - 1 - size)
        return table.enumerate_contexts(size, k, triples[0] if triples else None, pairs)
    if k < 3:
        return table.enumerate_contexts(size, k)
    [observed] = busiest([ctx.fitter.suffixes(3)], most - 1 - size * size)
    return table.enumerate_contexts(size, k, observed)


def _rows_at_most(ctx: RunContext) -> int:
    return rows_at_most(len(ctx.log.interests), ctx.config.table.rows)


def _is_wide(ctx: RunContext) -> bool:
    return is_wide(len(ctx.log.interests), ctx.config.transitions.k, _rows_at_most(ctx))


def planner_contexts(ctx: RunContext, contexts: NDArray[np.int16]) -> NDArray[np.int16]:
    """(A, k) those contexts that a planner is asked about; the others are answered by counts.

    The empty context is none of them: it holds no interest to plan from.
    """
    contexts = contexts[contexts[:, -1] >= 0]
    if ctx.config.inference.contexts == "all":
        return contexts
    seen = np.isin(context_codes(contexts), context_codes(ctx.fitter.observed()))
    return contexts[seen]


def settings_of(ws: Workspace) -> dict[str, Any]:
    """The part of the configuration that decides what is in a table.

    Of a workspace whose evidence is settled: see `tuning.gate_verdict.with_evidence_of`.
    """
    names = ["transitions", "counts", "evidence", "inference", "table"]
    if ws.config.sequence.use:
        names.append("sequence")
    unread_inference = {"chunk"} if ws.tuner is not None else {"chunk", "beam", "top", "calibration_prompts"}
    # rows that nobody set are no setting: tables of before the key was there are as they were
    unread_table = {"max_churn"} if ws.config.table.rows != "auto" else {"max_churn", "rows"}
    unread = {"inference": unread_inference, "table": unread_table}
    asked = {"planner": {"shortlist": shortlist}} if (shortlist := _shortlist(ws)) else {}
    before, screen = prior.identity(ws), ws.config.screen
    read = screen.model_dump(mode="json", exclude={"use", "live_weight", "gate"})
    return (
        asked
        | {name: getattr(ws.config, name).model_dump(mode="json", exclude=unread.get(name)) for name in names}
        | ({"prior": before} if before else {})
        | ({"screen": read} if screen.use else {})
    )


def _shortlist(ws: Workspace) -> int:
    return 0 if ws.tuner is None else ws.config.planner.shortlist


def previous_of(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest table of an earlier as_of with the same interests and context length.

    Of several with one as_of: the one that served last before this moment, else one of these settings.
    """
    earlier = [made for made in newest_first(ws.store, "tables") if _precedes(ws.config, log, made)]
    if not earlier:
        return None
    as_of = TableManifest.of(earlier[0]).as_of
    latest = {made.version: made for made in earlier if TableManifest.of(made).as_of == as_of}
    served = next((latest[version] for version in _served(ws) if version in latest), None)
    now = settings_of(ws)
    return served or max(
        latest.values(), key=lambda made: (TableManifest.of(made).settings == now, made.version)
    )


def previous_for(ws: Workspace, log: LogSnapshot, release: Release) -> Artifact | None:
    """The table of a release, or of the one before it, that one as of a moment can follow."""
    found = ws.store.find("tables", release.table)
    if found is not None and TableManifest.of(found).as_of == str(log.as_of):  # made anew: as it was then
        found = ws.store.find("tables", TableManifest.of(found).inputs.previous)
    return found if found is not None and _precedes(ws.config, log, found) else None


def _precedes(config: Config, log: LogSnapshot, made: Artifact) -> bool:
    """Whether a table of an earlier as_of has the same interests and context length."""
    manifest = TableManifest.of(made)
    return (
        manifest.as_of < str(log.as_of)
        and manifest.inputs.interests == log.interests_version
        and manifest.k == config.transitions.k
        and manifest.code == CODE
    )


def _served(ws: Workspace) -> Iterator[str]:
    """Tables that served, from the current release back through those it replaced."""
    release, known = ws.releases.current(), set(ws.releases.numbers())
    while release is not None:
        yield release.table
        before = release.previous
        # one that was damaged has been set aside
        release = ws.releases.get(before) if before is not None and before in known else None
