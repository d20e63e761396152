"""Runs as OpenLineage events, to a server or as lines of a file, by `openlineage-python`.

A run of the ledger is a run of the job of its command; each step is a run of a job of its own, with the
former as parent. Ids follow from the ledger alone: a run is the same run however often it is told.
Only what is handed over goes out: the client's own additions (variables of the environment, the repository of
the working directory) are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from freshet.core.errors import MissingExtra, TrackingError
from freshet.core.masking import masked
from freshet.core.ports import RunState, TrackedData, TrackedRun, TrackedStep

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent

PRODUCER = "urn:freshet"
"""Who says so, as a URI; `processing_engine` has the version."""

KEY_VARIABLE = "OPENLINEAGE_API_KEY"


class OpenLineageTracker:
    """Tells one receiver.

    Args:
        target: URL of a server (events go to `api/v1/lineage` there), or a file to which a line is added per
            event. A server's key is read from OPENLINEAGE_API_KEY.
        timeout: seconds that the server may keep silent; nothing is asked twice.

    Raises:
        MissingExtra: openlineage-python is not installed.
    """

    def __init__(self, target: str, timeout: float) -> None:
        if find_spec("openlineage") is None:
            raise MissingExtra(
                "[tracking] openlineage needs openlineage-python", hint="pip install 'freshet[openlineage]'"
            )
        self._target, self._timeout = target, timeout

    @property
    def target(self) -> str:
        return f"openlineage {self._target}"

    def send(self, run: TrackedRun) -> None:
        try:
            transport = self._transport()
            try:
                for event in events_of(run):
                    transport.emit(event)
            finally:
                transport.close()
        except (OSError, RuntimeError, ValueError, LookupError, TypeError, HTTPError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise TrackingError(
                f"{self.target} did not take run {run.number}: {masked(lines[0])[:300]}",
                hint="see that the server runs and lets this machine in; `freshet track` sends it again",
                retryable=True,
            ) from None

    def _transport(self) -> Any:
        if "://" not in self._target:
            from openlineage.client.transport.file import FileConfig, FileTransport

            Path(self._target).parent.mkdir(parents=True, exist_ok=True)
            return FileTransport(FileConfig(self._target, append=True))
        from openlineage.client.transport.http import (
            ApiKeyTokenProvider,
            HttpConfig,
            HttpTransport,
            TokenProvider,
        )

        key = os.environ.get(KEY_VARIABLE, "")
        auth = ApiKeyTokenProvider({"api_key": key}) if key else TokenProvider({})
        base = self._target.rstrip("/") + "/"  # else a path in the URL would be replaced by the endpoint
        return HttpTransport(HttpConfig(url=base, timeout=self._timeout, auth=auth, retry={"total": 0}))


def events_of(run: TrackedRun) -> Iterator[RunEvent]:
    """START and the end of the run, and between them those of its steps, in the order of time."""
    from openlineage.client.event_v2 import Job

    job = Job(run.workspace, run.command, _job_facets("JOB"))
    parts = [(step, _step_id(run, number)) for number, step in enumerate(run.steps)]
    yield _event("START", run.started, _run_of(run), job)
    for step, identity in parts:
        name = f"{run.command}.{step.name}"
        mine, own = Job(run.workspace, name, _job_facets("TASK")), _run_of_step(run, step, identity)
        yield _event("START", step.started, own, mine, _inputs(run, step))
        yield _event(_end(step.state), step.ended, own, mine, _inputs(run, step), _outputs(run, step))
    yield _event(_end(run.state), run.ended, _run_of(run), job)


def _event(
    kind: str,
    moment: datetime,
    run: Run,
    job: Job,
    inputs: Sequence[InputDataset] = (),
    outputs: Sequence[OutputDataset] = (),
) -> RunEvent:
    from openlineage.client.event_v2 import RunEvent, RunState

    return RunEvent(
        eventType=RunState[kind],
        eventTime=moment.isoformat(timespec="milliseconds"),
        run=run,
        job=job,
        inputs=list(inputs),
        outputs=list(outputs),
        producer=PRODUCER,
    )


def run_id(run: TrackedRun) -> str:
    """Of the run, by its key alone."""
    from openlineage.client.uuid import generate_static_uuid

    return str(generate_static_uuid(run.started, run.key.encode()))


def _step_id(run: TrackedRun, number: int) -> str:
    from openlineage.client.uuid import generate_static_uuid

    return str(generate_static_uuid(run.steps[number].started, f"{run.key}#{number}".encode()))


def _run_of(run: TrackedRun) -> Run:
    from openlineage.client.event_v2 import Run
    from openlineage.client.facet_v2 import execution_parameters_run, tags_run

    tags = [tags_run.TagsRunFacetFields(name, value, "freshet") for name, value in run.tags.items()]
    settings = [
        execution_parameters_run.ExecutionParameter(key=name, value=value)
        for name, value in run.settings.items()
    ]
    facets = {
        "processing_engine": _engine(run),
        "tags": tags_run.TagsRunFacet(tags, producer=PRODUCER),
        "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(
            settings, producer=PRODUCER
        ),
    }
    return Run(run_id(run), facets | _error(run.message if run.state != "complete" else ""))


def _run_of_step(run: TrackedRun, step: TrackedStep, identity: str) -> Run:
    from openlineage.client.event_v2 import Run
    from openlineage.client.facet_v2 import parent_run

    parent = parent_run.ParentRunFacet(
        parent_run.Run(run_id(run)), parent_run.Job(run.workspace, run.command), producer=PRODUCER
    )
    why = run.message or "the step ended by an error" if step.state == "failed" else ""
    return Run(identity, {"parent": parent, "processing_engine": _engine(run)} | _error(why))


def _engine(run: TrackedRun) -> Any:
    from openlineage.client.facet_v2 import processing_engine_run

    version = run.tags.get("version.freshet", "unknown")
    return processing_engine_run.ProcessingEngineRunFacet(version, "freshet", producer=PRODUCER)


def _error(message: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run

    if not message:
        return {}
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "python", producer=PRODUCER)}


def _job_facets(kind: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import job_type_job

    return {"jobType": job_type_job.JobTypeJobFacet("BATCH", "FRESHET", kind, producer=PRODUCER)}


def _inputs(run: TrackedRun, step: TrackedStep) -> list[InputDataset]:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_assertions_dataset, input_statistics_input_dataset

    found = []
    for data in step.inputs:
        own: dict[str, Any] = {}
        if data.rows is not None:
            own["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                rowCount=data.rows, producer=PRODUCER
            )
        if data.checks:
            own["dataQualityAssertions"] = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                [data_quality_assertions_dataset.Assertion(name, held) for name, held in data.checks.items()],
                producer=PRODUCER,
            )
        found.append(InputDataset(_place(run, data), data.name, own, facets=_facets(data)))
    return found


def _outputs(run: TrackedRun, step: TrackedStep) -> list[OutputDataset]:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    found = []
    for data in step.outputs:
        own: dict[str, Any] = {}
        if data.rows is not None:
            own["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=data.rows, producer=PRODUCER
            )
        found.append(OutputDataset(_place(run, data), data.name, own, facets=_facets(data)))
    return found


def _place(run: TrackedRun, data: TrackedData) -> str:
    return data.place or f"freshet://{run.workspace}"


def _facets(data: TrackedData) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

    facets: dict[str, Any] = {}
    if data.version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(
            data.version, producer=PRODUCER
        )
    if data.columns:
        fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in data.columns]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)
    return facets


def _end(state: RunState) -> str:
    return {"complete": "COMPLETE", "failed": "FAIL", "aborted": "ABORT"}[state]
