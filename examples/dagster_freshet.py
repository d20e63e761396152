"""Freshet's fast path as a Dagster job, every night: `dagster dev -f examples/dagster_freshet.py`.

FRESHET_WORKSPACE names the workspace, FRESHET the command where it isn't on the path of Dagster's process.
Dagster decides when; Freshet's exit code decides what a retry is good for.
"""

# no `from __future__ import annotations`: Dagster looks at the types of `context` as they are

import json
import os
import subprocess
from typing import Any

import dagster as dg

FRESHET = os.environ.get("FRESHET", "freshet")
WORKSPACE = os.environ.get("FRESHET_WORKSPACE", "shop")
RETRY_SECONDS = int(os.environ.get("FRESHET_RETRY_SECONDS", "300"))
RETRIES = 5
LATER_SECONDS = 3600
PENDING = 8
"""Exit code: answers of a planner come later."""


def freshet(context: dg.OpExecutionContext, *arguments: str) -> dict[str, Any]:
    """Run a command; its JSON document.

    Raises:
        dg.RetryRequested: the same command may succeed later: the workspace is busy, a server is away.
        dg.Failure: a person is needed: a gate halted the run, the settings are wrong.
    """
    done = subprocess.run(
        [FRESHET, *arguments, "-w", WORKSPACE, "--json"], capture_output=True, text=True, check=False
    )
    for line in done.stderr.splitlines():
        context.log.info(line)
    document: dict[str, Any] = json.loads(done.stdout)
    if done.returncode == 0:
        return document
    error = document["error"]
    if done.returncode == PENDING:
        raise dg.RetryRequested(max_retries=24, seconds_to_wait=LATER_SECONDS)
    if error["retryable"]:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS * 2**context.retry_number)
    raise dg.Failure(f"{error['message']}; {error['hint']}", allow_retries=False)


@dg.op
def run(context: dg.OpExecutionContext) -> int | None:
    """Import, tune and refresh, whatever is due; the release that serves."""
    made = freshet(context, "run", "--wait", "600")["run"]
    context.add_output_metadata({"run": made["id"], "money": made["money"], "seconds": made["seconds"]})
    release: int | None = made["release"]
    return release


@dg.job
def freshet_run() -> None:
    """The fast path."""
    run()


defs = dg.Definitions(
    jobs=[freshet_run],
    schedules=[dg.ScheduleDefinition(job=freshet_run, cron_schedule="0 3 * * *", execution_timezone="UTC")],
)
