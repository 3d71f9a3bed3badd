"""A repository, and python-tuf's own client on it: what is published is seen, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from made_hub import CARD, CLEAN, MadeHub
from tuf.api.exceptions import RepositoryError
from tuf_client import TufClient

from ondol.errors import (
    HubError,
    HubNotFoundError,
    ScanRefusedError,
    SigningError,
    UntrustedError,
    UsageError,
)
from ondol.hub.release import releases_of
from ondol.hub.repository import Repository, keys
from ondol.hub.repository import repository as module
from ondol.hub.scan import Finding, Report


@pytest.fixture
def hub(tmp_path: Path) -> MadeHub:
    return MadeHub(tmp_path)


def test_what_is_published_is_seen_by_any_client(hub: MadeHub) -> None:
    release = hub.publish("1.2", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert hub.client.sees("clinic/tiny/1.2/tiny.gguf") == digest
    assert (hub.folder / "blobs" / f"sha256-{digest}").read_bytes() == b"weights"
    assert hub.repository.releases() == [release]
    assert release.reference == "clinic/tiny@1.2"
    assert release.card.epsilon == 1.5 and release.card.scan["ok"] and release.card.released_at


def test_served_files_are_readable_by_all_and_keys_by_their_owner_alone(
    hub: MadeHub,
) -> None:
    hub.publish()

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    served = [*(hub.folder / "metadata").iterdir(), *(hub.folder / "blobs").iterdir()]
    assert {mode(file) for file in served} == {0o644}
    assert mode(hub.folder / "state") == 0o700
    assert {mode(file) for file in (hub.folder / "state" / "keys").iterdir()} == {0o600}


def test_the_same_files_again_change_nothing_and_others_are_refused(hub: MadeHub) -> None:
    first = hub.publish("1", b"weights")
    before = (hub.folder / "metadata" / "timestamp.json").read_bytes()
    assert hub.publish("1.0", b"weights") == first
    assert (hub.folder / "metadata" / "timestamp.json").read_bytes() == before
    with pytest.raises(HubError, match="published already"):
        hub.publish("1", b"other weights")
    assert hub.client.sees("clinic/tiny/1/tiny.gguf") == first.first.hex


def test_a_rollback_is_old_bytes_under_a_new_version(hub: MadeHub) -> None:
    good = hub.publish("1", b"good")
    hub.publish("2", b"bad")
    again = hub.publish("3", b"good")
    assert again.files == good.files
    assert hub.client.sees("clinic/tiny/3/tiny.gguf") == good.first.hex


def test_a_withdrawn_release_says_why_and_stays(hub: MadeHub) -> None:
    hub.publish("1")
    hub.repository.yank("clinic", "tiny", "1", "answers nonsense", hub.clinic)
    [release] = hub.repository.releases()
    assert release.yanked == "answers nonsense"
    assert hub.client.sees("clinic/tiny/1/tiny.gguf")
    with pytest.raises(HubNotFoundError, match="clinic/tiny@2"):
        hub.repository.yank("clinic", "tiny", "2", "gone", hub.clinic)
    with pytest.raises(UsageError, match="why"):
        hub.repository.yank("clinic", "tiny", "1", " ", hub.clinic)


def test_a_publisher_signs_with_its_own_key_alone(hub: MadeHub) -> None:
    with pytest.raises(SigningError, match="not the key of clinic"):
        hub.publish(key=hub.offline.targets)
    with pytest.raises(HubNotFoundError, match="somebody"):
        hub.repository.yank("somebody", "tiny", "1", "x", hub.clinic)
    assert hub.repository.releases() == []


def test_two_publishers_have_two_names(hub: MadeHub) -> None:
    other = keys.public_text(keys.make())
    with pytest.raises(HubError, match="a publisher clinic already"):
        hub.repository.add_publisher("clinic", other, hub.offline.targets)
    with pytest.raises(HubError, match="cannot be the name"):
        hub.repository.add_publisher("snapshot", other, hub.offline.targets)
    with pytest.raises(UsageError, match="no public key"):
        hub.repository.add_publisher("school", "ed25519:abc", hub.offline.targets)
    assert list(hub.repository.publishers()) == ["clinic"]


def test_the_key_of_root_signs_no_publishers(hub: MadeHub) -> None:
    with pytest.raises(SigningError, match="may not sign targets"):
        hub.repository.add_publisher("school", keys.public_text(hub.clinic), hub.offline.root[0])


def test_a_publisher_that_was_removed_is_offered_no_more(hub: MadeHub) -> None:
    hub.publish()
    assert hub.client.sees("clinic/tiny/1/tiny.gguf")
    hub.repository.remove_publisher("clinic", hub.offline.targets)
    assert hub.client.sees("clinic/tiny/1/tiny.gguf") == ""
    assert hub.repository.releases() == []
    with pytest.raises(HubNotFoundError, match="clinic"):
        hub.repository.remove_publisher("clinic", hub.offline.targets)
    # Who comes back goes on counting: clients remember.
    hub.repository.add_publisher("clinic", keys.public_text(hub.clinic), hub.offline.targets)
    hub.repository.resign("clinic", hub.clinic)
    assert hub.client.sees("clinic/tiny/1/tiny.gguf")


def test_what_the_scanner_refuses_is_not_published(hub: MadeHub) -> None:
    report = Report(False, (Finding("tiny.gguf", "bad_header", "The header is broken."),), 0.1)
    with pytest.raises(ScanRefusedError, match="header is broken"):
        hub.publish(report=report)
    assert hub.repository.releases() == [] and not list((hub.folder / "blobs").iterdir())


def test_the_card_is_about_the_files_that_are_given(hub: MadeHub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="other files"):
        hub.publish(files={"other.gguf": tmp_path / "tiny.gguf"})
    with pytest.raises(UsageError, match="is no file"):
        hub.publish(files={"tiny.gguf": tmp_path / "nowhere.gguf"})
    with pytest.raises(HubError, match="no target"):
        card = replace(CARD, files={"../up.gguf": "weights"})
        hub.publish(card=card, files={"../up.gguf": tmp_path / "tiny.gguf"})
    with pytest.raises(HubError, match="cannot be the name"):
        hub.repository.publish("clinic", "Up/..", "1", CARD, {}, hub.clinic, report=CLEAN)


@pytest.mark.parametrize(
    "said",
    [
        {"title": "x" * 5000},
        {"kind": "program"},
        {"min_ondol": "v1"},
        {"epsilon": float("nan")},
        {"training": {"at": object()}},
        {"evaluation": {str(n): 0 for n in range(300)}},
    ],
)
def test_a_card_that_no_client_would_take_is_not_signed(hub: MadeHub, said) -> None:
    with pytest.raises(HubError):
        hub.publish(card=replace(CARD, **said))
    assert hub.repository.releases() == []
    assert not (hub.folder / "state" / "incoming").exists()


def test_text_that_json_cannot_carry_is_refused_before_anything_changes(hub: MadeHub) -> None:
    with pytest.raises(HubError, match="card"):
        hub.publish(card=replace(CARD, title="half \udc80"))
    hub.publish()
    assert len(hub.repository.releases()) == 1


def test_a_role_that_no_client_would_read_is_not_signed(hub: MadeHub, monkeypatch) -> None:
    hub.publish("1")
    monkeypatch.setitem(module.roles.MOST_BYTES, "targets", 100)
    with pytest.raises(HubError, match="more than 100 bytes"):
        hub.publish("2")
    assert hub.client.sees("clinic/tiny/1/tiny.gguf")
    assert hub.client.sees("clinic/tiny/2/tiny.gguf") == ""


def test_a_folder_is_a_hub_once(hub: MadeHub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a hub already"):
        hub.repository.init("Again")
    with pytest.raises(HubNotFoundError, match="no hub"):
        Repository(tmp_path / "nowhere").refresh()
    assert not (tmp_path / "nowhere").exists()
    for threshold, name in ((4, "x"), (0, "x"), (2, " ")):
        with pytest.raises(UsageError, match="at least one"):
            Repository(tmp_path / "new").init(name, 3, threshold)


def test_blobs_are_found_by_their_digest(hub: MadeHub) -> None:
    release = hub.publish("1", b"weights")
    assert hub.repository.read(release.first.digest) == b"weights"
    for digest in ("sha256:" + "0" * 64, "sha256:../../state/keys", ""):
        assert hub.repository.blob(digest) is None
        with pytest.raises(HubNotFoundError):
            hub.repository.read(digest)


def test_damaged_metadata_are_named(hub: MadeHub) -> None:
    hub.publish()
    timestamp = hub.folder / "metadata" / "timestamp.json"
    content = json.loads(timestamp.read_bytes())
    content["signed"]["version"] += 5
    timestamp.write_text(json.dumps(content))
    with pytest.raises(UntrustedError, match=r"timestamp\.json"):
        hub.repository.releases()
    timestamp.write_text("{")
    with pytest.raises(UntrustedError, match=r"timestamp\.json"):
        hub.repository.status()


def test_refresh_without_force_signs_only_what_is_due(
    hub: MadeHub,
) -> None:
    timestamp = hub.folder / "metadata" / "timestamp.json"
    before = timestamp.read_bytes()
    hub.repository.refresh(force=False)
    assert timestamp.read_bytes() == before
    hub.repository.refresh()
    assert hub.repository.state().timestamp.signed.version == (
        json.loads(before)["signed"]["version"] + 1
    )
    assert hub.client.updater()


def test_without_its_online_keys_a_hub_says_which_is_missing(hub: MadeHub) -> None:
    for file in (hub.folder / "state" / "keys").glob("timestamp-*"):
        file.unlink()
    with pytest.raises(SigningError, match="online key for timestamp"):
        hub.repository.refresh()
    assert any("timestamp" in sentence for sentence in hub.repository.status().problems)
    assert hub.client.updater()


def test_nonsense_in_a_signed_role_hides_nothing_else(hub: MadeHub) -> None:
    from tuf.api.metadata import TargetFile

    good = hub.publish()
    role = hub.repository.state()
    md = module.publishing.draft(hub.repository.layout, role, "clinic")
    digest = {"sha256": "0" * 64}
    for path, custom in (
        ("clinic/odd/1/a.gguf", {"role": "weights"}),
        ("clinic/odd/2/a.gguf", {"role": "weights", "card": "[]"}),
        ("clinic/odd/3/a.gguf", {"role": "weights", "card": '{"epsilon": NaN}'}),
        ("clinic/odd/4/a.gguf", {"role": 7}),
        ("clinic/odd/5/a.gguf", None),
        ("clinic/odd/6/a.gguf", {"role": "weights", "card": json.dumps({**CARD.json()})}),
        ("clinic/odd/07/a.gguf", {"role": "weights"}),
        ("school/odd/1/a.gguf", {"role": "weights"}),
        ("../up", {}),
    ):
        found = TargetFile(1, dict(digest), path, {"custom": custom})
        md.signed.targets[path] = found
    assert releases_of("clinic", md.signed) == [good]


def test_a_symlink_in_place_of_the_folder_is_followed_once(hub: MadeHub, tmp_path: Path) -> None:
    os.symlink(hub.folder, tmp_path / "link")
    assert Repository(tmp_path / "link").name == "Test"


def test_a_client_that_knows_the_hub_takes_no_other_one(hub: MadeHub, tmp_path: Path) -> None:
    other = MadeHub(tmp_path / "other")
    with pytest.raises(RepositoryError):
        TufClient(hub.folder, tmp_path / "fresh").updater(other.folder)
    assert other.repository.fingerprint != hub.repository.fingerprint
