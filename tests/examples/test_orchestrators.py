"""The recipes for Dagster and Airflow: the first runs here, the second is read."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from freshet.storage.lease import lease
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from tests.pipeline.world import copied

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def recipe(counted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, for a copy of a small workspace, with a wrapper that finds this very Freshet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster's own, of libraries that it imports
        pytest.importorskip("dagster", reason="needs dagster")
    copied(counted, tmp_path / "shop")
    command = tmp_path / "freshet"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m freshet "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("FRESHET", str(command))
    monkeypatch.setenv("FRESHET_WORKSPACE", str(tmp_path / "shop"))
    monkeypatch.setenv("FRESHET_RETRY_SECONDS", "0")
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    spec = importlib.util.spec_from_file_location("dagster_freshet", EXAMPLES / "dagster_freshet.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "dagster_freshet", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # Dagster's
def test_dagsters_job_makes_a_release(recipe: ModuleType, tmp_path: Path) -> None:
    before = len(open_workspace(tmp_path / "shop").ledger.records())
    assert open_workspace(tmp_path / "shop").releases.current() is None
    found = recipe.defs.get_job_def("freshet_run").execute_in_process()
    assert found.success
    assert found.output_for_node("run") == 1
    ws = open_workspace(tmp_path / "shop")
    assert ws.releases.current().number == 1  # type: ignore[union-attr]
    assert len(ws.ledger.records()) == before + 1


@pytest.mark.filterwarnings("ignore")
def test_what_a_person_must_decide_is_not_tried_again(recipe: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    with (root / "freshet.toml").open("a") as file:
        file.write("[table]\nmax_churn = 7\n")  # as with a gate, the same command would fail again
    found = recipe.freshet_run.execute_in_process(raise_on_error=False)
    assert not found.success
    assert [one.event_type_value for one in found.all_events].count("STEP_RESTARTED") == 0
    assert "max_churn" in str(found.failure_data_for_node("run"))


@pytest.mark.filterwarnings("ignore")
def test_a_busy_workspace_is_tried_again(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tmp_path / "shop" / "events")  # what would run is of no matter here
    command = tmp_path / "freshet"
    command.write_text(command.read_text().replace('"$@"', '$(echo "$@" | sed s/600/0/)'))
    monkeypatch.setattr(recipe, "RETRIES", 2)
    with lease(tmp_path / "shop" / "LEASE", "import"):
        found = recipe.freshet_run.execute_in_process(raise_on_error=False)
    assert [one.event_type_value for one in found.all_events].count("STEP_RESTARTED") == 2
    assert not found.success


def test_airflows_dag_can_be_read_and_knows_the_exit_codes() -> None:
    """No more than that: Airflow is not installed here."""
    tree = ast.parse((EXAMPLES / "airflow_freshet.py").read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Tuple | ast.Constant)
    }
    assert values == {"A_PERSON": (1, 2, 3, 4), "PENDING": 8}
    assert {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} == {
        "freshet_run",
        "run",
    }
