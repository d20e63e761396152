"""Section on the pages for people: [dashboard]."""

from __future__ import annotations

from pydantic import Field

from freshet.core.config.section import Section


class DashboardConfig(Section):
    """The pages that `freshet serve` answers at `/`; read when it starts."""

    use: bool = Field(True, description="whether there are any; without, `/` is no path")
    secret_env: str = Field(
        "",
        description="environment variable that holds what signs sessions, the same for all replicas behind "
        "one address; empty = random, so that a restart of the server ends them",
    )
