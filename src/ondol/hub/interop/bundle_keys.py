"""Keys for model-signing bundles: elliptic curves, for the format knows no Ed25519.

PEM, as OpenSSL writes and reads it: PKCS #8 (RFC 5958), encrypted if there is a passphrase, and
the public half beside it (RFC 5480). Raises ``SigningError``.
"""

from __future__ import annotations

from pathlib import Path

from ondol import whole_file
from ondol.errors import SigningError, UsageError
from ondol.i18n import t

CURVES = ("secp256r1", "secp384r1", "secp521r1")
LONGEST_BYTES = 64 << 10


def make_key(file: Path, passphrase: str = "") -> Path:
    """A new key on P-256 in ``file`` (mode 600); where its public half is. What is there already
    is not touched."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = public_of(file)
    if file.exists() or public.exists():
        raise SigningError(t("hub_interop.key_exists", file=file))
    key = ec.generate_private_key(ec.SECP256R1())
    sealing: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        sealing = serialization.BestAvailableEncryption(passphrase.encode())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing
    )
    whole_file.write(file, private, keeps_first=True)
    whole_file.write(
        public,
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )
    return public


def public_of(file: Path) -> Path:
    """Where the public half of the key in ``file`` is put."""
    return file.with_name(f"{file.name}.pub")


def is_locked(file: Path) -> bool:
    """Whether the key in ``file`` needs a passphrase."""
    return b"ENCRYPTED" in _read(file)


def check_private(file: Path, passphrase: str = "") -> None:
    """SigningError unless ``file`` is a private key that signs bundles and opens."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    content = _read(file)
    try:
        key = serialization.load_pem_private_key(content, passphrase.encode() or None)
    except (TypeError, ValueError) as error:
        # A TypeError: locked and no passphrase, or the other way round.
        locked = b"ENCRYPTED" in content
        sentence = "wrong_passphrase" if locked else "no_private_key"
        raise SigningError(t(f"hub_interop.{sentence}", file=file)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in CURVES:
        raise SigningError(t("hub_interop.other_key", file=file), t("hub_interop.other_key_hint"))


def check_public(file: Path) -> None:
    """UsageError unless ``file`` is a public key that bundles are verified with."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(_read(file))
    except (SigningError, ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(t("hub_interop.no_public_key", file=file), param="public_key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise UsageError(
            t("hub_interop.other_key", file=file),
            t("hub_interop.other_key_hint"),
            param="public_key",
        )


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(LONGEST_BYTES)
    except OSError as error:
        raise SigningError(t("hub_interop.no_key_file", file=file)) from error
