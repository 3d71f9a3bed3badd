"""TLS for everything: Ondol's own certificate, a given one, and those that cannot be."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ondol import config, paths
from ondol.errors import ConfigError
from ondol.server.door import tls
from ondol.server.door.tls import AUTHORITY_NAME
from ondol.server.listening import listen, server_for


def self_signed(
    folder: Path, name: str = "box.example", *, days: int = 10, since: int = -1, secret: bytes = b""
) -> tuple[Path, Path]:
    """A certificate for ``name``, from ``since`` days on to ``days``, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=since))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    lock: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    )
    chain, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    chain.write_bytes(made.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, lock))
    return chain, key_file


def settings(**environ: str) -> config.Config:
    return config.load(environ={f"ONDOL_{name.upper()}": value for name, value in environ.items()})


def test_our_own_certificate_is_for_this_machine_and_its_private_names(home: Path) -> None:
    made = tls.certificate(settings(tls="1", hosts="box.local,box.example.com"), "127.0.0.1")
    assert made is not None
    own = tls.own_authority(str(made.chain))
    assert own is not None and len(own[1]) == 95
    assert b"PRIVATE" not in own[0].read_bytes()
    (certificate,) = x509.load_pem_x509_certificates(made.chain.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "box.local"} == set(names.get_values_for_type(x509.DNSName))
    assert "127.0.0.1" in {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    assert made.key.stat().st_mode & 0o077 == 0
    again = tls.certificate(settings(tls="1", hosts="box.local,box.example.com"), "127.0.0.1")
    assert again == made and again.chain.read_bytes() == made.chain.read_bytes()


def test_without_tls_there_is_none() -> None:
    assert tls.certificate(settings(), "127.0.0.1") is None
    assert tls.trusting("") is False


def test_a_given_certificate_is_taken_with_its_key(tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path)
    given = tls.certificate(settings(tls_cert=str(chain), tls_key=str(key)), "127.0.0.1")
    assert given == tls.Certificate(chain, key)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no key", "server.tls_key"),
        ("no certificate", "server.tls_cert"),
        ("gone", "Cannot read"),
        ("folder", "Cannot read"),
        ("text", "no certificate"),
        ("expired", "expired"),
        ("future", "does not count before"),
        ("other key", "not that of the certificate"),
        ("passphrase", "passphrase"),
        ("no pem key", "no private key"),
    ],
)
def test_a_certificate_that_cannot_be_is_a_sentence_before_anything_starts(
    tmp_path: Path, kind: str, said: str
) -> None:
    chain, key = self_signed(
        tmp_path,
        days=-1 if kind == "expired" else 10,
        since={"expired": -9, "future": 5}.get(kind, -1),
        secret=b"hidden" if kind == "passphrase" else b"",
    )
    environ = {"tls_cert": str(chain), "tls_key": str(key)}
    if kind == "no key":
        del environ["tls_key"]
    elif kind == "no certificate":
        del environ["tls_cert"]
    elif kind == "gone":
        key.unlink()
    elif kind == "folder":
        environ["tls_cert"] = str(tmp_path)
    elif kind == "text":
        chain.write_text("hello")
    elif kind == "other key":
        _, environ["tls_key"] = map(str, self_signed(tmp_path, "other.example"))
    elif kind == "no pem key":
        key.write_text("hello")
    with pytest.raises(ConfigError, match=said) as caught:
        tls.certificate(settings(**environ), "127.0.0.1")
    assert caught.value.hint and "hidden" not in caught.value.message
    assert "PRIVATE" not in caught.value.message


def test_who_is_on_this_machine_trusts_just_the_certificate_of_the_server(tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path)
    other, other_key = self_signed(tmp_path, "box2.example")
    assert answered(chain, key, trusting=chain)
    assert not answered(other, other_key, trusting=chain)


def test_what_ondols_authority_vouches_for_passes_every_check_of_a_client(home: Path) -> None:
    made = tls.certificate(settings(tls="1"), "127.0.0.1")
    assert made is not None
    context = ssl.create_default_context(cafile=paths.data_dir() / AUTHORITY_NAME)
    for name in ("127.0.0.1", "localhost"):
        assert handshake(made, context, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, context, "box.example")


def test_old_tls_is_not_spoken(home: Path) -> None:
    made = tls.certificate(settings(tls="1"), "127.0.0.1")
    assert made is not None
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(made, old, "localhost")


def test_who_speaks_no_tls_is_told_that_the_port_does(home: Path) -> None:
    made = tls.certificate(settings(tls="1"), "127.0.0.1")
    assert made is not None
    with spoken(made) as port:
        answer = httpx2.post(f"http://127.0.0.1:{port}/api/chat", json={}, trust_env=False)
        assert answer.status_code == 400 and "https" in answer.text.lower()
        trusting = tls.trusting(str(made.chain))
        assert httpx2.get(f"https://127.0.0.1:{port}/", verify=trusting).status_code == 200


def handshake(made: tls.Certificate, context: ssl.SSLContext, name: str) -> str | None:
    """Speak to a server with that certificate; the version of TLS that both chose."""
    with spoken(made) as port, socket.create_connection(("127.0.0.1", port), 20) as wire:
        with context.wrap_socket(wire, server_hostname=name) as secured:
            # A server of TLS 1.3 refuses after the client is done.
            secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert secured.recv(20).startswith(b"HTTP/1.1 200")
            return secured.version()


def answered(chain: Path, key: Path, *, trusting: Path) -> bool:
    with spoken(tls.Certificate(chain, key)) as port:
        client = httpx2.Client(verify=tls.trusting(str(trusting)), trust_env=False)
        try:
            with client:
                return client.get(f"https://127.0.0.1:{port}/").status_code == 200
        except httpx2.HTTPError:
            return False


@contextmanager
def spoken(made: tls.Certificate) -> Iterator[int]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    started = threading.Event()
    listener = listen("127.0.0.1", 0, speaks_tls=True)
    server = server_for(app, started.set, certificate=made, is_second=True)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        assert started.wait(30)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
