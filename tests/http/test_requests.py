"""Requests as clients send them, good and bad, to a real server."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta

import pytest

from tests.http.running import Running, told

HUGE = 4_000_001
DAY = timedelta(days=1)


def test_an_event_shows_in_the_next_answer(server: Running, items: list[str]) -> None:
    before = server.explore(user="new", items=0)
    assert before["context"] == []
    receipts = server.post("/v1/events", {"user": "new", "item": items[0], "value": 9}).json()
    assert receipts == {
        "recorded": 1,
        "duplicates": 0,
        "refused": 0,
        "receipts": [{"status": "recorded", "why": ""}],
    }
    after = server.explore(user="new", items=0)
    assert len(after["context"]) == 1
    assert after["context_ids"][0] not in [offer["id"] for offer in after["interests"]]
    assert before["id"] != after["id"]


@pytest.mark.parametrize("ask", [{}, {"history": []}, {"user": "nobody"}, {"history": ["no such item"]}])
def test_who_is_not_known_gets_what_is_popular(server: Running, ask: dict[str, object]) -> None:
    answer = server.explore(**ask)
    assert len(answer["interests"]) == 3
    assert {offer["reason"] for offer in answer["interests"]} <= {"popular", "explored", "live"}
    assert answer["release"] == 2


def test_histories_of_one_and_of_ten_thousand(server: Running, items: list[str]) -> None:
    assert len(server.explore(history=items[:1])["context"]) == 1
    long = (items * 200)[:10_000]
    assert len(server.explore(history=long)["context"]) == 2
    assert "at most 10000 items" in server.problem("/v1/explore", {"history": [*long, items[0]]}, 422)


def test_an_open_release_is_named_or_there_is_none(server: Running) -> None:
    assert server.explore(release=2)["release"] == 2
    assert "release 7 is not open" in server.problem("/v1/explore", {"release": 7}, 404)


def test_a_batch_answers_in_order_and_has_an_end(server: Running, items: list[str]) -> None:
    asks = [{"history": [item], "interests": 1} for item in items[:20]]
    answers = server.post("/v1/explore:batch", asks).json()["answers"]
    alone = [server.explore(**ask)["context"] for ask in asks]
    assert [answer["context"] for answer in answers] == alone
    assert "21 questions" in server.problem("/v1/explore:batch", [{}] * 21, 413)
    assert "at least 1 item" in server.problem("/v1/explore:batch", [], 422)


def test_events_may_come_twice_and_in_any_order(server: Running, items: list[str]) -> None:
    at = datetime(2024, 2, 20, tzinfo=UTC)
    told = [
        {"user": "late", "item": item, "value": 9, "time": (at - days * DAY).isoformat()}
        for days, item in enumerate(items[:6])
    ]
    assert server.post("/v1/events", told).json()["recorded"] == 6
    again = server.post("/v1/events", [*told, {**told[0], "value": 8}]).json()
    assert (again["recorded"], again["duplicates"]) == (0, 7)


def test_a_wrong_clock_is_refused_with_its_reason_and_the_rest_recorded(
    server: Running, items: list[str]
) -> None:
    now = datetime.now(UTC)
    told = [
        {"user": "clock", "item": items[0], "time": (now + 2 * DAY).isoformat()},
        {"user": "clock", "item": items[1], "time": (now + DAY / 2).isoformat()},
        {"user": "clock", "item": " "},
    ]
    found = server.post("/v1/events", told).json()
    assert [receipt["status"] for receipt in found["receipts"]] == ["refused", "recorded", "refused"]
    assert "a day in the future" in found["receipts"][0]["why"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"user=u1", 400, "JSON"),
        (b"[1]", 422, "list.0"),
        (b"{}", 422, "user: Field required"),
        (b'{"user":"u","item":"i","vaule":9}', 422, "vaule: Extra inputs are not permitted"),
        (b"[" * 100_000, 400, "recursion limit"),
        (json.dumps([{"user": "u", "item": "i"}] * 51).encode(), 413, "51 events"),
        (b" " * HUGE, 413, "at most 4,000,000 bytes"),
    ],
    ids=["empty", "cut off", "no UTF-8", "a form", "numbers", "nothing", "a typo", "deep", "many", "huge"],
)
def test_bad_bodies_are_refused_with_their_reason(
    server: Running, body: bytes, status: int, said: str
) -> None:
    assert said in server.problem("/v1/events", body, status)


def test_a_mark_of_utf_8_is_no_part_of_a_body(server: Running) -> None:
    assert server.post("/v1/explore", b'\xef\xbb\xbf{"user":"u1"}').status_code == 200


def test_wrong_methods_and_paths(server: Running) -> None:
    wrong = server.client.get("/v1/explore")
    assert "GET /v1/explore" in told(wrong, 405)
    assert wrong.headers["allow"] == "OPTIONS, POST"
    assert "PUT /v1/releases" in told(server.client.put("/v1/releases"), 405)
    assert "/v1/nothing" in told(server.client.get("/v1/nothing"), 404)
    assert "/v1/explore/" in told(server.client.post("/v1/explore/", json={}), 404)


def test_a_body_without_a_length_is_counted_as_it_comes(server: Running) -> None:
    def parts(count: int):
        yield b'{"user":"' + b"u" * 8
        yield from (b" " * 10_000 if part else b'"' for part in range(count))
        yield b"}"

    assert server.client.post("/v1/explore", content=parts(2)).status_code == 200
    assert "at most" in told(server.client.post("/v1/explore", content=parts(402)), 413)


def begun(server: Running, path: str) -> bytes:
    """A request whose body doesn't come."""
    key = f"Authorization: {server.auth['authorization']}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 100\r\n\r\n{{".encode()


