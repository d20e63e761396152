"""What a call imports: help needs no data library, a workspace needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

HEAVY = ("duckdb", "numba", "numpy", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "torch", "altair")


@pytest.mark.parametrize("code", ["import freshet", "import freshet.cli.app as app; app.run(['--help'])"])
def test_import_and_help_load_no_data_library(code: str) -> None:
    assert _loaded(code, HEAVY) == []


def test_choosing_backends_loads_no_model_library() -> None:
    assert _loaded("import freshet.wiring, freshet.pipeline", ("torch", "transformers", "peft", "trl")) == []


def _loaded(code: str, names: tuple[str, ...]) -> list[str]:
    tail = f"import sys; print('loaded', [n for n in {names!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, check=True
    )
    return list(ast.literal_eval(done.stdout.splitlines()[-1].removeprefix("loaded ")))
