"""Writing a `freshet.toml`: only the keys that were chosen, each under its description."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from freshet.core import safe_names
from freshet.core.config import Config, Events, parse
from freshet.core.errors import ConfigError
from freshet.core.urls import Location, Url, location
from freshet.stages.events import brings_items
from freshet.stages.events import parse as parse_rule
from freshet.stages.events.formats import event_source, item_source
from freshet.storage.durable import write_text
from freshet.wiring import SETTINGS, sources

Chosen = Mapping[str, Mapping[str, Any]]
"""Section -> key -> value; a section within a section is named `events.columns`."""

HEAD = "# A Freshet workspace. Keys that are not here have the defaults of docs/reference/configuration.md.\n"
_ITEM_COLUMNS = {"items.item": "item", "title": "title", "text": "text"}
_EVENT_COLUMNS = ("user", "item", "time", "value", "id")


def write(root: Path, chosen: Chosen, force: bool = False) -> Path:
    """Check and write the settings of a new workspace; returns the file.

    Raises:
        ConfigError: a value is wrong, or there is a file already and not `force`.
        InputError: an event or item file is not there.
    """
    path = root / SETTINGS
    text = render(chosen)
    config = parse(text, "the chosen options")
    parse_rule(config.events.positive)
    _found(root, config.events)
    try:
        write_text(path, text, exclusive=not force)
    except FileExistsError:
        raise ConfigError(
            f"{path} exists already", hint="edit it, or move it aside; --force would overwrite it"
        ) from None
    return path


def render(chosen: Chosen) -> str:
    """The file's text."""
    parts = [HEAD]
    for section, values in chosen.items():
        if not values:
            continue
        model = _model(section)
        lines = [f"[{section}]"]
        for key, value in values.items():
            lines.append(f"# {model.model_fields[key].description}")
            lines.append(f"{key} = {_toml(value)}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def columns(pairs: Sequence[str]) -> dict[str, dict[str, str]]:
    """`--column user=customer` as sections of the settings.

    Raises:
        ConfigError: it is no pair, or there is no such part.
    """
    events: dict[str, str] = {}
    items: dict[str, str] = {}
    for pair in pairs:
        part, sign, name = pair.partition("=")
        if sign and part in _EVENT_COLUMNS:
            events[part] = name
        elif sign and part in _ITEM_COLUMNS:
            items[_ITEM_COLUMNS[part]] = name
        else:
            known = ", ".join((*_EVENT_COLUMNS, *_ITEM_COLUMNS))
            raise ConfigError(f"--column '{pair}' is not PART=NAME", hint=f"PART is one of {known}")
    return {"events.columns": events, "events.item_columns": items}


def novelty(text: str) -> int | str:
    """`--novelty-days`: a number of days, or `ever`.

    Raises:
        ConfigError: it is neither.
    """
    if text == "ever":
        return text
    days = safe_names.number(text)
    if days is None:
        raise ConfigError(
            f"--novelty-days {safe_names.shortened(text)} is neither a number of days nor 'ever'"
        )
    return days


def from_workspace(file: Location, root: Path) -> str:
    """A path as the settings hold it: absolute if it was, else relative to the workspace; a URL as it is."""
    if isinstance(file, Url) or file.is_absolute():
        return str(file)
    return os.path.relpath(Path.cwd().resolve() / file, root.resolve())


def _found(root: Path, settings: Events) -> None:
    def there(name: str) -> Location:  # the workspace may not exist yet, so its `..` must go
        found = location(name)
        return found if isinstance(found, Url) else Path(os.path.normpath(root.resolve() / found))

    store = sources()
    for name in settings.files:
        source = there(name)
        event_source(source, store, settings.layout)
        if not settings.items and brings_items(source, store, settings.layout):
            item_source(source, store, settings.layout)
    if settings.items:
        item_source(there(settings.items), store, settings.layout)


def _model(section: str) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for name in section.split("."):
        annotation = model.model_fields[name].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return model


def _toml(value: Any) -> str:
    """TOML's strings, numbers, truth values and arrays of them are JSON's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
