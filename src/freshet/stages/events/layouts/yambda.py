"""Yambda: listens, likes and dislikes of a music service, one row per event or one per user."""

from __future__ import annotations

import re

from freshet.core import config
from freshet.stages.events.layouts.published import Layout, Part, Reading

START = 1_577_836_800
"""2020-01-01 in seconds since 1970. The data count seconds, in steps of 5, from a start that is not told; a
log needs some date."""

_LISTENED = (
    "the value is the share of the track that was played, in percent (above 100 where parts were repeated); "
    "times count from an unknown start, taken as 2020-01-01"
)
_LISTEN = ("played_ratio_pct", "track_length_seconds")


def _parts(file: str, columns: tuple[str, ...], taken: str, positive: str = "") -> tuple[Part, Part]:
    """A file of events as the flat data have it, a row per event; and as the sequential data have it: a row
    per user, with a list in every other column.

    Args:
        columns: beside those of all events; the first is the value.
    """
    listed = ("item_id", "timestamp", "is_organic", *columns)
    opened = ", ".join(f'unnest("{name}") AS "{name}"' for name in listed)
    flat = "{rows}"
    sequential = f"SELECT * REPLACE ({opened}) FROM ({{rows}})"
    found = [
        Part(
            re.escape(file),
            "events",
            file,
            Reading(
                needs=("uid", *listed),
                rows=f"SELECT *, CAST(timestamp AS BIGINT) + {START} AS seconds FROM ({rows})",
                events=config.Columns(user="uid", time="seconds", value=columns[0] if columns else ""),
                time_format="seconds",
            ),
            head=rf"(^|\t)uid [^\t]*\t(.*\t)?item_id {type_}",
            sign=True,
            taken=taken,
            positive=positive,
        )
        for rows, type_ in ((flat, "u?int"), (sequential, r"(large_)?list"))
    ]
    return found[0], found[1]


YAMBDA = Layout(
    name="yambda",
    title="Yambda",
    source="https://huggingface.co/datasets/yandex/yambda",
    parts=(
        *_parts("listens.parquet", _LISTEN, f"each listen is an event; {_LISTENED}", "value > 50"),
        *_parts(
            "multi_event.parquet",
            (*_LISTEN, "event_type"),
            f"each listen, like and dislike is an event; {_LISTENED}, and there is none for the others",
            "event_type = 'listen' and value > 50",
        ),
        *_parts(
            "likes.parquet",
            (),
            "each like is an event; times count from an unknown start, taken as 2020-01-01",
        ),
        Part(r"(un)?(dis)?likes\.parquet", "other", "dislikes.parquet", why="neither listens nor likes"),
        Part(r"embeddings\.parquet", "other", "embeddings.parquet", why="vectors of the sound"),
        Part(
            r"(album|artist)(_item)?_mapping\.parquet",
            "other",
            "artist_item_mapping.parquet",
            why="numbers of artists and albums, no texts",
        ),
    ),
    one_kind=True,
)
