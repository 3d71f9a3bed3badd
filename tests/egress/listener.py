"""A server on a socket that keeps every byte it gets: what is not in ``received`` has not left."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

Answer = bytes | Callable[[bytes], bytes]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass
class Listener:
    """What came in, one item for each connection."""

    port: int
    received: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def listening(
    answer: Answer = OK, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[Listener]:
    """Answer every request with ``answer``, or with what it makes of the request."""
    server = socket.create_server((host, 0))
    kept = Listener(server.getsockname()[1])
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                if over.is_set():
                    connection.close()
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        connection.settimeout(10)
        place: int | None = len(kept.received)
        kept.received.append(b"")
        with suppress(OSError), connection:
            with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
                while part := stream.recv(65536):
                    if place is None:
                        place = len(kept.received)
                        kept.received.append(b"")
                    kept.received[place] += part
                    if is_whole(kept.received[place]):
                        said = answer(kept.received[place]) if callable(answer) else answer
                        stream.sendall(said)
                        if b"Connection: close" in said:
                            stream.shutdown(socket.SHUT_WR)
                        else:
                            place = None  # that of this connection's next request

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        over.set()
        with suppress(OSError):
            socket.create_connection((host, kept.port), 1).close()
        thread.join(5)
        server.close()


def is_whole(request: bytes) -> bool:
    """Whether a request with a Content-Length, or without a body, has arrived."""
    head, _, body = request.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return b"\r\n\r\n" in request


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's TLS with a new self-signed certificate, and its fingerprint."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "home")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = folder / f"{made.serial_number}.pem"
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(secret + made.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, made.fingerprint(hashes.SHA256()).hex()
