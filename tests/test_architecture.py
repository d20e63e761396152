"""The structure a reader is promised: layers, light imports, and words on everything public."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "freshet"
HEAVY = ("torch", "transformers", "peft", "trl", "datasets", "accelerate")
NOT_AT_IMPORT = (
    *HEAVY,
    "numpy",
    "pandas",
    "duckdb",
    "pyarrow",
    "sklearn",
    "scipy",
    "numba",
    "altair",
    "pydantic",
)
MODULES = sorted(path for path in SOURCE.rglob("*.py"))


def test_layers_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    failed = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert failed == 0, capsys.readouterr().out


def imported_by(statement: str) -> set[str]:
    """Top-level modules in memory after a statement, in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_package_is_light_to_import() -> None:
    assert imported_by("import freshet") & {*NOT_AT_IMPORT} == set()


@pytest.mark.slow
def test_opening_a_workspace_and_serving_a_table_need_no_torch() -> None:
    loaded = imported_by(
        "import freshet.wiring, freshet.pipeline, freshet.stages.table, freshet.stages.counts"
    )
    assert loaded & {*HEAVY} == set()
    assert "numpy" in loaded  # the check looks at the right thing


def undocumented(path: Path) -> Iterator[str]:
    """Public functions, methods and classes of a module without a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not ast.get_docstring(tree):
        yield f"{path.relative_to(SOURCE)}: the module"
    for node in tree.body:
        named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if named and not ast.get_docstring(node):
            yield f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}"


def test_every_public_function_and_class_has_a_docstring() -> None:
    assert len(MODULES) > 80
    assert [found for path in MODULES for found in undocumented(path)] == []


def test_only_the_boundary_catches_what_is_unexpected() -> None:
    """Ruff forbids blind `except` and `print`; the command line and the scheduler turn a bug into a message."""
    off = [
        path.relative_to(SOURCE).as_posix()
        for path in MODULES
        for line in path.read_text(encoding="utf-8").splitlines()
        if "noqa" in line and ("BLE" in line or "T20" in line)
    ]
    assert sorted(off) == ["cli/app.py", "scheduling/scheduler.py"]


def test_the_pipeline_and_the_package_show_the_same_sequence() -> None:
    def stages(path: Path) -> list[str]:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        return [line.split()[1] for line in text.splitlines() if line.strip().startswith("->")]

    wanted = [
        "interests",
        "prior",
        "transitions",
        "tuning",
        "content",
        "evidence",
        "inference",
        "counts",
        "table",
    ]
    assert stages(SOURCE / "pipeline.py") == wanted
    assert [name for name in stages(SOURCE / "__init__.py") if name in wanted] == wanted


def test_the_pipeline_calls_the_stages_in_the_order_of_its_picture() -> None:
    tree = ast.parse((SOURCE / "pipeline.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def calls(name: str) -> list[str]:
        """Calls `stage.function(...)` of a function, in the order of the text."""
        found = [node for node in ast.walk(functions[name]) if isinstance(node, ast.Call)]
        named = [(node.lineno, node.func) for node in found if isinstance(node.func, ast.Attribute)]
        text = [(line, ast.unparse(call)) for line, call in named]
        return [call for _, call in sorted(text) if call.count(".") == 1]

    def in_order(name: str, wanted: list[str]) -> None:
        assert [call for call in calls(name) if call in wanted] == wanted

    in_order(
        "snapshot_of",
        ["events.items", "interests.form", "interests.assign", "prior.ask", "transitions.count"],
    )
    in_order(
        "make_table",
        [
            "content.make",
            "evidence.choose",
            "inference.infer",
            "counts.fuse",
            "table.build",
            "table.verify",
        ],
    )
    in_order("refresh_release", ["sequence.for_mixture", "live.make", "feedback.make", "canary.publish"])
    assert len((SOURCE / "pipeline.py").read_text(encoding="utf-8").splitlines()) <= 260


def test_no_module_name_stands_for_two_things() -> None:
    """But for the same role in parallel folders."""
    names = [path.name for path in MODULES if path.name not in ("__init__.py", "step.py", "format.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.slow
def test_a_module_in_no_layer_fails_the_check(tmp_path: Path) -> None:
    """The contracts are only worth what they refuse."""
    shutil.copytree(SOURCE, tmp_path / "src" / "freshet", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "freshet" / "stray.py").write_text('"""In no layer."""\n')
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "freshet.stray" in done.stdout
