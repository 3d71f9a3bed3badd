"""Images in a request: ``data:`` URLs (RFC 2397), as bytes.

An address on the network is refused: a server that fetches what a request names can be sent
anywhere its owner can reach.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from ondol.errors import UsageError
from ondol.i18n import t


def image(url: str, param: str) -> bytes:
    """The file in ``url``. Raises ``UsageError``."""
    head, comma, data = url.partition(",")
    if not head.lower().startswith("data:"):
        raise UsageError(t("openai.image_address"), t("openai.image_address_hint"), param=param)
    kind, *attributes = head[5:].lower().split(";")
    if not comma or not kind.startswith("image/"):
        raise UsageError(t("openai.bad_image"), param=param)
    try:
        if "base64" not in (attribute.strip() for attribute in attributes):
            content = unquote_to_bytes(data)
        else:
            content = base64.b64decode(
                "".join(unquote_to_bytes(data).decode().split()), validate=True
            )
    except (binascii.Error, ValueError):
        raise UsageError(t("openai.bad_image"), param=param) from None
    if not content:
        raise UsageError(t("openai.bad_image"), param=param)
    return content
