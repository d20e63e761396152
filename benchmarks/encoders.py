"""Whether interests formed by an encoder's vectors hold together better than those formed by words.

    freshet init films --events ratings.parquet --items items.parquet --positive "value >= 7"
    freshet import -w films
    python benchmarks/encoders.py --workspace films --interests 100 --json

Interests are formed on the first half of a log, as `[interests] text_vectors` has it. Whether they hold
together is asked of the second half: the mean cosine between an item's co-engagement vector there and the
sum of those of the other items of its interest. `known` are items that interests were formed on, `new` those
that got theirs by their text, `by_chance` the known ones with their interests shuffled. Intervals of 95 % are
over items.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import ContentConfig, InterestsConfig
from freshet.core.ports import Encoder
from freshet.stages import events
from freshet.stages.events.step import items as catalogue_of
from freshet.stages.interests import assign, build, co_engagement, load_assignment
from freshet.stages.interests.engaged_items import Catalogue
from freshet.stages.interests.engaged_items import read as read_catalogue
from freshet.stages.interests.format import FIT, TEXT
from freshet.stages.interests.item_vectors import unit
from freshet.storage.vector_cache import CachedEncoder
from freshet.storage.workspace import Workspace
from freshet.wiring import encoder_for, open_workspace
from shared import parse, parser, tell, workspace

Floats = NDArray[np.float64]


def halves(days: tuple[events.Day, ...]) -> tuple[list[Path], list[Path]]:
    """Day files of the first and the second half of the events."""
    rows = np.cumsum([day.rows for day in days])
    middle = int(np.searchsorted(rows, rows[-1] / 2)) + 1
    paths = [day.path for day in days]
    return paths[:middle], paths[middle:]


def held_together(
    later: Catalogue, interest: NDArray[np.int64], own: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """(n,) cosine of each item of the later half with its interest's other items, and its weight.

    Args:
        interest: (n,) of each item, -1 where it has none.
        own: (n,) whether an item is one of those that an interest consists of.
    """
    vectors = co_engagement(later.engaged, 0)
    there = (interest >= 0) & (np.linalg.norm(vectors, axis=1) > 0)
    weight = np.where(there, np.sqrt(later.traffic), 0.0)
    weighed = vectors * weight[:, None]
    total = np.zeros((int(interest.max()) + 1, vectors.shape[1]))
    np.add.at(total, interest[there & own], weighed[there & own])
    others = unit(total[interest] - weighed * own[:, None])
    return np.einsum("nd,nd->n", vectors, others), weight


def mean(values: Floats, weight: Floats, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Weighted mean over the chosen items, with an interval from 1,000 draws of them."""
    some, by = values[chosen], weight[chosen]
    draws = np.random.default_rng(0).multinomial(len(some), np.full(len(some), 1 / len(some)), 1000) * by
    low, high = np.quantile(draws @ some / draws.sum(axis=1), [0.025, 0.975])
    return {
        "value": round(float(some @ by / by.sum()), 4),
        "ci95": [round(float(low), 4), round(float(high), 4)],
    }


def judged(ws: Workspace, interests: int, encoder: Encoder) -> dict[str, Any]:
    """Figures of interests by words, by the encoder, and of their difference."""
    with ws.run("benchmark") as run:
        items = catalogue_of(ws, run).path / events.ITEMS_FILE
    before, after = halves(events.EventLog(ws.source).snapshot().days)
    rule = events.parse(ws.config.events.positive).sql
    later = read_catalogue(items, after, rule)
    found: dict[str, Any] = {"items": len(later), "interests": interests, "version": encoder.version}
    scores: dict[str, tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]] = {}
    for name, by in (("tfidf", None), ("encoder", encoder)):
        config = InterestsConfig(count=interests, text_vectors="tfidf" if by is None else "encoder")
        with TemporaryDirectory() as made:
            build(items, before, rule, config, None, Path(made, "formed"), encoder=by)
            assign(Path(made, "formed"), items, [*before, *after], rule, Path(made, "all"), by)
            whole = load_assignment(Path(made, "all"))
        known_by = dict(zip(whole.items, whole.how, strict=True))
        interest_of = whole.as_dict()
        interest = np.array([interest_of.get(item, -1) for item in later.items], np.int64)
        how = np.array([known_by.get(item, "") for item in later.items])
        known = how == FIT
        values, weight = held_together(later, interest, known)
        shuffled = interest.copy()
        shuffled[known] = np.random.default_rng(0).permutation(interest[known])
        chance, _ = held_together(later, shuffled, known)
        old, new = known & (weight > 0), (how == TEXT) & (weight > 0)
        found[name] = {
            "known": mean(values, weight, old),
            "new": mean(values, weight, new),
            "by_chance": mean(chance, weight, old)["value"],
        }
        scores[name] = values, weight, old, new
    words, other = scores["tfidf"], scores["encoder"]
    found["encoder_minus_tfidf"] = {
        name: mean(other[0] - words[0], words[1], words[place] & other[place])
        for name, place in (("known", 2), ("new", 3))
    }
    return found


def main() -> int:
    """Entry point."""
    options = parser(__doc__)
    options.add_argument("--workspace", type=Path, help="with an imported log")
    options.add_argument("--interests", type=int, default=100)
    options.add_argument("--encoder", choices=["wordllama", "transformers"], default="wordllama")
    options.add_argument("--model", default="", help="folder of a sentence encoder (transformers)")
    asked = parse(options, needs="workspace", interests=8)
    with workspace(asked) as root:
        ws = open_workspace(root)
        encoder = encoder_for(ContentConfig(encoder=asked.encoder, model=asked.model), root)
        assert encoder is not None
        tell(asked, judged(ws, asked.interests, CachedEncoder(encoder, root)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
