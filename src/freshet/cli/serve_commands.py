"""`freshet serve`, and `freshet keys`, which says who may call it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Call, Here, answer
from freshet.core.errors import MissingExtra
from freshet.core.escaping import json_text, visible

if TYPE_CHECKING:
    from freshet.core.config import Config
    from freshet.http.api_keys import Key, Keyring


SERVING = ("fastapi", "httptools", "prometheus_client", "uvicorn", "uvloop")
"""Libraries that the extra `serve` brings."""


class Scope(StrEnum):
    """What a key allows; each includes those before it."""

    read = "read"
    write = "write"
    admin = "admin"


def serve(
    context: typer.Context,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 = any that is free.")] = 8000,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Serve everyone who reaches the port, without API keys.")
    ] = False,
    root_path: Annotated[
        str, typer.Option("--root-path", metavar="PATH", help="What a proxy leaves before all paths: /shop.")
    ] = "",
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes that answer at the port.")
    ] = 1,
    as_worker: Annotated[bool, typer.Option("--as-worker", hidden=True)] = False,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Serve recommendations over HTTP until told to stop; logs go to stderr, one JSON object per line.

    Follows CURRENT: a publication or a rollback is served within a second, without a failed request.
    """
    from freshet.core.config import load
    from freshet.wiring import SETTINGS

    try:
        from freshet.http.api_docs import checked_prefix
        from freshet.http.api_keys import Keyring
        from freshet.http.listening import check_open

        for library in SERVING:  # another package may have brought some of them
            import_module(library)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"`freshet serve` needs {error.name}", hint="pip install 'freshet[serve]'"
        ) from None

    prefix, host = checked_prefix(root_path), host.strip("[]")  # an IPv6 address, as in a URL
    config = load(workspace / SETTINGS)
    keyring = Keyring(workspace, off=no_auth)
    check_open(keyring, host)
    place = _Place(workspace, host, port, prefix, no_auth)
    if workers > 1 and not as_worker:
        call = context.obj
        debug = ["--debug"] if isinstance(call, Call) and call.debug else []
        _serve_together(place, config, workers, as_json, debug)
    else:
        _serve_alone(place, config, keyring, as_json, as_worker)


@dataclass(frozen=True, slots=True)
class _Place:
    """What is served, and where; see `serve`."""

    workspace: Path
    host: str
    port: int
    prefix: str
    no_auth: bool


def _serve_alone(place: _Place, config: Config, keyring: Keyring, as_json: bool, as_worker: bool) -> None:
    """Answer requests in this process."""
    from freshet.cli.screen import Screen
    from freshet.http.companion import SharedDashboard, companion_of
    from freshet.http.listening import bind
    from freshet.http.server import serve as serve_until_stopped
    from freshet.http.server import warm_up
    from freshet.http.worker_folder import WorkerFolder
    from freshet.http.workers import read_settings
    from freshet.wiring import open_recommender
    from freshet.wiring_streams import live_stream

    told = read_settings() if as_worker else None
    folder = None if told is None else WorkerFolder(Path(told.folder), told.number)
    shared = None if told is None or folder is None else SharedDashboard(folder.dashboard, told.secret)
    root, is_first = place.workspace, folder is None or folder.is_first
    port = place.port if told is None else told.port
    with bind(place.host, port, shared=as_worker) as listener:
        with Screen() as screen:
            screen.say("opening the release")
            recommender = open_recommender(
                root, screen, join=told is None or told.joins, worker=0 if told is None else told.number
            )
            warm_up(recommender)
        name = f"[{place.host}]" if ":" in place.host else place.host
        found = {
            "url": f"http://{name}:{listener.getsockname()[1]}",
            "release": recommender.current,
            "keys": keyring.required,
            "workers": 1,
        }
        serve_until_stopped(
            recommender,
            config.http,
            listener,
            lambda: _announce(found, as_json or as_worker, last=as_worker),
            keyring,
            place.host,
            place.prefix,
            stream=live_stream(root, recommender) if is_first else None,
            companion=companion_of(
                root, config.dashboard, place.host, place.no_auth, config.http.hosts, shared
            ),
            watched=root.absolute() if is_first else None,
            traced=config.telemetry.requests,
            workers=folder,
        )


