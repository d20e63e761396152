"""A server that knows how fresh it is: Prometheus scrapes it, and its rules fire."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from freshet.core.errors import StateError
from freshet.http import level_watch
from freshet.http.prometheus import Metrics
from tests.alerting.programs import NEEDS_ALERTMANAGER, NEEDS_PROMETHEUS, alertmanager, eventually, prometheus
from tests.exports.receiver import Receiver
from tests.http.running import running

pytestmark = pytest.mark.slow
RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
SOON = "[alerts]\nevery_minutes = 0.02\n"


def series(url: str, query: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": query}).json()
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def watched(root: Path, more: str = "") -> None:
    with (root / "freshet.toml").open("a") as file:
        file.write(SOON + more)


def metrics(server: Any) -> str:
    text: str = server.client.get("/metrics").text
    return text


@NEEDS_PROMETHEUS
def test_prometheus_scrapes_a_server_and_evaluates_the_rules(copy: Path, tmp_path: Path) -> None:
    watched(copy)
    alerts = (RULES / "alerts.yml").read_text().replace("for: 10m", "for: 1s")
    (tmp_path / "alerts.yml").write_text(alerts)
    (tmp_path / "rules.yml").write_text((RULES / "rules.yml").read_text())
    with running(copy) as server:
        eventually(lambda: metrics(server), lambda text: "freshet_alerts_firing{" in text)
        target = server.url.removeprefix("http://")
        config = f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{tmp_path / "rules.yml"}, {tmp_path / "alerts.yml"}]
scrape_configs: [{{job_name: freshet, static_configs: [{{targets: ["{target}"]}}]}}]
"""
        with prometheus(tmp_path / "prometheus", config) as url:
            firing = eventually(
                lambda: series(url, 'ALERTS{alertname="FreshetEventsStopped", alertstate="firing"}'), bool
            )
            assert firing[0]["metric"]["severity"] == "warning"
            [age] = series(url, "freshet_evidence_age_seconds")
            assert float(age["value"][1]) > 86_400
            [ratio] = eventually(lambda: series(url, "freshet:events_age:ratio"), bool)
            assert float(ratio["value"][1]) > 1
            rules = httpx.get(f"{url}/api/v1/rules").json()["data"]["groups"]
            assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}
        server.stop()


def test_a_server_tells_its_receivers(copy: Path) -> None:
    with Receiver() as receiver:
        watched(copy, f'webhook = "{receiver.url}"\nwebhook_secret_env = ""\n')
        with running(copy) as server:
            eventually(lambda: len(receiver.taken), bool)
            eventually(lambda: metrics(server), lambda text: "freshet_alerts_firing{" in text)
            assert server.stop() == 0
    assert b"FreshetEventsStopped" in b"".join(body for _, _, body in receiver.taken)
    assert (copy / "alerts" / "told.json").exists()


def test_wrong_settings_are_told_and_stop_nothing(copy: Path) -> None:
    watched(copy)
    with running(copy) as server:
        eventually(lambda: metrics(server), lambda text: "freshet_alerts_firing{" in text)
        with (copy / "freshet.toml").open("a") as file:
            file.write("nonsense = 3\n")
        eventually(lambda: metrics(server), lambda text: 'upkeep_failures_total{task="levels"}' in text)
        assert server.client.get("/readyz").status_code == 200
        assert server.explore(user="u1", interests=1)["interests"]
        assert server.stop() == 0


@NEEDS_ALERTMANAGER
def test_alertmanager_holds_what_a_server_says(copy: Path, tmp_path: Path) -> None:
    with alertmanager(tmp_path / "alertmanager") as url:
        watched(copy, f'alertmanager = "{url}"\n')
        with running(copy) as server:
            found = eventually(lambda: httpx.get(f"{url}/api/v2/alerts").json(), bool)
            assert "FreshetEventsStopped" in {one["labels"]["alertname"] for one in found}
            server.stop()


def test_a_look_that_takes_too_long_is_ended_and_the_next_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "freshet.toml").write_text("")
    calls: list[list[str]] = []
    real = subprocess.Popen

    def slow(command: list[str], **options: Any) -> Any:
        calls.append(command)
        return real([sys.executable, "-c", "import time; time.sleep(60)"], **options)

    monkeypatch.setattr(level_watch.subprocess, "Popen", slow)
    monkeypatch.setattr(level_watch, "LONGEST", 0.3)
    watch = level_watch.LevelWatch(tmp_path, Metrics())
    for _ in range(2):
        with pytest.raises(StateError, match="took more than"):
            watch.look()
    assert ["--no-measure" in command for command in calls] == [False, True]
    watch.end()
    watch.look()  # after the end nothing begins
    assert len(calls) == 2
