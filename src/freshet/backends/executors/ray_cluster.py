"""A Ray cluster: connecting to it, whether its machines fit the driver, and what its errors mean."""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from types import ModuleType
from typing import Any
from uuid import uuid4

from freshet.backends.executors.ray_address import need_answer
from freshet.core.config import RayConfig
from freshet.core.errors import ConfigError, ExecutorLost, MissingExtra
from freshet.core.ports import Resources
from freshet.storage.durable import make_folder

ALIKE = ("freshet", "ray", "numpy", "pyarrow", "duckdb", "numba", "pydantic", "torch", "transformers")
"""Packages that decide the bytes of what is made, or how it travels: of one version on all machines."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports to nobody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a job without GPUs still sees those of its machine
}


@dataclass(frozen=True, slots=True)
class Fit:
    """What a process must see and be to do jobs of a driver.

    Attributes:
        token: a file of the workspace, written by the driver, and its `text`.
        versions: of Python and of the packages that matter.
    """

    token: Path
    text: str
    versions: Mapping[str, str]

    def check(self) -> None:
        """Refuse to work in a process that would not do the same as the driver; quick after the first time.

        Raises:
            ConfigError: it can't read the workspace, or runs other versions.
        """
        _check(self.token, self.text, tuple(self.versions.items()))


@cache
def _check(token: Path, text: str, versions: tuple[tuple[str, str], ...]) -> None:
    machine = platform.node()
    try:
        seen = token.read_text(encoding="utf-8")
    except OSError as error:
        seen = error.strerror or str(error)
    if seen != text:
        raise ConfigError(
            f"the machine {machine} of the Ray cluster can't read the workspace at {token.parent.parent}: "
            f"{seen}",
            hint="all machines need it at the same path, in a folder that they share (such as NFS); of a "
            "workspace in a bucket they need the folder that FRESHET_CACHE names",
        )
    own = versions_here()
    for name, version in versions:
        if own.get(name, "") != version:
            raise ConfigError(
                f"the machine {machine} of the Ray cluster has {name} {own.get(name) or '(not installed)'}, "
                f"the driver has {version or '(not installed)'}",
                hint="equal results need equal versions: let all machines run one image",
            )


@cache
def versions_here() -> dict[str, str]:
    """Versions of Python and of the packages that matter; '' where one is not installed."""
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for name in ALIKE:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def need_ray() -> ModuleType:
    """The package, quietened.

    Raises:
        MissingExtra: it is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f'executor = "ray" needs the package {error.name!r}', hint="pip install 'freshet[ray]'"
        ) from None
    found: ModuleType = ray
    return found


