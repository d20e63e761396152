"""What proxies, browsers and other clients expect of any HTTP service."""

from __future__ import annotations

import gzip
import json
import re
import zlib

import httpx
import pytest

from tests.http.running import SMALL, Running, told

ASK = b'{"interests":1,"items":0}'
SHOP = {"origin": "https://shop.example"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/releases", "/docs", "/openapi.json"])  # fmt: skip
def test_what_can_be_read_has_a_head(alone: Running, path: str) -> None:
    whole, head = alone.client.get(path), alone.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    if path != "/metrics":  # its numbers change
        assert head.headers["content-length"] == whole.headers["content-length"]


def test_a_head_needs_the_key_that_the_whole_does(server: Running) -> None:
    assert httpx.head(f"{server.url}/metrics").status_code == 401
    assert server.client.head("/metrics").status_code == 200


def test_methods_of_a_path_are_told(alone: Running) -> None:
    reply = alone.client.options("/v1/releases")
    assert (reply.status_code, reply.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert alone.client.head("/v1/explore").headers["allow"] == "OPTIONS, POST"
    assert told(alone.client.options("/nothing"), 404)


def packed(server: Running, body: bytes, coding: str = "gzip", path: str = "/v1/explore") -> httpx.Response:
    return server.client.post(path, content=body, headers={"content-encoding": coding})


def test_bodies_may_be_packed(alone: Running) -> None:
    several = gzip.compress(ASK[:9]) + gzip.compress(b"") + gzip.compress(ASK[9:])
    for body, coding in (
        (gzip.compress(ASK), "gzip"),
        (gzip.compress(ASK), "GZIP"),
        (gzip.compress(ASK), "x-gzip"),
        (several, "gzip"),
        (ASK, "identity"),
        (ASK, ""),
    ):
        assert len(packed(alone, body, coding).json()["interests"]) == 1
    events = gzip.compress(json.dumps([{"user": "packed", "item": "i1"}] * 20).encode())
    assert packed(alone, events, path="/v1/events").status_code == 200


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "aws-chunked", "utf-8"])  # fmt: skip
def test_what_is_packed_in_another_way_is_refused(alone: Running, coding: str) -> None:
    reply = packed(alone, gzip.compress(ASK), coding)
    assert "gzip" in told(reply, 415)
    assert reply.headers["accept-encoding"] == "gzip"


def test_what_is_no_gzip_is_refused(alone: Running) -> None:
    whole = gzip.compress(ASK)
    for body in (ASK, whole[:-1], whole[:12], whole + b"x", zlib.compress(ASK), b"\x1f\x8b"):
        assert "gzip" in told(packed(alone, body), 400)
    assert "JSON" in told(packed(alone, b""), 400)


def test_no_more_is_unpacked_than_a_body_may_have(alone: Running) -> None:
    for size in (100_001, 50_000_000):
        assert "100,000 bytes" in told(packed(alone, gzip.compress(b" " * size)), 413)
    bits = b"".join(gzip.compress(b" " * 30_000) for _ in range(9))
    assert "100,000 bytes" in told(packed(alone, bits), 413)
    assert "JSON" in told(packed(alone, gzip.compress(b" " * 100_000)), 400)


def test_pages_of_allowed_sites_may_ask(alone: Running) -> None:
    asked = {**SHOP, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}  # fmt: skip
    before = alone.client.options("/v1/explore", headers=asked)
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == SHOP["origin"]
    assert "POST" in before.headers["access-control-allow-methods"]
    assert "Authorization" in before.headers["access-control-allow-headers"]
    for reply in (
        alone.post("/v1/explore", {}, **SHOP),
        alone.post("/v1/explore", {"usr": 1}, **SHOP),
        alone.client.get("/nothing", headers=SHOP),
    ):
        assert reply.headers["access-control-allow-origin"] == SHOP["origin"]
        assert reply.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in alone.post("/v1/explore", {}).headers


def test_pages_of_other_sites_may_not(alone: Running, server: Running) -> None:
    for one, origin in ((alone, "https://evil.example"), (server, "https://shop.example")):
        asked = {"origin": origin, "access-control-request-method": "POST"}
        reply = one.client.options("/v1/explore", headers=asked)
        assert told(reply, 403)
        assert "access-control-allow-origin" not in reply.headers


def test_the_documents_load_nothing_from_elsewhere(alone: Running) -> None:
    page = alone.client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in page.text.replace("<!doctype html>", "")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        if not link.startswith("data:"):
            found = httpx.get(httpx.URL(f"{alone.url}/docs").join(link))
            assert found.status_code == 200
            assert found.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in page.text


def test_the_page_is_given_packed_or_not(alone: Running) -> None:
    for name, begin in (("swagger-ui-bundle.js", b"/*! For license"), ("swagger-ui.css", b".swagger-ui")):
        replies = [
            alone.client.get(f"/docs/{name}", headers={"accept-encoding": coding})
            for coding in ("gzip", "identity")
        ]
        assert replies[0].content == replies[1].content
        assert replies[0].headers["content-encoding"] == "gzip"
        assert "content-encoding" not in replies[1].headers
        assert replies[0].content.startswith(begin)


