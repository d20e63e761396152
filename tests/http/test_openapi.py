"""What the OpenAPI document promises holds for generated requests: no server error, no undocumented answer."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth

from tests.http.running import PATIENCE, Running

OPERATIONS = [
    ("POST", "/v1/explore"),
    ("POST", "/v1/explore:batch"),
    ("POST", "/v1/events"),
    ("GET", "/v1/releases"),
    ("POST", "/v1/releases"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]
FEW = settings(
    max_examples=25,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


@pytest.fixture(scope="module")
def documented(server: Running) -> Any:
    refused = [400, 401, 403, 404, 405, 413, 415, 422]  # a list that is too long is too large
    config = SchemathesisConfig.from_dict(
        {"checks": {"negative_data_rejection": {"expected-statuses": refused}}}
    )
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config)


def test_no_operation_is_left_out(documented: Any) -> None:
    found = [found.ok() for found in documented.get_all_operations()]
    assert sorted((one.method.upper(), one.path) for one in found) == sorted(OPERATIONS)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=" ".join)
def test_generated_requests_get_documented_answers(
    documented: Any, server: Running, method: str, path: str, mode: GenerationMode
) -> None:
    """As the schema allows them, and as it doesn't; all of Schemathesis' checks but that of keys."""
    operation = documented[path][method]
    if mode is GenerationMode.NEGATIVE and method == "GET":
        pytest.skip("there is nothing to get wrong")

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        reply = case.call(timeout=PATIENCE, headers=server.auth)
        if reply.status_code == 422 and reply.json()["error"] == "refused":
            return  # no schema says how old an event may be
        case.validate_response(reply, excluded_checks=[ignored_auth])

    ask()
    server.post("/v1/releases", {"release": None})
