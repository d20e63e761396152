"""What is mixed with the counts beside a planner, as it was before the held-out windows."""

from __future__ import annotations

from freshet.run_context import RunContext
from freshet.stages.content import step as vectors
from freshet.stages.counts.fitter import Early
from freshet.stages.sequence import step as sequences
from freshet.storage.artifacts import Artifact


def early_of(ctx: RunContext, sequence: Artifact | None, content: Artifact | None) -> Early:
    """The early weights of a sequence model and the early vectors of content, opened once for a moment."""

    def opened() -> Early:
        model = sequences.open_model(sequence, sequences.EARLY).logits if sequence is not None else None
        return Early(model, vectors.held_out_view(ctx, content))

    versions = (made.version if made is not None else "" for made in (sequence, content))
    return ctx.fitter.early(*versions, opened)
