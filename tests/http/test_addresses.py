"""Which addresses are this machine, and which requests a foreign web page had a browser send."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.http.addresses import Visitors, is_loopback
from freshet.http.problems import Refusal
from tests.http.running import Running, exchanged, request, running, told

OURS = Visitors("127.0.0.1", ["Rec.internal", "10.1.1.1", "[fd00::1]"], ["https://shop.example", "https://b.example:8443"])  # fmt: skip


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("shop.example", False), ("", False)],
)  # fmt: skip
def test_loopback(host: str, only_here: bool) -> None:
    assert is_loopback(host) == only_here


def is_ours(visitors: Visitors, *hosts: str) -> bool:
    try:
        visitors.check_host([(b"host", host.encode()) for host in hosts])
    except Refusal:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.1.2.3:9", "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "rec.internal", "REC.internal.:80", "10.1.1.1", "[fd00::1]:8000", "[FD00:0::1]"],
)  # fmt: skip
def test_names_of_this_server(host: str) -> None:
    assert is_ours(OURS, host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8000", "localhost.evil.example", "localhost@evil.example", "evil.example#localhost", "10.0.0.1", "[::2]", "::1", "[::1", "localhost:²", "localhost:", "localhost:123456", "localhost, evil.example", "0.0.0.0", "[::]", "127.0.0.1.evil.example", "127.1", "0x7f.0.0.1", "[localhost]", ".", "..", "localhost..", "rec.internal@x"],
)  # fmt: skip
def test_names_of_others(host: str) -> None:
    assert not is_ours(OURS, host)
    assert not is_ours(OURS, "localhost", host)


def test_a_server_at_all_addresses_goes_by_any_of_them_but_by_no_name() -> None:
    for bound in ("0.0.0.0", "::"):
        everywhere = Visitors(bound)
        assert is_ours(everywhere, "10.0.0.1:8000")
        assert is_ours(everywhere, "[fd00::2]")
        assert is_ours(everywhere, "localhost")
        assert not is_ours(everywhere, "evil.example")
    assert is_ours(Visitors("shop.example"), "shop.example:80")
    assert is_ours(Visitors("::1"), "[::1]")


@pytest.mark.parametrize(
    ("host", "origin", "foreign"),
    [
        ("127.0.0.1:8000", None, False),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", False),
        ("localhost:8000", "HTTP://LOCALHOST:8000", False),
        ("localhost.:8000", "http://localhost:8000", False),
        ("[::1]:8000", "http://[::1]:8000", False),
        ("[::1]:8000", "http://[0::1]:8000", False),
        ("localhost", "http://localhost", False),
        ("localhost:80", "http://localhost", False),
        ("localhost", "https://localhost:443", False),
        ("localhost:8000", "https://shop.example", False),
        ("localhost:8000", "https://SHOP.example.:443", False),
        ("localhost:8000", "https://b.example:8443", False),
        ("localhost:8000", "http://shop.example", True),
        ("localhost:8000", "https://shop.example:444", True),
        ("localhost:8000", "https://b.example", True),
        ("localhost:8000", "https://a.shop.example", True),
        ("localhost:8000", "https://shop.example.evil.example", True),
        ("localhost:8000", "http://evil.example", True),
        ("localhost:8000", "http://localhost:3000", True),
        ("localhost:8000", "http://localhost", True),
        ("localhost:8000", "null", True),
        ("localhost:8000", "", True),
        ("localhost:8000", "localhost:8000", True),
        ("localhost:8000", "http://localhost:8000/", True),
        ("localhost:8000", "http://localhost:8000@evil.example", True),
        ("", "http://evil.example", True),
    ],
)
def test_pages(host: str, origin: str | None, foreign: bool) -> None:
    headers = [(b"host", host.encode())] + ([] if origin is None else [(b"origin", origin.encode())])
    if not foreign:
        OURS.check_page(headers)
        return
    for doubled in (headers, [*headers, (b"origin", f"http://{host}".encode())]):
        with pytest.raises(Refusal, match="another site") as refused:
            OURS.check_page(doubled)
        assert refused.value.status == 403


def test_all_pages_may_ask_where_that_is_said() -> None:
    Visitors("127.0.0.1", origins=["*"]).check_page([(b"host", b"localhost"), (b"origin", b"null")])


REBOUND = {
    "its name": request("GET", "{}", host="evil.example"),
    "its name and our port": request("GET", "{}", host="evil.example:8000"),
    "no name": request("GET", "{}", host=""),
    "a target in full": request("GET", "http://evil.example{}"),
    "a target in full, with TLS": request("GET", "https://evil.example:443{}"),
}


@pytest.mark.parametrize("path", ["/v1/releases", "/metrics", "/docs", "/openapi.json", "/nothing"])
@pytest.mark.parametrize("name", REBOUND)
def test_a_name_that_was_made_to_point_here_reads_nothing(alone: Running, name: str, path: str) -> None:
    status, said = exchanged(alone, REBOUND[name].replace(b"{}", path.encode()))
    assert status == 421
    assert b"[http] hosts" in said


def test_nor_does_it_post(alone: Running) -> None:
    for path in ("/v1/events", "/v1/explore", "/v1/releases"):
        assert "own names" in told(alone.post(path, {}, host="evil.example"), 421)


def test_names_of_ours_are_answered(alone: Running) -> None:
    for host in ("localhost", "LOCALHOST.:1", "[::1]", "rec.internal:8000"):
        assert exchanged(alone, request("GET", "/v1/releases", host=host))[0] == 200
    assert exchanged(alone, request("GET", "http://localhost/v1/releases", host="evil.example"))[0] == 200
    assert exchanged(alone, b"GET /metrics HTTP/1.0\r\n\r\n")[0] == 200
    for path in ("/healthz", "/readyz"):  # of those who ask whether it lives, some name what they like
        assert exchanged(alone, request("GET", path, host="evil.example"))[0] == 200


def test_pages_of_others_ask_nothing_with_keys_and_without(alone: Running, server: Running) -> None:
    for one in (alone, server):
        for origin in ("http://evil.example", "null"):
            assert "[http] origins" in told(one.post("/v1/explore", {}, origin=origin), 403)
        assert one.post("/v1/explore", {}, origin=one.url).status_code == 200
    assert server.post("/v1/explore", {}, host="any.example").status_code == 200


def test_an_address_counts_as_it_was_understood(copy: Path) -> None:
    with running(copy, "--host", "0", "--no-auth") as server:  # all addresses, in short
        assert (
            exchanged(server, request("GET", "/v1/releases", "Connection: close", host="10.1.2.3"))[0] == 200
        )
