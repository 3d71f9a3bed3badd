"""Whether this device runs on power, as Linux tells it in ``/sys/class/power_supply`` (the kernel's
ABI documentation, sysfs-class-power). Where nothing says so (a desktop, another system) nobody
knows: it is then taken to be on power, and said so. Nothing raises.
"""

from __future__ import annotations

from pathlib import Path

SUPPLIES = Path("/sys/class/power_supply")
_FED = ("charging", "full", "not charging")


def on_power(supplies: Path = SUPPLIES) -> bool | None:
    """True on power, False on battery, None where nobody knows."""
    try:
        found = [_read(one) for one in sorted(supplies.iterdir())]
    except OSError:
        return None
    # The battery of a mouse or a headset says nothing of the machine.
    own = [one for one in found if one.get("scope") != "device"]
    if any(one.get("type") != "battery" and one.get("online") not in ("0", None) for one in own):
        return True
    states = [one["status"] for one in own if one.get("type") == "battery" and "status" in one]
    if "discharging" in states:
        return False
    if any(state in _FED for state in states):
        return True
    if any(one.get("type") == "mains" and one.get("online") == "0" for one in own):
        return False
    return None


def _read(supply: Path) -> dict[str, str]:
    found = {}
    for name in ("type", "scope", "online", "status"):
        try:
            found[name] = (supply / name).read_text("ascii").strip().lower()
        except (OSError, UnicodeDecodeError):
            continue
    return found
