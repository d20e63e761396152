"""The rules of deploy/prometheus, checked and tried by Prometheus' own tool; names are the same everywhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from freshet.alerting.catalogue import KINDS, TEST, UNREADABLE
from freshet.http.prometheus import GAUGES, LEVEL_GAUGES, Metrics
from tests.alerting.programs import NEEDS_PROMTOOL, PROMTOOL

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
RUNBOOK = (ROOT / "docs" / "how-to" / "runbook.md").read_text(encoding="utf-8")


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((RULES / name).read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules("alerts.yml")}


@NEEDS_PROMTOOL
@pytest.mark.slow
def test_promtool_takes_the_rules() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "check", "rules", "rules.yml", "alerts.yml"],
        cwd=RULES,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_PROMTOOL
@pytest.mark.slow
def test_promtool_takes_the_configuration() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "check", "config", "--syntax-only", "prometheus.yml"],
        cwd=RULES,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_PROMTOOL
@pytest.mark.slow
def test_every_alert_fires_where_it_should_and_nowhere_else() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", "tests.yml"], cwd=RULES, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_PROMTOOL
@pytest.mark.slow
def test_a_rule_that_fires_at_anything_is_found_out(tmp_path: Path) -> None:
    for name in ("rules.yml", "tests.yml", "alerts.yml"):
        text = (RULES / name).read_text()
        (tmp_path / name).write_text(
            text.replace('level="evidence_age"}) == 2', 'level="evidence_age"}) >= 0')
        )
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0


def test_each_alert_is_tried_both_ways() -> None:
    tried: dict[str, set[bool]] = {}
    for test in yaml.safe_load((RULES / "tests.yml").read_text())["tests"]:
        for one in test["alert_rule_test"]:
            tried.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    assert tried == {name: {True, False} for name in alerts()}


def test_code_and_rules_agree_on_names_and_severities() -> None:
    found = alerts()
    for kind in (*KINDS, UNREADABLE):
        assert found[kind.name]["labels"]["severity"] == kind.severity, kind.name
        if kind is not UNREADABLE:
            assert f'level="{kind.level}"' in found[kind.name]["expr"]
            assert (">= 1" in found[kind.name]["expr"]) == ("warn" in kind.states)


def test_the_runbook_has_a_section_on_each_alert_and_on_no_other() -> None:
    sections = set(re.findall(r"^### (Freshet\w+)$", RUNBOOK, re.MULTILINE))
    assert sections == {*alerts(), *(kind.name for kind in KINDS), UNREADABLE.name, TEST.name}
    for rule in alerts().values():
        assert rule["annotations"]["runbook"] == f"docs/how-to/runbook.md#{rule['alert'].lower()}"


def test_rules_use_what_is_measured() -> None:
    measured = names_of(Metrics().text().decode()) | {"up"}
    recorded = {rule["record"] for rule in rules("rules.yml")}
    for rule in [*rules("rules.yml"), *rules("alerts.yml")]:
        used = names_in(rule["expr"])
        assert used
        assert used <= measured | recorded, rule


def names_of(text: str) -> set[str]:
    """Series of an answer of `/metrics`, those without any yet by what is declared of them."""
    found = set(re.findall(r"^([a-z_:]+)(?:\{| )", text, re.MULTILINE))
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE):
        ends = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",)}.get(kind, ("",))
        found |= {f"{name}{end}" for end in ends}
    return found


def names_in(expression: str) -> set[str]:
    """Series that an expression of PromQL names."""
    return set(re.findall(r"\b(?:freshet[a-z0-9_:]+|up)(?=[\s{\[)>=-]|$)", expression))


def test_every_gauge_says_what_it_is() -> None:
    text = Metrics().text().decode()
    for name in (*GAUGES, *LEVEL_GAUGES, "drift_null", "levels_looked_timestamp_seconds"):
        assert f"# HELP freshet_{name} " in text
