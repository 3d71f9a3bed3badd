"""``ondol lock``, ``unlock``, ``backup`` and ``restore`` as a person and a script meet them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from terminal import COMMAND, Terminal

from ondol import cipher, paths

WORD = "korrekt Pferd Batterie"
MARKER = "Zwetschge-4417"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(f"{WORD}\n", "utf-8")
    return file


@pytest.fixture
def library(config: object, ondol, tmp_path: Path) -> Path:
    """A library with one document in it."""
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "note.md").write_text(f"# {MARKER}\n\nThe code of the bicycle is {MARKER}.\n")
    assert ondol("add", folder).code == 0
    return paths.database_file()


def found_markers(folder: Path) -> list[str]:
    """Files that hold the marker, or a word of it as the keyword index keeps it."""
    needles = MARKER.encode(), b"zwetschg"
    files = [path for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
    return [str(path) for path in files if any(n in path.read_bytes() for n in needles)]


@pytest.mark.model
def test_person_locks_uses_changes_and_unlocks_the_library(
    library: Path, home: Path, ondol
) -> None:
    assert found_markers(home)
    with Terminal("lock") as person:
        person.wait_for("New passphrase: ")
        person.type(f"{WORD}\n")
        person.wait_for("Once more: ")
        person.type(f"{WORD}\n")
        assert WORD not in person.wait_for("only your passphrase opens it")
        assert person.wait() == 0
    assert found_markers(home) == []

    refused = ondol("search", "bicycle")
    assert (refused.code, refused.stdout) == (5, "")
    assert "needs your passphrase" in refused.stderr and len(refused.stderr.splitlines()) == 2
    with Terminal("search", "bicycle") as person:
        person.wait_for(r"Passphrase of ondol\.db: ")
        person.type("wrong\n")
        person.wait_for(r"does not open.*\n(.*\n)?Passphrase of ondol\.db: ")
        person.type(f"{WORD}\n")
        person.wait_for(MARKER)
        assert person.wait() == 0
    with Terminal("lock", "--change") as person:
        person.wait_for(r"Passphrase of ondol\.db: ")
        person.type(f"{WORD}\n")
        person.wait_for("New passphrase: ")
        person.type("another\n")
        person.wait_for("Once more: ")
        person.type("another\n")
        person.wait_for("fewer than 12")
        assert person.wait() == 0
    assert ondol("unlock", ONDOL_PASSPHRASE=WORD).code == 5
    assert ondol("unlock", ONDOL_PASSPHRASE="another").code == 0
    assert MARKER in ondol("search", "bicycle").stdout


def test_two_different_new_passphrases_change_nothing(home: Path) -> None:
    with Terminal("lock") as person:
        person.wait_for("New passphrase: ")
        person.type("one\n")
        person.wait_for("Once more: ")
        person.type("other\n")
        person.wait_for("not the same")
        assert person.wait() == 2
    assert not cipher.is_encrypted(paths.database_file())


def test_script_locks_and_unlocks_with_json(ondol, secret: Path, home: Path) -> None:
    done = ondol("lock", "--passphrase-file", secret, "--json")
    file = str(paths.database_file())
    state = {"locked": True, "changed": True, "file": file, "keychain": False}
    assert (done.code, done.json) == (0, state)
    assert ondol("lock", "--json").json == state | {"changed": False}
    opened = ondol("lock", "--off", "--json", ONDOL_PASSPHRASE_FILE=str(secret))
    assert opened.json == state | {"locked": False}
    again = ondol("unlock", "--json")
    assert again.json == state | {"locked": False, "changed": False}


def test_nobody_to_ask_is_a_sentence(ondol, home: Path) -> None:
    for arguments in (("lock",), ("backup", "x.backup")):
        result = ondol(*arguments)
        assert (result.code, result.stdout) == (5, "")
        assert "--passphrase-file" in result.stderr


def test_off_goes_with_nothing_else(ondol, home: Path) -> None:
    assert ondol("lock", "--off", "--change").code == 2


def test_keychain_that_is_not_installed_is_said_before_anything_is_locked(
    ondol, secret: Path, home: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "keyring.py").write_text("raise ImportError")
    result = ondol("lock", "--keychain", "--passphrase-file", secret, PYTHONPATH=str(blocked))
    assert result.code == 2 and "ondol[keychain]" in result.stderr
    assert not paths.database_file().exists()


KEYRING = """
import json, os
from pathlib import Path
store = Path(os.environ["FAKE_KEYRING"])
def _read(): return json.loads(store.read_text()) if store.exists() else {}
def get_password(service, account): return _read().get(f"{service} {account}")
def set_password(service, account, word):
    store.write_text(json.dumps(_read() | {f"{service} {account}": word}))
def delete_password(service, account):
    kept = _read(); del kept[f"{service} {account}"]; store.write_text(json.dumps(kept))
