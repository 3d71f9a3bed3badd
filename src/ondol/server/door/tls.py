"""TLS for everything the server says: a certificate that the owner gives, or one of Ondol's own
authority (``authority``), which phones and browsers can be made to trust.

A given certificate is looked at before anything starts: readable, of its key, in its time. Whoever
is on this machine trusts just the certificate that the server was started with, whatever name is in
it. Raises ``ConfigError``.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ondol import paths, whole_file
from ondol.config import Config
from ondol.errors import ConfigError
from ondol.i18n import t
from ondol.server.door import authority, network

CERTIFICATE_NAME = "server.pem"
AUTHORITY_NAME = "authority.crt"
OWN_NAMES = ("localhost", "127.0.0.1", "::1")
ANYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM: the certificate with what vouches for it, and its key."""

    chain: Path
    key: Path


def certificate(config: Config, host: str) -> Certificate | None:
    """What the settings ask for at ``host``; None: no TLS."""
    chain, key = config["server.tls_cert"], config["server.tls_key"]
    if chain or key:
        if not (chain and key):
            missing = "server.tls_key" if chain else "server.tls_cert"
            raise ConfigError(t("tls.half", name=missing), t("tls.half_hint"))
        given = Certificate(_file(chain), _file(key))
        _check(given)
        return given
    if not config["server.tls"]:
        return None
    issued = authority.issue(paths.data_dir(), names(config, host), CERTIFICATE_NAME)
    # For programs to trust: the authority's own file holds its private key, too.
    public = ssl.DER_cert_to_PEM_cert(issued.authority).encode()
    whole_file.write(paths.data_dir() / AUTHORITY_NAME, public)
    return Certificate(issued.file, issued.file)


def own_authority(chain: str) -> tuple[Path, str] | None:
    """Where the certificate in ``chain`` is of Ondol's own authority: the file of the authority's
    certificate, and its SHA-256."""
    file = paths.data_dir() / AUTHORITY_NAME
    if chain != str(paths.data_dir() / CERTIFICATE_NAME) or not file.exists():
        return None
    der = ssl.PEM_cert_to_DER_cert(file.read_text("ascii"))
    return file, authority.Issued(file, der).fingerprint


def names(config: Config, host: str) -> tuple[str, ...]:
    """What a certificate of our own is for: this machine, and the names that it may be called by in
    a private network. No other authority than ours could vouch for more."""
    called = [*OWN_NAMES, *config["server.hosts"]]
    if host in ANYWHERE:
        called += network.addresses()
    else:
        called.append(host.strip("[]"))
    lower = (name.lower() for name in called)
    return tuple(dict.fromkeys(name for name in lower if authority.may_vouch_for(name)))


def trusting(chain: str) -> ssl.SSLContext | bool:
    """For who speaks to the server of this machine: it has to have the certificate in the file
    ``chain``, and may be called by any name. Without a file there is nothing to verify."""
    if not chain:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(chain)
    return context


def _file(name: str) -> Path:
    return Path(name).expanduser().absolute()


def _check(given: Certificate) -> None:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(given.chain.read_bytes())
        given.key.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            t("tls.unreadable", file=error.filename, reason=reason), t("tls.half_hint")
        ) from error
    except ValueError:
        found = []
    if not found:
        raise ConfigError(t("tls.no_certificate", file=given.chain), t("tls.half_hint"))
    now = datetime.now(UTC)
    begins, ends = found[0].not_valid_before_utc, found[0].not_valid_after_utc
    if ends <= now:
        raise ConfigError(t("tls.expired", file=given.chain, day=ends.date()), t("tls.dates_hint"))
    if begins > now:
        raise ConfigError(
            t("tls.not_yet", file=given.chain, day=begins.date()), t("tls.dates_hint")
        )
    try:
        # A passphrase would be asked for where nobody sits.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.chain, given.key, password=lambda: "")
    except (ssl.SSLError, ValueError, OSError) as error:
        mismatch = "MISMATCH" in str(error)
        raise ConfigError(
            t("tls.mismatch" if mismatch else "tls.bad_key", file=given.key), t("tls.half_hint")
        ) from None
