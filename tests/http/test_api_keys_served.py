"""Who may ask a running server: scopes, revoking, and that nothing is opened by accident."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from freshet.http.api_keys import FILE
from tests.cli.conftest import called
from tests.http.running import Running, running, told

ASK, EVENT = {"user": "u1"}, {"user": "u1", "item": "i1"}


def add_key(root: Path, scope: str) -> dict[str, str]:
    done = called("keys", "add", "-w", root, "--scope", scope, "--name", f"for {scope}", "--json")
    assert done.returncode == 0, done.stderr
    added: dict[str, str] = json.loads(done.stdout)["added"]
    return added


def test_scopes_allow_what_they_say_until_a_key_is_revoked(copy: Path) -> None:
    keys = {scope: add_key(copy, scope) for scope in ("read", "write", "admin")}
    listed = called("keys", "list", "-w", copy)
    assert all(key["id"] in listed.stdout for key in keys.values())
    assert not any(key["key"] in listed.stdout + (copy / FILE).read_text() for key in keys.values())
    with running(copy) as server:
        calls = [
            ("read", "POST", "/v1/explore", ASK),
            ("read", "POST", "/v1/explore:batch", [ASK]),
            ("read", "GET", "/metrics", None),
            ("write", "POST", "/v1/events", EVENT),
            ("admin", "GET", "/v1/releases", None),
            ("admin", "POST", "/v1/releases", {"release": 1}),
            ("admin", "POST", "/v1/releases", {"release": None}),
        ]
        order = ["read", "write", "admin"]
        for needed, method, path, body in calls:
            for scope, key in keys.items():
                reply = server.client.request(
                    method, path, json=body, headers={"authorization": f"Bearer {key['key']}"}
                )
                allowed = order.index(scope) >= order.index(needed)
                assert reply.status_code == (200 if allowed else 403), (path, scope, reply.text)
            for headers in (
                {},
                {"authorization": "Bearer x"},
                {"authorization": "Bearer fk_a_b"},
                {"x-api-key": ""},
            ):
                assert "API key" in told(server.client.request(method, path, json=body, headers=headers), 401)
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert server.client.get(path).status_code == 200
        assert server.post("/v1/explore", ASK, **{"x-api-key": keys["read"]["key"]}).status_code == 200

        for key in keys.values():
            assert called("keys", "revoke", "-w", copy, key["id"]).returncode == 0
        while server.post("/v1/explore", ASK, **{"x-api-key": keys["read"]["key"]}).status_code == 200:
            time.sleep(0.05)
        told(server.post("/v1/explore", ASK), 401)


NEARLY = ("%0A", "%0D%0A", "/", "%2F", "%00", "?", ";", "%20", "%3Fa")


def test_no_path_is_nearly_one_that_needs_a_key(server: Running) -> None:
    """Frameworks match paths loosely ("$" before a line's end): here only the path itself leads anywhere."""
    paths = list(httpx.get(f"{server.url}/openapi.json").json()["paths"])
    assert len(paths) == 7
    for path in [*paths, "/docs", "/openapi.json"]:
        for tail in NEARLY:
            for method, body in (("GET", None), ("POST", {"release": 1}), ("PUT", {}), ("HEAD", None)):
                reply = httpx.request(method, f"{server.url}{path}{tail}", json=body)
                # "?" alone is an empty query: the path itself, which asks for a key or is open to all
                allowed = (200, 401, 405) if tail == "?" else (404,)
                assert reply.status_code in allowed, (method, path, tail, reply.text)
                if tail == "?" and path.startswith("/v1"):
                    assert reply.status_code in (401, 405)
    assert httpx.post(f"{server.url}/v1//releases", json={"release": 1}).status_code == 404
    assert server.explore()["release"] == 2


def test_without_keys_only_this_machine_is_served(copy: Path) -> None:
    refused = called("serve", "-w", copy, "--host", "0.0.0.0", "--port", "0", "--json")
    assert refused.returncode == 2
    error = json.loads(refused.stdout)["error"]
    assert "no API key" in error["message"]
    assert "freshet keys add" in error["hint"]
    with running(copy, "--host", "0.0.0.0", "--no-auth") as server:
        assert server.explore(user="u1")["interests"]
        told(server.post("/v1/explore", ASK, origin="http://evil.example"), 403)
        told(server.post("/v1/explore", ASK, host="evil.example"), 421)
        taken = called("serve", "-w", copy, "--port", server.port)
    assert taken.returncode == 2
    assert f"cannot listen at 127.0.0.1:{server.port}" in taken.stderr


def test_what_cannot_be_served_is_said_at_the_start(copy: Path, tmp_path: Path) -> None:
    missing = called("serve", "-w", tmp_path)
    assert missing.returncode == 2
    assert "freshet.toml not found" in missing.stderr
    (copy / FILE).write_text("{")
    damaged = called("serve", "-w", copy)
    assert damaged.returncode == 2
    assert "keys.json is damaged" in damaged.stderr


@pytest.mark.parametrize("identity", ["nobody", ""])
def test_only_a_known_key_is_revoked(copy: Path, identity: str) -> None:
    done = called("keys", "revoke", "-w", copy, identity)
    assert done.returncode == 2
    assert "there is no key" in done.stderr