"""


def test_keychain_opens_the_library_and_follows_a_change(
    ondol, secret: Path, home: Path, tmp_path: Path
) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "keyring.py").write_text(KEYRING)
    environ = {"PYTHONPATH": str(fake), "FAKE_KEYRING": str(tmp_path / "chain.json")}
    locked = ondol("lock", "--keychain", "--passphrase-file", secret, "--json", **environ)
    assert locked.json["keychain"] is True
    assert ondol("list", "--documents", **environ).code == 0
    secret.write_text("a new one")
    changed = ondol("lock", "--change", "--passphrase-file", secret, "--json", **environ)
    assert changed.json["changed"] is True
    assert "a new one" in (tmp_path / "chain.json").read_text()
    assert ondol("list", "--documents", **environ).code == 0
    assert ondol("unlock", **environ).code == 0
    assert "a new one" not in (tmp_path / "chain.json").read_text()
    assert ondol("list", "--documents").code == 0


def test_keychain_that_takes_nothing_leaves_the_library_plain(
    ondol, secret: Path, home: Path, tmp_path: Path
) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "keyring.py").write_text("def set_password(*given): raise RuntimeError('no daemon')")
    arguments = ("lock", "--keychain", "--passphrase-file", secret)
    result = ondol(*arguments, PYTHONPATH=str(fake))
    assert result.code == 2 and "did not take" in result.stderr
    assert WORD not in result.stderr
    assert not cipher.is_encrypted(paths.database_file())


def test_keychain_takes_no_wrong_passphrase_of_a_locked_library(
    ondol, secret: Path, home: Path, tmp_path: Path
) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "keyring.py").write_text(KEYRING)
    environ = {"PYTHONPATH": str(fake), "FAKE_KEYRING": str(tmp_path / "chain.json")}
    assert ondol("lock", "--passphrase-file", secret).code == 0
    assert ondol("lock", "--keychain", ONDOL_PASSPHRASE="wrong", **environ).code == 5
    assert not (tmp_path / "chain.json").exists()
    kept = ondol("lock", "--keychain", "--json", ONDOL_PASSPHRASE=WORD, **environ)
    assert kept.json["keychain"] is True and kept.json["changed"] is False
    # Out of it again, for who shows that he knows it.
    assert ondol("lock", "--no-keychain", ONDOL_PASSPHRASE="wrong", **environ).code == 5
    assert ondol("list", "--documents", **environ).code == 0
    emptied = ondol("lock", "--no-keychain", ONDOL_PASSPHRASE=WORD, **environ)
    assert emptied.code == 0 and "only you know it" in emptied.stderr
    assert (tmp_path / "chain.json").read_text() == "{}"
    assert ondol("list", "--documents", **environ).code == 5


@pytest.mark.model
def test_backup_and_restore_on_another_machine(
    library: Path, ondol, secret: Path, tmp_path: Path
) -> None:
    target = tmp_path / "my.backup"
    made = ondol("backup", target, "--passphrase-file", secret, "--json")
    assert made.code == 0 and made.json["documents"] == 1
    assert found_markers(target.parent / "my.backup") == [] and target.stat().st_size > 0
    assert MARKER.encode() not in target.read_bytes()
    elsewhere = {"ONDOL_HOME": str(tmp_path / "elsewhere"), "ONDOL_PASSPHRASE": WORD}
    restored = ondol("restore", target, "--json", **elsewhere)
    assert restored.code == 0 and restored.json["backup"]["documents"] == 1
    assert MARKER in ondol("search", "bicycle", **elsewhere).stdout
    refused = ondol("restore", target, ONDOL_PASSPHRASE=WORD)
    assert refused.code == 2 and "--force" in refused.stderr
    wrong = ondol("restore", target, "--force", ONDOL_PASSPHRASE="wrong")
    assert wrong.code == 5 and len(wrong.stderr.splitlines()) == 2
    assert MARKER in ondol("search", "bicycle").stdout


def test_backup_says_in_words_what_it_holds(
    ondol, secret: Path, home: Path, tmp_path: Path
) -> None:
    target = tmp_path / "my.backup"
    made = ondol("backup", target, "--passphrase-file", secret)
    assert made.code == 0 and "not the models" in made.stderr and "tried out" in made.stdout
    assert ondol("backup", target, "--passphrase-file", secret).code == 2
    restored = ondol("restore", target, ONDOL_PASSPHRASE=WORD)
    assert restored.code == 0 and "no settings" in restored.stdout


def test_doctor_says_whether_the_library_is_encrypted(ondol, secret: Path, home: Path) -> None:
    def check() -> object:
        checks = ondol("doctor", "--json").json["checks"]
        return next((c["ok"] for c in checks if c["name"] == "library"), "no library")

    assert check() == "no library"
    assert ondol("list", "--documents").code == 0
    assert check() is None
    assert ondol("lock", "--passphrase-file", secret).code == 0
    assert check() is True


@pytest.mark.model
def test_background_server_opens_a_locked_library_and_keeps_others_from_changing_it(
    library: Path, ondol, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ondol("lock", "--passphrase-file", secret).code == 0
    refused = ondol("up", "--port", 0)
    assert refused.code == 5 and "needs your passphrase" in refused.stderr
    started = ondol("up", "--port", 0, "--json", ONDOL_PASSPHRASE=WORD)
    assert started.code == 0, started.stderr
    try:
        # No passphrase here: the server has the key.
        assert MARKER in ondol("search", "bicycle").stdout
        changed = ondol("unlock", ONDOL_PASSPHRASE=WORD)
        assert changed.code == 2 and "ondol down" in changed.stderr
    finally:
        assert ondol("down").code == 0
    assert ondol("unlock", ONDOL_PASSPHRASE=WORD).code == 0


@pytest.mark.model
def test_typed_passphrase_reaches_the_background_server(library: Path, ondol, secret: Path) -> None:
    assert ondol("lock", "--passphrase-file", secret).code == 0
    with Terminal("up", "--port", "0") as person:
        person.wait_for(r"Passphrase of ondol\.db: ")
        person.type(f"{WORD}\n")
        person.wait_for("http://")
        assert person.wait() == 0
    try:
        assert MARKER in ondol("search", "bicycle").stdout
    finally:
        assert ondol("down").code == 0


def test_terminated_lock_leaves_a_library_that_opens(ondol, secret: Path, home: Path) -> None:
    assert ondol("list", "--documents").code == 0
    process = subprocess.Popen(
        [*COMMAND, "lock", "--passphrase-file", str(secret)],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process.terminate()
    process.wait()
    assert ondol("list", "--documents", ONDOL_PASSPHRASE=WORD).code == 0
