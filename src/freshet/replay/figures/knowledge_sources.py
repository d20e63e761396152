"""Which source of knowledge pays where: differences of arms within groups, and the sentence they make.

A source is judged by two arms that differ by it alone, within each group by nll, as hits are few there. Many
groups are looked at, so intervals are as wide as it takes for all of them to hold together: what is said of a
group has an interval without zero even so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from freshet.replay.figures.arm_metrics import Measured
from freshet.replay.figures.groups import Groups
from freshet.replay.figures.intervals import PLANNER, jointly, nats
from freshet.replay.figures.questions import lacking_planner

FEWEST = 100
"""People without whom nothing is said of a group: with fewer, intervals are too narrow."""

Shown = Literal["better", "worse", ""]


@dataclass(frozen=True, slots=True)
class Source:
    """A source of knowledge, judged by arm `a` minus arm `b`, which lacks it.

    Attributes:
        called: what it is, `to` what it is added, as sentences say it.
    """

    name: str
    called: str
    to: str
    a: str
    b: str

    @property
    def pair(self) -> str:
        """The key of the difference in the document."""
        return f"{self.a}_vs_{self.b}"

    @property
    def opening(self) -> str:
        """The beginning of a sentence about it."""
        return f"{self.called[:1].upper()}{self.called[1:]} on top of {self.to}"


def sources(arms: Collection[str], log: Mapping[str, Any]) -> list[Source]:
    """Those whose two arms are there.

    Args:
        log: of the document; see `lacking_planner`.
    """
    twin, called = lacking_planner(log)
    sequence = "counts with the sequence score"
    every = (
        Source("counts", "what follows what", "popularity", "counts", "popularity"),
        Source("content", "content", "counts", "content", "counts"),
        Source("sequence", "the sequence score", "counts", "counts-sequence", "counts"),
        Source(
            "content beside the sequence score", "content", sequence, "content-sequence", "counts-sequence"
        ),
        Source("planner", str(log.get("planner", PLANNER)), called, "hybrid", twin),
    )
    return [source for source in every if {source.a, source.b} <= set(arms)]


def shown(difference: Mapping[str, Any]) -> Shown:
    """What an interval of a difference of which more is better leaves no doubt about."""
    if difference["ci95"] is None:
        return ""
    low, high = difference["ci95"]
    return "better" if low > 0 else "worse" if high < 0 else ""


def by_group(
    found: Sequence[Source], arms: Mapping[str, Measured], groups: Mapping[str, Groups]
) -> dict[str, Any]:
    """What each source is worth in each group, and in words.

    Returns:
        `comparisons` that hold together and their `level`, `fewest` people of a group, `text` that says so;
        `sources`: of each `name`, `difference`, `groups`, `text`. A group has `division`, `group`, `words`,
        `n`, `users`, `nll` `{value, ci95}`, jointly with all others, and `shown`.
    """
    places = [
        (name, place)
        for name, one in groups.items()
        for place, users in enumerate(one.users.tolist())
        if users >= FEWEST
    ]
    comparisons = len(found) * len(places)
    told = []
    for source in found:
        lines = []
        for name, place in places:
            group = groups[name]
            drawn = arms[source.a].within[name]["nll"] - arms[source.b].within[name]["nll"]
            nll = jointly(drawn[:, place], comparisons)
            lines.append(
                {
                    "division": name,
                    "group": group.division.keys[place],
                    "words": group.division.words[place],
                    "n": int(group.n[place]),
                    "users": int(group.users[place]),
                    "nll": nll,
                    "shown": {"better": "worse", "worse": "better", "": ""}[shown(nll)],
                }
            )
        told.append(
            {
                "name": source.name,
                "difference": source.pair,
                "groups": lines,
                "text": _sentence(source, lines) if lines else "",
            }
        )
    level = 1 - 0.05 / max(comparisons, 1)
    return {
        "comparisons": comparisons,
        "level": level,
        "fewest": FEWEST,
        "sources": told,
        "text": f"What is said of groups holds together at 95\u202f%: {comparisons} differences of nll, each "
        f"with an interval of {100 * level:.2f}\u202f% (Bonferroni), in groups of {FEWEST} people or more."
        if comparisons
        else "",
    }


def _sentence(source: Source, lines: Sequence[Mapping[str, Any]]) -> str:
    better, worse = ([line for line in lines if line["shown"] == way] for way in ("better", "worse"))
    if not better and not worse:
        return f"{source.opening}: no difference can be shown in any of {_groups(len(lines))}."
    parts = []
    for some, way in ((better, "better"), (worse, "worse")):
        if some:
            most = max(some, key=lambda line: abs(line["nll"]["value"]))
            parts.append(
                f"{way} in {len(some)} of {_groups(len(lines))}, the largest difference among "
                f"{most['words']} ({nats(most['nll'])}, {most['n']:,} transitions of {most['users']:,} "
                "people)"
            )
    return f"{source.opening}: probabilities are {'; '.join(parts)}."


def _groups(many: int) -> str:
    return "1 group" if many == 1 else f"{many} groups"
