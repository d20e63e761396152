"""The playground: click what somebody liked, and see what they would be shown next, and why.

Everything stands in the address: nothing is kept on the server, and nothing seen here counts as shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freshet.core.types import Recommendation
from freshet.dashboard.visit import Page, Values, Visit
from freshet.inspect.item_lookup import Found, ItemLine
from freshet.serving import Query

MOST_LIKED = 50
"""Items that somebody may have liked."""
MATCHES = 10
INTERESTS, MOST_INTERESTS = 5, 20
ITEMS = 5
REASONS: Mapping[str, str] = {
    "mixture": "the best by everything known",
    "explored": "drawn to explore, others scored better",
    "live": "lifted by what people do right now",
    "feedback": "lifted by how people took such proposals",
    "unfitted": "by popularity: no weights could be fitted",
    "popular": "popular, since nothing recent is known",
    "known": "known already, since nothing new is left",
}
ITEM_REASONS: Mapping[str, str] = {
    "sequence": "fits what was liked last",
    "new": "new, nobody has engaged with it yet",
    "popular": "popular",
    "parent": "from a neighbouring interest",
}
ROWS: Mapping[str, str] = {
    "popular": "what is popular",
    "last": "the last interest",
    "pair": "the last two interests",
    "triple": "the last three interests",
}
PARTS: Mapping[str, str] = {
    "counts": "what others moved on to (counts)",
    "planner": "the planner",
    "sequence": "the sequence model",
    "user_row": "the planner, asked about this user",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score, in words and as shown."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An interest as it is shown; `parts` of its score."""

    one: Recommendation
    chance: float | None
    reason: str
    because: str
    parts: tuple[Part, ...]


def playground(visit: Visit) -> Values:
    """The page: search, what was liked, and what would be shown next."""
    view = visit.explorer.release()
    lookup = view.items()
    user, explore = visit.text("user"), visit.text("explore") == "on"
    liked = _liked(
        visit.text("liked"), visit.text("add"), visit.text("drop"), clear=bool(visit.text("clear"))
    )
    count = min(max(1, visit.number("interests", INTERESTS)), MOST_INTERESTS)
    query = Query(
        user=user or None,
        history=None if user else tuple(liked),
        interests=count,
        items=ITEMS,
        explain=True,
        log=False,
    )
    answer = visit.explorer.preview(query, explore)
    wanted = visit.text("q")
    return {
        "release": view.opened.release,
        "liked": [
            line or ItemLine(item, "", -1, "") for item, line in zip(liked, lookup.named(liked), strict=True)
        ],
        "liked_text": "\n".join(liked),
        "most_liked": MOST_LIKED,
        "user": user,
        "explore": explore,
        "count": count,
        "usual_count": INTERESTS,
        "most_interests": MOST_INTERESTS,
        "q": wanted,
        "found": lookup.search(wanted, MATCHES),
        "answer": answer,
        "row": ROWS[answer.answered],
        "shown": [_shown(one) for one in answer.interests],
        "item_reasons": ITEM_REASONS,
    }


def matches(visit: Visit) -> Values:
    """Items that fit a search, as a part of the page."""
    found: Found = visit.explorer.release().items().search(visit.text("q"), MATCHES)
    return {"found": found, "q": visit.text("q")}


def _liked(text: str, add: str, drop: str, *, clear: bool) -> list[str]:
    """Ids of what was liked, oldest first, each once; what is added is the latest, as if clicked again."""
    if clear:
        return []
    found = dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())
    for item in (add, drop):
        found.pop(item, None)
    if add:
        found[add] = None
    return list(found)[-MOST_LIKED:]


def _shown(one: Recommendation) -> Shown:
    explained: Mapping[str, Any] = one.explanation or {}
    chance = explained.get("probability")
    return Shown(
        one, chance, REASONS.get(one.reason, one.reason), explained.get("because", ""), _parts(explained)
    )


def _parts(explained: Mapping[str, Any]) -> tuple[Part, ...]:
    """What each part of the mixture gives, and what else is known, where it is."""
    if not explained:
        return ()
    found = [Part(PARTS[name], f"{chance:.2%}") for name, chance in explained["parts"].items()]
    factors = (("content", "what the liked items are about"), ("live", "what people do right now"))
    found += [Part(words, f"× {explained[key]:.2f}") for key, words in factors if explained[key] is not None]
    found.append(Part("all parts together", f"{explained['probability']:.2%}, place {explained['rank']}"))
    row = explained["row"]
    found.append(Part("in the table's row", f"place {row}" if row else "not in it"))
    if evidence := explained["evidence"]:
        found.append(
            Part("evidence in the prompt", f"{evidence['share']:.0%} of {evidence['people']:g} people")
        )
    if explained["user_row"]:
        found.append(Part("the user's own row is of", str(explained["user_row"])))
    return tuple(found)


PAGES = (
    Page("playground", "playground.html", playground, nav="Playground"),
    Page("playground/items", "playground_items.html", matches),
)
