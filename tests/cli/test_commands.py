"""docs/reference/cli.md describes every command, its example and every key of its JSON documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from freshet.cli.commands import COMMANDS, app_of
from tests.cli.conftest import answered

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
SHARED = {"run", "drives", "first", "second"}
"""Keys of objects that the section on JSON describes for all."""


def _sections() -> dict[str, str]:
    parts = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].removeprefix("freshet ").strip(): part for part in parts}


def _commands() -> list[typer.models.CommandInfo]:
    return app_of([]).registered_commands


def _keys(value: object) -> set[str]:
    """All keys of a document; what is under a shared, free or keyed-by-data name is left out."""
    if isinstance(value, list):
        return set().union(*(_keys(part) for part in value))
    if not isinstance(value, dict):
        return set()
    free = SHARED | {"quality", "summary", "chosen", "quarantined", "drives_a", "drives_b", "schedule"}
    return set(value).union(*(_keys(part) for key, part in value.items() if key not in free))


@pytest.mark.parametrize("command", _commands(), ids=lambda command: command.name)
def test_every_command_is_documented_with_its_example(command: typer.models.CommandInfo) -> None:
    section = " ".join(_sections()[command.name].split())
    assert command.epilog
    assert command.epilog.removeprefix("Example: ") in section
    assert "JSON" in section


def test_a_call_that_names_a_command_is_given_that_one_alone() -> None:
    names = [name for name, *_ in COMMANDS]
    assert len(set(names)) == len(names)
    whole = app_of([])
    for name in names:
        first, _, second = name.partition(" ")
        alone = app_of(["--debug", *name.split(), "-w", "status"])
        if not second:
            [one] = alone.registered_commands
            [same] = [each for each in whole.registered_commands if each.name == first]
            assert (one.callback, one.epilog) == (same.callback, same.epilog)
            assert not alone.registered_groups
            continue
        assert not alone.registered_commands
        [group] = alone.registered_groups
        assert group.name == first
        assert second in {each.name for each in group.typer_instance.registered_commands}


@pytest.mark.parametrize(
    "call",
    [
        ["status"],
        ["schedule", "--status"],
        ["schedule", "--dry-run", "9"],
        ["explain", "1", "2"],
        ["diff", "1", "2"],
        ["history"],
        ["history", "1"],
        ["interests"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_every_key_is_documented(shop: Path, call: list[str]) -> None:
    documented = set(re.findall(r"`(\w+)`", _sections()[call[0]] + _sections()["JSON"]))
    document = answered(*call, "-w", shop)
    assert _keys(document) - documented == set()


def test_the_shared_objects_are_documented(shop: Path) -> None:
    documented = set(re.findall(r"`(\w+)`", _sections()["JSON"]))
    one = answered("history", "1", "-w", shop)["run"]
    steps = [{key: value for key, value in step.items() if key != "details"} for step in one.pop("steps")]
    drives = answered("status", "-w", shop)["drives"]
    keys = {*one, "steps", "details", *drives}.union(*steps, *drives["features"])
    assert keys - documented == set()
