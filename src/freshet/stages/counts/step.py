"""Step: what planner, sequence model and content are worth beside the counts, fitted on held-out windows."""

from __future__ import annotations

from freshet.core.ports import Planner
from freshet.core.types import Fusion
from freshet.run_context import RunContext
from freshet.stages.content import step as vectors
from freshet.stages.counts.early import Early
from freshet.stages.inference.step import PlannerAnswers
from freshet.stages.sequence import step as sequences
from freshet.storage.artifacts import Artifact


def fuse(
    ctx: RunContext,
    planner: Planner | None,
    answers: PlannerAnswers | None,
    sequence: Artifact | None,
    content: Artifact | None,
) -> Fusion | None:
    """Weights of count score, planner score, sequence score and content in the mixture.

    Args:
        answers: the planner's, on the table's rows and on the held-out windows.
        sequence: the sequence model; the windows are scored by its early weights, which haven't seen them.
        content: vectors of items and interests, of which the early ones haven't seen the windows either.

    Returns:
        None where there is nothing but counts, or nothing could be fitted.
    """
    if ctx.fitter.fit.unfitted:
        ctx.run.say(ctx.fitter.fit.unfitted)
    if (answers is None and sequence is None and content is None) or ctx.fitter.fit.unfitted:
        return None
    relative = planner is not None and planner.abilities.relative
    windows = None if answers is None else answers.windows
    with ctx.run.step("mixture") as step:
        early = early_of(ctx, sequence, content)
        if early.weighed is not None:  # for another table, and as dear to this one if it were alone
            step.details = {"shared_seconds": early.seconds}
        return ctx.fitter.fuse(windows, early, relative=relative)


def early_of(ctx: RunContext, sequence: Artifact | None, content: Artifact | None) -> Early:
    """The early weights of a sequence model and the early vectors of content, opened once for a moment."""

    def opened() -> Early:
        model = sequences.open_model(sequence, sequences.EARLY).logits if sequence is not None else None
        return Early(model, vectors.held_out_view(ctx, content))

    by_sequence, by_content = (made.version if made is not None else "" for made in (sequence, content))
    return ctx.fitter.early(by_sequence, by_content, opened)
