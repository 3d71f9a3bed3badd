"""kill -9 between any two steps of a change: what is there verifies, and the next command mends it.

Each round is a fork of this process that dies at its n-th rename, link or unlink, without running
anything that would clean up, until a round is left to finish.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from made_hub import MadeHub
from tuf_client import TufClient

from ondol.errors import HubNotFoundError
from ondol.hub.repository import Repository, keys

PATH = "clinic/tiny/1/tiny.gguf"
# The fork runs nothing but the change, and takes no lock that another thread may hold.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
STEPS = ("replace", "rename", "unlink", "link", "rmdir")


def killed_at(step: int, change: Callable[[], object]) -> bool:
    """Whether a fork that did ``change`` was killed at that step, or came to its end before."""
    child = os.fork()
    if child == 0:
        left = step

        def counted(done: Callable[..., object]) -> Callable[..., object]:
            def one(*arguments: object, **settings: object) -> object:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done(*arguments, **settings)

            return one

        try:
            for name in STEPS:
                setattr(os, name, counted(getattr(os, name)))
            change()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def every_step(hub: MadeHub, folder: Path, change: Callable[[Repository], object]):
    """A copy of the hub after a kill at each step in turn, with how many steps it took."""
    for step in range(200):
        copy = folder / f"killed-{step}"
        shutil.copytree(hub.folder, copy)
        killed = killed_at(step, lambda copy=copy: change(Repository(copy)))
        yield copy
        shutil.rmtree(copy)
        if not killed:
            assert step > 3
            return
    raise AssertionError("it never ends")


@pytest.fixture
def hub(tmp_path: Path) -> MadeHub:
    hub = MadeHub(tmp_path)
    hub.publish()
    assert hub.client.sees(PATH)
    return hub


def check(hub: MadeHub, copy: Path, tmp_path: Path, mended: Callable[[Repository], object]) -> None:
    """A client that was there before and one that is new see what was; then it is mended."""
    for client in (hub.client, TufClient(copy, tmp_path / "newcomer")):
        kept = tmp_path / "kept"
        shutil.copytree(client.cache, kept)
        assert client.sees(PATH, copy)
        shutil.rmtree(client.cache)
        kept.rename(client.cache)
    repository = Repository(copy)
    repository.refresh()
    status = repository.status()
    assert status.half_done == () and status.problems == ()
    mended(repository)
    shutil.rmtree(tmp_path / "newcomer")


def test_publishing(hub: MadeHub, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"more weights")
    from made_hub import CARD, CLEAN

    def publish(repository: Repository) -> object:
        files = {"tiny.gguf": file}
        return repository.publish("clinic", "tiny", "2", CARD, files, hub.clinic, report=CLEAN)

    def mended(repository: Repository) -> None:
        publish(repository)
        assert [str(one.version) for one in repository.releases()] == ["1", "2"]

    for copy in every_step(hub, tmp_path, publish):
        check(hub, copy, tmp_path, mended)


@pytest.mark.parametrize("role", ["timestamp", "targets", "clinic"])
def test_rotating(hub: MadeHub, tmp_path: Path, role: str) -> None:
    new = keys.make()
    signers = hub.offline.root[:2] if role != "clinic" else (hub.offline.targets,)
    before = hub.repository.state()

    def rotate(repository: Repository) -> object:
        return repository.rotate(role, signers, new=[] if role == "timestamp" else [new])

    def mended(repository: Repository) -> None:
        """It is the old key, or the new one, and never neither."""
        state = repository.state()
        found = state.publishers.get(role) or state.root.signed.roles[role].keyids
        old = before.publishers.get(role) or before.root.signed.roles[role].keyids
        if role != "timestamp" and list(found) != list(old):
            assert list(found) == [new.public_key.keyid]
        if repository.waiting():
            repository.discard()
        assert TufClient(repository.folder, tmp_path / "last").sees(PATH)
        shutil.rmtree(tmp_path / "last")

    for copy in every_step(hub, tmp_path, rotate):
        check(hub, copy, tmp_path, mended)


def test_making(tmp_path: Path) -> None:
    offline = keys.make_offline()

    def make(folder: Path) -> None:
        Repository(folder).init("Test", root=offline.root, targets_key=offline.targets)

    for step in range(200):
        folder = tmp_path / f"hub-{step}"
        killed = killed_at(step, lambda folder=folder: make(folder))
        repository = Repository(folder)
        if not repository.is_begun:
            with pytest.raises(HubNotFoundError):
                repository.refresh()
            make(folder)
        repository.refresh()
        assert TufClient(folder, tmp_path / f"client-{step}").updater()
        if not killed:
            return
    raise AssertionError("it never ends")


def test_exporting(hub: MadeHub, tmp_path: Path) -> None:
    to = tmp_path / "served"
    hub.repository.export(to)
    hub.publish("2", b"more weights")
    hub.repository.rotate("timestamp", hub.offline.root[:2])
    for step in range(200):
        killed = killed_at(step, lambda: hub.repository.export(to))
        assert TufClient(to, tmp_path / f"client-{step}").sees(PATH)
        if not killed:
            break
    assert hub.client.sees("clinic/tiny/2/tiny.gguf", to)
    assert sorted(path.name for path in to.iterdir()) == ["blobs", "deltas", "metadata"]
    assert not [path for path in to.rglob(".*")]
