"""What is weighed beside the counts of a moment, whichever planner comes on top."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.core.types import ContentView
from freshet.stages import counts


@dataclass(eq=False, slots=True)
class Early:
    """Sequence model and content from before the held-out windows, whose transitions they haven't seen.

    Attributes:
        sequence: logits of a sequence model; None without one.
        content: vectors; None without them.
        weighed: both, beside the counts of one moment: weighed by its `CountFitter` when that is first asked.
        seconds: that opening and weighing took so far.
    """

    sequence: counts.SequenceLogits | None = None
    content: ContentView | None = None
    weighed: counts.Weighed | None = None
    seconds: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether there is neither."""
        return self.sequence is None and self.content is None
