"""A certificate authority of this Ondol's own, and the certificate that its phones see.

Two files in the data directory, for their owner alone. The authority may vouch for private
addresses and local names only (name constraints, RFC 5280 4.2.1.10): a phone that trusts it trusts
nobody on the internet by that, not even whoever steals the key. Raises ``StorageError``, and
``ConfigError`` for a name that it may not vouch for.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ondol import paths, whole_file
from ondol.errors import ConfigError
from ondol.i18n import t

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

AUTHORITY_NAME = "phone-authority.pem"
CERTIFICATE_NAME = "phone.pem"
NETWORKS = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
    *("127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"),
)
DOMAINS = ("local", "lan", "internal", "home.arpa", "localhost")
AUTHORITY_DAYS = 3653
# iOS takes no more than 825 days from any authority.
CERTIFICATE_DAYS = 397
RENEWAL_DAYS = 30
_BEFORE = timedelta(days=2)  # a phone's clock may be behind


@dataclass(frozen=True, slots=True)
class Issued:
    """``file`` holds the private key and the certificate (PEM); ``authority`` is the authority's
    certificate (DER), which a phone installs, ``fingerprint`` its SHA-256."""

    file: Path
    authority: bytes

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.authority).hexdigest().upper()
        return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def issue(directory: Path, names: Sequence[str], file_name: str = CERTIFICATE_NAME) -> Issued:
    """A certificate for ``names`` (host names and addresses), the one of ``file_name`` in
    ``directory`` where it is for just these and not about to expire."""
    refused = [name for name in names if not may_vouch_for(name)]
    if refused or not names:
        name = refused[0] if refused else "–"
        raise ConfigError(t("phone.foreign_name", name=name), t("phone.foreign_name_hint"))
    paths.ensure(directory)
    key, certificate = _authority(directory / AUTHORITY_NAME)
    file = directory / file_name
    if not _is_good(file, certificate, names):
        whole_file.write(file, _certificate(key, certificate, names))
    return Issued(file, _der(certificate))


def may_vouch_for(name: str) -> bool:
    """Whether ``name`` is a private address or a local name."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rpartition(".")[2] in DOMAINS or name.lower().endswith(".home.arpa")
    return any(address in ipaddress.ip_network(n) for n in NETWORKS if _same(address, n))


def _same(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    return address.version == ipaddress.ip_network(network).version


def _authority(file: Path) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    """The authority in ``file``, made now if there is none or it is about to expire."""
    if file.exists():
        key, certificate = _read(file)
        if certificate.not_valid_after_utc - datetime.now(UTC) > timedelta(days=CERTIFICATE_DAYS):
            return key, certificate
    whole_file.write(file, _new_authority())
    return _read(file)


def _new_authority() -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # Two computers of one owner have two authorities: the phone's list must tell them apart.
    name = _name(f"Ondol {secrets.token_hex(3)}")
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in DOMAINS]
    permitted += [x509.IPAddress(ipaddress.ip_network(network)) for network in NETWORKS]
    certificate = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return pem(key, certificate)


def _certificate(
    authority_key: EllipticCurvePrivateKey, authority: x509.Certificate, names: Sequence[str]
) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    server_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        _builder(_name("Ondol"), authority.subject, key.public_key(), CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(server_only, critical=False)
        .add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return pem(key, certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _general(names: Sequence[str]) -> list[x509.GeneralName]:
    from cryptography import x509

    general: list[x509.GeneralName] = []
    for name in names:
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    return general


def _is_good(file: Path, authority: x509.Certificate, names: Sequence[str]) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    if not file.exists():
        return False
    try:
        _, certificate = _read(file)
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    return {*found.value} == {*_general(names)} and left > timedelta(days=RENEWAL_DAYS)


def _read(file: Path) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        content = file.read_bytes()
    except OSError as error:
        raise paths.storage_error(error, file) from error
    key = load_pem_private_key(content, None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key, x509.load_pem_x509_certificate(content)


def pem(key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    """Both in one text, as servers read them."""
    from cryptography.hazmat.primitives import serialization

    form, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    own = key.private_bytes(form, private, serialization.NoEncryption())
    return own + certificate.public_bytes(form)


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
