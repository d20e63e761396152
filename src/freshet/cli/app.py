"""`freshet`: the commands, and the boundary where errors become messages and exit codes.

Exit codes: 0 done · 1 a bug · 2 wrong input · 3 a gate waits for review · 4 a table failed verification ·
5 another run is writing · 6 the disk is full · 7 `doctor` found something that it did not repair ·
8 answers of a planner come later · 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from freshet import __version__
from freshet.cli.commands import app_of
from freshet.cli.options import Call
from freshet.core import priority
from freshet.core.errors import FreshetError
from freshet.core.escaping import json_text, visible
from freshet.storage.durable import write_text
from freshet.storage.permissions import guarded

INTERRUPTED = 130

_OUTSIDE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.EIO,
)  # fmt: skip
"""What the machine refuses; no bug."""

# the base of all complaints about options and arguments; typer itself doesn't export it
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def common(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="FRESHET_DEBUG", help="Show tracebacks of unexpected errors.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - eager, so that no command is needed
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the command."""
    if isinstance(context.obj, Call):
        context.obj.debug = debug
        context.obj.command = context.invoked_subcommand or ""


def command_line(arguments: Sequence[str] = ()) -> typer.Typer:
    """The commands that a call may mean, and the options before them; all commands for none."""
    app = app_of(arguments)
    app.callback()(common)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    priority.permit()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what its encoding doesn't have is shown as an escape
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(given))


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit code. Nothing but an interpreter's own exit is raised."""
    call = Call()
    as_json = "--json" in arguments
    try:
        with guarded():
            code = command_line(arguments)(
                list(arguments), prog_name="freshet", standalone_mode=False, obj=call
            )
    except FreshetError as error:
        return _fail(call, as_json, error.message, error.hint, error.exit_code, error)
    except _UsageError as error:
        text = str(getattr(error, "format_message", error.__str__)())
        if not text:  # no command was given: the help has been shown
            return 2
        command = f"freshet {call.command}".strip()
        return _fail(call, as_json, text[:1].lower() + text[1:], f"see `{command} --help`", 2, error)
    except (KeyboardInterrupt, typer.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # typer takes a file's end for that of what somebody types
            return _fail_of_bug(call, as_json, error.__cause__)
        return _fail(call, as_json, "interrupted", "the same command continues where it was", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, such as `head`
        sys.stdout = None
        return 1
    except OSError as error:
        if error.errno not in _OUTSIDE or not error.filename:
            return _fail_of_bug(call, as_json, error)
        message = f"{error.filename}: {error.strerror}"
        return _fail(call, as_json, message, "see to its permissions, its name, and the disk", 2, error)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug, reported as one
        return _fail_of_bug(call, as_json, error)
    if code == INTERRUPTED:
        return _fail(call, as_json, "interrupted", "the same command continues where it was", code)
    return int(code or 0)


def _fail(
    call: Call, as_json: bool, message: str, hint: str, code: int, error: Exception | None = None
) -> int:
    if as_json:
        problem: dict[str, Any] = {
            "type": type(error).__name__ if error else "Interrupted",
            "message": message,
            "hint": hint,
            "retryable": code == INTERRUPTED or bool(getattr(error, "retryable", False)),
            "exit_code": code,
        }
        document = {"command": call.command, "schema": 1, "error": problem}
        typer.echo(json_text(document))
    lines = [message, hint] if hint else [message]
    # further lines of a message are indented: none of them can pass for one of ours
    typer.echo("error: " + visible("\n".join(lines)).replace("\n", "\n  "), err=True)
    return code


def _fail_of_bug(call: Call, as_json: bool, error: Exception) -> int:
    """An unexpected error: its traceback goes to the screen with --debug, else into a file."""
    trace = "".join(traceback.format_exception(error))
    if call.debug:
        typer.echo(visible(trace), err=True)
        where = "above"
    else:
        where = str(_keep(call, trace))
    message = f"unexpected {type(error).__name__}: {error}"
    return _fail(
        call, as_json, message, f"this is a bug; please report it with the traceback: {where}", 1, error
    )


def _keep(call: Call, trace: str) -> Path:
    root = call.workspace if call.workspace is not None and call.workspace.is_dir() else Path()
    if (root / ".bucket").exists():  # what stands there is what the bucket has, and nothing else
        root = Path()
    folder = root / "runs" if (root / "freshet.toml").exists() else root
    path = folder / f"error-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}.txt"
    arguments = " ".join(sys.argv[1:])
    write_text(path, f"freshet {__version__}: {arguments}\n\n{trace}")
    return path
