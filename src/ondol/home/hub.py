"""Home's hub: the folder ``home.hub``, served beside home on a port of its own.

Plain HTTP and no enrolment: who adds the hub verifies its signatures, and programs that know
nothing of us (huggingface_hub, Ollama) know nothing of an enrolment either. What is served is for
the whole network, and nothing of any device. Raises ``HubNotFoundError``, ``AddressInUseError``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ondol.parts import Parts


@contextmanager
def serving_hub(parts: Parts, host: str) -> Iterator[str]:
    """Serve the hub of the settings inside the block, at ``host``; its address, or "" where there
    is none."""
    config = parts.config
    if not config["home.hub"]:
        yield ""
        return
    from ondol.home.serving import reachable_url
    from ondol.hub.mirror.front import Source, address, opened
    from ondol.server.listening import NETWORK, listen, server_for

    upstream = config["home.hub_upstream"]
    source = Source(upstream, config["home.hub_allow"]) if upstream else None
    if upstream:
        address(upstream)
    folder = Path(config["home.hub"]).expanduser()
    with (
        opened(folder, parts.egress, source) as app,
        listen(host, config["home.hub_port"], crowd=NETWORK) as listener,
    ):
        server = server_for(app, lambda: None, is_second=True)
        # A loop of its own: a large file that somebody fetches holds up no answer of home's.
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), name="home-hub"
        )
        thread.start()
        try:
            yield reachable_url(host, listener.getsockname()[1]).replace("https:", "http:", 1)
        finally:
            server.should_exit = True
            thread.join()
