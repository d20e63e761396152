"""`freshet batch`: what was written to be asked, sending it, and taking answers in."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.backends.planners.batch.batch_index import BatchIndex, OpenFile
    from freshet.backends.planners.batch.batches import Taken
    from freshet.core.types import Usage
    from freshet.storage.ledger import Run
    from freshet.storage.workspace import Workspace

Results = Annotated[list[Path], typer.Argument(metavar="FILE", help="Results as the provider gave them.")]
Number = Annotated[int, typer.Argument(metavar="BATCH", min=1, help="Its number.")]


def listed(context: typer.Context, workspace: Here = HERE, as_json: AsJson = False) -> None:
    """Batches of requests to a planner: list them, send them, take their answers in."""
    if context.invoked_subcommand is None:
        with opened(workspace) as ws:
            _answer(ws, {}, as_json)
    elif workspace != HERE or as_json:
        raise ConfigError(
            f"-w and --json before {context.invoked_subcommand!r} would be for the list of batches",
            hint=f"write them after it: `freshet batch {context.invoked_subcommand} -w ...`",
        )


def submit(workspace: Here = HERE, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Send the files that were not sent yet to the provider that [planner] batch names.

    A file that may have been sent, but whose answer was lost, is looked up first: nothing is paid twice.
    """
    from freshet.backends.planners.batch import sending
    from freshet.wiring import batch_service, open_batches

    with opened(workspace, wait) as ws:
        service = batch_service(ws.config)
        with ws.run("batch submit") as run:
            sent = sending.submit(open_batches(ws.root), service, ws.config.planner.batch, run.say)
        content = [{"batch": one.file.batch, "file": one.file.name, "id": one.remote} for one in sent]
        _answer(ws, {"sent": content}, as_json)


def fetch(workspace: Here = HERE, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Ask the provider how far the batches are, and take in the answers of those that ended."""
    from freshet.backends.planners.batch import sending
    from freshet.wiring import batch_service, open_batches

    with opened(workspace, wait) as ws:
        service = batch_service(ws.config)
        with ws.run("batch fetch") as run:
            taken, _ = sending.fetch(open_batches(ws.root), service, ws.config.planner.batch, run.say)
            _record(run, taken)
        _answer(ws, {"taken": asdict(taken)}, as_json)


def read(files: Results, workspace: Here = HERE, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Take in files of results that came another way; what was taken in before changes nothing.

    Lines may come in any order, from several batches and providers. Requests without a line stay open:
    `freshet batch close` says that no more will come.
    """
    from freshet.backends.planners.batch.batches import Taken
    from freshet.wiring import open_batches

    with opened(workspace, wait) as ws:
        batches, taken = open_batches(ws.root), Taken()
        with ws.run("batch read") as run:
            for path in files:
                taken.add(batches.take(path))
            _record(run, taken)
        _answer(ws, {"taken": asdict(taken)}, as_json)


def close(batch: Number, workspace: Here = HERE, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Say that no more answers of a batch will come: what it lacks is asked again in the next one."""
    from freshet.wiring import open_batches

    with opened(workspace, wait) as ws:
        index = open_batches(ws.root).index
        files = [file for file in index.files() if file.batch == batch]
        if not files:
            raise ConfigError(f"there is no batch {batch}", hint="`freshet batch` lists them")
        with ws.run(f"batch close {batch}") as run:
            lost = sum(index.close(batch, file.name, "unasked", "closed by hand") for file in files)
            run.say(f"batch {batch}: {lost:,} requests without an answer will be asked again")
        _answer(ws, {"closed": batch, "asked_again": lost}, as_json)


def _record(run: Run, taken: Taken) -> None:
    """Put what answers cost into the ledger: once, when they are taken in."""
    from freshet.core.types import Usage

    with run.step("answers") as step:
        step.add(Usage(taken.read + taken.written, written=taken.written, requests=taken.answered))
        step.details = asdict(taken)
    run.say(
        f"{taken.answered:,} answers are new, {taken.repeated:,} were there, {taken.failed:,} failed, "
        f"{taken.unasked:,} were never asked, {taken.unknown:,} are of no batch of this workspace, "
        f"{len(taken.unreadable):,} lines can't be read"
    )
    for problem, times in sorted(taken.problems.items(), key=lambda one: -one[1])[:3]:
        run.say(f"  {times:,} times: {problem}")
    for name, line, reason in taken.unreadable[:3]:
        run.say(f"  {name}, line {line}: {reason}")


def _answer(ws: Workspace, content: dict[str, Any], as_json: bool) -> None:
    from freshet.wiring import open_batches

    index = open_batches(ws.root).index
    files, expected = index.files(), index.expected()
    whole = Counter[int]()
    for file in files:
        whole[file.batch] += file.requests
    found = [
        _file(ws, index, file, expected[file.batch], file.requests / whole[file.batch]) for file in files
    ]
    everything = {**content, "files": found, "next": _next(ws, files)}
    answer(document("batch", everything), as_json, lambda console: _show(console, ws, everything))


def _file(ws: Workspace, index: BatchIndex, file: OpenFile, expected: Usage, share: float) -> dict[str, Any]:
    """One file, with its share of what its batch should cost."""
    tokens, written = round(expected.tokens * share), round(expected.written * share)
    prices = ws.config.prices
    read = prices.per_million_tokens
    price = (tokens - written) * read + written * (prices.per_million_tokens_written or read)
    path = index.folder(file.batch) / file.name
    problems = index.problems(file.batch)[:3]
    return {
        "batch": file.batch,
        "file": path.relative_to(ws.root).as_posix(),
        "layout": file.layout,
        "model": file.model,
        "state": file.state,
        "id": file.remote,
        "requests": file.requests,
        "answered": file.answered,
        "failed": file.failed,
        "unasked": file.unasked,
        "open": file.open,
        "expected": {"tokens": tokens, "written": written, "money": price / 1e6},
        "problems": [{"problem": problem, "times": times} for problem, times in problems],
    }


def _next(ws: Workspace, files: list[OpenFile]) -> str:
    """What to do now."""
    from freshet import due

    if any(file.open and file.state in ("written", "sending") for file in files):
        return "`freshet batch submit` sends what is written; other results: `freshet batch read`"
    if any(file.open for file in files):
        return "`freshet batch fetch` looks for answers"
    waiting = due.pending_run(ws)
    if waiting is None:
        return "nothing is open"
    moment = "" if waiting.newest else f" --as-of {waiting.as_of}"
    return f"`freshet {waiting.command.split()[0]}{moment}` goes on as of {waiting.as_of}"


def _show(console: Console, ws: Workspace, content: dict[str, Any]) -> None:
    from freshet.cli import show

    drawn = show.table(
        ">batch", "file", "layout", "state", ">requests", ">answered", ">failed", ">not asked", ">open",
        ">tokens expected", f">{ws.config.prices.currency}",
    )  # fmt: skip
    for file in content["files"]:
        numbers = [file[key] for key in ("requests", "answered", "failed", "unasked", "open")]
        drawn.add_row(
            str(file["batch"]),
            file["file"].rpartition("/")[2],
            file["layout"],
            file["state"],
            *(f"{number:,}" for number in numbers),
            f"{file['expected']['tokens']:,}",
            f"{file['expected']['money']:.2f}",
        )
    if content["files"]:
        console.print(drawn)
    for number in sorted({file["batch"] for file in content["files"] if file["problems"]}):
        problems = next(file["problems"] for file in content["files"] if file["batch"] == number)
        for one in problems:
            show.line(console, f"batch {number}, {one['times']:,} times: {one['problem']}")
    show.line(console, content["next"])
