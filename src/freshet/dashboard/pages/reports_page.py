"""Reports: what replays, cadence, drift and experiments said, and their own pages, shut off from this one."""

from __future__ import annotations

from starlette.responses import Response

from freshet.core.errors import ArtifactError
from freshet.dashboard.visit import Page, Values, Visit
from freshet.inspect.report_listing import ReportLine, report, reports

A_PAGE = 20
SHUT_OFF = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}
"""Of a report's own page. It styles itself within, which the dashboard's policy forbids. It runs no script,
sends no form, loads nothing, and counts as a page of nowhere, which can ask the dashboard for nothing."""
MOST_BYTES = 32 * 2**20


def listed(visit: Visit) -> Values:
    """All reports with what they say."""
    found = reports(visit.ws)
    page = max(1, visit.number("page", 1))
    return {
        "lines": found[(page - 1) * A_PAGE : page * A_PAGE],
        "total": len(found),
        "page": page,
        "pages": max(1, -(-len(found) // A_PAGE)),
    }


def shown(visit: Visit) -> Response:
    """A report's own page."""
    name = "/".join(part for part in (visit.text("kind"), visit.text("name")) if part)
    line = report(visit.ws, name)
    return Response(_body(line, name), 200, SHUT_OFF, "text/html; charset=utf-8")


def _body(line: ReportLine | None, name: str) -> bytes:
    if line is None or line.page is None:
        raise ArtifactError(
            f"there is no page of a report {name}", hint="the list of reports has what there is"
        )
    try:
        if line.page.stat().st_size > MOST_BYTES:
            raise ArtifactError(f"{line.page} is larger than a page", hint="open the file itself")
        return line.page.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{line.page} can't be read: {error.strerror}") from None


PAGES = (
    Page("reports", "reports.html", listed, nav="Reports"),
    Page("reports/{kind}", "", shown),
    Page("reports/{kind}/{name}", "", shown),
)
