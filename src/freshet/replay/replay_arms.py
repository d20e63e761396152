"""The strategies that a replay compares.

All arms share candidate rules, contexts and the filter of known interests. Arms with a planner differ in how
old their model, the evidence in their prompts and their counts are. What evidence is worth is shown by arms
that differ in nothing else: `no-evidence`, `evidence-frozen`, `retrieval`, whose counts are refreshed alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from freshet.core.errors import ConfigError

Scores = Literal["table", "planner", "counts", "popularity", "last-successor", "sequence"]
Tuned = Literal["never", "once", "again"]
Policy = Literal["drift", "cost", "combined"]
Refreshed = Literal["never", "when tuned", "every"] | Policy
Evidence = Literal["none", "first", "fresh", "configured"]


@dataclass(frozen=True, slots=True)
class Arm:
    """A strategy.

    Attributes:
        scores: what ranks: a table (planner and counts), the table's planner alone, the fitted counts alone,
            or a baseline.
        tuned: whether its model is tuned once, at the first origin, or again at the tuning cadence.
        refreshed: when table or counts are made anew; a newly tuned model always makes a table.
        evidence: in prompts: none, that of the first origin, that of the table's moment, or as the workspace
            is configured, at the table's moment.
        days: its own refresh cadence; None = that of the replay.
        sequence: whether the sequence score may enter its mixture; None = as the workspace is configured.
        content: whether items' texts and co-engagement may enter its mixture; None = as configured.
        live: whether live counts take in every event, through the time that is judged.
        users: whether the planner is also asked about single users.
    """

    name: str
    about: str
    scores: Scores = "table"
    tuned: Tuned = "never"
    refreshed: Refreshed = "every"
    evidence: Evidence = "none"
    days: int | None = None
    sequence: bool | None = None
    live: bool = False
    content: bool | None = None
    users: bool = False

    @property
    def planned(self) -> bool:
        """Whether it makes tables, which hold a planner's answers where there is a planner."""
        return self.scores in ("table", "planner")

    def refreshed_every(self, every: int, tune_every: int) -> int:
        """Days that its counts get old; `every` and `tune_every` are the replay's."""
        return tune_every if self.refreshed in ("never", "when tuned") else self.days or every


ARMS = {
    arm.name: arm
    for arm in (
        Arm("static", "tuned once, no evidence, table and counts of day 1", tuned="once", refreshed="never"),
        Arm(
            "retrieval-frozen",
            "tuned once, evidence and counts of day 1",
            tuned="once",
            refreshed="never",
            evidence="fresh",
        ),
        Arm("no-evidence", "tuned once, no evidence, counts refreshed", tuned="once"),
        Arm(
            "evidence-frozen",
            "tuned once, evidence of day 1, counts refreshed",
            tuned="once",
            evidence="first",
        ),
        Arm("retrieval", "tuned once, evidence and counts refreshed", tuned="once", evidence="fresh"),
        Arm("no-evidence-alone", "no-evidence, the planner alone", scores="planner", tuned="once"),
        Arm(
            "evidence-frozen-alone",
            "evidence-frozen, the planner alone",
            scores="planner",
            tuned="once",
            evidence="first",
        ),
        Arm(
            "retrieval-alone",
            "retrieval, the planner alone",
            scores="planner",
            tuned="once",
            evidence="fresh",
        ),
        Arm(
            "finetune",
            "tuned again, no evidence, counts as old as the tuning",
            tuned="again",
            refreshed="when tuned",
        ),
        Arm("finetune-fresh", "tuned again, no evidence, counts refreshed", tuned="again"),
        Arm("hybrid", "tuned again, evidence and counts refreshed", tuned="again", evidence="configured"),
        Arm(
            "hybrid-adaptive",
            "tuned again, refreshed when drift is detected",
            tuned="again",
            refreshed="drift",
            evidence="configured",
        ),
        Arm(
            "hybrid-cost",
            "tuned again, refreshed when staleness costs more than a refresh",
            tuned="again",
            refreshed="cost",
            evidence="configured",
        ),
        Arm(
            "hybrid-sequence",
            "hybrid with the sequence score in the mixture",
            tuned="again",
            evidence="configured",
            sequence=True,
        ),
        Arm(
            "hybrid-plain",
            "hybrid without the sequence score in the mixture",
            tuned="again",
            evidence="configured",
            sequence=False,
        ),
        Arm(
            "hybrid-live",
            "hybrid with live counts on top",
            tuned="again",
            evidence="configured",
            live=True,
        ),
        Arm(
            "hybrid-users",
            "hybrid with rows of single users",
            tuned="again",
            evidence="configured",
            users=True,
        ),
        Arm(
            "counts",
            "the fitted mixture of counts, refreshed, no planner",
            scores="counts",
            sequence=False,
            content=False,
        ),
        Arm(
            "counts-live",
            "counts with live counts on top, no planner",
            scores="counts",
            sequence=False,
            content=False,
            live=True,
        ),
        Arm(
            "counts-sequence",
            "counts and the sequence score, refreshed, no planner",
            scores="counts",
            tuned="again",
            sequence=True,
            content=False,
        ),
        Arm(
            "content",
            "counts and what items say and who engages them, refreshed, no planner",
            scores="counts",
            sequence=False,
            content=True,
        ),
        Arm(
            "content-sequence",
            "content and the sequence score, refreshed, no planner",
            scores="counts",
            tuned="again",
            sequence=True,
            content=True,
        ),
        Arm(
            "sequence",
            "the sequence model alone, trained again",
            scores="sequence",
            tuned="again",
            sequence=True,
        ),
        Arm("popularity", "recent popularity at the best half-life, refreshed", scores="popularity"),
        Arm(
            "popularity-live",
            "recent popularity at the best half-life, updated by every event",
            scores="popularity",
            live=True,
        ),
        Arm("last-successor", "raw most frequent successor of the pair", scores="last-successor"),
    )
}
"""Every arm by name; `hybrid@14d` is `hybrid` refreshed every 14 days, `hybrid@combined` by that policy."""

