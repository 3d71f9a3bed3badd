"""Keys that never come near the hub: what waits is carried to them and back as a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_hub import MadeHub
from tuf_client import TufClient

from ondol.errors import HubError, SigningError, UntrustedError
from ondol.hub.repository import Repository, keys, pending


@pytest.fixture
def hub(tmp_path: Path) -> MadeHub:
    return MadeHub(tmp_path)


def test_a_hub_begins_when_its_keys_have_signed_elsewhere(tmp_path: Path) -> None:
    roots, targets = [keys.make() for _ in range(3)], keys.make()
    repository = Repository(tmp_path / "hub")
    repository.init("Away", root=[key.public_key for key in roots], targets_key=targets.public_key)
    assert not repository.exists and repository.is_begun
    shown = repository.fingerprint
    request = repository.request()
    assert repository.take(pending.sign(request, [roots[0], targets])) == 2
    assert not repository.exists
    [left] = repository.waiting()
    assert (left.role, left.missing) == ("root", 1)
    assert repository.take(pending.sign(request, roots[1:2])) == 1
    assert repository.exists and repository.fingerprint == shown
    assert TufClient(tmp_path / "hub", tmp_path / "client").updater()


def test_a_change_of_publishers_waits_for_the_key_of_targets(hub: MadeHub) -> None:
    for name in ("school", "library"):
        hub.repository.add_publisher(name, keys.public_text(keys.make()))
    assert list(hub.repository.publishers()) == ["clinic"]
    [waiting] = hub.repository.waiting()
    assert waiting.keyids == (hub.offline.targets.public_key.keyid,)
    signed = pending.sign(hub.repository.request(), [hub.offline.targets])
    assert hub.repository.take(signed) == 1
    assert sorted(hub.repository.publishers()) == ["clinic", "library", "school"]
    assert hub.client.updater() and not hub.repository.waiting()
    with pytest.raises(SigningError, match="Nothing waits"):
        hub.repository.request()


def test_a_rotation_is_signed_in_one_sitting(hub: MadeHub) -> None:
    hub.publish()
    hub.repository.rotate("timestamp")
    request = hub.repository.request()
    assert [role for role, _ in pending.opened(request)] == ["root", "root"]
    for key in hub.offline.root[1:]:
        request = pending.sign(request, [key])
    hub.repository.take(request)
    assert hub.repository.state().root.signed.version == 3
    assert hub.client.sees("clinic/tiny/1/tiny.gguf")


def test_what_comes_back_changed_is_refused(hub: MadeHub) -> None:
    hub.repository.add_publisher("school", keys.public_text(keys.make()))
    signed = json.loads(pending.sign(hub.repository.request(), [hub.offline.targets]))
    roles = signed["documents"][0]["metadata"]["signed"]["delegations"]["roles"]
    roles[-1]["paths"] = ["*/*/*/*"]
    with pytest.raises(UntrustedError, match="is not what waits"):
        hub.repository.take(json.dumps(signed).encode())
    assert list(hub.repository.publishers()) == ["clinic"]


def test_a_signature_that_is_none_is_not_taken(hub: MadeHub) -> None:
    hub.repository.add_publisher("school", keys.public_text(keys.make()))
    stranger = pending.sign(hub.repository.request(), [keys.make()])
    with pytest.raises(SigningError, match="no new signature"):
        hub.repository.take(stranger)
    forged = json.loads(stranger)
    [signature] = forged["documents"][0]["metadata"]["signatures"]
    signature["keyid"] = hub.offline.targets.public_key.keyid
    with pytest.raises(SigningError, match="no new signature"):
        hub.repository.take(json.dumps(forged).encode())


def test_a_key_that_a_root_does_not_name_is_not_asked(hub: MadeHub) -> None:
    hub.repository.rotate("timestamp")
    with pytest.raises(SigningError, match="None of these keys"):
        pending.sign(hub.repository.request(), [keys.make()])


@pytest.mark.parametrize("data", [b"", b"[]", b'{"ondol_hub_signing": 2}', b"{" * 100_000, b"\xff"])
def test_what_is_no_request_is_refused(hub: MadeHub, data: bytes) -> None:
    with pytest.raises(HubError, match="no request"):
        pending.sign(data, [hub.clinic])


def test_keys_in_files_open_with_their_passphrase_alone(tmp_path: Path) -> None:
    file, made = tmp_path / "key.json", keys.make()
    keys.save(file, made, "correct horse")
    assert made.private_bytes not in file.read_bytes() and file.stat().st_mode & 0o777 == 0o600
    assert keys.load(file, "correct horse").public_key == made.public_key
    assert keys.public_of(file) == keys.public_text(made) and keys.is_locked(file)
    for passphrase, sentence in (("wrong", "not the passphrase"), ("", "is locked")):
        with pytest.raises(SigningError, match=sentence):
            keys.load(file, passphrase)
    with pytest.raises(SigningError, match="a key in"):
        keys.save(file, keys.make(), "x")
    with pytest.raises(SigningError, match="There is no key"):
        keys.load(tmp_path / "lost.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(public="ed25519:" + "0" * 64),
        lambda found: found.update(private="00"),
        lambda found: found.pop("private"),
        lambda found: found.update(ondol_hub_key=2),
        lambda found: found.clear(),
    ],
)
def test_a_damaged_key_file_is_named(tmp_path: Path, change) -> None:
    file = tmp_path / "key.json"
    keys.save(file, keys.make())
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(SigningError, match=r"key\.json is no key"):
        keys.load(file, "some passphrase")
