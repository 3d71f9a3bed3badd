"""The first root of a hub: fetched once, and taken only if it has the fingerprint that its owner
gave. Raises ``UntrustedError``, ``HubUnreachableError``, ``EgressError``.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from tuf.api.exceptions import DownloadError
from tuf.ngclient import UpdaterConfig

from ondol.egress import Egress
from ondol.errors import EgressError, HubError, OndolError, UntrustedError
from ondol.hub.client.fetcher import HubFetcher, client_for
from ondol.hub.client.limits import Limits
from ondol.hub.client.refusing import refusal
from ondol.hub.fingerprint import fingerprint_of
from ondol.i18n import t


def first_root(
    urls: Sequence[str], fingerprint: str, egress: Egress, limits: Limits | None = None
) -> bytes:
    """The bytes of ``1.root.json`` that has ``fingerprint`` (in its one form), from the first of
    ``urls`` that has it."""
    errors: list[OndolError] = []
    for url in urls:
        try:
            return _from(url, fingerprint, egress, limits or Limits())
        except (HubError, EgressError) as error:
            errors.append(error)
    # Somebody else's hub matters more than a mirror that sleeps.
    raise next((one for one in errors if isinstance(one, UntrustedError)), errors[0])


def _from(url: str, fingerprint: str, egress: Egress, limits: Limits) -> bytes:
    with client_for(url, egress, limits.metadata) as client:
        fetcher = HubFetcher(client, url)
        try:
            root = fetcher.download_bytes(
                f"{url}/metadata/1.root.json", UpdaterConfig().root_max_length
            )
        except DownloadError as error:
            raise refusal(error, url) from error
    if not hmac.compare_digest(fingerprint_of(root), fingerprint):
        told = t("hub_client.other_fingerprint", mirror=url)
        raise UntrustedError(told, t("hub_client.other_fingerprint_hint"))
    return root
