"""Ports: one for this process alone, or one that several processes of a server share."""

from __future__ import annotations

import socket
import sys

from freshet.core.errors import ConfigError
from freshet.http.addresses import is_loopback
from freshet.http.api_keys import Keyring


def check_open(keyring: Keyring, host: str) -> None:
    """Refuse to serve other machines without keys.

    Raises:
        ConfigError: the address is reached from elsewhere, and there is no key.
    """
    if not (is_loopback(host) or keyring.required or keyring.off):
        raise ConfigError(
            f"{host} is reached from other machines, and there is no API key",
            hint="`freshet keys add` makes one; --no-auth serves everyone who reaches the port",
        )


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Take a port; 0 takes any that is free.

    Args:
        shared: other processes of this user may take it too, if they say the same (`SO_REUSEPORT`): of those
            that listen, the kernel gives every new connection to one, by a hash.

    Raises:
        ConfigError: it can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind((host, port))
    except (OSError, OverflowError) as error:
        taken.close()
        raise ConfigError(f"cannot listen at {host}:{port}: {error}", hint="try another --port") from None
    return taken


def reserve(host: str, port: int) -> socket.socket:
    """Take a port for the workers of one server; whoever reserves it must not listen.

    Raises:
        ConfigError: it can't be had, or another server's workers share it.
    """
    if sys.platform != "linux":  # elsewhere one of the workers would get all connections
        raise ConfigError("several workers at one port need Linux", hint="start one server per port")
    with bind(host, port) as alone:  # refused where anybody has it, even if they would share it
        port = alone.getsockname()[1]
    return bind(host, port, shared=True)
