"""Conversations go where the library goes: into backups, behind a passphrase, out of the ruins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondol import backup, encryption, paths, rebuild
from ondol.conversations.store import Conversations
from ondol.errors import UsageError


@pytest.fixture
def id() -> str:
    """A conversation with something of everything; its question is about a walrus."""
    with Conversations.open() as kept:
        id = kept.create(folder="Zoo", mode="chat").id
        _, answer = kept.turns.ask(id, "Where does the walrus sleep?", None)
        kept.turns.save(answer.id, "In the attic.", {"answer": "In the attic."}, status="done")
        kept.opinions.give(answer.id, True, ["style"], "Upstairs.")
        kept.prompts.add("brief", "Be brief.")
        return id


def whole(id: str) -> object:
    with Conversations.open() as kept:
        return kept.get(id), kept.messages(id), kept.prompts.all(), kept.opinions.all()


def test_a_backup_brings_them_back(id: str, tmp_path: Path) -> None:
    before, target = whole(id), tmp_path / "walnut.backup"
    file, config = paths.database_file(), paths.config_file()
    backup.backup(file, target, config, passphrase="walnut")
    with Conversations.open() as kept:
        with pytest.raises(UsageError):
            backup.restore(target, file, config)
        kept.delete([id])
        kept.prompts.remove(kept.prompts.all()[0].id)
    backup.restore(target, file, config, force=True)
    assert whole(id) == before


def test_a_library_that_holds_only_conversations_is_not_restored_over(
    id: str, tmp_path: Path
) -> None:
    file, config = paths.database_file(), paths.config_file()
    backup.backup(file, tmp_path / "walnut.backup", config, passphrase="walnut")
    with pytest.raises(UsageError):
        backup.restore(tmp_path / "walnut.backup", file, config)


def test_a_passphrase_hides_them_and_shows_them(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, file = whole(id), paths.database_file()
    attached = paths.attachments_dir() / id / "walrus.txt"
    paths.ensure(attached.parent)
    attached.write_text("the walrus itself")
    monkeypatch.setenv("ONDOL_PASSPHRASE", "walnut")
    encryption.lock(file, "walnut")
    assert whole(id) == before
    for left in paths.data_dir().rglob("*"):
        assert left.is_dir() or b"walrus" not in left.read_bytes(), left
    encryption.unlock(file)
    assert whole(id) == before


def test_they_are_taken_out_of_a_damaged_library(id: str) -> None:
    before = whole(id)
    rebuilt = rebuild.rebuild(paths.database_file(), force=True)
    assert rebuilt.has_all and whole(id) == before
