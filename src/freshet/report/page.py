"""Writing the page: every section's facts, one template, one file."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from freshet.core.escaping import visible
from freshet.report import (
    answer,
    clusters,
    drivers,
    examples,
    judged,
    log,
    movement,
    origins,
    refreshes,
    words,
)
from freshet.report.subject import Subject
from freshet.storage.durable import write_text
from freshet.storage.workspace import Workspace

_HERE = Path(__file__).parent
STYLE = _HERE / "style.css"


def write_report(ws: Workspace, into: Path) -> Path:
    """Write the page about a workspace; equal workspaces give equal bytes.

    Args:
        into: the file to write, or a folder that receives `report.html`. Outside of the workspace the umask
            says who may read it.

    Returns:
        The file written. It needs no network, no scripts and no other file.
    """
    path = into / "report.html" if into.is_dir() else into
    inside = path.resolve().is_relative_to(ws.root.resolve())
    write_text(path, render(Subject.of(ws)), private=inside)
    return path


def render(subject: Subject) -> str:
    """The page as text; everything that came from the log is escaped."""
    template = templates().get_template("page.html")
    return template.render(
        name=subject.ws.root.resolve().name,
        style=Markup(STYLE.read_text(encoding="utf-8")),
        answer=answer.gather(subject),
        drivers=drivers.gather(subject),
        clusters=clusters.gather(subject),
        movement=movement.gather(subject),
        refreshes=refreshes.gather(subject),
        judged=judged.gather(subject),
        examples=examples.gather(subject),
        data=log.gather(subject),
        origins=origins.gather(subject),
    )


def _shown(value: object) -> object:
    """What a template writes; text of others does nothing there but being read."""
    return visible(value) if type(value) is str else value


def templates(*folders: Path) -> jinja2.Environment:
    """Templates of these folders and the page's own, with what formats numbers."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, _HERE]),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for show in (words.percent, words.number, words.fixed, words.seconds, words.money, words.day):
        found.filters[show.__name__] = show
    found.globals["several"] = words.several
    return found
