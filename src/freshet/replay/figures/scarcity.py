"""The scarcity curve: the same people judged by what was learned from a few, more, all of the users.

So a platform of any size sees which source of knowledge pays at its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from freshet.core.errors import ArtifactError
from freshet.core.types import FloatArray
from freshet.replay.figures.aligned import Aligned, align
from freshet.replay.figures.arm_metrics import hits
from freshet.replay.figures.comparisons import negated, pairs
from freshet.replay.figures.intervals import DRAWS, Drawn, Resampled, estimate, jointly, nats, points, signed
from freshet.replay.figures.knowledge_sources import FEWEST, Shown, Source, shown, sources

OF_SHARES = ("hit_at_5", "nll")


@dataclass(frozen=True, slots=True)
class Share:
    """A replay in which arms learned from a share of the users.

    Attributes:
        percent: of the users.
        judged: see `frames.JUDGED`.
        users, transitions: that were learned from, as of the last origin.
        unfitted: why no weights could be fitted, in words; '' where they were at every origin.
        origins: of the replay; `unfitted_origins`: how many of them that was so at.
        untrained: names of sources of which there are too few users to train a model.
    """

    percent: float
    judged: pa.Table
    users: int
    transitions: int
    unfitted: str = ""
    origins: int = 1
    unfitted_origins: int = 0
    untrained: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """hit@5 and nll of every arm at one share, each (1 + draws,)."""

    share: Share
    arms: dict[str, dict[str, Drawn]]

    def difference(self, source: Source, figure: str) -> Drawn:
        """What a source adds; more is better for both figures."""
        ahead = self.arms[source.a][figure] - self.arms[source.b][figure]
        return -ahead if figure == "nll" else ahead


def scarcity(
    shares: Sequence[Share],
    log: Mapping[str, Any],
    order: Callable[[Sequence[str]], list[str]],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """The curve, from the smallest share to the largest.

    Args:
        log: `interests` (N), and what the mixture holds; see `questions.lacking_planner`.
        order: of the arms.

    Returns:
        `shares`: by percent, every arm's `hit_at_5` and `nll`, `differences` of arms in both, and `learned`:
        `users`, `transitions`, `unfitted`, `untrained`. `sources`: `name`, `difference`, `text`, and `at`: by
        percent what the source is `shown` to do, by `hit_at_5` and `nll` jointly for all; nothing where it is
        `missing`. `text`: what holds together.

    Raises:
        NotEnoughData: nothing was judged.
        ArtifactError: two shares, or two arms, didn't judge the same transitions.
    """
    smallest_first = sorted(shares, key=lambda share: share.percent)
    size = int(log["interests"])
    first = align(smallest_first[0].judged, size)
    resampled = Resampled(first.starts, len(first), draws, seed)
    found = []
    for share in smallest_first:
        aligned = align(share.judged, size)
        _check_same(first, aligned, share)
        arms = order(list(aligned.arms))
        found.append(_Drawn(share, {arm: _figures(aligned, arm, resampled) for arm in arms}))
    known = sources(found[0].arms, log) if resampled.users >= FEWEST else []
    fitted = sum(share.unfitted_origins < share.origins for share in shares)
    comparisons = len(known) * fitted * len(OF_SHARES)
    return {
        "shares": {f"{one.share.percent:g}": _share(one) for one in found},
        "sources": [_source(source, found, comparisons) for source in known],
        "text": _together(len(first), resampled.users, comparisons, smallest_first),
    }


def _together(transitions: int, users: int, comparisons: int, shares: Sequence[Share]) -> str:
    """On whom it was judged, what holds together, and where nothing could be fitted."""
    sure = f"with fewer than {FEWEST} people nothing is said of sizes"
    if comparisons:
        sure = f"what is said of sizes holds together at 95\u202f% (Bonferroni, {comparisons} differences)"
    unfitted = [one for one in shares if one.unfitted][-1:]  # the largest says enough
    why = "".join(
        f" At {one.percent:g}\u202f% of the users, at {one.unfitted_origins} of {one.origins} refreshes, "
        f"{one.unfitted}."
        for one in unfitted
    )
    return (
        f"The same {transitions:,} transitions of {users:,} people were judged at every size, with interests "
        f"formed on everybody; {sure}.{why}"
    )


def _figures(aligned: Aligned, arm: str, resampled: Resampled) -> dict[str, Drawn]:
    scored = aligned.arms[arm]
    columns: list[FloatArray] = [hits(scored.rank, 5), scored.nll, np.ones(len(aligned))]
    total = resampled.totals(np.stack([np.asarray(one, np.float64) for one in columns], axis=1))
    return {name: total[:, place] / total[:, -1] for place, name in enumerate(OF_SHARES)}


def _check_same(a: Aligned, b: Aligned, share: Share) -> None:
    same = len(a) == len(b) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("origin", "row", "day", "successor")
    )
    if not same:
        raise ArtifactError(
            f"the replay by {share.percent:g} % of the users judged {len(b):,} transitions, not the same "
            f"{len(a):,} as the others",
            hint="events were imported in between: run `freshet replay --shares` again",
        )


def _share(one: _Drawn) -> dict[str, Any]:
    compared = pairs(list(one.arms))
    return {
        "learned": {
            "users": one.share.users,
            "transitions": one.share.transitions,
            "unfitted": one.share.unfitted,
            "origins": one.share.origins,
            "unfitted_origins": one.share.unfitted_origins,
            "untrained": list(one.share.untrained),
        },
        **{
            arm: {name: estimate(drawn) for name, drawn in figures.items()}
            for arm, figures in one.arms.items()
        },
        "differences": {
            f"{a}_vs_{b}": {name: estimate(one.arms[a][name] - one.arms[b][name]) for name in OF_SHARES}
            for a, b in compared
        },
    }


def _source(source: Source, found: Sequence[_Drawn], comparisons: int) -> dict[str, Any]:
    at = {}
    for one in found:
        hit, nll = (jointly(one.difference(source, name), comparisons) for name in OF_SHARES)
        missing = _missing(one.share, source)
        at[f"{one.share.percent:g}"] = {
            "hit_at_5": hit,
            "nll": negated(nll),
            "shown": {
                "hit_at_5": "" if missing else shown(hit),
                "nll": "" if missing else shown(nll),
            },
            "users": one.share.users,
            "missing": missing,
        }
    return {
        "name": source.name,
        "difference": source.pair,
        "at": at,
        "text": f"{source.opening}: {'; '.join(_runs(list(at.values())))}.",
    }


def _missing(share: Share, source: Source) -> str:
    """Why a source is not there at a share, '' where it is."""
    if share.unfitted_origins == share.origins:
        return "nothing can be fitted, so popularity is all there is"
    return "too little is there to train it" if source.name in share.untrained else ""


def _runs(at: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is shown from one size to another, as parts of a sentence."""

    def kind(line: Mapping[str, Any]) -> tuple[str, Shown, Shown]:
        hit, nll = line["shown"]["hit_at_5"], line["shown"]["nll"]
        return line["missing"], hit, "" if hit == nll else nll

    parts = []
    for (missing, hit, nll), some in groupby(at, key=kind):
        run = list(some)
        least, most = (_round(run[place]["users"]) for place in (0, -1))
        size = f"about {least}" if least == most else f"{least} to {most}"
        size += " user" if most == "1" else " users"
        learned = f"learned from {size}"
        if len(at) > 1 and len(run) == len(at):
            learned = f"at every size tried ({size})"
        parts.append(f"{learned} {missing or _worth(run, hit, nll)}")
    return parts


def _worth(run: Sequence[Mapping[str, Any]], hit: Shown, nll: Shown) -> str:
    if not hit and not nll:
        return "nothing that it adds can be shown"
    figure = "hit_at_5" if hit else "nll"
    if len(run) == 1:
        amount = points(run[0]["hit_at_5"]) if hit else nats(run[0]["nll"])
    else:
        scale, digits, unit = (100, 1, "points") if hit else (1, 3, "nats")
        values = sorted({signed(scale * line[figure]["value"], digits) for line in run}, key=_number)
        amount = f"{' to '.join([values[0], values[-1]] if len(values) > 1 else values)} {unit}"
    if hit:
        but = f", though probabilities are {nll}" if nll else ""
        return f"{'it is worth' if hit == 'better' else 'it costs'} {amount} of hit@5{but}"
    return f"probabilities are {nll} ({amount}), and no difference in hits can be shown"


def _number(text: str) -> float:
    return float(text.replace("−", "-"))


def _round(users: int) -> str:
    """To two digits."""
    return f"{int(float(f'{users:.2g}')):,}"
