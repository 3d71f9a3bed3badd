"""The attacks of the TUF specification (1.5.2) and a few more, by a server that wants to be
believed: each is refused with its own sentence, and what was known stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from forged_hub import BRISK, Files, ForgedHub, Mirror, digest, hub_at, key, mirrors
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import (
    EgressError,
    ExpiredError,
    HubError,
    HubUnreachableError,
    UntrustedError,
)
from ondol.hub.client import Hub
from ondol.models.resume import size_of

WEIGHTS = b"GGUF" + bytes(range(256)) * 800
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


@dataclass
class Scene:
    """A hub of alice and eve that a device knows at alice/model 1; everybody's next step is
    prepared, nothing of it served yet."""

    forged: ForgedHub
    mirror: Mirror
    hub: Hub
    first: Files

    def versions(self) -> list[str]:
        return [one.reference for one in self.hub.releases()]

    def is_refused(self, kind: type[HubError], words: str) -> HubError:
        """The refresh is refused so, and what was known stays."""
        before = self.versions()
        with pytest.raises(kind, match=words) as caught:
            self.hub.refresh()
        assert self.versions() == before == ["alice/model@1"]
        assert "keeps running" in caught.value.hint or "Try again" in caught.value.hint
        assert self.mirror.url in caught.value.message
        return caught.value


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    forged = ForgedHub()
    forged.add_publisher("alice")
    forged.add_publisher("eve")
    forged.release("alice", "model", "1", {"model.gguf": WEIGHTS})
    first = forged.files()
    with mirrors(first) as (mirror,):
        hub = hub_at(forged, tmp_path / "hub", mirror)
        hub.refresh()
        yield Scene(forged, mirror, hub, first)


def publish(forged: ForgedHub) -> None:
    forged.release("alice", "model", "2", {"model.gguf": WEIGHTS + b"new"})


def test_what_is_signed_rightly_is_taken(scene: Scene) -> None:
    publish(scene.forged)
    scene.mirror.files = scene.forged.files()
    assert scene.hub.refresh().mirror == scene.mirror.url
    assert scene.versions() == ["alice/model@1", "alice/model@2"]
    assert set(scene.hub.publishers()) == {"alice", "eve"}


def test_rollback_to_what_was_before(scene: Scene) -> None:
    publish(scene.forged)
    scene.mirror.files = scene.forged.files()
    scene.hub.refresh()
    scene.mirror.files = scene.first
    with pytest.raises(UntrustedError, match="older than what was known already"):
        scene.hub.refresh()
    assert scene.versions() == ["alice/model@1", "alice/model@2"]


def test_rollback_of_one_publisher_in_a_new_snapshot(scene: Scene) -> None:
    """Whoever has the online keys only: the snapshot is new, and alice's version in it is old."""
    publish(scene.forged)
    scene.mirror.files = scene.forged.files()
    scene.hub.refresh()
    scene.forged.publishers["alice"].signed.version -= 1
    del scene.forged.publishers["alice"].signed.targets["alice/model/2/model.gguf"]
    scene.mirror.files = scene.forged.files()
    with pytest.raises(UntrustedError, match="older than what was known already"):
        scene.hub.refresh()
    assert scene.versions() == ["alice/model@1", "alice/model@2"]


def test_freeze_is_noticed_when_the_old_word_expires(scene: Scene, tmp_path: Path) -> None:
    scene.forged.timestamp.signed.expires = YESTERDAY
    scene.mirror.files = scene.forged.files()
    error = scene.is_refused(ExpiredError, r"older than it may be \(timestamp\)")
    assert "clock" in error.hint


@pytest.mark.parametrize("role", ["root", "snapshot", "targets"])
def test_what_expired_gives_nothing_new(scene: Scene, role: str) -> None:
    forged = scene.forged
    publish(forged)
    if role == "root":
        forged.rotate("timestamp")
        forged.root.expires = YESTERDAY
        forged._sign(forged.roots[-1], forged.keys["root"][:2])
    else:
        getattr(forged, role).signed.expires = YESTERDAY
        forged.targets.signed.version += role == "targets"
    scene.mirror.files = forged.files()
    scene.is_refused(ExpiredError, f"older than it may be .{role}")


def test_a_publisher_who_sleeps_stops_nobody_else(scene: Scene) -> None:
    scene.forged.publishers["alice"].signed.expires = YESTERDAY
    publish(scene.forged)
    scene.forged.release("eve", "other", "1", {"other.gguf": WEIGHTS})
    scene.mirror.files = scene.forged.files()
    found = scene.hub.refresh()
    assert scene.versions() == ["alice/model@1", "eve/other@1"]
    assert "alice signed is older than it may be" in found.troubles["alice"].message
    with pytest.raises(ExpiredError, match="alice"):
        scene.hub.refresh("alice")
    scene.hub.refresh("eve")


