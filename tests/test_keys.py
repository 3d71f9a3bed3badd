"""Where passphrases come from, and what key they give."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol import keychain, keys, paths
from ondol.errors import ConfigError

QUICK = keys.Parameters(passes=1, memory_kib=64, lanes=1)
FILE = Path("/somewhere/ondol.db")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    keys.forget_all()
    keys.ask_with(None)
    yield
    keys.forget_all()
    keys.ask_with(None)


class FakeKeyring:
    """What ``keyring`` offers, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.is_broken = False

    def get_password(self, service: str, account: str) -> str | None:
        if self.is_broken:
            raise RuntimeError("no keychain daemon")
        return self.kept.get((service, account))

    def set_password(self, service: str, account: str, passphrase: str) -> None:
        if self.is_broken:
            raise RuntimeError("no keychain daemon")
        self.kept[service, account] = passphrase

    def delete_password(self, service: str, account: str) -> None:
        del self.kept[service, account]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    fake = FakeKeyring()
    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(**_methods(fake)))
    return fake


def _methods(fake: FakeKeyring) -> dict[str, object]:
    names = ("get_password", "set_password", "delete_password")
    return {name: getattr(fake, name) for name in names}


def test_key_is_argon2id_of_version_19() -> None:
    # Computed with argon2-cffi's own command line form: t=3, m=64 MiB, p=4, salt of 16 bytes.
    from argon2.low_level import Type, hash_secret_raw

    expected = hash_secret_raw(b"correct horse", bytes(16), 3, 65536, 4, 32, Type.ID, version=0x13)
    assert keys.derive("correct horse", bytes(16)).secret == expected


def test_parameters_are_never_weaker_than_rfc_9106_says() -> None:
    for parameters in keys.PARAMETERS:
        assert parameters.passes >= 3 and parameters.memory_kib >= 64 << 10
    assert keys.SALT_BYTES == 16 and keys.KEY_BYTES == 32


def test_released_parameters_stay() -> None:
    assert keys.Parameters(passes=3, memory_kib=64 << 10, lanes=4) in keys.PARAMETERS


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1), st.binary(min_size=16, max_size=16))
def test_keys_are_equal_exactly_when_the_passphrases_are(a: str, b: str, salt: bytes) -> None:
    one, other = keys.derive(a, salt, QUICK), keys.derive(b, salt, QUICK)
    is_same = unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b)
    assert (one.secret == other.secret) is is_same


def test_hangul_typed_as_letters_or_as_syllables_is_one_passphrase() -> None:
    syllables = "온돌의 암호"
    letters = unicodedata.normalize("NFD", syllables)
    assert letters != syllables
    assert keys.derive(letters, bytes(16), QUICK) == keys.derive(syllables, bytes(16), QUICK)


def test_two_new_keys_of_one_passphrase_differ() -> None:
    assert keys.new_key("same") != keys.new_key("same")


def test_key_does_not_show_itself() -> None:
    key = keys.derive("x", bytes(16), QUICK)
    assert key.secret.hex() not in repr(key) and str(key.secret) not in repr(key)


def test_sources_have_their_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keyring: FakeKeyring
) -> None:
    held = tmp_path / "passphrase"
    held.write_bytes(b"from the file\r\nnot this\n")
    assert list(keys.passphrases(FILE)) == []
    keys.ask_with(lambda file, attempt: f"typed {attempt}")
    typed = ["typed 0", "typed 1", "typed 2"]
    assert list(keys.passphrases(FILE)) == typed
    keyring.set_password(keychain.SERVICE, str(paths.database_file()), "kept")
    assert list(keys.passphrases(FILE)) == ["kept", *typed]
    monkeypatch.setenv(keys.PASSPHRASE_FILE, str(held))
    assert list(keys.passphrases(FILE)) == ["from the file"]
    monkeypatch.setenv(keys.PASSPHRASE, "from the environment")
    assert list(keys.passphrases(FILE)) == ["from the environment"]


@pytest.mark.parametrize("content", [b"", b"\nsecond line", b"\xff\xfe\n"])
def test_unusable_passphrase_file_is_a_sentence_without_its_content(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    monkeypatch.setenv(keys.PASSPHRASE_FILE, str(file))
    with pytest.raises(ConfigError) as caught:
        keys.given()
    assert str(file) in caught.value.message and caught.value.hint
    assert "second" not in caught.value.message


def test_missing_passphrase_file_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keys.PASSPHRASE_FILE, str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="No such file"):
        keys.given()


def test_keychain_keeps_one_passphrase_for_each_data_directory(
    keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keychain.keep("mine")
    assert keychain.read() == "mine"
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "another"))
    assert keychain.read() is None and not keychain.forget()
    monkeypatch.undo()


def test_broken_keychain_has_nothing_and_takes_nothing(keyring: FakeKeyring) -> None:
    keyring.is_broken = True
    assert keychain.read() is None
    with pytest.raises(ConfigError) as caught:
        keychain.keep("mine")
    assert "mine" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("before", [None, "the old one"])
def test_keychain_goes_back_when_the_work_fails(before: str | None, keyring: FakeKeyring) -> None:
    if before is not None:
        keychain.keep(before)
    with pytest.raises(ZeroDivisionError), keychain.keeping("the new one"):
        assert list(keychain.kept()) == [*filter(None, [before]), "the new one"]
        raise ZeroDivisionError
    assert list(keychain.kept()) == [*filter(None, [before])]
    with keychain.keeping("the new one"):
        pass
    assert list(keychain.kept()) == ["the new one"]


def test_keychain_without_its_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert keychain.read() is None
    with pytest.raises(ConfigError) as caught:
        keychain.check()
    assert "ondol[keychain]" in caught.value.hint


def test_child_knows_the_keys_that_it_is_handed_and_nothing_shows_them() -> None:
    key = keys.derive("handed over", bytes(range(16)), QUICK)
    keys.remember(key)
    look = (
        "import os; from ondol import keys; "
        "shown = str(dict(os.environ)); "
        "key = keys.known(bytes(range(16))); "
        "assert keys.KEYS_DESCRIPTOR not in os.environ; "
        "print(key.secret.hex()); assert key.secret.hex() not in shown"
    )
    with keys.hand_over() as (environ, descriptors):
        done = subprocess.run(
            [sys.executable, "-c", look],
            env=os.environ | environ,
            pass_fds=descriptors,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.strip() == key.secret.hex(), done.stderr


def test_descriptor_of_another_process_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(keys.KEYS_DESCRIPTOR, "987")
    assert keys.known(bytes(16)) is None


def test_environment_of_other_children_has_no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, "secret words")
    monkeypatch.setenv(keys.PASSPHRASE_FILE, "/where/it/is")
    monkeypatch.setenv("ONDOL_LANGUAGE", "ko")
    environ = keys.public_environ()
    assert environ["ONDOL_LANGUAGE"] == "ko" and environ["PATH"] == os.environ["PATH"]
    assert not {"secret words", "/where/it/is"} & set(environ.values())


CRASH = """
import os, resource
from ondol import keys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
keys.remember(keys.Key(bytes(32), bytes(16)))
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
os.abort()
"""


def test_crash_of_a_process_that_knows_a_key_leaves_no_memory_on_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CRASH]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGABRT and done.stdout.strip() == "0"
    assert not list(tmp_path.iterdir())
