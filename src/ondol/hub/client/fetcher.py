"""How python-tuf reaches a hub: through our one door, with bounds on size, time and words.

A server may send no more than the length that was signed or agreed (python-tuf counts), nothing
compressed, and not one byte at a time. Everything that goes wrong between here and the server is a
``HubUnreachableError`` or an ``EgressError``; only an HTTP status is python-tuf's to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from ondol.egress import Egress
from ondol.egress.connections import Pace, TooSlowError
from ondol.errors import HubUnreachableError
from ondol.hub.client.limits import PURPOSE, too_slow
from ondol.i18n import t

CONNECT_SECONDS = 10.0
READ_SECONDS = 20.0
BLOCK_BYTES = 64 * 1024


class HubFetcher(FetcherInterface):
    """Fetches from one mirror, over one client."""

    def __init__(self, client: httpx2.Client, mirror: str) -> None:
        self._client = client
        self._mirror = mirror

    def _fetch(self, url: str) -> Iterator[bytes]:
        with in_words(self._mirror), self._client.stream("GET", url) as response:
            if response.status_code != 200:
                raise DownloadHTTPError(f"status {response.status_code}", response.status_code)
            if response.headers.get("content-encoding", "identity") != "identity":
                told = t("hub_client.compressed", mirror=self._mirror)
                raise HubUnreachableError(told, t("hub_client.mirror_hint"))
            yield from response.iter_raw(BLOCK_BYTES)


@contextmanager
def client_for(mirror: str, egress: Egress, pace: Pace) -> Iterator[httpx2.Client]:
    """A client that asks ``mirror``, and nobody else."""
    egress.declare(PURPOSE, mirror)
    headers = {"Accept-Encoding": "identity"}
    with egress.client(mirror, PURPOSE, headers=headers, pace=pace) as client:
        client.timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        yield client


@contextmanager
def in_words(mirror: str) -> Iterator[None]:
    """What the line and the library say, as one sentence about ``mirror``."""
    try:
        yield
    except TooSlowError as error:
        raise too_slow(mirror) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        told = t("hub_client.unreachable", mirror=mirror)
        raise HubUnreachableError(told, t("hub_client.unreachable_hint")) from error
