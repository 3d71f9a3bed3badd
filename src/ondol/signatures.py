"""HTTP Message Signatures (RFC 9421) with Ed25519, as far as a device and its home need them.

A request names what is signed: by default its method, its whole target URI and the digest of its
body (Content-Digest, RFC 9530), besides when it was made, a nonce, and the signer's key. Fields may
be added. One signature a message, labelled ``sig1``; no structured fields within fields, no query
parameters, no multiple lines of one field. Pure functions; no clock and no memory of their own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ondol.identity import Identity, verify

LABEL = "sig1"
ALGORITHM = "ed25519"
REQUIRED = ("@method", "@target-uri", "content-digest")
LONGEST_FIELD = 4096

_INPUT = re.compile(rf'{LABEL}=(\((?:"[a-z0-9@-]+"(?: "[a-z0-9@-]+")*)?\)((?:;[^;]*)*))')
_PARAMETER = re.compile(r';([a-z]+)=(?:"([\x20-\x21\x23-\x5b\x5d-\x7e]*)"|(\d{1,15}))')
_SIGNATURE = re.compile(rf"{LABEL}=:([A-Za-z0-9+/=]+):")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")


class MalformedError(ValueError):
    """What is there is no signature of the kind that is read here."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a signature speaks of. ``url`` is absolute; the names of ``fields`` are lower-case."""

    method: str
    url: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was read, and nothing more: ``is_by`` says whether it holds. ``created`` is
    in seconds since 1970."""

    components: tuple[str, ...]
    created: int
    nonce: str
    key_id: str
    tag: str
    base: bytes
    value: bytes

    def is_by(self, public_key: bytes) -> bool:
        """Whether the holder of ``public_key`` signed these components of this request."""
        return verify(public_key, self.value, self.base)

    def covers(self, *components: str) -> bool:
        """Whether all of ``components`` are signed."""
        return set(components) <= set(self.components)


def sign(
    identity: Identity,
    request: Request,
    *,
    created: int,
    nonce: str,
    tag: str,
    components: Sequence[str] = REQUIRED,
) -> dict[str, str]:
    """The two fields to add to ``request``, which has a ``content-digest`` already (see
    ``content_digest``) and every other field that ``components`` names."""
    listed = " ".join(f'"{name}"' for name in components)
    parameters = (
        f'({listed});created={created};nonce="{nonce}";keyid="{identity.device_id}"'
        f';alg="{ALGORITHM}";tag="{tag}"'
    )
    value = identity.sign(signature_base(request, components, parameters))
    encoded = base64.b64encode(value).decode("ascii")
    return {"signature-input": f"{LABEL}={parameters}", "signature": f"{LABEL}=:{encoded}:"}


def read(request: Request) -> Signature:
    """The signature that ``request`` carries. Raises ``MalformedError`` when there is none, when it
    is of another kind, or when it leaves out one of ``REQUIRED``."""
    given = _INPUT.fullmatch(request.fields.get("signature-input", "")[:LONGEST_FIELD])
    signed = _SIGNATURE.fullmatch(request.fields.get("signature", "")[:LONGEST_FIELD])
    if given is None or signed is None:
        raise MalformedError("signature")
    components = tuple(re.findall(r'"([^"]+)"', given[1].partition(")")[0]))
    parameters = _parameters(given[2])
    if len(set(components)) != len(components) or not set(REQUIRED) <= set(components):
        raise MalformedError("components")
    try:
        return Signature(
            components,
            created=int(parameters["created"]),
            nonce=parameters["nonce"],
            key_id=parameters["keyid"],
            tag=parameters.get("tag", ""),
            base=signature_base(request, components, given[1]),
            value=base64.b64decode(signed[1], validate=True),
        )
    except (KeyError, ValueError, binascii.Error):
        raise MalformedError("parameters") from None


def content_digest(body: bytes) -> str:
    """The value of Content-Digest for ``body``."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def is_digest_of(field: str, body: bytes) -> bool:
    """Whether ``field`` is the Content-Digest of ``body``, by SHA-256."""
    found = _DIGEST.fullmatch(field[:LONGEST_FIELD])
    return found is not None and field == content_digest(body)


def signature_base(request: Request, components: Sequence[str], parameters: str) -> bytes:
    """The bytes that are signed (RFC 9421, section 2.5). Raises ``MalformedError`` for a component
    that the request lacks, or that is not known here."""
    lines = [f'"{name}": {_component(request, name)}' for name in components]
    lines.append(f'"@signature-params": {parameters}')
    try:
        return "\n".join(lines).encode("ascii")
    except UnicodeEncodeError:
        raise MalformedError("characters") from None


def _component(request: Request, name: str) -> str:
    if not name.startswith("@"):
        value = request.fields.get(name)
        if value is None or "\n" in value:
            raise MalformedError(name)
        return value.strip(" \t")
    parts = urlsplit(request.url)
    known = {
        "@method": request.method.upper(),
        "@target-uri": request.url,
        "@authority": parts.netloc.lower(),
        "@path": parts.path or "/",
        "@query": f"?{parts.query}",
    }
    if name not in known:
        raise MalformedError(name)
    return known[name]


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    end = 0
    for match in _PARAMETER.finditer(text):
        if match.start() != end or match[1] in found:
            raise MalformedError("parameters")
        found[match[1]] = match[2] if match[3] is None else match[3]
        end = match.end()
    if end != len(text) or found.get("alg", ALGORITHM) != ALGORITHM:
        raise MalformedError("parameters")
    return found
