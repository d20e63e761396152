"""What a call imports: help needs no data library, a look needs no compiler, and a workspace needs no torch."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("duckdb", "numba", "numpy", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "torch", "altair")
LOOKS = {
    "status": (),
    "history": (),
    "history 00002": (),
    "interests": ("pyarrow",),
    "diff 1 2": ("pyarrow",),
    "explain": ("pyarrow",),
    "explain 1": ("pyarrow",),
}
NOT_TO_LOOK = (
    *("duckdb", "numba", "pandas", "polars", "sklearn", "scipy.sparse", "scipy.stats", "pyarrow.dataset"),
    *("torch", "transformers", "altair", "vl_convert", "fastapi", "uvicorn", "httpx", "urllib3", "jinja2"),
    *("freshet.pipeline", "freshet.operations", "freshet.serving", "freshet.http", "freshet.report"),
)
"""What makes or serves a table, draws, or speaks HTTP; each takes longer to load than a look should."""


@pytest.mark.parametrize("code", ["import freshet", "import freshet.cli.app as app; app.run(['--help'])"])
def test_import_and_help_load_no_data_library(code: str) -> None:
    assert _loaded(code, HEAVY) == []


def test_choosing_backends_loads_no_model_library() -> None:
    assert _loaded("import freshet.wiring, freshet.pipeline", ("torch", "transformers", "peft", "trl")) == []


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_a_look_loads_only_what_it_needs(look: str, shop: Path) -> None:
    """Also where a model was tuned: its planner is chosen, and not loaded."""
    call = f"import freshet.cli.app as app; assert app.run([*{look.split()!r}, '-w', {str(shop)!r}]) == 0"
    found = _loaded(call, (*NOT_TO_LOOK, *LOOKS[look]))
    assert found == [*LOOKS[look]]  # the check looks at the right thing


@pytest.mark.slow
def test_the_check_of_looks_sees_what_makes_a_table(shop: Path, tmp_path: Path) -> None:
    """Or none of the checks above could fail. It loads no model: nothing has changed since."""
    copied = Path(shutil.copytree(shop, tmp_path / "shop"))
    (tmp_path / "world").symlink_to(shop.parent / "world")
    call = f"import freshet.cli.app as app; assert app.run(['refresh', '-w', {str(copied)!r}]) == 0"
    found = _loaded(call, NOT_TO_LOOK)
    assert {*found} >= {"duckdb", "numba", "freshet.pipeline"}
    assert {"torch", "transformers", "sklearn", "scipy.stats", "altair", "fastapi"}.isdisjoint(found)


def _loaded(code: str, names: tuple[str, ...]) -> list[str]:
    tail = f"import sys; print('loaded', [n for n in {names!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, check=True
    )
    return list(ast.literal_eval(done.stdout.splitlines()[-1].removeprefix("loaded ")))