_OWN_CADENCE = re.compile(
    r"(hybrid|retrieval|counts|content|hybrid-live|counts-live)@(?:([0-9]{1,4})d|(\w+))"
)
_BY_POLICY: dict[str, Policy] = {policy: policy for policy in get_args(Policy)}


@dataclass(frozen=True, slots=True)
class Able:
    """What a workspace does: has a planner, can train sequence models, mixes their score in, goes live,
    trains its planner with evidence in prompts, so that it can rank with and without, mixes content in, asks
    its planner about single users."""

    planner: bool
    trains: bool = True
    mixes: bool = False
    lives: bool = True
    evidence: bool = True
    content: bool = True
    users: bool = False


def named(names: Sequence[str], able: Able) -> tuple[Arm, ...]:
    """Arms by name, each once, in the order given.

    Without a planner only `static` counts and baselines exist.

    Raises:
        ConfigError: there is no such arm, or it needs a planner.
    """
    found = {}
    for name in names:
        arm = _named(name)
        if not able.planner and arm.planned:
            if name != "static":
                raise ConfigError(
                    f"arm '{name}' needs a planner, and [planner] kind = \"counts\"",
                    hint=f"choose among {', '.join(defaults(able, ()))}",
                )
            arm = replace(arm, about="counts of day 1", tuned="never", sequence=False)
        if not able.evidence and arm.evidence in ("first", "fresh"):
            raise ConfigError(
                f"arm '{name}' asks with evidence, and [evidence] level = \"none\" trains a planner without",
                hint='set [evidence] level to "auto" to learn what evidence is worth here',
            )
        if arm.users and not able.users:
            raise ConfigError(
                f"arm '{name}' needs rows of users, and [users] rows = 0 asks for none",
                hint="set [users] rows to how many users may be asked about at a refresh",
            )
        found[name] = arm
    if not found:
        raise ConfigError("no arm was named", hint=f"choose among {', '.join(ARMS)}")
    return tuple(found.values())


def defaults(able: Able, cadences: Sequence[int]) -> list[str]:
    """All arms there are, and the hybrid (without a planner: the counts) at further cadences.

    Args:
        cadences: in days; the combined policy comes with them.
    """
    same = "hybrid-sequence" if able.mixes else "hybrid-plain"  # as the hybrid
    names = [
        name
        for name, arm in ARMS.items()
        if name != same
        and (able.planner or not arm.planned or name == "static")
        and (able.trains or not arm.sequence)
        and (able.lives or not arm.live or arm.scores == "popularity")
        and (able.evidence or arm.evidence not in ("first", "fresh"))
        and (able.content or not arm.content)
        and (able.users or not arm.users)
    ]
    freshest = "hybrid" if able.planner else "counts"
    return names + [f"{freshest}@{own}" for own in (*(f"{days}d" for days in cadences), "combined")]


def without_planner(mixes: bool, content: bool) -> str:
    """The arm from which `hybrid` differs by the planner's score alone.

    Args:
        mixes, content: whether the workspace's own mixture holds the sequence score, and content.
    """
    counted = "content" if content else "counts"
    return f"{counted}-sequence" if mixes else counted


def _named(name: str) -> Arm:
    own = _OWN_CADENCE.fullmatch(name)
    if own and own[3] in _BY_POLICY:
        base, policy = ARMS[own[1]], _BY_POLICY[own[3]]
        return replace(base, name=name, about=f"{base.about} by the {policy} policy", refreshed=policy)
    if own and int(own[2] or 0) > 0:
        base = ARMS[own[1]]
        return replace(base, name=name, about=f"{base.about} every {own[2]} days", days=int(own[2]))
    if name not in ARMS:
        raise ConfigError(
            f"there is no arm '{name}'",
            hint=f"arms are {', '.join(ARMS)}, and hybrid@14d, counts@14d, counts@combined "
            "(or drift, cost) for other cadences",
        )
    return ARMS[name]
