"""A QR code in the terminal."""

from __future__ import annotations

from io import StringIO


def draw(text: str) -> str:
    """``text`` as half blocks, two rows of modules to a line. Upper-case letters and digits make
    the smallest codes."""
    import segno

    drawn = StringIO()
    segno.make(text, error="l", micro=False).terminal(out=drawn, compact=True)
    return drawn.getvalue().rstrip("\n")
