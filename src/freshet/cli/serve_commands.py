"""`freshet serve`, and `freshet keys`, which says who may call it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, answer
from freshet.core.errors import MissingExtra
from freshet.core.escaping import json_text, visible

if TYPE_CHECKING:
    from freshet.http.api_keys import Key


class Scope(StrEnum):
    """What a key allows; each includes those before it."""

    read = "read"
    write = "write"
    admin = "admin"


def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 = any that is free.")] = 8000,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Serve everyone who reaches the port, without API keys.")
    ] = False,
    root_path: Annotated[
        str, typer.Option("--root-path", metavar="PATH", help="What a proxy leaves before all paths: /shop.")
    ] = "",
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Serve recommendations over HTTP until told to stop; logs go to stderr, one JSON object per line.

    Follows CURRENT: a publication or a rollback is served within a second, without a failed request.
    """
    from freshet.cli.screen import Screen
    from freshet.core.config import load
    from freshet.wiring import SETTINGS, open_recommender
    from freshet.wiring_streams import live_stream

    try:
        from freshet.http.api_docs import checked_prefix
        from freshet.http.api_keys import Keyring
        from freshet.http.companion import companion_of
        from freshet.http.server import bind, check_open, warm_up
        from freshet.http.server import serve as serve_until_stopped
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"`freshet serve` needs {error.name}", hint="pip install 'freshet[serve]'"
        ) from None

    prefix, host = checked_prefix(root_path), host.strip("[]")  # an IPv6 address, as in a URL
    config = load(workspace / SETTINGS)
    keyring = Keyring(workspace, off=no_auth)
    check_open(keyring, host)
    with bind(host, port) as listener:
        with Screen() as screen:
            screen.say("opening the release")
            recommender = open_recommender(workspace, screen)
            warm_up(recommender)
        found = {
            "url": f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}",
            "release": recommender.current,
            "keys": keyring.required,
        }
        serve_until_stopped(
            recommender,
            config.http,
            listener,
            lambda: _announce(found, as_json),
            keyring,
            host,
            prefix,
            stream=live_stream(workspace, recommender),
            companion=companion_of(workspace, config.dashboard, host, no_auth, config.http.hosts),
            watched=workspace.absolute(),
            traced=config.telemetry.requests,
        )


def _announce(found: dict[str, Any], as_json: bool) -> None:
    """Say that requests are answered now; one line, since it is not the end of the command."""
    if as_json:
        sys.stdout.write(json_text(document("serve", found), None) + "\n")
    else:
        who = "with API keys" if found["keys"] else "without API keys"
        typer.echo(
            visible(f"release {found['release']} serves at {found['url']} ({who}); see {found['url']}")
        )
    sys.stdout.flush()


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
