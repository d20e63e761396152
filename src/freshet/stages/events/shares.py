"""One user id that holds so much of the events that it can hardly be one person."""

from __future__ import annotations

import duckdb

from freshet.stages.events import sql

_FEWEST = 50  # of fewer users, one may well hold much
_SHARE = 0.05
_TIMES = 5


def note(connection: duckdb.DuckDBPyConnection, events: str) -> tuple[str, ...]:
    """A sentence about such an id, the largest one; none if there is none.

    An id is told if it has more than 5 % of the events of at least 50 users, and five times the mean.
    """
    total, users, largest, user = sql.row(
        connection,
        f"""SELECT coalesce(sum(n), 0), count(*), coalesce(max(n), 0), max_by("user", n)
            FROM (SELECT "user", count(*) AS n FROM ({events}) GROUP BY "user")""",
    )
    if users < _FEWEST or largest <= max(_SHARE, _TIMES / users) * total:
        return ()
    return (
        f"user {user!r} has {largest:,} of {total:,} events ({largest / total:.0%}): if that is no person, "
        "add it to [events] missing and import again with --replace",
    )
