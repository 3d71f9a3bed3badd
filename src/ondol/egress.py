"""The only door: every HTTP client that can reach beyond this machine is made here.

A caller declares a purpose and a destination; ``offline`` shuts the door. Loopback is inside the
house. Raises ``EgressError`` before any byte leaves.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ondol.errors import EgressError
from ondol.i18n import t

if TYPE_CHECKING:
    import httpx2


class Egress:
    """The policy of this process: may it reach out at all?"""

    def __init__(self, *, offline: bool = False) -> None:
        self.offline = offline

    def check(self, url: str, purpose: str) -> None:
        """Raise ``EgressError`` unless ``url`` may be reached for ``purpose``."""
        host = urlsplit(url).hostname or ""
        if self.offline and not is_loopback(host):
            raise EgressError(t("core.offline", purpose=purpose, host=host), t("core.offline_hint"))

    @contextmanager
    def client(
        self,
        url: str,
        purpose: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 30.0,
    ) -> Iterator[httpx2.Client]:
        """An HTTP client for ``url``'s host; every redirect is checked again."""
        import httpx2

        self.check(url, purpose)

        def check_request(request: httpx2.Request) -> None:
            self.check(str(request.url), purpose)

        with httpx2.Client(
            headers=headers,
            timeout=timeout_seconds,
            follow_redirects=True,
            event_hooks={"request": [check_request]},
        ) as client:
            yield client


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
