"""What the ledger is told: of each request that leaves or is not let out, and of what came back."""

from __future__ import annotations

from dataclasses import dataclass

from ondol.types import Sensitivity


@dataclass(frozen=True, slots=True)
class Passage:
    """``destination`` is host:port. ``bytes_out`` are request line, headers and body as HTTP/1.1
    writes them (TLS and TCP add their own), 0 for what was refused: all that was let out, should
    the connection break before the last of them. ``sensitivity`` is the label of what was to leave:
    the lower of what was declared and what was seen. ``reason`` is a code, "" for a request that
    was simply let out:

    refused     offline, undeclared_purpose, undeclared_destination, label, seen, no_tls,
                private_address, redirect, not_read_only, certificate, no_permit
    allowed     redirect (the server sent us on), failed (the exchange broke), standing (small
                requests that follow each other: ``bytes_out`` is the most that they take before
                the next such passage), program:NAME (a program of its own was let out; its bytes
                are unknown)

    What leaves is told before its first byte does. What came back is a passage of its own, without
    ``bytes_out``: ``about`` is then what the recorder called the (first) request that it answers,
    "" if that has no name yet, and ``count`` how many requests ``bytes_in`` is the sum of; counted
    like ``bytes_out``, as far as the answers were read. Its ``sensitivity`` says nothing.
    """

    purpose: str
    destination: str
    sensitivity: Sensitivity
    bytes_out: int
    bytes_in: int
    allowed: bool
    reason: str = ""
    about: str | None = None
    count: int = 1
