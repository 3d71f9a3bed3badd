"""Take out of one file of pins those that another has too: what is left is what an environment that
lies over the other's must hold of its own. ``overlay.py BASE FILE`` (see ``make constraints``)."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def pins(file: Path) -> dict[str, str]:
    """From ``name==version`` to its lines, hashes among them."""
    whole = re.split(r"(?m)^(?=[A-Za-z0-9])", file.read_text(encoding="utf-8"))
    return {lines.split()[0]: lines for lines in whole if "==" in lines.split("\n", 1)[0]}


if __name__ == "__main__":
    base, over = (Path(one) for one in sys.argv[1:])
    shared = pins(base)
    kept = [lines for name, lines in pins(over).items() if name not in shared]
    over.write_text("".join(kept), encoding="utf-8")