class Cluster:
    """A connection to the cluster of a workspace, made when it is first needed and kept by the process.

    Args:
        config: where it is.
        root: folder of the workspace, which every machine must see.
    """

    def __init__(self, config: RayConfig, root: Path) -> None:
        self.config = config
        self._root = root.absolute()
        self._fit: Fit | None = None

    @property
    def fit(self) -> Fit:
        """What every process of this cluster is checked for; connects, and looks at each machine, once."""
        if self._fit is None:
            self._fit = self._connected()
        return self._fit

    def options(self, needs: Resources | None) -> dict[str, Any]:
        """Ray's options of a job or worker; waits until some machine has what it takes.

        Raises:
            ExecutorLost: none has, nor joined in time.
        """
        needs = needs or Resources()
        wanted = {"CPU": needs.cpus, "GPU": needs.gpus, **needs.custom}
        wanted |= {"memory": needs.memory_gb * 1e9}
        wanted = {name: amount for name, amount in wanted.items() if amount}
        self._wait_for(wanted)
        return {
            "num_cpus": needs.cpus,
            "num_gpus": needs.gpus,
            "resources": dict(needs.custom) or None,
            "memory": int(needs.memory_gb * 1e9) or None,
        }

    def room(self, needs: Resources | None) -> int:
        """How many jobs or workers fit at once, at least 1."""
        needs, ray = needs or Resources(), need_ray()
        _ = self.fit
        with translated():
            there = ray.cluster_resources()
        wanted = {"CPU": needs.cpus, "GPU": needs.gpus, **needs.custom}
        fitting = min(
            (int(there.get(name, 0.0) // amount) for name, amount in wanted.items() if amount),
            default=int(there.get("CPU", 1)),
        )
        return max(1, min(fitting, self.config.workers or fitting))

    def _wait_for(self, wanted: Mapping[str, float]) -> None:
        ray, until = need_ray(), monotonic() + self.config.wait_seconds
        _ = self.fit
        while True:
            with translated():
                nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            if any(all(node.get(name, 0.0) >= much for name, much in wanted.items()) for node in nodes):
                return
            if monotonic() >= until:
                raise ExecutorLost(
                    f"no machine of the Ray cluster has {wanted} for one job, nor joined within "
                    f"{self.config.wait_seconds:g} s",
                    hint="add such a machine, or ask for less in [ray] resources",
                    retryable=True,
                )
            sleep(1.0)

    def _connected(self) -> Fit:
        ray, config = need_ray(), self.config
        if config.address.startswith("ray://"):
            raise ConfigError(
                f"[ray] address is {config.address!r}: Ray's client is not supported",
                hint='run Freshet on a machine of the cluster, with address = "auto"',
            )
        if not ray.is_initialized():
            need_answer(config.address)
            local: dict[str, Any] = {}
            if config.address == "local":
                local = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            try:
                ray.init(
                    address=config.address,
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env=config.runtime_env or None,
                    **local,
                )
            except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
                raise ExecutorLost(
                    f"no Ray cluster could be reached at [ray] address = {config.address!r}: {_first(error)}",
                    hint="start one with `ray start --head`, or set [ray] address",
                    retryable=True,
                ) from None
        make_folder(self._root / ".drafts")
        token = self._root / ".drafts" / f"ray-{uuid4().hex}"
        fit = Fit(token, token.name, versions_here())
        token.write_text(fit.text, encoding="utf-8")
        atexit.register(token.unlink, missing_ok=True)
        self._check_all(fit)
        return fit

    def _check_all(self, fit: Fit) -> None:
        """Every machine that is there now; one that joins later, or leaves meanwhile, by its first job."""
        ray = need_ray()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        checked = ray.remote(Fit.check)
        with translated("a machine that was looked at"):
            there = [
                NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
                for node in ray.nodes()
                if node["Alive"]
            ]
            looks = [checked.options(num_cpus=0, scheduling_strategy=node).remote(fit) for node in there]
            for look in looks:
                try:
                    ray.get(look)
                except (
                    ray.exceptions.TaskUnschedulableError,
                    ray.exceptions.NodeDiedError,
                    ray.exceptions.WorkerCrashedError,
                    ray.exceptions.OutOfMemoryError,
                ):
                    continue  # a machine that died may be listed for half a minute more


@contextmanager
def translated(what: str = "") -> Iterator[None]:
    """Ray's errors as Freshet's; what a job itself raised as it was raised.

    Args:
        what: was done, for the message.
    """
    ray = need_ray()
    errors = ray.exceptions
    try:
        yield
    except errors.RayTaskError as error:
        cause = error.cause
        while isinstance(cause, errors.RayTaskError):
            cause = cause.cause
        if isinstance(cause, BaseException) and not isinstance(cause, errors.RayError):
            raise cause from None
        raise _lost(what, error) from None
    except errors.RayError as error:
        raise _lost(what, error) from None


def _lost(what: str, error: BaseException) -> ExecutorLost:
    return ExecutorLost(
        f"Ray lost {what or 'the connection'}: {_first(error)}",
        hint="what was committed is kept: the same command goes on. A job that ends its worker each time may "
        "need more memory: see [ray] resources, and Ray's logs",
        retryable=True,
    )


def _first(error: BaseException) -> str:
    """The first line of a message, where Ray's own has many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
