"""Why an interest is recommended: the reason in one word, and on request what speaks for it in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Context
from freshet.serving.arms import Scored
from freshet.serving.open_release import OpenRelease
from freshet.serving.policy import Choice
from freshet.stages.content import ContentItems
from freshet.stages.counts import UserScores

MOST_LIKED = 2
"""Items named in an explanation."""
LIKELIER = 1.1
"""A factor from which on something is said to make an interest likelier."""


def reasons(release: OpenRelease, context: Context, scored: Scored, choice: Choice, count: int) -> list[str]:
    """`Recommendation.reason` of each interest chosen, where `count` were to be chosen."""
    usual = "popular" if not context else "mixture" if release.fitted else "unfitted"
    final = scored.parts.final
    found = []
    for order, interest in enumerate(choice.interests.tolist()):
        if choice.drawn[order]:
            found.append("explored")
        elif len(scored.live) and choice.better[order] >= count:
            found.append("live")  # it would not stand among the first without live signals
        elif scored.preferred[interest] > final[interest] and _better(final, interest) >= count:
            found.append("feedback")  # nor without what people did with such proposals
        else:
            found.append(usual)
    return found


def explain(
    release: OpenRelease, context: Context, engaged: NDArray[np.int32], scored: Scored, interest: int
) -> dict[str, Any]:
    """What speaks for an interest.

    Args:
        engaged: numbers of the items that the user engaged last, as content knows them.

    Returns:
        `probability` and what each part of the mixture gives it (`counts`, `planner`, `sequence`,
        `user_row`; as far as there are), `content` = the factor by what the user engaged, `liked` = the items
        that speak most for the interest (`nats` beyond what each adds to others) where items make it 1.1
        times as likely, `user_row` = the day as of which the planner was asked about this very user (None
        where no such row counts), `live` = the factor by live signals, `rank` among all that may be
        recommended, `row` = the rank in the table's row of the user's own context (or of what that falls back
        to), `evidence` = what recent transitions of others show, and a sentence.
    """
    scores = scored.parts
    parts = {
        "counts": scores.count,
        "planner": scores.planner,
        "sequence": scores.sequence,
        "user_row": scores.own,
    }
    found: dict[str, Any] = {
        "probability": _probability(scores.final[interest]),
        "rank": _better(scores.final, interest) + 1,
        "parts": {
            name: _probability(values[interest]) for name, values in parts.items() if values is not None
        },
        "content": _content_factor(scores, interest),
        "liked": [],
        "user_row": release.asked_on(scores.row),
        "live": round(math.exp(float(scored.live[interest])), 3) if len(scored.live) else None,
        "row": _rank_in_row(release, context, interest),
        "evidence": _evidence(release, context, interest),
    }
    by_items = 1.0
    if release.content is not None and scores.content is not None:
        weights, usual = release.single_user.content_weights(bool(context)), np.exp(scores.fused)
        nats = release.content.vectors.shares(engaged, weights, interest, usual)
        by_items = math.exp(float(nats.sum()))
        if by_items >= LIKELIER:
            found["liked"] = _liked(release.content, engaged, nats)
    found["because"] = _sentence(release, context, found, interest, by_items)
    return found


def _better(scores: NDArray[np.float64], interest: int) -> int:
    """How many interests score better."""
    return int((scores > scores[interest]).sum())


def _probability(logp: float) -> float:
    return float(f"{math.exp(float(logp)):.4g}")


def _content_factor(scores: UserScores, interest: int) -> float | None:
    """How many times as likely content makes an interest; None without content."""
    if scores.content is None:
        return None
    without = scores.fused - scores.content
    return round(math.exp(scores.content[interest] + float(np.logaddexp.reduce(without))), 3)


def _liked(
    content: ContentItems, engaged: NDArray[np.int32], nats: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Of the items that a user engaged last, up to two that bring the user nearest to an interest."""
    best = [place for place in np.argsort(-nats).tolist() if nats[place] > 0][:MOST_LIKED]
    return [
        {
            "id": content.ids[engaged[place]],
            "title": content.titles[engaged[place]],
            "nats": round(float(nats[place]), 4),
        }
        for place in best
    ]


def _rank_in_row(release: OpenRelease, context: Context, interest: int) -> int | None:
    """Rank in the row that answers the context; None where the row doesn't reach so far."""
    row = release.table.look_up(context).successors
    places = np.flatnonzero(row == interest)
    return int(places[0]) + 1 if len(places) else None


def _evidence(release: OpenRelease, context: Context, interest: int) -> dict[str, Any] | None:
    known = release.evidence.get(context)
    for one in known.successors if known else ():
        if one.interest == interest:
            return {
                "after": [release.interests.descriptions[i] for i in known.after] if known else [],
                "share": round(one.share, 4),
                "people": round(one.support, 1),
            }
    return None


def _sentence(
    release: OpenRelease, context: Context, found: dict[str, Any], interest: int, by_items: float
) -> str:
    names = release.interests.descriptions
    usual = float(release.scorer.model.base[interest])
    times = found["probability"] / usual if usual > 0 else 1.0
    if not context:
        text = f"many move on to it now: {usual:.1%} of recent moves"
    else:
        listed = " and ".join(f"'{names[i]}'" for i in context)
        text = f"after {listed}, {found['probability']:.1%} are expected to move on to it"
        text += f", {times:.1f} times its share of all moves" if times >= LIKELIER else ""
    if found["evidence"]:
        text += f"; lately {found['evidence']['share']:.0%} of those who were there did"
    if found["liked"]:
        liked = " and ".join(f"'{one['title'] or one['id']}'" for one in found["liked"])
        text += f"; because they liked {liked}, among others, about {by_items:.1f} times as likely"
    if found["user_row"]:
        text += f"; by a user row as of {found['user_row']}"
    if found["live"] is not None and found["live"] >= LIKELIER:
        text += f"; what people do right now makes it {found['live']:.1f} times as likely"
    return text
