"""Hubs that a device knows: added by their fingerprint, asked for what is new, answering without a
network, and giving files over bad lines."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from forged_hub import HURRIED, ForgedHub, Mirror, digest, hub_at, mirrors

from ondol import database
from ondol.egress import PURPOSES, Egress, Passage
from ondol.egress.connections import Pace
from ondol.errors import (
    DownloadError,
    EgressError,
    HubNotFoundError,
    HubUnreachableError,
    UntrustedError,
    UsageError,
)
from ondol.hub.client import Hub, HubRow, Hubs
from ondol.hub.client.fetching import Meter
from ondol.hub.client.known import FILE
from ondol.hub.client.rows import address
from ondol.hub.delta import SMALLEST_BYTES, make
from ondol.hub.fingerprint import matches, normalised
from ondol.hub.release import ReleaseFile
from ondol.hub.searching import found_in
from ondol.hub.targets import Version
from ondol.models.patience import Watch
from ondol.models.resume import size_of
from ondol.place import Place

WEIGHTS = random.Random(4).randbytes(400_000)
BLOB = f"blobs/{digest(WEIGHTS).replace(':', '-')}"


@pytest.fixture(scope="module")
def forged() -> ForgedHub:
    found = ForgedHub()
    found.add_publisher("alice")
    found.add_publisher("bob")
    found.release("alice", "model", "1", {"model.gguf": WEIGHTS}, title="Triage in Korean")
    return found


@pytest.fixture
def mirror(forged: ForgedHub) -> Iterator[Mirror]:
    with mirrors(forged.files()) as (found,):
        yield found


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[Hubs]:
    with Hubs(Place(lambda: database.connect(database.IN_MEMORY)), tmp_path / "hubs") as found:
        yield found


def the_file(hub: Hub) -> ReleaseFile:
    hub.refresh()
    return hub.releases()[0].files[0]


# What is added, and under which name


def test_a_hub_is_added_by_its_fingerprint(forged: ForgedHub, mirror: Mirror, hubs: Hubs) -> None:
    in_groups = "-".join(forged.fingerprint.lower()[i : i + 8] for i in range(10, 62, 8))
    row = hubs.add(f" {mirror.url}/ ", f"ondolhub1-{in_groups}", egress=Egress())
    assert (row.name, row.url, row.fingerprint) == ("127.0.0.1", mirror.url, forged.fingerprint)
    assert hubs.get() == hubs.get("127.0.0.1") == hubs.get(forged.fingerprint) == row
    hub = hubs.hub("127.0.0.1", Egress(), HURRIED)
    assert hub.releases() == []
    hub.refresh()
    assert [one.reference for one in hub.releases()] == ["alice/model@1"]
    assert hub.publishers()["alice"] == (forged.keys["alice"][0].public_key.keyid,)


def test_another_hub_at_the_address_is_not_added(mirror: Mirror, hubs: Hubs) -> None:
    other = ForgedHub().fingerprint
    with pytest.raises(UntrustedError, match="not the hub that this fingerprint belongs to"):
        hubs.add(mirror.url, other, egress=Egress())
    assert hubs.list() == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"<html>", b"9" * 600_000])
def test_what_is_no_hub_is_not_added(
    forged: ForgedHub, mirror: Mirror, hubs: Hubs, content: bytes
) -> None:
    mirror.files["metadata/1.root.json"] = content
    with pytest.raises(UntrustedError):
        hubs.add(mirror.url, forged.fingerprint, egress=Egress())
    del mirror.files["metadata/1.root.json"]
    with pytest.raises(HubUnreachableError, match="404"):
        hubs.add(mirror.url, forged.fingerprint, egress=Egress())
    assert hubs.list() == []


def test_a_signature_more_does_not_change_a_fingerprint(forged: ForgedHub) -> None:
    root = json.loads(forged.roots[0].to_bytes())
    root["signatures"].append({"keyid": "0" * 64, "sig": "00"})
    other = ForgedHub()
    with mirrors({"metadata/1.root.json": json.dumps(root, indent=3).encode()}) as (mirror,):
        with Hubs(Place(lambda: database.connect(database.IN_MEMORY))) as hubs:
            assert hubs.add(mirror.url, forged.fingerprint, egress=Egress())
    assert not matches(forged.fingerprint, other.fingerprint)


@pytest.mark.parametrize("text", ["", "ONDOLHUB1-", f"ONDOLHUB1-{'A' * 51}", "A" * 52])
def test_what_is_no_fingerprint_is_said_so(text: str) -> None:
    with pytest.raises(UsageError, match="no fingerprint"):
        normalised(text)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hub",
        "ftp://x/y",
        "http://",
        "https://a b/",
        "http://h:99999",
        "file:///etc",
        "http://\x07h",
        "https://me:sesame@example.org",
        "https://example.org/?key=sesame",
        "https://example.org/#sesame",
    ],
)
def test_what_is_no_address_is_said_so(forged: ForgedHub, hubs: Hubs, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        hubs.add(url, forged.fingerprint, egress=Egress())
    assert caught.value.param == "url"
    assert "sesame" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (" http://example.org/hub// ", "http://example.org/hub"),
        ("https://온돌.한국:8443/hub", "https://xn--pq1b416a.xn--3e0b707e:8443/hub"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_has_one_form(url: str, found: str) -> None:
    assert address(url) == found == address(found)


def test_the_same_hub_again_takes_new_addresses_and_keeps_its_name(
    forged: ForgedHub, mirror: Mirror, hubs: Hubs
) -> None:
    first = hubs.add(mirror.url, forged.fingerprint, "clinic", egress=Egress())
    gone = "http://127.0.0.1:9"
    again = hubs.add(gone, forged.fingerprint, mirrors=[mirror.url], egress=Egress())
    assert (again.name, again.added_at) == ("clinic", first.added_at)
    assert hubs.list() == [again]
    assert again.urls == (gone, mirror.url)


def test_two_hubs_have_two_names(forged: ForgedHub, mirror: Mirror, hubs: Hubs) -> None:
    other = ForgedHub()
    hubs.add(mirror.url, forged.fingerprint, egress=Egress())
    with mirrors(other.files()) as (second,):
        with pytest.raises(UsageError, match="called 127"):
            hubs.add(second.url, other.fingerprint, "127.0.0.1", egress=Egress())
        with pytest.raises(UsageError, match="cannot be the name"):
            hubs.add(second.url, other.fingerprint, "../x", egress=Egress())
        hubs.add(second.url, other.fingerprint, egress=Egress())
    assert [row.name for row in hubs.list()] == ["127.0.0.1", "127.0.0.1-2"]
    with pytest.raises(HubNotFoundError, match="more than one hub"):
        hubs.get()
    with pytest.raises(HubNotFoundError, match="No hub is called home"):
        hubs.get("home")


def test_what_is_removed_leaves_nothing(forged: ForgedHub, mirror: Mirror, hubs: Hubs) -> None:
    row = hubs.add(mirror.url, forged.fingerprint, egress=Egress())
    hubs.hub(row, Egress()).refresh()
    assert hubs.folder_of(row).is_dir()
    hubs.remove(row.name)
    assert hubs.list() == [] and not hubs.folder_of(row).exists()
    with pytest.raises(HubNotFoundError, match="No hub was added"):
        hubs.remove(row.name)


# What is known, and for how long


def test_how_a_refresh_ended_stands_in_the_row(
    forged: ForgedHub, mirror: Mirror, hubs: Hubs
) -> None:
    row = hubs.add(mirror.url, forged.fingerprint, egress=Egress())
    assert (row.refreshed_at, row.json()["error"]) == (None, None)
    hub = hubs.hub(row, Egress(), HURRIED)
    hub.refresh()
    well = hubs.get()
    assert well.refreshed_at and well.expires_at == hub.expires_at and hub.is_fresh
    del mirror.files["metadata/timestamp.json"]
    with pytest.raises(HubUnreachableError):
        hub.refresh()
    ill = hubs.get()
    assert (ill.refreshed_at, ill.expires_at) == (well.refreshed_at, well.expires_at)
    assert ill.json()["error"]["code"] == "hub_unreachable"
    mirror.files = forged.files()
    hub.refresh()
    assert hubs.get().failure == {}


def test_without_a_network_what_was_known_answers(forged: ForgedHub, tmp_path: Path) -> None:
    with mirrors(forged.files()) as (mirror,):
        hub = hub_at(forged, tmp_path, mirror)
        hub.refresh()
    with pytest.raises(HubUnreachableError, match="does not answer"):
        hub.refresh()
    for known in (hub, hub_at(forged, tmp_path, mirror)):
        assert known.release("alice", "model", Version.of("1")).files[0].digest == digest(WEIGHTS)
        with pytest.raises(HubNotFoundError, match="no alice/other"):
            known.item("alice", "other")
        with pytest.raises(HubNotFoundError, match="no version 2"):
            known.release("alice", "model", Version.of("2"))


def test_offline_the_door_is_shut_and_says_so(forged: ForgedHub, tmp_path: Path) -> None:
    root = forged.roots[0].to_bytes()
    row = HubRow("far", forged.fingerprint, root, "https://hub.example.org", (), "2026-11-22")
    with pytest.raises(EgressError, match="offline"):
        Hub(row, tmp_path, Egress(offline=True)).refresh()


def test_several_refresh_at_once(forged: ForgedHub, mirror: Mirror, tmp_path: Path) -> None:
    """python-tuf is made for one at a time: they take turns, in this process and in others."""
    hubs = [hub_at(forged, tmp_path, mirror) for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        found = [*threads.map(lambda hub: hub.refresh(), hubs * 2)]
    assert len({one.expires_at for one in found}) == 1
    assert [len(hub.releases()) for hub in hubs] == [1] * 4


def forge_a_digest(text: str) -> str:
    return text.replace(digest(WEIGHTS).removeprefix("sha256:"), "0" * 64)


@pytest.mark.parametrize("damage", [forge_a_digest, lambda text: text[:-40], lambda text: "{}"])
def test_what_is_known_is_checked_whenever_it_is_read(
    forged: ForgedHub, mirror: Mirror, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    hub = hub_at(forged, tmp_path, mirror)
    hub.refresh()
    file = tmp_path / FILE
    file.write_text(damage(file.read_text("utf-8")), "utf-8")
    assert hub.releases() == [] == hub_at(forged, tmp_path, mirror).releases()
    hub.refresh()
    assert [one.reference for one in hub.releases()] == ["alice/model@1"]


def test_a_publisher_who_has_nothing_yet_is_no_trouble(
    forged: ForgedHub, mirror: Mirror, tmp_path: Path
) -> None:
    """Delegated, and not in the snapshot: as after ``ondol hub publisher add``."""
    bob = forged.publishers.pop("bob")
    forged.snapshot.signed.meta.pop("bob.json", None)
    mirror.files = forged.files()
    hub = hub_at(forged, tmp_path, mirror)
    assert hub.refresh("bob").troubles == {}
    assert "bob" in hub.publishers()
    forged.publishers["bob"] = bob


def test_what_leaves_stands_in_the_ledger_and_names_the_hub_only(
    forged: ForgedHub, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the mirror were not on this machine."""
    outside = replace(PURPOSES["hub"], loopback_is_inside=False)
    monkeypatch.setitem(PURPOSES, "hub", outside)
    told: list[Passage] = []
    hub = hub_at(forged, tmp_path / "hub", mirror)
    hub._egress = Egress(record=told.append)
    hub.fetch(the_file(hub), tmp_path / "partial-model")
    out = [one for one in told if one.bytes_out]
    assert len(out) == len(mirror.asked)
    assert {(one.purpose, one.allowed, one.destination) for one in told} == {
        ("hub", True, mirror.url.removeprefix("http://"))
    }
    assert sum(one.bytes_in for one in told) > len(WEIGHTS)


