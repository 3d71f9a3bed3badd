"""Which processor this is, as far as compiled code can tell: its kind and its instructions.

Programs compiled for one end on another with an illegal instruction, so each remembers whose it
is. Never raises.
"""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from functools import cache
from pathlib import Path

# Sets of instructions that compilers use; what else the system lists changes with its kernel.
_INSTRUCTIONS = re.compile(
    r"(?:s?sse|avx|fma|f16c|bmi|amx|vnni|popcnt|lzcnt|abm|movbe|aes|vaes|gfni|pclmul|vpclmul"
    r"|asimd|neon|sve|sme|i8mm|bf16|fphp|fcma|crc32|atomics|rv|v$|z)[a-z0-9_]*"
)


@cache
def fingerprint() -> str:
    """Eight letters that differ where a program compiled for the other may not run."""
    told = " ".join([platform.machine(), *sorted(instructions())])
    return hashlib.sha256(told.encode()).hexdigest()[:8]


@cache
def instructions() -> frozenset[str]:
    """The sets of instructions that the system reports."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return frozenset(_on_a_mac())
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features", "isa"):
            return frozenset(f for f in value.lower().split() if _INSTRUCTIONS.match(f))
    return frozenset()


def _on_a_mac() -> list[str]:
    """The name of the chip stands for what it can do."""
    try:
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return told.stdout.split()
