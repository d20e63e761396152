"""The README is short enough to be read, and names commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

from freshet.cli.app import command_line

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_can_be_read_in_a_few_minutes() -> None:
    assert len(TEXT.split()) <= 700
    assert max(map(len, TEXT.splitlines())) <= 130


def test_its_commands_exist() -> None:
    commands = {command.name for command in command_line().registered_commands}
    used = re.findall(r"^freshet (\w+)", TEXT, re.MULTILINE)
    assert used
    assert set(used) <= commands
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    made = re.findall(r"\bmake (\w+)", TEXT)
    assert {"demo", "test", "docs"} <= set(made) <= set(targets)


def test_its_figures_are_those_of_the_findings() -> None:
    findings = (ROOT / "docs" / "explanation" / "findings.md").read_text(encoding="utf-8")
    figures = re.findall(r"[+-]\d[\d.]*\*{0,2} \[[^\]]+\]", TEXT)
    assert len(figures) == 9
    for figure in figures:
        assert figure in findings, figure
