"""Home's own certificate: self-signed, made once, known to devices by its SHA-256.

No authority vouches for it, so that its names and dates say nothing: devices compare the whole of
it with what their invite said. Raises ``StorageError``.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ondol import paths, whole_file
from ondol.server.door.authority import pem

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
        whole_file.write(file, _make(), keeps_first=True)
    try:
        text = file.read_text(encoding="ascii")
    except OSError as error:
        raise paths.storage_error(error, file) from error
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])
    return Certificate(file, hashlib.sha256(der).digest())


def _make() -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
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
    return pem(key, certificate)
