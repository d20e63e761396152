"""What interests are made from: every known item with its text, and who engaged with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy
from numpy.typing import NDArray

from freshet.core.errors import ConfigError, InputError
from freshet.core.ports import Encoder, Progress, silent
from freshet.stages.interests import item_vectors
from freshet.stages.interests.item_text import readable
from freshet.storage.sql import connect


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All n items of the item file and of the log, sorted by id.

    Attributes:
        items, titles, texts, labels: n strings each; '' where the item file says nothing. `labels` is the
            taxonomy column, all '' without one.
        traffic: (n,) engagements of each item; 0 for an item of the item file nobody engaged with. Those of
            a user who has a large part of all count for less; see `influence`.
        engaged: (users, n) 1 where the user engaged with the item.
        text_vectors: (n, a) unit vectors of texts by an encoder, zero where there is none; None = by words.
    """

    items: tuple[str, ...]
    titles: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    traffic: NDArray[np.float64]
    engaged: scipy.sparse.csr_matrix
    text_vectors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def encoded(
        self, encoder: Encoder | None, rows: NDArray[np.int64], progress: Progress = silent
    ) -> Catalogue:
        """The same with the text vectors of some rows; without an encoder, as it is."""
        if encoder is None:
            return self
        texts = readable([self.titles[i] for i in rows], [self.texts[i] for i in rows])
        found = encoder.encode(texts, progress)
        vectors = np.zeros((len(self), found.shape[1]), np.float32)
        vectors[rows] = found
        return replace(self, text_vectors=vectors)


def read(items: Path, days: Sequence[Path], positive_sql: str, taxonomy: str = "") -> Catalogue:
    """Read the item file and the engagements of the given days; the order of rows does not matter.

    Raises:
        InputError: a file is missing or lacks a column.
        ConfigError: the taxonomy column does not exist, or the positive rule does not fit the columns.
    """
    label = _label_column(items, taxonomy)
    with connect() as db:
        db.execute("SET TimeZone='UTC'")
        _engagements(db, days, positive_sql)
        db.execute(
            f"""
            CREATE TEMP TABLE catalogue AS
            SELECT row_number() OVER (ORDER BY item) - 1 AS code, item, title, text, label
            FROM (SELECT item, min(coalesce(title, '')) AS title, min(coalesce(text, '')) AS text,
                         min(coalesce({label}, '')) AS label
                  FROM read_parquet($items) WHERE item IS NOT NULL GROUP BY item)
            FULL JOIN (SELECT DISTINCT item FROM pairs) USING (item)
            """,
            {"items": str(items)},
        )
        rows = db.execute(
            "SELECT item, coalesce(title, ''), coalesce(text, ''), coalesce(label, '') "
            "FROM catalogue ORDER BY code"
        ).fetchall()
        pairs = db.execute(
            'SELECT (dense_rank() OVER (ORDER BY pairs."user") - 1)::BIGINT AS u, code::BIGINT AS i, '
            "engagements::BIGINT AS n FROM pairs JOIN catalogue USING (item) ORDER BY u, i"
        ).fetchnumpy()
    columns = [tuple(row[column] for row in rows) for column in range(4)]
    return Catalogue(
        items=columns[0],
        titles=columns[1],
        texts=columns[2],
        labels=columns[3],
        traffic=item_vectors.capped_traffic(
            np.asarray(pairs["u"]), np.asarray(pairs["i"]), np.asarray(pairs["n"]), len(rows)
        ),
        engaged=_matrix(np.asarray(pairs["u"]), np.asarray(pairs["i"]), len(rows)),
    )


def _engagements(db: duckdb.DuckDBPyConnection, days: Sequence[Path], positive_sql: str) -> None:
    """Table `pairs`: how often each user engaged with each item."""
    if not days:
        db.execute('CREATE TEMP TABLE pairs ("user" VARCHAR, item VARCHAR, engagements BIGINT)')
        return
    try:
        db.execute(
            f"""
            CREATE TEMP TABLE pairs AS
            SELECT "user", item, count(*) AS engagements FROM read_parquet($days)
            WHERE ({positive_sql or "true"}) AND "user" IS NOT NULL AND item IS NOT NULL GROUP BY ALL
            """,
            {"days": [str(day) for day in days]},
        )
    except duckdb.IOException as error:
        raise InputError(f"event days cannot be read: {error}", hint="import the events again") from None
    except (duckdb.BinderException, duckdb.ParserException, duckdb.ConversionException) as error:
        raise ConfigError(
            f"the positive rule `{positive_sql}` does not fit the events of {days[0]}: {error}",
            hint="it may compare the events' columns with constants, such as `value >= 7`",
        ) from None


def _label_column(items: Path, taxonomy: str) -> str:
    """SQL of the taxonomy column, after checking that the item file has what is needed."""
    try:
        columns = pq.read_schema(items).names
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise InputError(f"{items} cannot be read: {error}", hint="import the items again") from None
    missing = [name for name in ("item", "title", "text") if name not in columns]
    if missing:
        raise InputError(
            f"{items} has no column {', '.join(missing)}; it has {', '.join(columns)}",
            hint="import the items again",
        )
    if not taxonomy:
        return "''"
    if taxonomy not in columns:
        raise ConfigError(
            f"[interests] taxonomy = '{taxonomy}' is not a column of the items: {', '.join(columns)}",
            hint="name one of these columns, or leave it empty to form interests by clustering",
        )
    return 'CAST("' + taxonomy.replace('"', '""') + '" AS VARCHAR)'


def _matrix(users: NDArray[np.int64], items: NDArray[np.int64], n_items: int) -> scipy.sparse.csr_matrix:
    n_users = int(users.max()) + 1 if len(users) else 0
    ones = np.ones(len(users), np.float64)
    return scipy.sparse.csr_matrix((ones, (users, items)), shape=(n_users, n_items))
