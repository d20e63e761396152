"""Section on the servers that are told of every run: [tracking]."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from freshet.core.config.endpoint_url import check_server
from freshet.core.config.section import Section


def _server(url: str) -> str:
    """Raises ValueError where it is no address of a server."""
    if url:
        example = "expected the url of a server, such as http://mlflow:5000"
        check_server(url, "the url", example, "docs/how-to/tracking.md names the variables for it")
    return url


def _server_or_file(target: str) -> str:
    return _server(target) if "://" in target else target


class TrackingConfig(Section):
    """Servers that are told of every run beside the ledger, which stays the only truth."""

    mlflow: Annotated[str, AfterValidator(_server)] = Field(
        "", description="MLflow tracking server, such as `http://mlflow:5000`; empty = none"
    )
    experiment: str = Field(
        "freshet",
        min_length=1,
        max_length=500,
        description="name of the MLflow experiment that runs belong to",
    )
    openlineage: Annotated[str, AfterValidator(_server_or_file)] = Field(
        "",
        description="where OpenLineage events go: a server, such as `http://marquez:5000`, or a file, "
        "relative to the workspace, to which a line is added per event; empty = nowhere",
    )
    namespace: str = Field(
        "",
        max_length=200,
        pattern=r"^[A-Za-z0-9._/-]*$",
        description="name of this workspace there; empty = the last part of its path or URL",
    )
    timeout_seconds: float = Field(
        5.0, gt=0, le=600, description="how long a server may keep silent before it is left for the next run"
    )

    @property
    def used(self) -> bool:
        """Whether anybody is told."""
        return bool(self.mlflow or self.openlineage)
