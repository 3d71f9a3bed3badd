"""The keychain of a desktop: gnome-keyring's Secret Service on a bus of its own.

Skipped where it is not installed (apt install gnome-keyring dbus-daemon; pip install keyring).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondol import cipher, encryption, keychain, keys, paths
from ondol.errors import ConfigError, LockedError

pytest.importorskip("keyring", reason="The extra ondol[keychain] is not installed.")
pytestmark = pytest.mark.skipif(
    not shutil.which("dbus-daemon") or not shutil.which("gnome-keyring-daemon"),
    reason="No Secret Service to test with: apt install gnome-keyring dbus-daemon.",
)

FIRST = "온돌은 따뜻하다 " * 200
SECOND = "korrekt Pferd Batterie"
# Nothing is started by being asked for: neither another daemon nor a window.
BUS = """<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/>
<allow own="*"/></policy></busconfig>"""


class Desktop:
    """A bus, with a keyring that is unlocked."""

    def __init__(self, folder: Path) -> None:
        self._environ = {
            **{name: value for name, value in os.environ.items() if "DISPLAY" not in name},
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
        }
        folder.chmod(0o700)
        settings = folder / "bus.conf"
        settings.write_text(BUS)
        command = ["dbus-daemon", f"--config-file={settings}", "--nofork", "--print-address"]
        self.bus = subprocess.Popen(
            command, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.bus.stdout
        self.address = self.bus.stdout.readline().decode().strip()
        self._environ["DBUS_SESSION_BUS_ADDRESS"] = self.address
        self.daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self.daemon.stdin
        self.daemon.stdin.write(b"login")
        self.daemon.stdin.close()
        self._wait()

    def _wait(self) -> None:
        """Until the daemon answers on the bus."""
        import jeepney.io.blocking
        import secretstorage

        with jeepney.io.blocking.open_dbus_connection(bus=self.address) as connection:
            until = time.monotonic() + 20
            while not secretstorage.check_service_availability(connection):
                assert self.daemon.poll() is None and time.monotonic() < until
                time.sleep(0.01)

    def stop(self) -> None:
        for process in (self.daemon, self.bus):
            process.kill()
            process.wait()
        assert self.bus.stdout
        self.bus.stdout.close()


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    folder = tmp_path / "desktop"
    folder.mkdir()
    started = Desktop(folder)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", started.address)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring")
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a process that has just been started: no backend is chosen, no key known."""
    import keyring.core

    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    monkeypatch.setattr(keychain, "_silence", keychain._Silence())
    keys.forget_all()
    keys.ask_with(None)
    yield
    keys.forget_all()


def opens(file: Path) -> bool:
    """Whether the library opens for who has no key and is asked nothing."""
    keys.forget_all()
    try:
        cipher.open_file(file, timeout_seconds=1).close()
    except LockedError:
        return False
    return True


def test_real_keychain_opens_follows_and_forgets(
    home: Path, desktop: Desktop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = paths.database_file()
    paths.ensure(file.parent)
    with keychain.keeping(FIRST):
        encryption.lock(file, FIRST)
    assert opens(file) and list(keychain.kept()) == [FIRST]
    # Killed on the way to another passphrase, before the library has it and after.
    change = keychain.keeping(SECOND)
    change.__enter__()
    assert opens(file)
    encryption.lock(file, SECOND)
    assert opens(file) and list(keychain.kept()) == [FIRST, SECOND]
    change.__exit__(None, None, None)
    assert opens(file) and list(keychain.kept()) == [SECOND]
    # Another data directory has an entry of its own.
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "another"))
    assert keychain.read() is None and not keychain.forget()
    monkeypatch.setenv("ONDOL_HOME", str(home))
    keychain.keep("wrong")
    with pytest.raises(LockedError, match="that the keychain holds does not open"):
        keys.forget_all()
        cipher.open_file(file, timeout_seconds=1)
    assert keychain.forget() and not keychain.forget()
    assert not opens(file)


def test_real_keychain_that_does_not_answer_is_said_and_nothing_hangs(
    home: Path, desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    import secretstorage

    file = paths.database_file()
    paths.ensure(file.parent)
    encryption.lock(file, SECOND)
    keychain.keep(SECOND)
    assert opens(file) and keychain.silence() == ""
    with secretstorage.dbus_init() as connection:
        secretstorage.get_default_collection(connection).lock()
    keys.forget_all()
    with pytest.raises(LockedError) as caught:
        cipher.open_file(file, timeout_seconds=1)
    assert "Locked" in caught.value.hint and "unlock it" in caught.value.hint
    with pytest.raises(ConfigError, match="did not take"):
        keychain.keep("another")
    monkeypatch.setattr(keychain, "PATIENCE_SECONDS", 0.3)
    os.kill(desktop.daemon.pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert not opens(file) and keychain.silence() == "TimeoutError"
    # Who has hung once is not waited for again.
    assert keychain.read() is None and time.monotonic() - begun < 5
    desktop.daemon.kill()
    monkeypatch.setattr(keychain, "_silence", keychain._Silence())
    assert not opens(file) and keychain.silence()
    monkeypatch.setenv(keys.PASSPHRASE, SECOND)
    assert opens(file)
