"""docs/reference/http.md is what the service's OpenAPI document says."""

from __future__ import annotations

from .http_reference import PAGE, openapi, page


def test_the_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(openapi()), "write it anew: python -m tests.documents.http_reference"
