"""A mail server of a few lines: it takes mail by SMTP with STARTTLS, TLS or neither, and keeps it."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class MailServer:
    """One on a free port of this host.

    Attributes:
        security: starttls, tls or none; `login`: user and password that it wants, None = none.
        refuses: addresses that it does not take.
        busy: answers with 451 to all mail.
        taken: (was the connection encrypted, login, sender, recipient, mail).
    """

    folder: Path
    security: str = "starttls"
    login: tuple[str, str] | None = None
    refuses: tuple[str, ...] = ()
    busy: bool = False
    silent: bool = False
    taken: list[tuple[bool, str, str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.certificate = self.folder / "certificate.pem"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*_certified(self.folder))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._talks: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> MailServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listener.close()
        self._thread.join()
        for talk in self._talks:
            talk.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._talks.append(threading.Thread(target=self._talk, args=(connection,), daemon=True))
            self._talks[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        with ExitStack() as opened, suppress(OSError):  # the client may hang up at any time
            self._session(opened.enter_context(connection), opened)

    def _session(self, connection: socket.socket, opened: ExitStack) -> None:
        if self.silent:
            connection.recv(1)
            return
        encrypted = self.security == "tls"
        if encrypted:
            connection = opened.enter_context(self._context.wrap_socket(connection, server_side=True))
        lines: BinaryIO = opened.enter_context(connection.makefile("rb"))

        def say(text: str) -> None:
            connection.sendall(f"{text}\r\n".encode())

        who, sender, recipient = "", "", ""
        say("220 mail.test ESMTP")
        while line := lines.readline():
            word, _, rest = line.decode().strip().partition(" ")
            command = word.upper()
            if command in ("EHLO", "HELO"):
                offers = ["STARTTLS"] if self.security == "starttls" and not encrypted else []
                offers += ["AUTH PLAIN"] if self.login else []
                for offer in ["mail.test", *offers][:-1]:
                    say(f"250-{offer}")
                say(f"250 {['mail.test', *offers][-1]}")
            elif command == "STARTTLS" and not encrypted:
                say("220 go on")
                connection = opened.enter_context(self._context.wrap_socket(connection, server_side=True))
                lines, encrypted = opened.enter_context(connection.makefile("rb")), True
            elif command == "AUTH":
                given = base64.b64decode(rest.split()[-1]).decode().split("\0")[1:]
                right = self.login is not None and tuple(given) == self.login
                who = given[0] if right else ""
                say("235 welcome" if right else "535 5.7.8 wrong user or password")
            elif self.login and not who and command in ("MAIL", "RCPT", "DATA"):
                say("530 5.7.0 log in first")
            elif command == "MAIL":
                sender = rest
                say("451 4.3.0 busy" if self.busy else "250 ok")
            elif command == "RCPT":
                recipient = rest.partition("<")[2].partition(">")[0]
                say("550 5.1.1 nobody here" if recipient in self.refuses else "250 ok")
            elif command == "DATA":
                say("354 go on")
                mail = b""
                while (part := lines.readline()) not in (b".\r\n", b""):
                    mail += part
                self.taken.append((encrypted, who, sender, recipient, mail.decode()))
                say("250 kept")
            else:
                say("221 bye" if command == "QUIT" else "250 ok")
                if command == "QUIT":
                    return


def _certified(folder: Path) -> tuple[Path, Path]:
    """A certificate of `localhost` that nobody but this test trusts, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return public, private
