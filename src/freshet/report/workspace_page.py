"""The page of `freshet report`: what every section gathers about a workspace, and one template."""

from __future__ import annotations

from pathlib import Path

from freshet.report.data_sections import gather_data, gather_origins
from freshet.report.drift_section import gather_drift
from freshet.report.interest_sections import gather_examples, gather_interests
from freshet.report.page_template import render_page
from freshet.report.ranking_sections import gather_gates, gather_weights
from freshet.report.refresh_section import gather_refreshes
from freshet.report.subject import Subject
from freshet.report.summary_section import gather_summary
from freshet.storage.durable import write_text
from freshet.storage.workspace import Workspace


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
    write_text(path, render_workspace(Subject.of(ws)), private=inside)
    return path


def render_workspace(subject: Subject) -> str:
    """The page as text; everything that came from the log is escaped."""
    return render_page(
        "workspace.html",
        name=subject.ws.root.resolve().name,
        answer=gather_summary(subject),
        weights=gather_weights(subject),
        interests=gather_interests(subject),
        drift=gather_drift(subject),
        refreshes=gather_refreshes(subject),
        gates=gather_gates(subject),
        examples=gather_examples(subject),
        data=gather_data(subject),
        origins=gather_origins(subject),
    )