# Files over bad lines


def test_a_file_goes_on_where_it_was_from_another_mirror(forged: ForgedHub, tmp_path: Path) -> None:
    files = forged.files()
    with mirrors(files, files) as (broken, good):

        def break_off(request: Any) -> None:
            request.send_response(200)
            request.send_header("Content-Length", str(len(WEIGHTS)))
            request.send_header("ETag", '"of this mirror"')
            request.end_headers()
            request.wfile.write(WEIGHTS[:150_000])
            request.wfile.flush()

        broken.says[BLOB] = break_off
        hub = hub_at(forged, tmp_path / "hub", broken, good)
        found = hub.fetch(the_file(hub), tmp_path / "partial-model")
    assert found.read_bytes() == WEIGHTS
    asked = [where for path, where in good.asked if path == BLOB]
    assert len(asked) == 1 and asked[0].startswith("bytes=") and asked[0] != "bytes=0-"
    assert "did not give model.gguf" in hub.left[broken.url].message


def test_what_is_whole_is_not_asked_for_again(
    forged: ForgedHub, mirror: Mirror, tmp_path: Path
) -> None:
    hub, partial = hub_at(forged, tmp_path / "hub", mirror), tmp_path / "partial-model"
    file = the_file(hub)
    hub.fetch(file, partial)
    before = len(mirror.asked)
    assert hub.fetch(file, partial).read_bytes() == WEIGHTS
    assert len(mirror.asked) == before


