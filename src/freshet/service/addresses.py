"""Who can reach a server, and which web pages may."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_foreign(heads: Mapping[bytes, bytes]) -> bool:
    """Whether a web page that this server did not give sent a request.

    Browsers send `Origin` with what a page posts. A page of another site has another origin; one whose name
    was made to point here (DNS rebinding) has a host that is no name of this machine.
    """
    origin = heads.get(b"origin")
    if origin is None:
        return False
    host = heads.get(b"host", b"")
    name = host.decode("latin-1").rsplit(":", 1)[0] if host[-1:] != b"]" else host.decode("latin-1")
    return origin.partition(b"://")[2] != host or not is_loopback(name.strip("[]"))