def test_a_client_that_hangs_up_disturbs_nobody(server: Running) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(begun(server, "/v1/events"))
    assert server.client.get("/healthz").json()["status"] == "ok"


def test_request_ids_are_kept_if_sane_and_made_if_not(server: Running) -> None:
    def identity(given: str) -> str:
        return server.client.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"]

    assert identity("trace-7.a:b_c") == "trace-7.a:b_c"
    made = {identity(given) for given in ("", "x" * 65, "a b", '"', "a\tb")}
    assert len(made) == 5
    assert all(len(name) < 20 for name in made)


def test_every_request_leaves_a_line_with_its_id(server: Running) -> None:
    server.post("/v1/explore", {"user": "u1"}, **{"x-request-id": "look-for-me"})
    line = server.logged(lambda line: line.get("request_id") == "look-for-me")
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "POST", "/v1/explore", 200)  # fmt: skip
    assert datetime.fromisoformat(str(line["time"])).tzinfo is not None
    assert "u1" not in json.dumps(line)


def test_metrics_count(server: Running) -> None:
    def measured() -> dict[str, float]:
        text = server.client.get("/metrics").text
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    before = measured()
    server.explore(user="nobody")
    server.post("/v1/events", [{"user": "m", "item": "i"}, {"user": "m", "item": ""}])
    server.post("/v1/events", {"user": "m", "item": "i", "id": "one"})
    server.post("/v1/events", {"user": "m", "item": "i", "id": "one"})
    after = measured()

    def grew(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grew('freshet_requests_total{path="/v1/explore",status="200"}') == 1
    assert grew('freshet_requests_total{path="/v1/events",status="422"}') == 1
    assert grew('freshet_request_seconds_count{path="/v1/explore"}') == 1
    assert grew('freshet_events_total{status="recorded"}') == 1
    assert grew('freshet_events_total{status="duplicate"}') == 1
    assert sum(grew(name) for name in after if name.startswith("freshet_answers_total")) == 1
    assert after["freshet_release"] == 2
    assert after["freshet_table_age_seconds"] > 0


def test_the_documents_tell_of_every_route(server: Running) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/explore",
        "/v1/explore:batch",
        "/v1/events",
        "/v1/releases",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    answer = paths["/v1/explore"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Answer"}
    assert "swagger" in server.client.get("/docs").text
