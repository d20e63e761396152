"""Documents keep up with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

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
