"""The layouts of batch files, against the shapes that providers document."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from freshet.backends.planners.batch.anthropic_layout import AnthropicLayout
from freshet.backends.planners.batch.gemini_layout import GeminiLayout
from freshet.backends.planners.batch.layout import BadLine, Limits, Result
from freshet.backends.planners.batch.openai_layout import OpenAILayout
from freshet.backends.planners.batch.request_files import split
from freshet.backends.planners.batch.result_files import results_of
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest
from freshet.backends.planners.endpoint.chat_wire import merged
from freshet.core.errors import PlannerError

SCHEMA = {
    "type": "object",
    "properties": {
        "minItems": {"type": "array", "minItems": 2, "maxItems": 5, "items": {"enum": ["A", "B"]}}
    },
    "required": ["minItems"],
    "additionalProperties": False,
}
"""With a property that is called like a keyword."""
MESSAGES = (("system", "Be brief."), ("user", "Which?"), ("assistant", "C"), ("user", "Among A, B."))
REQUEST = ChatRequest(MESSAGES, 40, SCHEMA)
LETTER = ChatRequest((("user", "A or B?"),), 1, None, 5)


def test_openai_lines_hold_the_whole_call() -> None:
    assert OpenAILayout("gpt-4.1-mini", {}).line("r-1", REQUEST) == {
        "custom_id": "r-1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4.1-mini",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Which?"},
                {"role": "assistant", "content": "C"},
                {"role": "user", "content": "Among A, B."},
            ],
            "temperature": 0,
            "max_tokens": 40,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
            },
        },
    }
    body = OpenAILayout("m", {}).line("r-2", LETTER)["body"]
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 5, 1)
    assert "response_format" not in body


def test_gemini_lines_name_no_model_and_keep_to_its_schema_words() -> None:
    line = GeminiLayout({}).line("r-1", REQUEST)
    assert line == {
        "key": "r-1",
        "request": {
            "contents": [
                {"role": "user", "parts": [{"text": "Which?"}]},
                {"role": "model", "parts": [{"text": "C"}]},
                {"role": "user", "parts": [{"text": "Among A, B."}]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {
                "temperature": 0,
                "maxOutputTokens": 40,
                "responseMimeType": "application/json",
                "responseSchema": {name: SCHEMA[name] for name in ("type", "properties", "required")},
            },
        },
    }
    config = GeminiLayout({}).line("r-2", LETTER)["request"]["generationConfig"]
    assert (config["responseLogprobs"], config["logprobs"]) == (True, 5)


def test_anthropic_lines_have_no_temperature_and_a_schema_without_limits() -> None:
    line = AnthropicLayout("claude-x", {}).line("r-1", REQUEST)
    items = {"type": "array", "items": {"enum": ["A", "B"]}}
    assert line == {
        "custom_id": "r-1",
        "params": {
            "model": "claude-x",
            "max_tokens": 40,
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "Which?"},
                {"role": "assistant", "content": "C"},
                {"role": "user", "content": "Among A, B."},
            ],
            "output_config": {
                "format": {"type": "json_schema", "schema": {**SCHEMA, "properties": {"minItems": items}}}
            },
        },
    }
    name = REQUEST.id("planner")
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)


def test_further_fields_are_joined_replaced_and_left_out() -> None:
    more = {"temperature": "", "max_tokens": 2000, "thinking": {"type": "disabled"}}
    params = AnthropicLayout("m", more).line("r", REQUEST)["params"]
    assert params["thinking"] == {"type": "disabled"}
    assert params["max_tokens"] == 2000
    assert "temperature" not in OpenAILayout("m", more).line("r", REQUEST)["body"]
    joined = GeminiLayout({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}).line("r", LETTER)
    assert joined["request"]["generationConfig"]["maxOutputTokens"] == 1
    assert joined["request"]["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}
    before = {"a": {"b": 1}}
    assert merged(before, {"a": {"b": ""}}) == {"a": {}}
    assert before == {"a": {"b": 1}}


def openai(name: str, **body: Any) -> dict[str, Any]:
    return {
        "id": "batch_req_1",
        "custom_id": name,
        "response": {"status_code": 200, "request_id": "req_1", "body": body},
        "error": None,
    }


LOGPROBS = [
    {
        "token": "A",
        "logprob": -0.1,
        "top_logprobs": [
            {"token": "A", "logprob": -0.1, "bytes": [65]},
            {"token": " B", "logprob": -2.5, "bytes": None},
            {"token": "C", "logprob": 1e-9, "bytes": None},
        ],
    }
]

CASES: list[tuple[dict[str, Any], Result]] = [
    (
        openai(
            "a",
            choices=[
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "A"},
                    "logprobs": {"content": LOGPROBS},
                }
            ],
            usage={"prompt_tokens": 22, "completion_tokens": 2, "total_tokens": 24},
        ),
        Result("a", ChatAnswer("A", (("A", -0.1), (" B", -2.5), ("C", 1e-9)), 22, 2)),
    ),
    (
        openai(
            "b",
            choices=[{"message": {"role": "assistant", "content": None, "refusal": "no"}, "logprobs": None}],
        ),
        Result("b", ChatAnswer("")),
    ),
    (
        openai("c", choices=[]),
        Result("c", None, "the answer is no chat completion: IndexError: list index out of range"),
    ),
    (
        {
            "id": "batch_req_2",
            "custom_id": "d",
            "response": {"status_code": 400, "body": {"error": {"message": "unknown\nmodel", "code": "x"}}},
            "error": None,
        },
        Result("d", None, "HTTP 400: unknown model"),
    ),
    (
        {
            "id": "batch_req_3",
            "custom_id": "e",
            "response": None,
            "error": {"code": "batch_expired", "message": "This request could not be executed."},
        },
        Result("e", None, "batch_expired: This request could not be executed.", True),
    ),
    (  # as vLLM 0.32 writes it
        {
            "id": "vllm-84d51a1fc5206ab7",
            "custom_id": "e2",
            "response": {"status_code": 500, "request_id": "vllm-batch-80c916769320d038", "body": None},
            "error": {"error": {"message": "EngineCore died", "type": "InternalServerError", "code": 500}},
        },
        Result("e2", None, "500: EngineCore died"),
    ),
    (
        {
            "key": "f",
            "response": {
                "candidates": [
                    {
                        "content": {
                            "role": "model",
                            "parts": [{"text": "hm", "thought": True}, {"text": '{"a"'}, {"text": ": 1}"}],
                        },
                        "finishReason": "STOP",
                        "logprobsResult": {
                            "chosenCandidates": [{"token": "A", "logProbability": -0.2}],
                            "topCandidates": [
                                {
                                    "candidates": [
                                        {"token": "A", "tokenId": 3, "logProbability": -0.2},
                                        {"token": "B"},
                                    ]
                                }
                            ],
                        },
                    }
                ],
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 6},
            },
        },
        Result("f", ChatAnswer('{"a": 1}', (("A", -0.2),), 9, 10)),
    ),
    (
        {"key": "g", "response": {"promptFeedback": {"blockReason": "SAFETY"}}},
        Result("g", None, "blocked: SAFETY"),
    ),
    ({"key": "h", "error": {"code": 3, "message": "bad"}}, Result("h", None, "bad")),
    ({"key": "i", "error": {"code": 4, "message": "late"}}, Result("i", None, "late", True)),
    (
        {
            "custom_id": "j",
            "result": {
                "type": "succeeded",
                "message": {
                    "content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "B"}],
                    "stop_reason": "end_turn",
                    "usage": {"input_tokens": 5, "cache_read_input_tokens": 90, "output_tokens": 7},
                },
            },
        },
        Result("j", ChatAnswer("B", (), 95, 7)),
    ),
    (
        {
            "custom_id": "k",
            "result": {
                "type": "errored",
                "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}},
            },
        },
        Result("k", None, "errored: bad"),
    ),
    ({"custom_id": "l", "result": {"type": "expired"}}, Result("l", None, "expired", True)),
    ({"custom_id": "m", "result": {"type": "canceled"}}, Result("m", None, "canceled", True)),
]


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[expected.name for _, expected in CASES])
def test_every_line_of_results_is_read_whatever_its_provider(line: dict[str, Any], expected: Result) -> None:
    [(number, found)] = results_of([json.dumps(line).encode() + b"\n"])
    assert (number, found) == (1, expected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"custom_id": "a", "resp', "cut short"),
        (b'{"custom_id": "a", "resp\n', "it is no JSON"),
        (b"[1]\n", "no JSON object"),
        (b'{"custom_id": "a", "method": "POST", "url": "/", "body": {}}\n', "no result"),
        (b'{"custom_id": 7, "response": {}}\n', "no `custom_id`"),
        (b'{"key": null, "response": {}}\n', "no `key`"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe\n", "no JSON"),
    ],
)
def test_lines_of_no_layout_are_told_with_their_number(line: bytes, reason: str) -> None:
    found = list(results_of([b"\n", line]))
    assert [number for number, _ in found] == [2]
    assert isinstance(found[0][1], BadLine)
    assert reason in str(found[0][1])


def test_files_keep_to_both_limits_and_lose_no_line() -> None:
    lines = [(f"r{i}", b"x" * (10 + i)) for i in range(20)]
    for limits in (Limits(3, 10**9), Limits(10**9, 60), Limits(2, 45)):
        found = list(split(lines, limits))
        assert [(name, line) for _, name, line in found] == lines
        numbers = [number for number, _, _ in found]
        assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))
        for number in set(numbers):
            part = [len(line) for of, _, line in found if of == number]
            assert len(part) <= limits.requests
            assert sum(part) <= limits.size
    with pytest.raises(PlannerError, match="request r1 has 70 bytes"):
        list(split([("r0", b"x"), ("r1", b"x" * 70)], Limits(9, 60)))
