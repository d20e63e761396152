"""Documents keep up with the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

from freshet.cli.app import command_line
from freshet.core.config import Config

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "What was measured", "Consequences"]
DAY = r"\d{4}-\d\d-\d\d"


def keys(model: type[BaseModel], path: str = "") -> list[tuple[str, str, str]]:
    """(section, key, description) of every configuration field."""
    found = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += keys(kind, f"{path}.{name}" if path else name)
        else:
            found.append((path, name, field.description or ""))
    return found


def test_every_key_is_documented_in_its_section() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"## `\[(.+?)\]`\n(.*?)(?=\n## |\Z)", text, re.DOTALL))
    sections[""] = text.partition("\n## ")[0]  # keys in front of all sections
    for section, key, description in keys(Config):
        assert re.search(rf"\| `{key}` \| .* \| {re.escape(description)} \|", sections[section]), (
            section,
            key,
        )
    assert sum(body.count("\n| `") for body in sections.values()) == len(keys(Config)), "a key is gone"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere_and_nothing_is_left_to_fill_in(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not re.search(r"^[A-Z]+_TABLES?$", text, re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_has_its_sections_a_status_and_a_line_in_the_index(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")
    number, title = re.match(r"# (\d{4})\. (.+)\n", text).groups()  # type: ignore[union-attr]
    assert decision.name.startswith(f"{number}-")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    status = re.search(r"^\*\*Status:\*\* (.+?)\n\n", text, re.DOTALL | re.MULTILINE).group(1)  # type: ignore[union-attr]
    assert re.match(rf"(accepted|replaced by \[\d{{4}}\]\(\S+\)) on {DAY}", status), status
    later = list(dict.fromkeys(re.findall(r"\[(\d{4})\]\(", status)))
    assert all(other > number for other in later), "a decision is changed by later ones only"
    assert bool(later) == ("amended by" in status or "replaced by" in status)
    word = "replaced" if status.startswith("replaced") else "amended"
    short = f"{word} by {', '.join(later)}" if later else "accepted"
    index = (decision.parent / "index.md").read_text(encoding="utf-8")
    assert f"| [{number}]({decision.name}) | {title} | {short} | " in index


def test_the_index_names_every_decision_once_and_nothing_else() -> None:
    index = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[\d{4}\]\((\S+)\) \|", index, re.MULTILINE) == [path.name for path in DECISIONS]


def test_pages_that_the_code_names_exist() -> None:
    for path in (ROOT / "src").rglob("*"):
        if path.suffix in (".py", ".html"):
            for page in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
                assert (ROOT / page).exists(), (path.name, page)


NAMED = re.compile(
    r"(?<![\w/])((?:src|tests|benchmarks|deploy)/[\w./-]+\.(?:py|service|yaml)|src/freshet/[\w/]+)"
)
MODULE = re.compile(r"`(freshet(?:\.[a-z_]\w*)+)")
TEXTS = [*DOCUMENTS, *(path for folder in ("src", "benchmarks") for path in (ROOT / folder).rglob("*.py"))]


def _is_there(name: str) -> bool:
    """Whether a dotted name is a module of the package, or stands in one."""
    *folders, last = name.split(".")
    place = (ROOT / "src").joinpath(*folders)
    if (place / last).is_dir() or (place / f"{last}.py").exists():
        return True
    code = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return code.exists() and re.search(rf"\b{last}\b", code.read_text(encoding="utf-8")) is not None


def test_files_and_modules_that_a_text_names_exist() -> None:
    gone = []
    for path in TEXTS:
        if path.name == "CHANGELOG.md":
            continue
        text = path.read_text(encoding="utf-8")
        gone += [(path.name, name) for name in NAMED.findall(text) if not (ROOT / name).exists()]
        names = [
            name for name in MODULE.findall(text) if name.rpartition(".")[2] not in ("toml", "json", "db")
        ]
        gone += [(path.name, name) for name in names if not _is_there(name)]
    assert gone == [("log.md", "benchmarks/statistics.py")]  # the entry is about its name


def test_commands_and_options_that_a_page_shows_exist() -> None:
    options = _options(get_command(command_line()), "freshet")
    shown = 0
    for path in DOCUMENTS:
        lines = re.findall(
            r"(?:`|^|[$] |/bin/)(freshet [a-z][^`#\n]*)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        for line in lines:
            words = re.split(r" [|] ", line)[0].split()
            command = words.pop(0)
            while words and f"{command} {words[0]}" in options:
                command += f" {words.pop(0)}"
            assert command != "freshet", (path.name, line)
            used = {
                word.strip("[],.;:()").partition("=")[0] for word in words if word.startswith(("--", "[--"))
            }
            assert used <= options[command], (path.name, line)
            shown += 1
    assert shown > 100


def test_benchmarks_and_options_that_a_page_shows_exist() -> None:
    common = (ROOT / "benchmarks" / "shared.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    shown = re.findall(r"^python (benchmarks/\w+\.py)([^#\n]*)", page, re.MULTILINE)
    assert len(shown) > 20
    for script, arguments in shown:
        code = common + (ROOT / script).read_text(encoding="utf-8")
        assert [o for o in re.findall(r"--[a-z-]+", arguments) if f'"{o}"' not in code] == [], script


def _options(command: Any, name: str) -> dict[str, set[str]]:
    """Options of a command and of all below it, by the command's full name."""
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    found = {name: own | {"--help"}}
    for below in getattr(command, "commands", {}).values():
        found |= _options(below, f"{name} {below.name}")
    return found