@pytest.mark.parametrize("role", ["targets", "snapshot"])
def test_mix_and_match_of_old_and_new(scene: Scene, role: str) -> None:
    """Yesterday's file under today's name."""
    publish(scene.forged)
    scene.forged.targets.signed.version += 1
    after = scene.forged.files()
    old = next(content for path, content in scene.first.items() if path.endswith(f".{role}.json"))
    new = next(path for path in after if path.endswith(f".{role}.json"))
    scene.mirror.files = after | {new: old}
    scene.is_refused(UntrustedError, "changed after they were signed")


def test_mix_and_match_without_hashes(scene: Scene) -> None:
    """A snapshot that lists versions only: the version itself must be the one that is listed."""
    publish(scene.forged)
    scene.forged.targets.signed.version += 1
    scene.forged.files()
    signed = scene.forged.snapshot.signed
    for listed in signed.meta.values():
        listed.hashes = listed.length = None
    scene.forged._sign(scene.forged.snapshot, scene.forged.keys["snapshot"])
    scene.forged.timestamp.signed.snapshot_meta.hashes = None
    scene.forged.timestamp.signed.snapshot_meta.length = None
    scene.forged._sign(scene.forged.timestamp, scene.forged.keys["timestamp"])
    after = dict(scene.first)
    after["metadata/timestamp.json"] = scene.forged.timestamp.to_bytes()
    after[f"metadata/{signed.version}.snapshot.json"] = scene.forged.snapshot.to_bytes()
    targets = next(content for path, content in scene.first.items() if ".targets." in path)
    after[f"metadata/{scene.forged.targets.signed.version}.targets.json"] = targets
    scene.mirror.files = after
    scene.is_refused(UntrustedError, "do not belong together")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_wrong_key(scene: Scene, role: str) -> None:
    publish(scene.forged)
    scene.forged.targets.signed.version += 1
    scene.forged.keys[role] = [key()]
    scene.mirror.files = scene.forged.files()
    scene.is_refused(UntrustedError, "too few of the right keys")


def test_wrong_key_of_a_publisher(scene: Scene) -> None:
    publish(scene.forged)
    scene.forged.keys["alice"] = scene.forged.keys["eve"]
    scene.mirror.files = scene.forged.files()
    with pytest.raises(UntrustedError, match="metadata of alice that too few of the right keys"):
        scene.hub.refresh("alice")
    assert scene.versions() == ["alice/model@1"]


@pytest.mark.parametrize("signers", [1, "twice", "others"])
def test_under_signed_root(scene: Scene, signers: object) -> None:
    ours = scene.forged.keys["root"]
    by = {1: ours[:1], "twice": [ours[0], ours[0]], "others": [key(), key(), key()]}[signers]
    scene.forged.rotate("timestamp", by)
    scene.mirror.files = scene.forged.files()
    scene.is_refused(UntrustedError, "too few of the right keys")


def test_root_of_a_wrong_version(scene: Scene) -> None:
    scene.forged.rotate("timestamp")
    scene.forged.rotate("snapshot")
    files = scene.forged.files()
    files["metadata/2.root.json"] = files.pop("metadata/3.root.json")
    scene.mirror.files = files
    scene.is_refused(UntrustedError, "do not belong together")


def test_stolen_root_keys_are_rotated_away(scene: Scene) -> None:
    """Two of the three were stolen: the operator signs the last root with them, and the next ones
    with others. What the thief signs after that leads nowhere."""
    forged = scene.forged
    stolen = forged.keys["root"]
    forged.rotate("root")
    publish(forged)
    scene.mirror.files = forged.files()
    scene.hub.refresh()
    assert scene.versions() == ["alice/model@1", "alice/model@2"]
    forged.rotate("targets", stolen[:2])
    scene.mirror.files = forged.files()
    with pytest.raises(UntrustedError, match="too few of the right keys"):
        scene.hub.refresh()
    assert scene.versions() == ["alice/model@1", "alice/model@2"]


def test_a_new_root_signed_by_new_keys_only_is_nobodys(scene: Scene) -> None:
    scene.forged.rotate("root")
    scene.forged._sign(scene.forged.roots[-1], scene.forged.keys["root"][:2])
    scene.mirror.files = scene.forged.files()
    scene.is_refused(UntrustedError, "too few of the right keys")


