"""What clients are told of errors: nothing that names a file or an address."""

from __future__ import annotations

from freshet.core.errors import ArtifactError, FreshetError, StateError
from freshet.http.problems import refusal


def said(error: FreshetError) -> tuple[int, str]:
    found = refusal(error)
    assert found is not None
    return found.status, f"{found.message} {found.hint}"


def test_files_and_addresses_are_kept_to_the_log() -> None:
    status, text = said(
        StateError("Redis at cache.internal:6379 is out of reach", hint="start cache.internal")
    )
    assert status == 503
    assert "cache.internal" not in text
    status, text = said(ArtifactError("/srv/shop/releases/1.json is damaged", hint="see /srv/shop"))
    assert status == 404
    assert "/srv" not in text
    assert said(ArtifactError("release 7 is not open", hint="open releases: 1, 2")) == (
        404,
        "release 7 is not open open releases: 1, 2",
    )
