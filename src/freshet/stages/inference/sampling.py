"""Which users of a held-out window a planner is asked about: whole users, within a budget of prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Context, pack_contexts
from freshet.stages.counts.holdout_windows import Window


def within_budget(window: Window, k: int, budget: int) -> tuple[Window, NDArray[np.int16]]:
    """As many whole users as the budget of distinct contexts allows, in the order of their keys.

    Users without a recent interest are left out: no planner is asked about them.

    Returns:
        The window's transitions of these users, and their distinct contexts (n, k).
    """
    held = window.held.with_context()
    contexts: set[Context] = set()
    keep = np.zeros(len(held), bool)
    for row in np.argsort(held.user, kind="stable").tolist():
        more = contexts_of([i for i in held.recent[row].tolist() if i >= 0], k)
        if len(contexts | more) > budget:
            break
        contexts |= more
        keep[row] = True
    if not keep.all():  # the user at the edge of the budget is left out whole
        edge = held.user[keep].max(initial=0)
        keep &= held.user != edge
    return Window(window.start, held.take(keep)), pack_contexts(sorted(contexts), k)


def contexts_of(recent: Sequence[int], k: int) -> set[Context]:
    """Contexts whose planner rows score a user with these recent interests (see `counts.planner_score`)."""
    if not recent:
        return set()
    last = recent[-1]
    if k == 1 or len(recent) == 1:
        return {(last,)}
    pairs = {(earlier, last) for earlier in recent[:-1]}
    return pairs | ({tuple(recent[-3:])} if k == 3 and len(recent) >= 3 else set())