@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json"])
def test_endless_metadata_are_cut_off(scene: Scene, name: str) -> None:
    scene.mirror.says[f"metadata/{name}"] = scene.mirror.endless
    scene.is_refused(UntrustedError, "sent more than it may")


def test_slow_metadata_are_not_waited_for(scene: Scene, tmp_path: Path) -> None:
    scene.hub._limits = BRISK
    scene.mirror.says["metadata/timestamp.json"] = scene.mirror.trickle
    scene.is_refused(HubUnreachableError, "too slowly")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[" * 9_000, b'{"signed": 1, "signatures": []}', b"\xff\xfe", b"<html>hello"],
    ids=["empty", "object", "deep", "shape", "bytes", "page"],
)
@pytest.mark.parametrize("name", ["timestamp", "snapshot", "targets", "alice"])
def test_nonsense_is_refused(scene: Scene, name: str, content: bytes) -> None:
    publish(scene.forged)
    scene.forged.targets.signed.version += 1
    files = scene.forged.files()
    path = next(p for p in reversed(files) if p.endswith((f".{name}.json", f"/{name}.json")))
    scene.mirror.files = files | {path: content}
    with pytest.raises(UntrustedError, match=r"nobody can read|changed after|more than it may"):
        scene.hub.refresh("alice")
    assert scene.versions() == ["alice/model@1"]


def test_stolen_online_keys_forge_no_release_and_are_rotated_away(scene: Scene) -> None:
    """Whoever has snapshot and timestamp may freeze, and count versions up; not sign a release."""
    forged = scene.forged
    publish(forged)
    thief = forged.keys["alice"]
    forged.keys["alice"] = [key()]
    forged.snapshot.signed.version = forged.timestamp.signed.version = 1_000_000
    scene.mirror.files = forged.files()
    assert "too few of the right keys" in scene.hub.refresh().troubles["alice"].message
    assert scene.versions() == ["alice/model@1"]
    # The operator takes the stolen keys out. Versions begin anew: the thief's high ones are void.
    forged.keys["alice"] = thief
    forged.rotate("snapshot")
    forged.rotate("timestamp")
    forged.snapshot.signed.version = forged.timestamp.signed.version = 3
    forged.snapshot.signed.meta = {}
    after = forged.files()
    scene.mirror.files = after
    scene.hub.refresh("alice")
    assert scene.versions() == ["alice/model@1", "alice/model@2"]
    # What the thief still signs with the old keys is nobody's.
    stale = ForgedHub()
    scene.mirror.files = after | {
        "metadata/timestamp.json": stale.files()["metadata/timestamp.json"]
    }
    with pytest.raises(UntrustedError, match="too few of the right keys"):
        scene.hub.refresh()


def test_a_publisher_whose_key_was_stolen_gets_another_one(scene: Scene) -> None:
    forged = scene.forged
    forged.release("alice", "model", "6.6.6", {"model.gguf": b"the thief's"})
    scene.mirror.files = forged.files()
    scene.hub.refresh("alice")
    assert "alice/model@6.6.6" in scene.versions()
    # The operator delegates to another key; alice has not signed with it yet: nothing of the
    # thief's is known from here on.
    stolen = forged.keys["alice"]
    forged.add_publisher("alice")
    forged.publishers["alice"].signed.version = 9
    new, forged.keys["alice"] = forged.keys["alice"], stolen
    scene.mirror.files = forged.files()
    found = scene.hub.refresh()
    assert "too few of the right keys" in found.troubles["alice"].message
    assert found.rekeyed == ("alice",)
    assert scene.versions() == []
    assert scene.hub.refresh().rekeyed == ()  # said once, when it changed
    forged.keys["alice"] = new
    forged.release("alice", "model", "6.6.6", {"model.gguf": b"alice's own"})
    scene.mirror.files = forged.files()
    scene.hub.refresh("alice")
    assert scene.versions() == ["alice/model@6.6.6"]
    assert scene.hub.releases()[0].files[0].digest == digest(b"alice's own")


def test_one_publisher_signs_anothers_path(scene: Scene) -> None:
    scene.forged.release("alice", "model", "9", {"model.gguf": b"eve's"}, by="eve")
    scene.mirror.files = scene.forged.files()
    with pytest.raises(UntrustedError, match=r"of eve about alice/model/9/model\.gguf"):
        scene.hub.refresh("eve")
    assert scene.versions() == ["alice/model@1"]


