"""Section on what is given away on each publication: [export]."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from freshet.core.config.endpoint_url import KEY_NAME, check_server
from freshet.core.config.section import Section


def _webhook(url: str) -> str:
    """Raises ValueError where no message can be sent to it."""
    if url:
        example = "expected a url such as https://example.org/hooks/freshet"
        check_server(url, "the url", example, "messages are signed instead (webhook_secret_env)", query=True)
    return url


class ExportConfig(Section):
    """Where each release is given to when it is published, or rolled back to."""

    to: tuple[str, ...] = Field(
        (),
        description="places: `redis://host:6379/0?prefix=shop`; a file that ends in `.freshet` (binary "
        "layout), or a folder (Parquet), from the workspace or at `s3://`, `gs://`, `az://`",
    )
    keep_seconds: int = Field(
        600, ge=1, description="in Redis, the release before stays so long, for readers that began on it"
    )
    webhook: Annotated[str, AfterValidator(_webhook)] = Field(
        "", description="URL that is told of each publication and rollback; empty = none"
    )
    webhook_secret_env: str = Field(
        "FRESHET_WEBHOOK_SECRET",
        pattern=KEY_NAME,
        description="environment variable with the secret that signs messages; empty = they are not signed",
    )
    timeout_seconds: float = Field(
        10.0, gt=0, le=60, description="how long the webhook may keep silent before it is tried again"
    )
