"""Addresses of servers in settings."""

from __future__ import annotations

from urllib.parse import urlsplit

KEY_NAME = r"^([A-Za-z_][A-Za-z0-9_]*)?$"
"""What an environment variable may be called."""


def check_endpoint(endpoint: str, whose: str) -> None:
    """Refuse what is no base URL of a server.

    Args:
        whose: the setting that needs it, such as `kind = "openai"`.

    Raises:
        ValueError: it is none.
    """
    example = "expected a url such as https://api.openai.com/v1"
    if not endpoint:
        raise ValueError(f"{whose} needs endpoint: {example}")
    check_server(endpoint, "endpoint", example, "put a key in the variable of api_key_env")


def check_server(url: str, named: str, example: str, instead: str, *, query: bool = False) -> None:
    """Refuse what is no URL of a server, without repeating a password that it may hold.

    Args:
        named: what it is called in messages.
        example: of a right one.
        instead: where a user and a password belong.
        query: whether it may have a query.

    Raises:
        ValueError: it is none, or holds a user or a password.
    """
    try:
        parts = urlsplit(url)
        secret, whole = parts.username or parts.password, bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise ValueError(f"{named} is no url: {example}") from None
    if secret:
        raise ValueError(f"{named} holds a user or password: {instead}")
    if parts.scheme not in ("http", "https") or not whole or parts.fragment or (parts.query and not query):
        raise ValueError(f"{named} is not the base url of a server: {example}")
