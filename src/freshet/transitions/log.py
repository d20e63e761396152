"""Questions about counted transitions: examples of a period, sums with half-lives, supports of a window."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from freshet.transitions.pool import DAY, day_number, relation
from freshet.types import RECENT, AsOf, Sums, Transitions


class TransitionLog:
    """One artifact's transitions, loaded once into a (spillable) table.

    Args:
        artifact: folder with `days.json`.
        pool: folder of the day files.
        interests: N.
        memory: DuckDB's limit; more spills to disk.
    """

    def __init__(self, artifact: Path, pool: Path, interests: int, memory: str = "1500MB") -> None:
        self.interests = interests
        days = json.loads((artifact / "days.json").read_text())["days"]
        files = [pool / e["transitions"] for _, e in sorted(days.items()) if e["transitions"]]
        self._db = duckdb.connect(config={"memory_limit": memory})
        self._db.execute("SET enable_progress_bar = false")
        self._db.execute(
            f"""CREATE TABLE t AS
            SELECT user_key, (time // {DAY})::INTEGER AS day, time, recent, successor, known
            FROM {relation("transitions", files)}"""
        )
        self.first_day = day_number(min(days)) if days else 0

    def __len__(self) -> int:
        return self._count("true")

    def between(self, start: AsOf, end: AsOf, limit: int | None = None, seed: int = 0) -> Transitions:
        """Transitions with start <= day < end, ordered by (day, user, time, successor).

        `limit` keeps a seeded sample of whole users, so that intervals clustered by user stay right.
        """
        where = f"day >= {day_number(str(start))} AND day < {day_number(str(end))}"
        if limit is not None:
            rows = self._count(where)
            if rows > limit:
                share = int(limit / rows * 10_000)
                where += f" AND (user_key % 10000 + {seed * 7919}) % 10000 < {share}"
        table = self._db.sql(
            f"""SELECT user_key, day, recent, successor, known FROM t WHERE {where}
            ORDER BY day, user_key, time, successor"""
        ).to_arrow_table()
        table = table.combine_chunks()
        rows = len(table)
        if rows == 0:
            none = np.zeros(0, np.int64)
            return Transitions(
                none.astype(np.uint64),
                none.astype(np.int32),
                np.zeros((0, RECENT), np.int16),
                none.astype(np.int16),
                np.zeros((0, self.interests), bool),
            )
        recent = table["recent"].chunk(0).flatten().to_numpy(zero_copy_only=False)
        packed = np.frombuffer(b"".join(table["known"].to_pylist()), np.uint8).reshape(rows, -1)
        known = np.unpackbits(packed, axis=1, count=self.interests).astype(bool)
        return Transitions(
            table["user_key"].to_numpy(),
            table["day"].to_numpy(),
            recent.reshape(rows, RECENT).astype(np.int16),
            table["successor"].to_numpy(),
            known,
        )

    def sums(self, as_of: AsOf, half_life: float, length: int, resample: int | None = None) -> Sums:
        """Transition counts before as_of, halved every `half_life` days, by context of exactly `length`.

        Contexts are suffixes: length 1 counts every transition by the last interest before it. `resample`
        draws users with replacement (Poisson bootstrap, that seed).
        """
        now = day_number(str(as_of))
        draw = "1" if resample is None else _poisson(resample)
        return self._sums(
            f"SELECT {{context}}, successor, "
            f"{draw} * pow(0.5, ({now} - day) / {half_life:.9g}::DOUBLE) AS weight FROM t "
            f"WHERE day < {now} AND {{complete}}",
            length,
        )

    def supports(self, as_of: AsOf, days: int, length: int, user_cap: int, skip: int = 0) -> Sums:
        """User counts in the window of `days` that ends `skip` days before as_of.

        One user counts once per (context, successor); a user with more than `user_cap` successors of one
        context counts `user_cap` in all, shared evenly: nobody's basket decides what a prompt says.
        """
        end = day_number(str(as_of)) - skip
        return self._sums(
            f"""SELECT * EXCLUDE (user_key),
                least(1.0, {user_cap} / count(*) OVER (PARTITION BY {{names}} user_key)) AS weight
            FROM (
                SELECT DISTINCT {{context}}, user_key, successor
                FROM t WHERE day < {end} AND day >= {end - days} AND {{complete}}
            )""",
            length,
        )

    def _sums(self, rows: str, length: int) -> Sums:
        names = [f"c{i}" for i in range(length)]
        columns = [f"recent[{RECENT - length + 1 + i}] AS c{i}" for i in range(length)]
        query = rows.format(
            context=", ".join(columns) or "0 AS none",
            complete=f"recent[{RECENT - length + 1}] >= 0" if length else "true",
            names="".join(f"{name}, " for name in names),
        )
        keys = ", ".join([*names, "successor"])
        table = self._db.sql(
            f"""SELECT {keys}, sum(weight::DOUBLE ORDER BY weight)::DOUBLE AS weight
            FROM ({query}) GROUP BY {keys} ORDER BY {keys}"""
        ).to_arrow_table()
        contexts = (
            np.stack([table[name].to_numpy().astype(np.int16) for name in names], axis=1)
            if names
            else np.zeros((len(table), 0), np.int16)
        )
        return Sums(contexts, table["successor"].to_numpy().astype(np.int16), table["weight"].to_numpy())

    def _count(self, where: str) -> int:
        ((rows,),) = self._db.execute(f"SELECT count(*) FROM t WHERE {where}").fetchall()
        return int(rows)

    def daily(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(days since 1970, transitions on that day), days without one left out."""
        table = self._db.sql("SELECT day, count(*) AS n FROM t GROUP BY day ORDER BY day").to_arrow_table()
        return table["day"].to_numpy(), table["n"].to_numpy()


def _poisson(seed: int) -> str:
    """SQL for a Poisson(1) draw per user: the weight of a user in a bootstrap sample."""
    uniform = f"(hash(user_key, {seed}) % 1000000) / 1e6"
    bounds = [0.367879, 0.735759, 0.919699, 0.981012, 0.996340, 0.999406]
    steps = " + ".join(f"(u >= {bound})::INTEGER" for bound in bounds)
    return f"list_transform([{uniform}], lambda u: {steps})[1]"
