"""`freshet gc`: frees room of what nothing needs any more."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened

if TYPE_CHECKING:
    from rich.console import Console


def gc(
    releases: Annotated[
        int,
        typer.Option("--releases", min=1, metavar="N", help="So many before the current one stay."),
    ] = 5,
    study_days: Annotated[
        int,
        typer.Option(
            "--study-days", min=0, metavar="DAYS", help="Replays, studies and caches untouched so long go."
        ),
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Delete artifacts that no release, run or experiment needs, old releases, leftovers of dead runs."""
    from freshet.cleanup import collect_garbage

    with opened(workspace, wait, makes_way=True) as ws:
        found = collect_garbage(ws, releases, study_days, datetime.now(UTC), dry_run=dry_run)

    def show(console: Console) -> None:
        for what, count in sorted(found.counts.items(), key=lambda one: -found.sizes[one[0]]):
            console.print(f"{found.sizes[what] / 1e6:10,.1f} MB  {count:,} {what}")
        verb = "would be freed" if dry_run else "freed"
        console.print(f"{found.bytes / 1e6:10,.1f} MB  {verb}")
        old = {what: count for what, count in asdict(found.dropped).items() if count and what != "notes"}
        if old:
            dropped = ", ".join(f"{count:,} {what}" for what, count in old.items())
            console.print(f"dropped, older than \\[retention] says: {dropped}", soft_wrap=True)
        gone, kept = (", ".join(map(str, one)) for one in (found.deleted_releases, found.releases))
        if gone:
            console.print(f"nobody can go back to releases {gone}; these stay: {kept}", soft_wrap=True)

    removed = [
        {"what": what, "count": count, "bytes": found.sizes[what]} for what, count in found.counts.items()
    ]
    content = {
        "dry_run": dry_run,
        "run": found.run or None,
        "releases": found.releases,
        "deleted_releases": found.deleted_releases,
        "removed": removed,
        "bytes": found.bytes,
        "dropped": asdict(found.dropped),
    }
    answer(document("gc", content), as_json, show)
