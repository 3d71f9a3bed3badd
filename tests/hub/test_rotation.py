"""Keys that are lost, stolen or old are replaced, and a client that saw the old ones goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from made_hub import MadeHub
from tuf.api.exceptions import ExpiredMetadataError, RepositoryError
from tuf_client import TufClient

from ondol.errors import HubError, SigningError, UsageError
from ondol.hub.repository import keys, pending

PATH = "clinic/tiny/1/tiny.gguf"


@pytest.fixture
def hub(tmp_path: Path) -> MadeHub:
    hub = MadeHub(tmp_path)
    hub.publish()
    assert hub.client.sees(PATH)
    return hub


def two_of(hub: MadeHub):
    return hub.offline.root[:2]


def keyids(hub: MadeHub, role: str) -> list[str]:
    return hub.repository.state().root.signed.roles[role].keyids


@pytest.mark.parametrize("role", [("timestamp",), ("snapshot",), ("snapshot", "timestamp")])
def test_online_keys_are_replaced_by_root(hub: MadeHub, role) -> None:
    old = {name: keyids(hub, name) for name in role}
    hub.repository.rotate(role, two_of(hub))
    for name in role:
        assert len(keyids(hub, name)) == 1 and keyids(hub, name) != old[name]
    files = [file.name for file in (hub.folder / "state" / "keys").iterdir()]
    assert len(files) == 2  # the old ones are gone
    hub.publish("2")
    assert hub.client.sees(PATH) and hub.client.sees("clinic/tiny/2/tiny.gguf")


def test_lost_online_keys_are_replaced_too(hub: MadeHub) -> None:
    shutil.rmtree(hub.folder / "state")
    with pytest.raises(SigningError, match="online key"):
        hub.publish("2")
    hub.repository.rotate(("snapshot", "timestamp"), two_of(hub))
    hub.publish("2")
    assert hub.client.sees("clinic/tiny/2/tiny.gguf")


def test_who_stole_the_online_keys_is_refused_after_the_rotation(hub: MadeHub, tmp_path) -> None:
    thief = tmp_path / "thief"
    shutil.copytree(hub.folder, thief)
    hub.repository.rotate(("snapshot", "timestamp"), two_of(hub))
    assert hub.client.sees(PATH)
    stolen = type(hub.repository)(thief)
    for _ in range(5):
        stolen.refresh()  # newer numbers, the old key, and the roots that everybody has
    for root in ("2.root.json", "3.root.json"):
        shutil.copy(hub.folder / "metadata" / root, thief / "metadata" / root)
    with pytest.raises(RepositoryError):
        hub.client.updater(thief)
    assert hub.client.sees(PATH)


def test_a_fast_forward_by_a_stolen_timestamp_key_is_undone_by_a_rotation(hub: MadeHub) -> None:
    layout = hub.repository.layout
    state = hub.repository.state()
    state.timestamp.signed.version = 2**30
    [key] = keys.load_all([*layout.keys.glob("timestamp-*")])
    state.timestamp.sign(key)
    before = layout.timestamp.read_bytes()
    layout.put(layout.timestamp, state.timestamp.to_bytes())
    assert hub.client.sees(PATH)
    layout.put(layout.timestamp, before)
    with pytest.raises(RepositoryError):  # the client saw a higher number
        hub.client.updater()
    hub.repository.rotate("timestamp", two_of(hub))
    assert hub.client.sees(PATH)


@pytest.mark.parametrize("is_lost", [False, True])
def test_the_key_of_targets_is_replaced_whether_or_not_it_is_lost(hub: MadeHub, is_lost) -> None:
    new = keys.make()
    signers = [*two_of(hub), *([] if is_lost else [hub.offline.targets])]
    hub.repository.rotate("targets", signers, new=[new])
    assert keyids(hub, "targets") == [new.public_key.keyid]
    assert hub.client.sees(PATH)
    with pytest.raises(SigningError, match="may not sign targets"):
        hub.repository.remove_publisher("clinic", hub.offline.targets)
    hub.repository.add_publisher("school", keys.public_text(keys.make()), new)
    assert hub.client.updater() and "school" in hub.repository.publishers()


def test_a_root_key_is_replaced_and_the_old_one_counts_no_more(hub: MadeHub) -> None:
    new = keys.make()
    lost = hub.offline.root[2].public_key.keyid
    hub.repository.rotate("root", two_of(hub), new=[new], remove=[lost[:12]])
    assert lost not in keyids(hub, "root") and len(keyids(hub, "root")) == 3
    assert hub.client.sees(PATH)
    hub.repository.rotate("timestamp", [hub.offline.root[0], hub.offline.root[2]])
    assert hub.repository.waiting(), "one good key and one that was removed are not two"
    hub.repository.discard()
    hub.repository.rotate("timestamp", [hub.offline.root[0], new])
    assert not hub.repository.waiting() and hub.client.sees(PATH)
    with pytest.raises(UsageError, match="Fewer root keys"):
        left = [key.public_key.keyid for key in (*two_of(hub), new)]
        hub.repository.rotate("root", [new], remove=left[:2])
    with pytest.raises(UsageError, match="begins with"):
        hub.repository.rotate("root", [new], remove=["zz"])


def test_one_key_of_two_changes_nothing(hub: MadeHub) -> None:
    before = keyids(hub, "timestamp")
    hub.repository.rotate("timestamp", hub.offline.root[:1])
    first, second = hub.repository.waiting()
    assert (first.missing, second.missing) == (1, 1)
    assert keyids(hub, "timestamp") == before and hub.client.sees(PATH)
    with pytest.raises(SigningError, match="waits for signatures already"):
        hub.repository.rotate("snapshot", two_of(hub))
    hub.repository.discard()
    hub.repository.refresh()
    assert len(list((hub.folder / "state" / "keys").iterdir())) == 2


def test_a_publishers_key_is_replaced_and_it_signs_again_without_what_a_thief_made(hub) -> None:
    hub.publish("2", b"the thief's")
    new = keys.make()
    hub.repository.rotate("clinic", [hub.offline.targets], new=[new.public_key])
    assert hub.repository.releases() == []
    with pytest.raises(RepositoryError):
        hub.client.sees(PATH)
    with pytest.raises(SigningError, match="new key"):
        hub.publish("3", key=new)
    with pytest.raises(SigningError, match="not the key of clinic"):
        hub.repository.resign("clinic", hub.clinic)
    with pytest.raises(HubError, match="clinic/tiny@9"):
        hub.repository.resign("clinic", new, without=["clinic/tiny@9"])
    hub.repository.resign("clinic", new, without=["clinic/tiny@2"])
    assert hub.client.sees(PATH)
    assert hub.client.sees("clinic/tiny/2/tiny.gguf") == ""
    hub.publish("3", key=new)
    assert [str(one.version) for one in hub.repository.releases()] == ["1", "3"]


def test_with_its_new_key_at_hand_a_publisher_is_never_away(hub: MadeHub) -> None:
    new = keys.make()
    hub.repository.rotate("clinic", [hub.offline.targets], new=[new])
    assert hub.client.sees(PATH)
    with pytest.raises(SigningError, match="not the key of clinic"):
        hub.publish("2")
    hub.publish("2", key=new)


def test_other_publishers_do_not_notice(hub: MadeHub) -> None:
    school = keys.make()
    hub.repository.add_publisher("school", keys.public_text(school), hub.offline.targets)
    hub.repository.rotate("school", [hub.offline.targets], new=[keys.make().public_key])
    assert hub.client.sees(PATH)


def test_a_role_takes_one_new_key(hub: MadeHub) -> None:
    for role in ("targets", "clinic", ("targets", "snapshot")):
        with pytest.raises(UsageError, match="exactly one"):
            hub.repository.rotate(role, two_of(hub))


def test_an_expired_root_is_renewed_and_clients_come_back(hub: MadeHub, tmp_path) -> None:
    from datetime import timedelta

    def age(root) -> None:
        root.expires -= timedelta(days=400)

    def make_old() -> None:
        with hub.repository.changing():
            pending.change_root(hub.repository.layout, [lambda root: None], [])
            md = pending.settling.pending(hub.repository.layout, "root", 2)
            age(md.signed)
            for key in two_of(hub):
                md.sign(key, append=True)
            pending._write(hub.repository.layout, md, "root")
        hub.repository.refresh()

    make_old()
    with pytest.raises(ExpiredMetadataError):
        hub.client.updater()
    assert any("root expired" in sentence for sentence in hub.repository.status().problems)
    hub.repository.rotate("root", two_of(hub))
    assert hub.client.sees(PATH)
    assert hub.repository.status().problems == ()
    assert TufClient(hub.folder, tmp_path / "newcomer").sees(PATH)


def test_what_the_operator_signed_is_renewed_without_root(hub: MadeHub) -> None:
    before = hub.repository.state().targets.signed.version
    hub.repository.renew_targets([hub.offline.targets])
    assert hub.repository.state().targets.signed.version == before + 1
    assert hub.client.sees(PATH)


def test_a_hub_that_was_put_back_from_an_older_copy_is_trusted_after_a_rotation(hub, tmp_path):
    shutil.copytree(hub.folder, tmp_path / "backup")
    for version in ("2", "3"):
        hub.publish(version)
        assert hub.client.sees(f"clinic/tiny/{version}/tiny.gguf")
    shutil.rmtree(hub.folder)
    (tmp_path / "backup").rename(hub.folder)
    with pytest.raises(RepositoryError):
        hub.client.updater()
    hub.repository.rotate(("snapshot", "timestamp"), two_of(hub))
    assert hub.client.sees(PATH) and not hub.client.sees("clinic/tiny/3/tiny.gguf")
    hub.publish("3")
    assert hub.client.sees("clinic/tiny/3/tiny.gguf")
