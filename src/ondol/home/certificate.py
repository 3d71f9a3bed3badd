"""Home's own certificate: self-signed, made once, known to devices by its SHA-256.

No authority vouches for it, so that its names and dates say nothing: devices compare the whole of
it with what their invite said. Raises ``StorageError``.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ondol import paths

FILE_NAME = "home.pem"
NAME = "Ondol home"


@dataclass(frozen=True, slots=True)
class Certificate:
    """``file`` holds the private key and the certificate (PEM), for its owner alone;
    ``fingerprint`` is the SHA-256 of the certificate (DER)."""

    file: Path
    fingerprint: bytes


def ensure(directory: Path) -> Certificate:
    """The certificate in ``directory``, made now if there is none."""
    file = paths.ensure(directory) / FILE_NAME
    if not file.exists():
        _write(file, _make())
    try:
        text = file.read_text(encoding="ascii")
    except OSError as error:
        raise paths.storage_error(error, file) from error
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])
    return Certificate(file, hashlib.sha256(der).digest())


def _make() -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Whatever the clocks say. The second is how RFC 5280 writes "no end that is known".
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, private, serialization.NoEncryption()) + certificate.public_bytes(
        pem
    )


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all; where another process was first, its certificate stays."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(temporary, file)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    except OSError as error:
        raise paths.storage_error(error, file) from error
