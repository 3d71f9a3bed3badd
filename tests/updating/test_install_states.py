"""Which versions one can go back through, and which are not taken by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import UpdateFailedError
from ondol.hub.card import Card
from ondol.hub.release import Release, ReleaseFile
from ondol.hub.targets import Version
from ondol.updating import installed, offers
from ondol.updating.installs import (
    FAILED,
    INSTALLED,
    NO_VERSION,
    ROLLED_BACK,
    UPDATED,
    Event,
    Install,
    Installs,
)

FILE = ReleaseFile("a.gguf", "weights", "sha256:" + "0" * 64, 1)


def release(version: str, **card: Any) -> Release:
    told = Card(**({"kind": "model", "name": "m", "files": {"a.gguf": "weights"}} | card))
    return Release("p", "i", Version.of(version), told, (FILE,))


@dataclass
class Device:
    """One item on a device, and what happens to it; versions are texts."""

    active: str = ""
    floor: Version = NO_VERSION

    def __post_init__(self) -> None:
        self.events: list[Event] = []

    def note(self, deed: str, version: str, before: str = "") -> None:
        self.events.insert(0, Event(len(self.events), deed, version, before, "", "", ""))

    def take(self, version: Version) -> None:
        deed = UPDATED if self.active else INSTALLED
        self.note(deed, str(version), self.active)
        self.active, self.floor = str(version), max(self.floor, version)

    def back(self) -> None:
        order = installed.states(self.events)
        if len(order) > 1:
            self.note(ROLLED_BACK, order[-2], self.active)
            self.active = order[-2]

    def offered(self, releases: list[Release]) -> Release | None:
        row = Install("F", "p", "i", "model", "m", self.floor)
        place = SimpleNamespace(
            active=lambda: self.active, path=lambda file: None, stale=lambda release: ()
        )
        parts = SimpleNamespace(config={"update.channel": "stable"})
        found = offers.for_install(parts, row, place, releases, self.events)  # type: ignore[arg-type]
        return found.release


deeds = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 20)),
        st.tuples(st.sampled_from(["update", "back", "fail"]), st.just(0)),
    ),
    max_size=30,
)


@given(deeds)
def test_what_is_offered_is_newer_never_below_the_floor_and_never_what_was_left(
    steps: list[tuple[str, int]],
) -> None:
    device, hub = Device(), [release("1")]
    device.take(Version.of("1"))
    for what, number in steps:
        if what == "publish":
            hub.append(release(str(number)))
        elif what == "back":
            device.back()
        else:
            found = device.offered(hub)
            if found is None:
                continue
            assert found.version >= device.floor
            assert found.version > Version.of(device.active)
            assert str(found.version) not in installed.avoided(device.events)
            if what == "fail":
                device.note(FAILED, str(found.version), device.active)
                assert device.offered(hub) != found
            else:
                device.take(found.version)
        order = installed.states(device.events)
        assert order[-1] == device.active and len(order) == len(set(order))


def test_a_release_asked_for_by_its_number_is_still_not_below_the_floor() -> None:
    parts = SimpleNamespace(config={"update.channel": "stable"})
    with pytest.raises(UpdateFailedError, match="older than 2"):
        offers.to_install(parts, [release("1")], "p", "i", "1", "", Version.of("2"))  # type: ignore[arg-type]
    found = offers.to_install(parts, [release("2")], "p", "i", "2.0", "", Version.of("2"))  # type: ignore[arg-type]
    assert found.version == Version.of("2")


def test_the_floor_never_sinks(home: object) -> None:
    row = Install("F", "p", "i", "model", "m")
    with Installs.open() as kept:
        kept.begin(row)
        for version in ("1", "3", "2"):
            kept.note(row, UPDATED, version=version)
        assert kept.named("m").floor == Version.of("3")
        # Beginning again, under another name, changes nothing of that.
        assert kept.begin(Install("F", "p", "i", "model", "n")).floor == Version.of("3")
        assert kept.named("p/i").name == "n"
