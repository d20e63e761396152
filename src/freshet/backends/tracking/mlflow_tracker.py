"""Runs at an MLflow tracking server, by its client API: `mlflow-skinny` is enough.

One run of the ledger is one run there, found by a tag with its identity. What is told twice changes nothing:
the same metric at the same time and step is one value, and settings of a run never change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from freshet.core.errors import MissingExtra, TrackingError
from freshet.core.masking import masked
from freshet.core.ports import RunState, TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "freshet.run"
"""The tag that holds a run's identity."""

_STATUS: dict[RunState, str] = {"complete": "FINISHED", "failed": "FAILED", "aborted": "KILLED"}
_LONGEST_SETTING, _LONGEST_TAG = 6000, 5000
"""Letters that the server takes."""
_RAISED = (OSError, RuntimeError, ValueError, LookupError, TypeError, HTTPError)
"""What clients of trackers raise of servers that are gone, silent or wrong: no command fails for it."""
_BATCH = 90
"""Settings or tags in one request, which takes a hundred."""


class MlflowTracker:
    """Tells one MLflow server.

    Args:
        url: of the server. Keys are read from MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD, by MLflow.
        experiment: its name; made where there is none.
        timeout: seconds that the server may keep silent; nothing is asked twice.

    Raises:
        MissingExtra: MLflow's client is not installed.
    """

    def __init__(self, url: str, experiment: str, timeout: float) -> None:
        if find_spec("mlflow") is None:  # it takes a second to import, and often there is nothing to tell
            raise MissingExtra("[tracking] mlflow needs mlflow-skinny", hint="pip install 'freshet[mlflow]'")
        self._url, self._experiment, self._timeout = url, experiment, timeout

    @property
    def target(self) -> str:
        return f"mlflow {self._url} ({self._experiment})"

    def send(self, run: TrackedRun) -> None:
        with _impatient(self._timeout):
            client = _client(self._url)
            from mlflow.exceptions import MlflowException

            try:
                self._send(client, run)
            except (MlflowException, *_RAISED) as error:
                raise TrackingError(
                    f"{self.target} did not take run {run.number}: {_said(error)}",
                    hint="see that the server runs and lets this machine in; `freshet track` sends it again",
                    retryable=True,
                ) from None

    def _send(self, client: MlflowClient, run: TrackedRun) -> None:
        from mlflow.entities import Metric, Param, RunTag

        experiment = self._experiment_id(client)
        found = client.search_runs([experiment], f"tags.`{KEY}` = '{run.key}'", max_results=1)
        if found:
            there = found[0].info.run_id
        else:
            name = f"{run.workspace} {run.number} {run.command}"
            tags = {KEY: run.key, "mlflow.source.name": "freshet", "mlflow.user": "freshet"}
            there = client.create_run(experiment, _ms(run.started), tags, name).info.run_id
        ended = _ms(run.ended)
        client.log_batch(
            there, metrics=[Metric(name, value, ended, 0) for name, value in run.figures.items()]
        )
        for part in _parts(run.settings):
            client.log_batch(there, params=[Param(name, value[:_LONGEST_SETTING]) for name, value in part])
        for part in _parts({"workspace": run.workspace, **run.tags}):
            tags_of_part = [RunTag(f"freshet.{name}", value[:_LONGEST_TAG]) for name, value in part]
            client.log_batch(there, tags=tags_of_part)
        client.set_terminated(there, _STATUS[run.state], ended)
        for name, content in run.documents.items():
            client.log_dict(there, dict(content), name)

    def _experiment_id(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self._experiment)
        if found is None:
            return str(client.create_experiment(self._experiment))
        if found.lifecycle_stage != "active":
            raise ValueError(f"its experiment {self._experiment!r} was deleted: restore it, or name another")
        return str(found.experiment_id)


def _client(url: str) -> MlflowClient:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would report to its makers
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url)


@contextmanager
def _impatient(seconds: float) -> Iterator[None]:
    """A block in which MLflow prints nothing, asks once and waits so long, where it would ask for minutes.

    Variables of MLflow that are set already stay as they are.
    """
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(seconds))),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where a command's answer goes
    }
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _parts(found: Mapping[str, Any]) -> Iterator[list[tuple[str, Any]]]:
    """Name and value, as many as go into one request."""
    items = iter(found.items())
    while part := list(islice(items, _BATCH)):
        yield part


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _said(error: Exception) -> str:
    """What an error says, in a line, without a secret."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0])[:300]