@pytest.mark.parametrize("paths", [["*/*/*/*"], ["alice/*/*/*"], ["eve/*/*/*", "alice/*/*/*"]])
def test_a_delegation_beyond_ones_own_name_is_nobodys(scene: Scene, paths: list[str]) -> None:
    scene.forged.add_publisher("mallory", paths)
    scene.forged.release("mallory", "model", "1", {"model.gguf": b"x"})
    scene.mirror.files = scene.forged.files()
    scene.hub.refresh()
    assert scene.versions() == ["alice/model@1"]
    assert "mallory" not in scene.hub.publishers()


def test_a_publisher_who_delegates_further_gains_nothing(scene: Scene) -> None:
    forged = scene.forged
    inner = ForgedHub()
    inner.add_publisher("helper", ["eve/*/*/*"])
    forged.publishers["eve"].signed.delegations = inner.targets.signed.delegations
    forged.publishers["eve"].signed.version += 1
    forged.publishers["helper"] = inner.publishers["helper"]
    forged.keys["helper"] = inner.keys["helper"]
    forged.release("eve", "model", "1", {"model.gguf": b"x"}, by="helper")
    scene.mirror.files = forged.files()
    scene.hub.refresh("eve")
    assert scene.versions() == ["alice/model@1"]
    assert not any("helper" in path for path, _ in scene.mirror.asked)


def test_a_version_does_not_change_its_content(scene: Scene) -> None:
    scene.forged.release("alice", "model", "1", {"model.gguf": b"something else"})
    scene.mirror.files = scene.forged.files()
    with pytest.raises(UntrustedError, match=r"other content for alice/model/1/model\.gguf"):
        scene.hub.refresh("alice")
    assert scene.hub.releases()[0].files[0].digest == digest(WEIGHTS)


def test_a_refresh_that_breaks_off_anywhere_is_made_up_for(scene: Scene) -> None:
    """The line breaks at the first request, the second, the third …: what was known stays, and the
    next refresh has all of it."""
    publish(scene.forged)
    scene.forged.targets.signed.version += 1
    scene.forged.rotate("snapshot")
    scene.mirror.files = scene.forged.files()
    answer, left = scene.mirror.answer, [0]

    def break_off(request: object) -> None:
        if left[0] > 0:
            left[0] -= 1
            answer(request)  # type: ignore[arg-type]

    scene.mirror.answer = break_off  # type: ignore[method-assign]
    for number in range(100):
        left[0] = number
        before = scene.versions()
        try:
            scene.hub.refresh("alice")
            break
        except HubUnreachableError:
            assert scene.versions() in (before, ["alice/model@1", "alice/model@2"])
    assert 1 < number < 20
    assert scene.versions() == ["alice/model@1", "alice/model@2"]


def test_no_changed_byte_is_ever_taken(scene: Scene, tmp_path: Path) -> None:
    """Whatever one byte of the metadata becomes: the old, or exactly the new, and a sentence."""
    publish(scene.forged)
    scene.forged.targets.signed.version += 1
    new = scene.forged.files()
    names = sorted(path for path in new if path not in scene.first and "metadata/" in path)
    names.append("metadata/timestamp.json")

    @settings(max_examples=40, deadline=None)
    @given(st.sampled_from(names), st.integers(0, 100_000), st.integers(1, 255))
    def holds(path: str, place: int, change: int) -> None:
        content = bytearray(new[path])
        content[place % len(content)] ^= change
        scene.mirror.files = new | {path: bytes(content)}
        folder = tmp_path / uuid4().hex
        shutil.copytree(scene.hub._folder, folder, symlinks=True)
        hub = hub_at(scene.forged, folder, scene.mirror)
        with suppress(HubError):
            hub.refresh("alice")
        found = {one.reference: one.files[0].digest for one in hub.releases()}
        assert found.items() <= {
            ("alice/model@1", digest(WEIGHTS)),
            ("alice/model@2", digest(WEIGHTS + b"new")),
        }
        assert "alice/model@1" in found

    holds()


def test_a_mirror_that_lies_is_named_and_left(scene: Scene, tmp_path: Path) -> None:
    publish(scene.forged)
    honest = scene.forged.files()
    liar = honest | {"metadata/timestamp.json": ForgedHub().files()["metadata/timestamp.json"]}
    with mirrors(liar, honest) as (bad, good):
        hub = hub_at(scene.forged, tmp_path / "other", bad, good)
        found = hub.refresh()
    assert found.mirror == good.url
    assert [url for url, _ in found.left] == [bad.url] == list(hub.left)
    assert bad.url in found.left[0][1].message
    assert [one.reference for one in hub.releases()] == ["alice/model@1", "alice/model@2"]


