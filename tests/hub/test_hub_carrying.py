"""A hub is copied to be served, and a publisher's change is made on the copy and brought back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_hub import CARD, CLEAN, MadeHub
from tuf.api.metadata import Metadata
from tuf_client import TufClient

from ondol.errors import (
    HubError,
    HubNotFoundError,
    ScanRefusedError,
    SigningError,
    UntrustedError,
    UsageError,
)
from ondol.hub import scan as scanning
from ondol.hub.repository import Repository, keys, roles, settling
from ondol.hub.scan import Finding, Report

PATH = "clinic/tiny/1/tiny.gguf"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeHub:
    monkeypatch.setattr(scanning, "scan", lambda files, card=None, **how: CLEAN)
    hub = MadeHub(tmp_path)
    hub.publish()
    return hub


@pytest.fixture
def copy(hub: MadeHub, tmp_path: Path) -> Repository:
    """The hub as its publisher has it: a copy without keys."""
    hub.repository.export(tmp_path / "copy")
    return Repository(tmp_path / "copy")


def change(hub: MadeHub, copy: Repository, to: Path, version: str = "2", **more) -> Path:
    file = to.with_suffix(".gguf")
    file.write_bytes(b"made at home")
    given = {"card": CARD, "files": {"tiny.gguf": file}, "key": hub.clinic, "report": CLEAN}
    copy.publish("clinic", "tiny", version, **{**given, **more}, to=to)
    return to


def signed_again(hub: MadeHub, change: Path, edit) -> None:
    """The change in that folder with its role edited and signed by its publisher."""
    [file] = change.glob("*.json")
    md = Metadata.from_bytes(file.read_bytes())
    edit(md.signed)
    md.sign(hub.clinic)
    file.write_bytes(md.to_bytes())


def test_a_copy_is_what_is_served_and_nothing_else(hub: MadeHub, tmp_path: Path) -> None:
    to = tmp_path / "www"
    copied = hub.repository.export(to)
    assert copied == sum(file.stat().st_size for file in to.rglob("*") if file.is_file())
    assert sorted(path.name for path in to.iterdir()) == ["blobs", "deltas", "metadata"]
    assert TufClient(to, tmp_path / "new").sees(PATH)
    hub.publish("2", b"weights")  # the same bytes under a new version
    assert hub.repository.export(to) < copied
    assert TufClient(to, tmp_path / "new").sees("clinic/tiny/2/tiny.gguf")


def test_a_copy_of_a_copy_needs_no_key(hub: MadeHub, copy, tmp_path, monkeypatch) -> None:
    from datetime import UTC, datetime, timedelta

    # The day after tomorrow, when a timestamp would be due and nobody here can sign one.
    later = SimpleNamespace(now=lambda zone: datetime.now(UTC) + timedelta(days=1.5))
    monkeypatch.setattr(settling, "datetime", later)
    copy.export(tmp_path / "third")
    assert TufClient(tmp_path / "third", tmp_path / "new").sees(PATH)
    with pytest.raises(SigningError, match="online key"):
        copy.refresh(force=False)


def test_a_copy_does_not_lie_in_the_hub(hub: MadeHub) -> None:
    for to in (hub.folder, hub.folder / "metadata", hub.folder.parent):
        with pytest.raises(UsageError, match="another folder"):
            hub.repository.export(to)


def test_a_publisher_needs_a_copy_and_its_own_key(hub: MadeHub, copy, tmp_path: Path) -> None:
    to = change(hub, copy, tmp_path / "change")
    assert sorted(path.name for path in to.iterdir()) == ["2.clinic.json", "blobs"]
    assert [str(one.version) for one in copy.releases()] == ["1"]
    [new] = hub.repository.accept(to)
    assert new.reference == "clinic/tiny@2"
    assert hub.client.sees("clinic/tiny/2/tiny.gguf") == new.first.hex
    with pytest.raises(UsageError, match="not empty"):
        copy.yank("clinic", "tiny", "1", "old", hub.clinic, to=to)


def test_a_withdrawal_and_a_new_signature_are_carried_too(hub: MadeHub, copy, tmp_path) -> None:
    copy.yank("clinic", "tiny", "1", "wrong doses", hub.clinic, to=tmp_path / "one")
    assert hub.repository.accept(tmp_path / "one") == []
    assert hub.repository.releases()[0].yanked == "wrong doses"
    hub.repository.export(copy.folder)
    copy.resign("clinic", hub.clinic, to=tmp_path / "two")
    assert hub.repository.accept(tmp_path / "two") == []
    assert hub.client.sees(PATH)


def test_a_change_that_was_made_on_an_older_state_is_refused(hub: MadeHub, copy, tmp_path) -> None:
    to = change(hub, copy, tmp_path / "change")
    hub.publish("1.5", b"meanwhile")
    with pytest.raises(UntrustedError, match="on top of"):
        hub.repository.accept(to)
    assert "2" not in [str(one.version) for one in hub.repository.releases()]


def test_a_change_that_somebody_else_signed_is_refused(hub: MadeHub, copy, tmp_path: Path) -> None:
    to = change(hub, copy, tmp_path / "change")
    hub.clinic = keys.make()
    signed_again(hub, to, lambda role: None)
    with pytest.raises(UntrustedError, match="not signed by clinic"):
        hub.repository.accept(to)
    (to / "2.clinic.json").rename(to / "2.school.json")
    with pytest.raises(HubNotFoundError, match="school"):
        hub.repository.accept(to)


def test_what_is_published_cannot_be_rewritten_or_removed(hub: MadeHub, copy, tmp_path) -> None:
    one = change(hub, copy, tmp_path / "one")
    shutil.copytree(one, tmp_path / "two")
    two = tmp_path / "two"

    def rewrite(role) -> None:
        role.targets[PATH].hashes["sha256"] = "0" * 64

    def remove(role) -> None:
        del role.targets[PATH]

    for folder, edit in ((one, rewrite), (two, remove)):
        signed_again(hub, folder, edit)
        with pytest.raises(UntrustedError, match="clinic/tiny@1"):
            hub.repository.accept(folder)
    assert hub.client.sees(PATH)


def test_a_change_holds_whole_releases_alone(hub: MadeHub, copy, tmp_path: Path) -> None:
    from tuf.api.metadata import Delegations, TargetFile

    def foreign(role) -> None:
        role.targets["school/x/1/a"] = TargetFile(1, {"sha256": "0" * 64}, "school/x/1/a")

    def delegates(role) -> None:
        role.delegations = Delegations({}, {})

    for number, edit in enumerate((foreign, delegates)):
        to = change(hub, copy, tmp_path / f"change-{number}")
        signed_again(hub, to, edit)
        with pytest.raises(UntrustedError, match="more than whole releases"):
            hub.repository.accept(to)


def test_blobs_that_are_missing_or_others_are_refused(hub: MadeHub, copy, tmp_path: Path) -> None:
    to = change(hub, copy, tmp_path / "change")
    [blob] = (to / "blobs").iterdir()
    content = blob.read_bytes()
    blob.write_bytes(content[::-1])
    with pytest.raises(UntrustedError, match="not what was signed"):
        hub.repository.accept(to)
    blob.unlink()
    with pytest.raises(UntrustedError, match="neither in the change"):
        hub.repository.accept(to)
    (tmp_path / "outside").write_bytes(content)
    blob.symlink_to(tmp_path / "outside")
    with pytest.raises(UntrustedError, match="neither in the change"):
        hub.repository.accept(to)
    assert hub.repository.status().half_done == ()


def test_what_comes_in_is_scanned_whatever_its_card_says(hub, copy, tmp_path, monkeypatch) -> None:
    to = change(hub, copy, tmp_path / "change")
    found = Report(False, (Finding("tiny.gguf", "bad", "It is a bomb."),), 0.1)
    monkeypatch.setattr(scanning, "scan", lambda files, card=None, **how: found)
    with pytest.raises(ScanRefusedError, match="bomb"):
        hub.repository.accept(to)


def test_a_folder_without_a_change_is_named(hub: MadeHub, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "2.clinic.json").write_text("{}")
    (tmp_path / "two" / "2.school.json").write_text("{}")
    for folder in (tmp_path / "nowhere", hub.folder / "blobs", tmp_path / "two"):
        with pytest.raises(HubError, match="no change"):
            hub.repository.accept(folder)
    (tmp_path / "two" / "2.school.json").unlink()
    with pytest.raises(UntrustedError, match="damaged"):
        hub.repository.accept(tmp_path / "two")


def test_deltas_are_made_from_the_versions_before(hub: MadeHub, monkeypatch) -> None:
    from ondol.hub import delta

    made = []
    monkeypatch.setattr(delta, "is_worth", lambda role, size: role == "weights")
    monkeypatch.setattr(delta, "make", lambda old, new, hub, **digests: made.append(digests))
    before = [hub.publish(str(n), str(n).encode()).first.digest for n in range(2, 5)]
    made.clear()
    new = hub.publish("5", b"five").first.digest
    assert [one["old_digest"] for one in made] == before[-2:]
    assert {one["new_digest"] for one in made} == {new}
    made.clear()
    hub.publish("6", b"five")
    assert new not in [one["old_digest"] for one in made], "nothing is made of nothing"


def test_status_says_how_a_hub_stands(hub: MadeHub) -> None:
    found = hub.repository.status(check=True)
    assert (found.name, found.root_version, found.threshold) == ("Test", 1, 2)
    assert found.fingerprint == hub.repository.fingerprint
    assert [(one.name, one.releases) for one in found.publishers] == [("clinic", 1)]
    assert found.problems == found.half_done == found.waiting == ()
    assert found.size_bytes["blobs"] == len(b"weights")
    told = json.loads(json.dumps(found.json()))
    assert told["publishers"][0]["keys"] == [hub.clinic.public_key.keyid]
    assert set(told["expires_at"]) == {"root", "targets", "snapshot", "timestamp"}


def test_status_names_lost_and_damaged_blobs(hub: MadeHub) -> None:
    [blob] = (hub.folder / "blobs").iterdir()
    blob.write_bytes(b"WEIGHTS")
    assert hub.repository.status().problems == ()
    [problem] = hub.repository.status(check=True).problems
    assert "tiny.gguf of clinic/tiny@1" in problem
    blob.unlink()
    assert len(hub.repository.status().problems) == 1


def test_status_says_what_ends_soon(hub: MadeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    short = {role: timedelta(days=10) for role in roles.LIVES}
    monkeypatch.setattr(roles, "LIVES", short)
    hub.repository.renew_targets([hub.offline.targets])
    [problem] = hub.repository.status().problems
    assert problem.startswith("targets expires on ")


def test_status_says_what_an_interrupted_command_left(hub: MadeHub) -> None:
    layout = hub.repository.layout
    (hub.folder / "metadata" / ".2.clinic.json.abcd").write_bytes(b"half")
    state = hub.repository.state()
    md = roles.copy_of(roles.read(layout.versioned("clinic", 1)))
    md.signed.version = 2
    md.sign(hub.clinic)
    layout.put(layout.versioned("clinic", 2), md.to_bytes())
    layout.put(layout.versioned("clinic", 3), b"{}")  # of nobody: it is no step of ours
    assert state.version_of("clinic") == 1
    with pytest.raises(UntrustedError):
        hub.repository.status()
    layout.versioned("clinic", 3).unlink()
    left, ahead = hub.repository.status().half_done
    assert "interrupted" in left and "Version 2 of clinic" in ahead
    hub.repository.refresh()
    assert hub.repository.status().half_done == ()
    assert hub.repository.state().version_of("clinic") == 2


def test_a_mirrored_release_waits_until_it_is_approved(hub: MadeHub, monkeypatch) -> None:
    from ondol.hub.mirror import quarantine

    mirror, gone = keys.make(), []
    hub.repository.add_publisher("mirror", keys.public_text(mirror), hub.offline.targets)
    file = hub.folder.parent / "tiny.gguf"
    held = SimpleNamespace(item="lab--tiny", card=replace(CARD), files={"tiny.gguf": file})
    shown = SimpleNamespace(get=lambda name: held, remove=gone.append)
    monkeypatch.setattr(quarantine, "Quarantine", lambda folder: shown)
    assert hub.repository.approve("held", mirror).reference == "mirror/lab--tiny@1"
    file.write_bytes(b"the next commit")
    assert hub.repository.approve("held", mirror).reference == "mirror/lab--tiny@2"
    assert gone == ["held", "held"]
