"""Starts an MCP server without a network: ``python -m ondol.connections.launch -- COMMAND …``.

The kernel refuses the program, and all it starts, internet sockets (``egress.native``); where it
cannot, the program is not started. Pipes and socket files stay open to it, and files as they are to
its owner.
"""

from __future__ import annotations

import os
import sys

from ondol.egress.native import deny_internet

NO_NETWORK_DENIED = 70
NO_PROGRAM = 127


def main(arguments: list[str]) -> int:
    """Become the program."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command or not deny_internet():
        return NO_NETWORK_DENIED
    try:
        os.execvp(command[0], command)
    except OSError:
        return NO_PROGRAM


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
