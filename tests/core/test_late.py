"""Packages whose names are imported late."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import freshet
from freshet.core.late import _places

SOURCE = Path(freshet.__file__).parent
LATE = sorted(
    ".".join(("freshet", *path.parent.relative_to(SOURCE).parts))
    for path in SOURCE.rglob("__init__.py")
    if "late(__name__)" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", LATE)
def test_every_name_is_found(name: str) -> None:
    package = importlib.import_module(name)
    places = _places(name)
    assert places
    assert {*places} <= {*package.__all__}
    for one, (module, its_name) in places.items():
        assert getattr(package, one) is getattr(importlib.import_module(module), its_name)


@pytest.mark.parametrize("name", LATE)
def test_no_name_is_that_of_a_module_beside_it(name: str) -> None:
    """Who imported the module first would find it in the name's place."""
    folder = Path(str(importlib.import_module(name).__file__)).parent
    beside = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir()}
    assert beside.isdisjoint(_places(name))


def test_another_name_is_an_error_that_names_it() -> None:
    package = importlib.import_module("freshet.inspect")
    with pytest.raises(AttributeError, match=r"'freshet\.inspect' has no attribute 'nothing'"):
        _ = package.nothing
    assert len(LATE) > 10
