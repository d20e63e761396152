"""Documents keep up with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from freshet.config import Config

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


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
