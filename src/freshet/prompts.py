"""How a context and its evidence become text, and nothing else: no counts, no model.

Only interest descriptions reach a prompt. They are keywords made of letters and digits, so that no item
text can carry an instruction or a separator into it.
"""

from __future__ import annotations

from collections.abc import Sequence

from freshet.types import Context, ContextEvidence

TEMPLATE = 1
"""Version of the wording; part of every fingerprint."""

NEXT = "next :"
"""The end of every prompt; the completion starts after it."""

_STRENGTHS = ((0.30, "most"), (0.15, "many"), (0.08, "several"), (0.04, "some"), (0.0, "few"))


def strength(share: float) -> str:
    """The share of people in a word."""
    return next(word for bound, word in _STRENGTHS if share >= bound)


def label(index: int) -> str:
    """The token that stands for an interest in label mode."""
    return f"<i{index}>"


def names(descriptions: Sequence[str], mode: str) -> tuple[str, ...]:
    """What the planner reads and writes for each interest: its description, or its label."""
    if mode == "label":
        return tuple(label(index) for index in range(len(descriptions)))
    return tuple(descriptions)


def render(context: Context, names: Sequence[str], evidence: ContextEvidence | None = None) -> str:
    """The prompt of a context, such as::

        liked : horror zombie | drama war ; recently after drama war : many love , some comedy ; next :

    Args:
        context: interest indices, most recent last.
        names: what `names()` returned.
        evidence: what recent transitions say, or None.
    """
    liked = " | ".join(names[index] for index in context) or "nothing yet"
    parts = [f"liked : {liked}"]
    if evidence is not None and evidence.successors:
        after = ""
        if evidence.after and evidence.after != context:
            after = " after " + " | ".join(names[index] for index in evidence.after)
        said = " , ".join(f"{strength(s.share)} {names[s.interest]}" for s in evidence.successors)
        parts.append(f"recently{after} : {said}")
    parts.append(NEXT)
    return " ; ".join(parts)