def test_a_prefix_of_a_proxy(alone: Running) -> None:
    """Some leave it in the path, some take it away; the document names it either way."""
    servers = [{"url": "/rec"}]
    for path in ("/openapi.json", "/rec/openapi.json"):
        assert alone.client.get(path).json()["servers"] == servers
    for path in ("/rec/docs", "/rec/docs/start.js", "/rec/healthz", "/rec/v1/releases"):
        assert alone.client.get(path).status_code == 200
    for path in ("/recx/healthz", "/rec", "/rec/rec/healthz"):
        assert alone.client.get(path).status_code == 404
    said = {"x-forwarded-prefix": "/api/shop/"}
    assert alone.client.get("/openapi.json", headers=said).json()["servers"] == [{"url": "/api/shop"}]
    assert alone.client.get("/api/shop/healthz", headers=said).status_code == 200
    assert alone.post("/api/shop/v1/explore", {}, **said).status_code == 200
    for bad in ("https://evil.example", "//evil.example", '/a"b', "/a b", "/" + "a" * 300, "a", "/../.."):
        found = alone.client.get("/openapi.json", headers={"x-forwarded-prefix": bad}).json()
        assert found["servers"] == servers


def test_the_prefix_needs_the_same_key(server: Running) -> None:
    said = {"x-forwarded-prefix": "/x"}
    assert httpx.get(f"{server.url}/x/metrics", headers=said).status_code == 401


def test_without_a_prefix_none_is_named(server: Running) -> None:
    assert "servers" not in server.client.get("/openapi.json").json()


def test_events_of_long_ago_are_for_the_import(alone: Running) -> None:
    assert "oldest_event_days" not in SMALL
    old = {"user": "u", "item": "i1", "time": "2015-01-05T10:00:00Z"}
    new = {"user": "u", "item": "i1", "id": "new"}
    for body in (
        old,
        [old],
        [{**old, "time": f"20{year:02}-02-01"} for year in range(10, 25)],
        {**old, "time": 0},
    ):
        refused = told(alone.post("/v1/events", body), 422)
        assert "30 days" in refused
        assert "oldest_event_days" in refused
        assert "freshet import" in refused
    assert "future" in told(alone.post("/v1/events", {**new, "time": "2099-01-01"}), 422)
    found = alone.post("/v1/events", [old, new]).json()
    assert (found["recorded"], found["refused"]) == (1, 1)
    assert "30 days" in found["receipts"][0]["why"]


BAD_NUMBERS = {
    "interests of 5,001 digits": (b'{"interests":' + b"1" * 5001 + b"}", 400),
    "infinite": (b'{"interests":1e999}', 422),
    "no number": (b'{"interests":NaN}', 422),
    "huge": (b'{"release":1e308}', 422),
    "minus zero": (b'{"interests":-0.0}', 422),
    "half a surrogate": (b'{"user":"\\ud800"}', 400),
    "half a surrogate as a name": (b'{"\\ud800":1}', 400),
    "half a surrogate in UTF-8": (b'{"user":"\xed\xa0\x80"}', 400),
    "twice": (b'{"user":"a","user":"b"}', 400),
    "twice, deeper": (b'{"attributes":{"a":"1","a":"1"}}', 400),
    "deep": (b'{"attributes":' * 5000, 400),
    "a long name": (b'{"' + b"x" * 90_000 + b'":1}', 422),
    "two marks of order": (b"\xef\xbb\xbf\xef\xbb\xbf{}", 400),
}


@pytest.mark.parametrize("name", BAD_NUMBERS)
def test_questions_that_nobody_can_mean(alone: Running, name: str) -> None:
    body, status = BAD_NUMBERS[name]
    assert len(alone.problem("/v1/explore", body, status)) < 1000


@pytest.mark.parametrize(
    "field",
    ['"value":1e999', '"value":-Infinity', '"value":' + "9" * 400, '"value":' + "9" * 5001, '"columns":{"a":' + "9" * 400 + "}", '"columns":{"a":1,"a":2}', '"time":NaN', '"time":' + "9" * 400, '"time":1e300', '"time":true', '"time":"9999-12-31T23:59:59-23:59"', '"time":"0001-01-01T00:00:00+23:59"', '"time":"²026-01-01"', '"time":"２０２６-01-01"', '"time":"2026-01-01T00:00:00+99:99"', '"time":"2026-11-28T23:59:60Z"', '"id":"\\udfff"'],
    ids=lambda field: field[:30],
)  # fmt: skip
def test_events_that_nobody_can_mean(alone: Running, field: str) -> None:
    reply = alone.post("/v1/events", f'{{"user":"u","item":"i",{field}}}'.encode())
    assert reply.status_code in (400, 422)
    assert told(reply, reply.status_code)
