"""Requests as spans: those that a caller wants traced, a share of the others, none where nobody collects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alerting.programs import eventually
from tests.backends.telemetry.collector import Collector
from tests.http.running import running

pytestmark = pytest.mark.slow
PARENT = f"00-{'ab' * 16}-{'cd' * 8}-"


def test_a_caller_decides_by_its_context(copy: Path) -> None:
    with Collector() as collector:
        with (copy / "freshet.toml").open("a") as file:
            file.write(f'[telemetry]\nendpoint = "{collector.url}"\nrequests = 0.0\n')
        with running(copy) as server:
            for flag in ("00", "01"):
                reply = server.post("/v1/explore", {"user": "u1"}, traceparent=PARENT + flag)
                assert reply.status_code == 200
            server.client.get("/healthz")  # no context, and no share
            server.post("/v1/explore", b"nonsense", traceparent=PARENT + "01")
            server.client.get("/nowhere/secret", headers={"traceparent": PARENT + "01"})
            spans = eventually(lambda: collector.spans, lambda found: len(found) >= 3)
            assert server.stop() == 0
    assert [span.name for span in spans] == ["POST /v1/explore", "POST /v1/explore", "GET"]
    assert {(span.trace, span.parent) for span in spans} == {("ab" * 16, "cd" * 8)}
    assert [span.attributes["http.response.status_code"] for span in spans] == [200, 400, 404]
    assert "secret" not in repr(spans)
    assert all(span.end > span.start for span in spans)


def test_a_share_of_the_others_is_traced(copy: Path) -> None:
    with Collector() as collector:
        with (copy / "freshet.toml").open("a") as file:
            file.write(f'[telemetry]\nendpoint = "{collector.url}"\nrequests = 1.0\n')
        with running(copy) as server:
            for _ in range(5):
                server.client.get("/healthz", headers={"traceparent": "00-nonsense"})
            spans = eventually(lambda: collector.named("GET /healthz"), lambda found: len(found) >= 5)
            assert server.stop() == 0
    assert len({span.trace for span in spans}) == 5
