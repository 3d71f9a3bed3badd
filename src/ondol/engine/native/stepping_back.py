"""``python -m ondol.engine.native.stepping_back PROGRAM …``: becomes the program, at the lowest
priority and, where the kernel can see to it, without a way to the network.

In front of cmake and the compiler, which run what came with a source.
"""

from __future__ import annotations

import os
import sys

from ondol.egress.native import deny_internet

NICENESS = 19


def main() -> None:
    """Never returns."""
    os.nice(NICENESS)
    deny_internet()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