def _serve_together(place: _Place, config: Config, count: int, as_json: bool, debug: Sequence[str]) -> None:
    """Answer requests in several processes, which this one starts and watches."""
    from freshet.http.companion import secret_of
    from freshet.http.listening import reserve
    from freshet.http.workers import Workers

    options = ["--host", place.host, "--root-path", place.prefix, *(["--no-auth"] if place.no_auth else [])]
    options += ["--json"] if as_json else []
    root = str(place.workspace.absolute())
    # nothing is imported from where the server was started
    command = [sys.executable, "-P", "-m", "freshet", *debug, "serve", "-w", root, *options, "--as-worker"]

    def announce(line: str) -> None:
        found = {key: value for key, value in json.loads(line).items() if key in ("url", "release", "keys")}
        _announce({**found, "workers": count}, as_json)

    with reserve(place.host, place.port) as reserved:
        port, secret = reserved.getsockname()[1], secret_of(config.dashboard)
        workers = Workers(command, count, port, secret)
        code = workers.run(announce)
    if code:
        sys.stdout.write(workers.said)
        raise typer.Exit(code)


def _announce(found: dict[str, Any], as_json: bool, *, last: bool = False) -> None:
    """Say that requests are answered now; one line, since it is not the end of the command.

    Args:
        last: nobody reads on: what a library may print later goes to stderr.
    """
    if as_json:
        sys.stdout.write(json_text(document("serve", found), None) + "\n")
    else:
        who = "with API keys" if found["keys"] else "without API keys"
        several = f", {found['workers']} workers" if found["workers"] > 1 else ""
        typer.echo(
            visible(
                f"release {found['release']} serves at {found['url']} ({who}{several}); see {found['url']}"
            )
        )
    sys.stdout.flush()
    if last:
        os.dup2(2, 1)


def add_key(
    scope: Annotated[
        Scope, typer.Option("--scope", help="read: explore; write: events too; admin: releases too.")
    ] = Scope.read,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="Whose key it is.")] = "",
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Make an API key and show it, this once: only a salted hash is kept."""
    from freshet.http.api_keys import FILE, change_keys, make_key
    from freshet.wiring_buckets import written_back

    _check_workspace(workspace)
    key, text = make_key(scope.value, name, f"{datetime.now(UTC):%Y-%m-%d}")
    with written_back(workspace, FILE):
        change_keys(workspace, lambda known: {**known, key.id: key})
    content = document("keys", {"added": {**_public(key), "key": text}})
    answer(content, as_json, lambda console: console.print(text, soft_wrap=True))


def list_keys(workspace: Here = HERE, as_json: AsJson = False) -> None:
    """The API keys by id, with scope, day and name."""
    from freshet.http.api_keys import load_keys

    _check_workspace(workspace)
    found = list(load_keys(workspace).values())
    content = document("keys", {"keys": [_public(key) for key in found]})
    lines = [
        f"{key.id}  {key.scope:5}  {key.made}  {visible(key.name, lines=False)}".rstrip() for key in found
    ]
    answer(
        content,
        as_json,
        lambda console: console.print("\n".join(lines) or "there are no keys"),
    )


def revoke_key(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `freshet keys list` shows it.")],
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Forget an API key; servers refuse it within a second or two."""
    from freshet.http.api_keys import FILE, change_keys, revoke
    from freshet.wiring_buckets import written_back

    _check_workspace(workspace)
    with written_back(workspace, FILE):
        change_keys(workspace, lambda known: revoke(known, identity))
    content = document("keys", {"revoked": identity})
    answer(content, as_json, lambda console: console.print(f"key {identity} is revoked"))


def _public(key: Key) -> dict[str, str]:
    """A key without what is secret."""
    return {"id": key.id, "name": key.name, "scope": key.scope, "made": key.made}


def _check_workspace(workspace: Path) -> None:
    """Raises ConfigError where there is no workspace, before a file is left there."""
    from freshet.core.config import load
    from freshet.wiring import SETTINGS

    load(workspace / SETTINGS)
