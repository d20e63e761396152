"""The dashboard beside the API: `freshet serve` passes its pages on to a process of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from freshet.core.config import DashboardConfig
from freshet.core.errors import ConfigError
from freshet.http.companion import companion_of, is_dashboard
from freshet.http.relaying import head_of
from tests.http.running import PATIENCE, Running, exchanged, request, running


def page(server: Running, path: str = "/dashboard/", **headers: str) -> httpx.Response:
    """A page, once the dashboard has started."""
    end = time.monotonic() + PATIENCE
    while (found := server.client.get(path, headers=headers)).headers.get("refresh"):
        assert found.status_code == 503
        assert "is starting" in found.text
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def test_the_first_page_leads_to_the_dashboard(alone: Running) -> None:
    for path, there in (("/", "/rec/dashboard/"), ("/dashboard", "/rec/dashboard/")):
        found = alone.client.get(path)
        assert (found.status_code, found.headers["location"]) == (303, there)
    assert alone.client.post("/").status_code == 405
    found = page(alone)
    assert found.status_code == 200
    assert 'href="/rec/dashboard/runs"' in found.text
    assert "path=/rec/dashboard" in found.headers["set-cookie"].lower()
    assert page(alone, "/rec/dashboard/runs").status_code == 200


def test_pages_are_passed_on_whole(alone: Running) -> None:
    script = page(alone, "/dashboard/static/htmx.min.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert len(script.content) == int(script.headers["content-length"]) > 50_000
    assert alone.client.head("/dashboard/static/htmx.min.js").content == b""
    assert page(alone, "/dashboard/nothing").status_code == 404
    assert page(alone).headers["x-request-id"]


def test_foreign_hosts_and_pages_get_none(alone: Running) -> None:
    page(alone)
    status, _ = exchanged(alone, request("GET", "/dashboard/", "Connection: close", host="evil.example"))
    assert status == 421
    headers = {"origin": "https://evil.example"}
    assert alone.client.post("/dashboard/logout", headers=headers, data={"a": "b"}).status_code == 403


def test_a_client_can_not_say_who_it_is(alone: Running) -> None:
    scope = {
        "method": "GET",
        "path": "/dashboard/a b%\udcff\r\nX: y",
        "query_string": b"q=1",
        "headers": [(b"x-freshet-client", b"192.0.2.1"), (b"x-forwarded-prefix", b"/evil"), (b"a", b"b")],
        "client": ("127.0.0.1", 5),
    }
    head = head_of(scope, "/rec", 0).decode()
    assert head.startswith("GET /dashboard/a%20b%25%FF%0D%0AX:%20y?q=1 HTTP/1.0\r\n")
    assert "192.0.2.1" not in head
    assert "evil" not in head
    assert "x-freshet-client: 127.0.0.1\r\n" in head
    assert "x-forwarded-prefix: /rec\r\n" in head


def test_it_starts_again_after_it_was_killed(copy: Path) -> None:
    with running(copy) as server:
        page(server)
        (pid,) = (
            int(child)
            for thread in Path(f"/proc/{server.process.pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        )
        os.kill(pid, signal.SIGKILL)
        server.explore(user="u1")
        end = time.monotonic() + PATIENCE
        while page(server).status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert server.stop() == 0


def test_it_can_be_switched_off(copy: Path) -> None:
    with (copy / "freshet.toml").open("a") as settings:
        settings.write("\n[dashboard]\nuse = false\n")
    with running(copy) as server:
        for path in ("/", "/dashboard/"):
            assert server.client.get(path).status_code == 404


def test_who_may_act_without_a_key_depends_on_who_reaches_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = DashboardConfig.model_validate({})
    for host, scope in (("127.0.0.1", "admin"), ("localhost", "admin"), ("0.0.0.0", "read")):
        found = companion_of(tmp_path, on, host, no_auth=True)
        assert found is not None
        assert found.settings.open_scope == scope
        found.end()
    named = companion_of(tmp_path, on, "127.0.0.1", no_auth=True, hosts=["shop.example"])
    assert named is not None
    assert named.settings.open_scope == "read"  # a proxy brings others
    named.end()
    assert (
        companion_of(tmp_path, DashboardConfig.model_validate({"use": False}), "::1", no_auth=False) is None
    )
    shared = DashboardConfig.model_validate({"secret_env": "SESSIONS"})
    with pytest.raises(ConfigError, match="SESSIONS, which is not set"):
        companion_of(tmp_path, shared, "127.0.0.1", no_auth=False)
    monkeypatch.setenv("SESSIONS", "long and random")
    found = companion_of(tmp_path, shared, "127.0.0.1", no_auth=False)
    assert found is not None
    assert found.settings.secret == "long and random"
    found.end()


def test_which_paths_are_its_own() -> None:
    assert all(map(is_dashboard, ("/", "/dashboard", "/dashboard/", "/dashboard/runs/1")))
    assert not any(map(is_dashboard, ("/dashboards", "/v1/dashboard", "/docs", "/healthz")))
