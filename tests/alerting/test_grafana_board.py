"""The board for Grafana: it is whole, and asks for nothing that is not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from freshet.http.prometheus import Metrics
from tests.alerting.test_prometheus_rules import names_in, names_of, rules

BOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "deploy" / "grafana" / "freshet.json").read_text(encoding="utf-8")
)
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def test_it_has_what_an_import_needs() -> None:
    assert BOARD["title"] == "Freshet"
    assert BOARD["uid"]
    assert BOARD["schemaVersion"] >= 39
    assert {one["name"] for one in BOARD["templating"]["list"]} == {"source", "job"}
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_is_measured(panel: dict[str, Any]) -> None:
    known = names_of(Metrics().text().decode()) | {rule["record"] for rule in rules("rules.yml")}
    assert panel["description"].endswith(".")
    for target in panel["targets"]:
        used = names_in(target["expr"])
        assert used
        assert used <= known, target["expr"]
        assert target["datasource"]["uid"] == "${source}"
        assert 'job="$job"' in target["expr"]
