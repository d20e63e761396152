"""Traces as a collector gets them; nothing waits for one that is away."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import pytest

from freshet.backends.http_json import JsonClient
from freshet.backends.planners.endpoint.chat import ChatRequest
from freshet.backends.planners.endpoint.chat_server import ChatServer
from freshet.backends.planners.endpoint.chat_wire import Dialect
from freshet.backends.telemetry import gen_ai
from freshet.backends.telemetry.otlp_tracer import OtlpTracer
from freshet.core import tracing
from tests.backends.telemetry.collector import Collector
from tests.exports.receiver import Receiver


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        tracer = OtlpTracer(found.url, {"service.name": "freshet", "freshet.workspace": "shop"}, 5.0)
        tracing.trace_with(tracer)
        found.flush = tracer.flush
        yield found
        tracing.trace_with(None)


def test_a_run_is_one_trace_with_a_span_a_step(collector: Collector) -> None:
    with tracing.work("freshet run", {"freshet.run.id": "00007"}) as run:
        with tracing.work("step evidence", {}) as step:
            step["freshet.step.tokens"] = 12
        with pytest.raises(OSError, match="no"), tracing.work("step table", {}):
            raise OSError("no")
        run["freshet.run.outcome"] = "done"
    with tracing.work("freshet run", {}):
        pass
    collector.flush()
    first, second = collector.named("freshet run")
    steps = [*collector.named("step evidence"), *collector.named("step table")]
    assert {step.trace for step in steps} == {first.trace} != {second.trace}
    assert {step.parent for step in steps} == {first.id}
    assert steps[0].attributes["freshet.step.tokens"] == 12
    assert (steps[0].failed, steps[1].failed) == (False, True)
    assert steps[1].attributes["error.type"] == "OSError"
    assert first.attributes == {"freshet.run.id": "00007", "freshet.run.outcome": "done"}
    assert first.resource["service.name"] == "freshet"
    assert first.resource["freshet.workspace"] == "shop"
    assert first.start <= steps[0].start <= steps[0].end <= steps[1].end <= first.end


def test_calls_of_a_planner_belong_to_the_step_and_send_its_context(collector: Collector) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = (
            b'{"choices": [{"message": {"content": "jazz"}, "finish_reason": "stop"}],'
            b'"usage": {"prompt_tokens": 40, "completion_tokens": 3}}'
        )
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with Receiver(answer, answer, 400) as server:
        base = server.url.removesuffix("/hook/secret-path")
        asked = ChatServer(JsonClient(base, "", 5.0), "some-model", Dialect())
        request = ChatRequest((("user", "what next? SECRET-PROMPT"),), 16)
        with (
            tracing.work("freshet refresh", {}),
            tracing.work("step inference", {}),
            ThreadPoolExecutor(2) as threads,
        ):
            for future in [threads.submit(asked.ask, request) for _ in range(2)]:
                assert future.result().text == "jazz"
            with pytest.raises(Exception, match="400"):
                asked.ask(request)
    collector.flush()
    [step] = collector.named("step inference")
    calls = collector.named("chat some-model")
    assert len(calls) == 3
    assert {call.parent for call in calls} == {step.id}
    assert {call.trace for call in calls} == {step.trace}
    sent = [headers["traceparent"] for _, headers, _ in server.taken]
    assert sorted(sent) == sorted(f"00-{call.trace}-{call.id}-03" for call in calls)
    good = [call for call in calls if not call.failed]
    assert len(good) == 2
    assert good[0].attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "some-model",
        "gen_ai.request.max_tokens": 16,
        "gen_ai.usage.input_tokens": 40,
        "gen_ai.usage.output_tokens": 3,
        "server.address": "127.0.0.1",
        "server.port": server._server.server_port,
    }
    assert "SECRET-PROMPT" not in repr(collector.spans)


def test_names_are_those_of_the_conventions() -> None:
    names = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    assert gen_ai.OPERATION == names.GEN_AI_OPERATION_NAME
    assert gen_ai.PROVIDER == names.GEN_AI_PROVIDER_NAME
    assert gen_ai.REQUEST_MODEL == names.GEN_AI_REQUEST_MODEL
    assert gen_ai.MAX_TOKENS == names.GEN_AI_REQUEST_MAX_TOKENS
    assert gen_ai.INPUT_TOKENS == names.GEN_AI_USAGE_INPUT_TOKENS
    assert gen_ai.OUTPUT_TOKENS == names.GEN_AI_USAGE_OUTPUT_TOKENS
    assert {"chat", "text_completion", "embeddings"} <= {one.value for one in names.GenAiOperationNameValues}


def test_a_context_of_others_is_gone_on_with_and_nonsense_is_not(collector: Collector) -> None:
    tracer = tracing.tracer()
    assert tracer is not None
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    tracer.begin("mine", parent, "server", {}).end({})
    tracer.begin("other", "00-nonsense-01", "server", {}).end({})
    collector.flush()
    [mine], [other] = collector.named("mine"), collector.named("other")
    assert (mine.trace, mine.parent) == ("ab" * 16, "cd" * 8)
    assert other.parent == ""
    assert mine.kind == 2  # SPAN_KIND_SERVER


def test_without_a_tracer_nothing_is_made_and_nothing_is_sent() -> None:
    with tracing.work("x", {}) as told, tracing.call("y", {}):
        told["a"] = 1
        assert tracing.call_context() == ""
    with Receiver() as server:
        JsonClient(server.url, "", 5.0).exchange("POST", server.url, b"{}")
    assert "traceparent" not in server.taken[0][1]


def test_a_silent_collector_holds_up_nobody() -> None:
    def silent(_: BaseHTTPRequestHandler) -> None:
        done.wait(20)

    done = threading.Event()
    with Receiver(*[silent] * 50) as server:
        tracer = OtlpTracer(server.url.removesuffix("/hook/secret-path"), {}, 30.0)
        start = time.thread_time()
        for _ in range(10_000):  # more than may wait
            tracer.begin("x", "", "internal", {}).end({})
        made = time.thread_time() - start
        done.set()
    assert made < 20  # of this thread's own processor time: it never waited for an answer


@pytest.mark.slow
def test_a_process_ends_though_its_collector_is_away() -> None:
    code = """
from pathlib import Path
from freshet.core import tracing
from freshet.core.config import TelemetryConfig
from freshet.wiring_telemetry import trace_process
trace_process(TelemetryConfig(endpoint="http://127.0.0.1:1"), Path("."))
with tracing.work("x", {}):
    pass
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
