"""Section on backups: [backup]."""

from __future__ import annotations

from pydantic import Field

from freshet.core.config.section import Section


class BackupConfig(Section):
    """Where `freshet backup` puts backups, and the keys without which they tell nothing of users."""

    to: str = Field(
        "",
        description="folder (from the workspace, or absolute) or s3://, gs://, az://; '' = none",
    )
    keys: str = Field(
        "",
        description="folder, from the workspace or absolute, for a copy of the keys and secrets: on another "
        "disk than the workspace, and not with the backups; '' = none, then they are lost with the workspace",
    )
    keep: int = Field(0, ge=0, description="so many of the latest backups stay; 0 = all")