def test_a_mirror_without_one_publisher_does_not_hide_her(scene: Scene, tmp_path: Path) -> None:
    publish(scene.forged)
    whole = scene.forged.files()
    part = {path: content for path, content in whole.items() if ".alice.json" not in path}
    with mirrors(part, whole) as (some, all_of_it):
        hub = hub_at(scene.forged, tmp_path / "other", some, all_of_it)
        assert not hub.refresh("alice").troubles
    assert len(hub.releases("alice")) == 2


def test_a_mirror_sends_nobody_elsewhere(scene: Scene) -> None:
    with mirrors(scene.forged.files()) as (other,):

        def moved(request: object) -> None:
            request.send_response(302)  # type: ignore[attr-defined]
            request.send_header("Location", f"{other.url}/metadata/timestamp.json")  # type: ignore[attr-defined]
            request.end_headers()  # type: ignore[attr-defined]

        scene.mirror.says["metadata/timestamp.json"] = moved
        with pytest.raises(EgressError, match="tried to send us on"):
            scene.hub.refresh()
        assert other.asked == []
    assert scene.versions() == ["alice/model@1"]


def test_compressed_metadata_are_not_unpacked(scene: Scene) -> None:
    def bomb(request: object) -> None:
        request.send_response(200)  # type: ignore[attr-defined]
        request.send_header("Content-Encoding", "gzip")  # type: ignore[attr-defined]
        request.send_header("Content-Length", "9")  # type: ignore[attr-defined]
        request.end_headers()  # type: ignore[attr-defined]
        request.wfile.write(b"\x1f\x8b" + b"0" * 7)  # type: ignore[attr-defined]

    scene.mirror.says["metadata/timestamp.json"] = bomb
    scene.is_refused(HubUnreachableError, "compressed")


BLOB = f"blobs/{digest(WEIGHTS).replace(':', '-')}"


def lies(mirror: Mirror) -> None:
    mirror.files[BLOB] = WEIGHTS[:-1] + b"!"


def is_shorter(mirror: Mirror) -> None:
    mirror.files[BLOB] = WEIGHTS[:-1]


def is_longer(mirror: Mirror) -> None:
    mirror.files[BLOB] = WEIGHTS + b"and more"


def has_no_end(mirror: Mirror) -> None:
    mirror.says[BLOB] = mirror.endless


def trickles(mirror: Mirror) -> None:
    mirror.says[BLOB] = mirror.trickle


def has_nothing(mirror: Mirror) -> None:
    del mirror.files[BLOB]


FILE_ATTACKS = [
    (lies, UntrustedError, "is not what was signed"),
    (is_shorter, HubUnreachableError, "did not give model"),
    (is_longer, UntrustedError, "sent more than it may"),
    (has_no_end, UntrustedError, "sent more than it may"),
    (trickles, HubUnreachableError, "too slowly"),
    (has_nothing, HubUnreachableError, "did not give model"),
]


@pytest.mark.parametrize(
    ("attack", "kind", "words"), FILE_ATTACKS, ids=[one[0].__name__ for one in FILE_ATTACKS]
)
def test_another_file_than_the_signed_one(
    scene: Scene,
    tmp_path: Path,
    attack: Callable[[Mirror], None],
    kind: type[HubError],
    words: str,
) -> None:
    """From the one mirror it is refused; with another one it is that one's that is taken."""
    attack(scene.mirror)
    (file,) = scene.hub.releases()[0].files
    partial = tmp_path / "partial-model"
    scene.hub._limits = BRISK
    with pytest.raises(kind, match=words):
        scene.hub.fetch(file, partial)
    assert size_of(partial) <= len(WEIGHTS)
    assert list(scene.hub.left) == [scene.mirror.url]
    with mirrors(scene.first) as (good,):
        hub = hub_at(scene.forged, scene.hub._folder, scene.mirror, good, limits=BRISK)
        assert hub.fetch(file, partial).read_bytes() == WEIGHTS
        assert list(hub.left) == [scene.mirror.url]


def test_a_part_that_was_changed_here_is_thrown_away(scene: Scene, tmp_path: Path) -> None:
    (file,) = scene.hub.releases()[0].files
    partial = tmp_path / "partial-model"
    partial.write_bytes(b"tampered" * 1000)
    assert scene.hub.fetch(file, partial).read_bytes() == WEIGHTS
    partial.write_bytes(b"!" * len(WEIGHTS))
    assert scene.hub.fetch(file, partial).read_bytes() == WEIGHTS
