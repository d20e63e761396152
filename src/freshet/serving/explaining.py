"""What speaks for an offer, in numbers and a sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Context
from freshet.serving.opened import OpenRelease
from freshet.stages import counts


def explain(
    release: OpenRelease,
    context: Context,
    scores: counts.UserScores,
    bonus: NDArray[np.float64],
    interest: int,
) -> dict[str, Any]:
    """What speaks for an interest.

    Returns:
        `probability` and what each part of the mixture gives it (`counts`, `planner`, `sequence`; as far as
        there are), `live` = the factor by live signals, `rank` among all that may be offered, `row` = the
        rank in the table's row of the user's own context (or of what that falls back to), `evidence` = what
        recent transitions of others say, and a sentence.
    """
    parts = {"counts": scores.count, "planner": scores.planner, "sequence": scores.sequence}
    found: dict[str, Any] = {
        "probability": _share(scores.final[interest]),
        "rank": int((scores.final > scores.final[interest]).sum()) + 1,
        "parts": {name: _share(values[interest]) for name, values in parts.items() if values is not None},
        "live": round(math.exp(float(bonus[interest])), 3) if len(bonus) else None,
        "row": _in_row(release, context, interest),
        "evidence": _evidence(release, context, interest),
    }
    found["because"] = _sentence(release, context, found, interest)
    return found


def _share(logp: float) -> float:
    return float(f"{math.exp(float(logp)):.4g}")


def _in_row(release: OpenRelease, context: Context, interest: int) -> int | None:
    """Rank in the row that answers the context; None where the row doesn't reach so far."""
    row = release.table.look_up(context).successors
    places = np.flatnonzero(row == interest)
    return int(places[0]) + 1 if len(places) else None


def _evidence(release: OpenRelease, context: Context, interest: int) -> dict[str, Any] | None:
    said = release.said.get(context)
    for one in said.successors if said else ():
        if one.interest == interest:
            return {
                "after": [release.interests.descriptions[i] for i in said.after] if said else [],
                "share": round(one.share, 4),
                "people": round(one.support, 1),
            }
    return None


def _sentence(release: OpenRelease, context: Context, found: dict[str, Any], interest: int) -> str:
    names = release.interests.descriptions
    usual = float(release.scorer.model.base[interest])
    times = found["probability"] / usual if usual > 0 else 1.0
    if not context:
        text = f"many move on to it now: {usual:.1%} of recent moves"
    else:
        listed = " and ".join(f"'{names[i]}'" for i in context)
        text = f"after {listed}, {found['probability']:.1%} are expected to move on to it"
        text += f", {times:.1f} times its share of all moves" if times >= 1.1 else ""
    if found["evidence"]:
        text += f"; lately {found['evidence']['share']:.0%} of those who were there did"
    if found["live"] is not None and found["live"] >= 1.1:
        text += f"; what people do right now makes it {found['live']:.1f} times as likely"
    return text
