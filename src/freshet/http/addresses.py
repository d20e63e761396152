"""Who can reach a server, and which web pages may."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from freshet.http.problems import Refusal

Headers = Iterable[tuple[bytes, bytes]]
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}
HOSTS = 64
"""Values of `Host` that a server knows without reading them again: nearly every request has the same one."""


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(name)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    found = _address(host)
    return host == "localhost" if found is None else found.is_loopback


def host_of(text: str) -> tuple[str, int | None] | None:
    """(name, port) of a `Host`: small letters, no brackets, no dot at the end; None = it is none."""
    match = _HOST.fullmatch(text.lower())
    if match is None:
        return None
    port = match["port"]
    name = match["name"].strip("[]").removesuffix(".")
    found = _address(name)
    if not name or (found is None and match["name"].startswith("[")):
        return None
    return str(found or name), None if port is None else int(port)


class Visitors:
    """Separates requests that a foreign web page had a browser send from those meant for this server.

    A page whose name was made to point here (DNS rebinding) sends a `Host` that is no name of this server. A
    page of another site sends its own `Origin` with what it posts.

    Args:
        bound: the address at which the server listens.
        hosts: further names by which it is called.
        origins: of pages that may send requests although they are not this server's; `*` = all.
    """

    def __init__(self, bound: str, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        own = _address(bound)
        self._anywhere = own is not None and own.is_unspecified
        self._hosts = {_plain(host) for host in (bound, *hosts)}
        self._origins = {_normal(origin) for origin in origins} - {None}
        self._all = "*" in origins
        self._shares = bool(origins)
        self._names_me = lru_cache(HOSTS)(self._is_of_me)

    def check_host(self, headers: Headers) -> None:
        """Refuse what is meant for another host. HTTP/1.0 may name none; no browser speaks that.

        A server that listens at all addresses is called by any of them: rebinding takes a name.

        Raises:
            Refusal: 421.
        """
        for value in _values(headers, b"host"):
            if not self._names_me(value):
                raise Refusal(
                    421,
                    "foreign_host",
                    "without API keys the server answers to its own names only, and `Host` is none of them",
                    "name it in `[http] hosts`, or add a key",
                )

    def check_page(self, headers: Headers) -> None:
        """Refuse what a page of another site sends.

        Raises:
            Refusal: 403.
        """
        origins = _values(headers, b"origin")
        if not origins or (len(origins) == 1 and self.allows(origins[0])):
            return
        if len(origins) > 1 or not _is_same(origins[0], _values(headers, b"host")):
            raise Refusal(
                403,
                "foreign_page",
                "a web page of another site may not ask",
                "name its `Origin` in `[http] origins`",
            )

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may send requests, by the settings."""
        return self._all or _normal(origin) in self._origins

    def cors_headers(self, headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """What tells a browser that a page of another site may read an answer (CORS)."""
        origin = headers.get(b"origin")
        if not self._shares:
            return []
        if origin is None or not self.allows(origin.decode("latin-1")):
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"X-Request-Id, Retry-After"),
        ]

    def _is_of_me(self, host: str) -> bool:
        """Whether a `Host` names this server."""
        found = host_of(host)
        return found is not None and self._is_own(found[0])

    def _is_own(self, name: str) -> bool:
        return is_loopback(name) or name in self._hosts or (self._anywhere and _address(name) is not None)


def _plain(host: str) -> str:
    """A name of the server as `host_of` spells it."""
    name = host.lower().strip("[]").removesuffix(".")
    return str(_address(name) or name)


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for given, value in headers if given == name]


def _normal(origin: str) -> tuple[str, str, int | None] | None:
    """(scheme, name, port), None where an origin is none, such as `null`."""
    scheme, mark, rest = origin.lower().partition("://")
    found = host_of(rest) if mark else None
    return None if found is None else (scheme, found[0], found[1] or _PORTS.get(scheme))


def _is_same(origin: str, hosts: list[str]) -> bool:
    """Whether a page's origin is the host that it sends to."""
    page, target = _normal(origin), host_of(hosts[0]) if len(hosts) == 1 else None
    if page is None or target is None:
        return False
    scheme, name, port = page
    return (name, port) == (target[0], target[1] or _PORTS.get(scheme))
