"""What the ledger is told of one request that left, or was not let out."""

from __future__ import annotations

from dataclasses import dataclass

from ondol.types import Sensitivity


@dataclass(frozen=True, slots=True)
class Passage:
    """``destination`` is host:port. ``bytes_out`` are request line, headers and body as HTTP/1.1
    writes them (TLS and TCP add their own), 0 for what was refused; ``bytes_in`` likewise, as far
    as the answer was read. ``sensitivity`` is the label of what was to leave: the lower of what was
    declared and what was seen. ``reason`` is a code, "" for a request that simply went well:

    refused     offline, undeclared_purpose, undeclared_destination, label, seen, no_tls,
                private_address, redirect, certificate, no_permit
    allowed     redirect (the server sent us on), failed (the exchange broke), program:NAME (a
                program of its own was let out; its bytes are unknown)
    """

    purpose: str
    destination: str
    sensitivity: Sensitivity
    bytes_out: int
    bytes_in: int
    allowed: bool
    reason: str = ""