def test_who_calls_it_off_keeps_what_has_come(
    forged: ForgedHub, mirror: Mirror, tmp_path: Path
) -> None:
    hub, partial = hub_at(forged, tmp_path / "hub", mirror), tmp_path / "partial-model"
    file, cancel, heard = the_file(hub), Event(), []

    def on_bytes(done: int, total: int | None) -> None:
        heard.append((done, total))
        cancel.set()

    with pytest.raises(DownloadError, match="The download was stopped") as caught:
        hub.fetch(file, partial, watch=Watch(on_bytes, cancel))
    assert "goes on from there" in caught.value.hint
    assert 0 < size_of(partial) < len(WEIGHTS)
    assert heard[0][1] == len(WEIGHTS)
    hub.fetch(file, partial)
    assert partial.read_bytes() == WEIGHTS
    assert mirror.asked[-1][1].startswith("bytes=")


class Clock(Event):
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


@pytest.mark.parametrize("limit", [1_000.0, 50_000.0])
def test_the_owners_limit_is_kept_on_average(limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("ondol.hub.client.fetching.monotonic", clock.monotonic)
    pace = Pace(grace_seconds=1.0, least_bytes_per_second=limit / 2)
    meter = Meter("m", 1_000_000, pace, Watch(cancel=clock), limit, begun_at=clock.now)
    for done in range(10_000, 1_000_001, 10_000):
        meter.on_bytes(done, 1_000_000)
        assert done / (clock.now - 100.0) <= limit * 1.001
    assert clock.now - 100.0 == pytest.approx(1_000_000 / limit)


def test_what_was_here_already_is_not_waited_for(
    forged: ForgedHub, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("ondol.hub.client.fetching.monotonic", clock.monotonic)
    hub, partial = hub_at(forged, tmp_path / "hub", mirror), tmp_path / "partial-model"
    partial.write_bytes(WEIGHTS[:-5000])
    watch = Watch(cancel=clock)
    hub.fetch(the_file(hub), partial, watch=watch, limit_bytes_per_second=1000.0)
    assert partial.read_bytes() == WEIGHTS
    assert clock.now - 100.0 == pytest.approx(5.0)


def test_without_a_limit_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("ondol.hub.client.fetching.monotonic", clock.monotonic)
    meter = Meter("m", 10, Pace(1.0, 1.0), Watch(cancel=clock), None, begun_at=clock.now)
    meter.on_bytes(10, 10)
    assert clock.now == 100.0


def test_a_mirror_that_breaks_off_again_and_again_is_left(
    forged: ForgedHub, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try brings some bytes, so that it would never be given up by the number of tries."""
    clock = Clock()
    monkeypatch.setattr("ondol.hub.client.fetching.monotonic", clock.monotonic)

    def one_byte_more(request: Any) -> None:
        clock.now += 10.0
        start = int((request.headers.get("Range") or "bytes=0-")[6:-1])
        request.send_response(206 if start else 200)
        request.send_header("Content-Range", f"bytes {start}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}")
        request.send_header("Content-Length", str(len(WEIGHTS) - start))
        request.end_headers()
        request.wfile.write(WEIGHTS[start : start + 1])

    mirror.says[BLOB] = one_byte_more
    hub = hub_at(forged, tmp_path / "hub", mirror)
    with pytest.raises(HubUnreachableError, match="too slowly"):
        hub.fetch(the_file(hub), tmp_path / "partial-model")
    assert len(mirror.asked) < 30


# Deltas


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> tuple[ForgedHub, Path, bytes, str]:
    """A hub with a large file of which a little changed: the hub, the old file, the new content,
    and where the delta lies."""
    folder = tmp_path_factory.mktemp("delta")
    before = random.Random(7).randbytes(SMALLEST_BYTES + 1000)
    after = before[:500_000] + b"changed" + before[500_007:]
    forged = ForgedHub()
    forged.add_publisher("alice")
    forged.release("alice", "big", "2", {"big.gguf": after})
    old, new = folder / digest(before).replace(":", "-"), folder / "new"
    old.write_bytes(before)
    new.write_bytes(after)
    made = make(old, new, folder, old_digest=digest(before), new_digest=digest(after))
    assert made is not None
    (delta,) = (folder / "deltas").iterdir()
    forged.blobs["delta"] = delta.read_bytes()
    return forged, old, after, f"deltas/{delta.name}"


def test_who_has_the_old_version_fetches_a_delta(
    patched: tuple[ForgedHub, Path, bytes, str], tmp_path: Path
) -> None:
    forged, old, after, path = patched
    files = forged.files() | {path: forged.blobs["delta"]}
    with mirrors(files) as (mirror,):
        hub = hub_at(forged, tmp_path / "hub", mirror)
        partial = tmp_path / "partial-big"
        file = the_file(hub)
        before = len(mirror.asked)
        hub.fetch(file, partial, have=[old])
        assert [asked for asked, _ in mirror.asked[before:]] == [path]
    assert partial.read_bytes() == after
    assert sorted(one.name for one in tmp_path.iterdir()) == ["hub", "partial-big"]


@pytest.mark.parametrize("lie", [b"no delta at all", None], ids=["malformed", "of another file"])
def test_a_delta_that_lies_is_forgotten_for_the_whole(
    patched: tuple[ForgedHub, Path, bytes, str], tmp_path: Path, lie: bytes | None
) -> None:
    forged, old, after, path = patched
    content = lie
    if content is None:
        folder = tmp_path / "other"
        folder.mkdir()
        other = folder / "other"
        changed = after[:-1] + bytes([after[-1] ^ 1])
        other.write_bytes(changed)
        make(old, other, folder, old_digest=digest(old.read_bytes()), new_digest=digest(changed))
        (delta,) = (folder / "deltas").iterdir()
        content = delta.read_bytes()
    whole = forged.files()
    with mirrors(whole | {path: content}, whole) as (liar, honest):
        hub = hub_at(forged, tmp_path / "hub", liar, honest)
        partial = hub.fetch(the_file(hub), tmp_path / "partial-big", have=[old])
        assert partial.read_bytes() == after
        # Who lied about the delta is not asked for the whole where somebody else is there.
        blob = f"blobs/{digest(after).replace(':', '-')}"
        assert blob in dict(honest.asked) and blob not in dict(liar.asked)
    assert isinstance(hub.left[liar.url], UntrustedError)


# Finding something


def test_words_are_found_in_names_and_cards(tmp_path: Path) -> None:
    hub = ForgedHub()
    hub.add_publisher("alice")
    for item, version, card in (
        ("triage", "1", {"title": "Ｔriage", "description": "for clinics"}),
        ("triage", "2", {"channel": "beta"}),
        ("letters", "1", {"description": "about triage", "languages": ("ko",)}),
        ("gone", "1", {"title": "triage"}),
    ):
        hub.release("alice", item, version, {"model.gguf": item.encode()}, **card)
    with mirrors(hub.files()) as (mirror,):
        known = hub_at(hub, tmp_path, mirror)
        known.refresh()
        releases = known.releases()
    releases = [replace(one, yanked="bad") if one.item == "gone" else one for one in releases]

    def references(words: str, channel: Any = "stable") -> list[str]:
        return [one.reference for one in found_in(releases, words, channel)]

    assert references("TRIAGE") == ["alice/triage@1", "alice/letters@1"]
    assert references("triage", "beta") == ["alice/triage@2", "alice/letters@1"]
    assert references("triage clinics") == ["alice/triage@1"]
    assert references("nothing such") == []
    assert len(references("")) == 2
