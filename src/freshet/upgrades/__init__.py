"""Brings a workspace of an earlier Freshet up to date: `freshet upgrade`.

`migrations` lists the steps; a released one is never changed or removed. `m0002_marked` and so on have a
module each.
"""

from freshet.upgrades.migrations import MIGRATIONS, Migration, Upgraded, pending, upgrade

__all__ = ["MIGRATIONS", "Migration", "Upgraded", "pending", "upgrade"]
