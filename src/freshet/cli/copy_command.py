"""`freshet copy`: the same workspace on a laptop and in a bucket."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import AsJson, answer

if TYPE_CHECKING:
    from rich.console import Console


def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="A workspace: its folder, or s3://, gs://, az://.")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="Where it is to be; nothing may be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy a workspace between a folder and a bucket: `freshet copy shop s3://lake/shop`, or back.

    What serving remembers, caches and the results of replays stay where they are.
    """
    from freshet.cli.screen import Screen
    from freshet.wiring_buckets import copy_workspace

    with Screen() as screen:
        copied = copy_workspace(source, target, screen)

    def show(console: Console) -> None:
        release = "no release yet" if copied.release is None else f"release {copied.release} is current"
        console.print(
            f"copied {copied.files:,} files, {copied.bytes / 1e6:,.1f} MB, to {target}: {release}",
            soft_wrap=True,
        )
        console.print(f"next: freshet status -w {target}", soft_wrap=True)

    answer(document("copy", {"source": source, "target": target, **asdict(copied)}), as_json, show)
