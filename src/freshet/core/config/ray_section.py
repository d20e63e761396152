"""Section on a Ray cluster: [ray]."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from freshet.core.config.section import Section
from freshet.core.ports import Resources

Work = Literal["counting", "inference", "tuning", "sequence", "ranker"]


class ResourcesConfig(Section):
    """What one job takes of a machine."""

    cpus: float = Field(1.0, ge=0, allow_inf_nan=False, description="cores")
    gpus: float = Field(0.0, ge=0, allow_inf_nan=False, description="accelerators, or parts of one")
    memory_gb: float = Field(0.0, ge=0, allow_inf_nan=False, description="of main memory; 0 = not said")
    custom: dict[str, float] = Field({}, description="named resources of the cluster")


class RayConfig(Section):
    """The cluster of `executor = "ray"`."""

    address: str = Field(
        "auto",
        description='"auto" = the cluster that this machine is a node of (or RAY_ADDRESS), host:port of its '
        'head, or "local" = Ray is started here for the length of a command',
    )
    workers: int = Field(
        0, ge=0, description="jobs of counting, and workers of inference, at once at most; 0 = as many as fit"
    )
    resources: dict[Work, ResourcesConfig] = Field(
        {},
        description="what a job of `counting`, `inference`, `tuning`, `sequence` or `ranker` takes (`cpus`, "
        "`gpus`, `memory_gb`, `custom`), such as `{ tuning = { gpus = 1 } }`; one core by default",
    )
    retries: int = Field(
        3, ge=0, description="how often a job begins again that was lost with its worker or machine"
    )
    wait_seconds: float = Field(
        300.0,
        ge=0,
        allow_inf_nan=False,
        description="how long a job waits for a machine that has what it takes to join the cluster",
    )
    runtime_env: dict[str, Any] = Field(
        {}, description="Ray's runtime environment of the workers, such as `{ pip = [...] }`"
    )

    def needs(self, work: Work) -> Resources:
        """What a job of this kind takes."""
        found = self.resources.get(work)
        return Resources(**found.model_dump()) if found else Resources()
