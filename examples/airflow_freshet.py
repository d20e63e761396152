"""Freshet's fast path as a DAG of Airflow 3, every night. NOT tried with Airflow: only that Python reads it.

FRESHET_WORKSPACE in the environment of the workers names the workspace. Airflow decides when;
Freshet's exit code decides what a retry is good for.
"""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk import dag, task

WORKSPACE = os.environ.get("FRESHET_WORKSPACE", "/srv/freshet/shop")
A_PERSON = (1, 2, 3, 4)
"""Exit codes: a bug, wrong input, a gate that waits for a person, a table that failed its checks."""
PENDING = 8
"""Answers of a planner come later: the next run goes on with them."""


@dag(
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
)
def freshet_run() -> None:
    @task
    def run() -> None:
        done = subprocess.run(["freshet", "run", "-w", WORKSPACE, "--wait", "600"], check=False)
        if done.returncode == PENDING:
            raise AirflowSkipException("answers of the planner come later")
        if done.returncode in A_PERSON:
            raise AirflowFailException(f"exit code {done.returncode}: `freshet status -w {WORKSPACE}`")
        if done.returncode:
            raise AirflowException(f"exit code {done.returncode}: it may go better later")

    run()


freshet_run()
