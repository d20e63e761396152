"""Addresses of servers in settings."""

from __future__ import annotations

from urllib.parse import urlsplit

KEY_NAME = r"^([A-Za-z_][A-Za-z0-9_]*)?$"
"""What an environment variable may be called."""


def check_endpoint(endpoint: str, whose: str) -> None:
    """Refuse what is no base URL of a server, without repeating a password it may hold.

    Args:
        whose: the setting that needs it, such as `kind = "openai"`.

    Raises:
        ValueError: it is none.
    """
    example = "expected a url such as https://api.openai.com/v1"
    if not endpoint:
        raise ValueError(f"{whose} needs endpoint: {example}")
    try:
        parts = urlsplit(endpoint)
        secret, whole = parts.username or parts.password, bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise ValueError(f"endpoint is no url: {example}") from None
    if secret:
        raise ValueError("endpoint holds a user or password: put a key in the variable of api_key_env")
    if parts.scheme not in ("http", "https") or not whole or parts.query or parts.fragment:
        raise ValueError(f"endpoint is not the base url of a server: {example}")
