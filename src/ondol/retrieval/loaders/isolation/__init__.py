"""Files of unknown origin are parsed in a child process that can harm nobody.

A loop, a bomb or a crash in a parser costs one file, in one sentence; a parser taken over by a file
finds no other file, no network and no key.
"""

from ondol.retrieval.loaders.isolation.reader import PROTECTIONS, Reader, protections

__all__ = ["PROTECTIONS", "Reader", "protections"]
