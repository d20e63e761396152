"""Closes connections on which no request arrives: uvicorn waits for ever for the first, or for its rest."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def impatient(seconds: float) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol, closing a connection whose request is not there `seconds` after it began.

    The first begins with the connection. While the app works at one, it is the app that waits for the body.
    """

    class Impatient(HttpToolsProtocol):
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._wait()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._rest()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._rest()

        def _wait(self) -> None:
            self._rest()
            self._waiting = self.loop.call_later(seconds, self._over)

        def _rest(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _over(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._wait()
            else:
                self.transport.close()

    return Impatient
