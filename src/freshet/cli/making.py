"""`freshet run`, `finetune`, `refresh`, `import`, `collect`, `interests`: commands that make something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli import answers
from freshet.cli.options import HERE, AsJson, Here, Moment, Publish, Wait, answer, moment, opened
from freshet.core.errors import ConfigError, NotServing

if TYPE_CHECKING:
    from freshet.core.ports import UserStore
    from freshet.inspect import Drives
    from freshet.storage.ledger import Record
    from freshet.storage.workspace import Workspace


def add(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("run", epilog="Example: `freshet run -w shop`")(run)
    app.command("finetune", epilog="Example: `freshet finetune -w shop --as-of 2024-05-01`")(finetune)
    app.command("refresh", epilog="Example: `freshet refresh -w shop`")(refresh)
    app.command("import", epilog="Example: `freshet import -w shop new.parquet`")(import_files)
    app.command("collect", epilog="Example: `freshet collect -w shop`")(collect)
    app.command("interests", epilog="Example: `freshet interests -w shop`")(interests)


def run(
    workspace: Here = HERE,
    as_of: Moment = None,
    publish: Publish = False,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Do everything that is due, in order; a killed run continues where it was."""
    from freshet import pipeline

    at = moment(as_of)
    with opened(workspace, wait) as ws, served(ws) as state:
        record = pipeline.run(ws, datetime.now(UTC), at, publish, state)
        _answer(ws, "run", record, as_json)


def finetune(workspace: Here = HERE, as_of: Moment = None, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """The slow path: fine-tune a planner and put it through its gates."""
    from freshet import pipeline

    at = moment(as_of)
    with opened(workspace, wait) as ws:
        _answer(ws, "finetune", pipeline.finetune(ws, at), as_json)


def refresh(
    workspace: Here = HERE,
    as_of: Moment = None,
    publish: Publish = False,
    wait: Wait = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be inferred and what it should cost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The fast path: evidence, a plan, inference of the rows that changed, checks, a release."""
    from freshet import operations, pipeline

    if dry_run and publish:
        raise ConfigError("--dry-run publishes nothing, so --publish can't go with it", hint="leave one out")
    at = moment(as_of)
    with opened(workspace, wait) as ws, served(ws) as state:
        today = datetime.now(UTC) if state is not None else None
        if dry_run:
            record = operations.plan(ws, at, today)
        else:
            record = pipeline.refresh(ws, at, publish, today, state)
        _answer(ws, "refresh", record, as_json)


def import_files(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Event files; the configured ones by default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The files' days hold the files' events and nothing else.")
    ] = False,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Only import events; importing a file twice changes nothing."""
    from freshet import operations
    from freshet.cli import show

    with opened(workspace, wait) as ws:
        record, found = operations.import_log(ws, datetime.now(UTC), files or None, replace)
    document = answers.imported(record, found)
    answer(document, as_json, lambda console: show.imports(console, found))


def collect(workspace: Here = HERE, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Take what serving was told into the log, and what it showed into files; `run` does this first."""
    from freshet import operations
    from freshet.cli import show

    with opened(workspace, wait) as ws, served(ws) as state:
        if state is None:
            raise NotServing(
                f"{ws.root} has never been served: there is nothing to collect",
                hint="`freshet serve` remembers what it is told",
            )
        record, collected = operations.collect(ws, state, datetime.now(UTC))
    document = answers.collected(record, collected)
    answer(document, as_json, lambda console: show.collected(console, collected))


@contextmanager
def served(ws: Workspace) -> Iterator[UserStore | None]:
    """What serving the workspace remembers, None where it was never served."""
    from freshet.wiring import existing_user_store

    state = existing_user_store(ws.root, ws.config)
    try:
        yield state
    finally:
        if state is not None:
            state.close()


def interests(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Form them anew; ids are kept where clusters overlap.")
    ] = False,
    as_of: Moment = None,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """List the interests, formed first if there are none."""
    from freshet import inspect, operations
    from freshet.cli import show

    at = moment(as_of)
    with opened(workspace, wait) as ws:
        version = None if rebuild or as_of else inspect.formed(ws)
        made_by = None
        if version is None:
            record, known = operations.form_interests(ws, at, rebuild)
            version, made_by = known.interests_version, record.id
        listed = inspect.listing(ws, version)
    answer(answers.interests(made_by, listed), as_json, lambda console: show.interests(console, listed))


def drives_of(ws: Workspace, record: Record) -> Drives | None:
    """What drives the log, as the table of a run found it."""
    from freshet import inspect
    from freshet.storage.durable import read_json

    tables = [step.artifact for step in record.steps if step.name == "table" and step.artifact]
    if not tables:
        return None
    return inspect.Drives.of(read_json(ws.root / tables[-1] / "mixture.json"))


def _answer(ws: Workspace, command: str, record: Record, as_json: bool) -> None:
    from freshet.cli import show

    drives = drives_of(ws, record)
    answer(answers.ran(command, record, drives), as_json, lambda console: show.ran(console, record, drives))
