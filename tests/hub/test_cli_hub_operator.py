"""``ondol hub`` for who has a hub or publishes on one: from a folder to releases, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lora_gguf import base_bytes, lora_bytes, random_pairs
from made_hub import CLEAN
from tuf_client import TufClient

from ondol import keys as passphrases
from ondol.cli.main import run
from ondol.config import load
from ondol.errors import InvalidModelError, SigningError, UsageError
from ondol.hub import offering
from ondol.hub import scan as scanning
from ondol.hub.repository import Repository, keys
from ondol.models.adapter_manifest import Adapter
from ondol.models.adapters import AdapterStore
from ondol.models.made import Made
from ondol.models.store import ModelStore

Said = Callable[..., tuple[int, Any, str]]
SECRETS = "/home/mina/diary.md"


@pytest.fixture
def said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Said:
    """``ondol hub …`` in a folder of its own, with a passphrase that costs nothing to derive."""
    derive, weak = passphrases.derive, passphrases.Parameters(1, 64, 1)
    monkeypatch.setattr(passphrases, "derive", lambda text, salt, _=None: derive(text, salt, weak))
    monkeypatch.setattr(scanning, "scan", lambda files, card=None, **how: CLEAN)
    monkeypatch.setenv("ONDOL_PASSPHRASE", "correct horse")
    monkeypatch.chdir(tmp_path)

    def say(*arguments: str) -> tuple[int, Any, str]:
        code = run(["hub", *arguments, "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return say


@pytest.fixture
def made(said: Said) -> Said:
    """A hub ``H`` with its keys in ``K`` and a publisher ``clinic``."""
    code, told, _ = said("init", "H", "--name", "Clinic of Jeju", "--keys", "K")
    assert code == 0 and told["fingerprint"].startswith("ONDOLHUB1-")
    assert said("key", "K/clinic.json")[0] == 0
    assert said("publisher", "add", "H", "clinic", "K/clinic.json", "--key", "K/targets.json") == (
        0,
        {"is_done": True, "waiting": []},
        "",
    )
    return said


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A tiny model ``tiny:1`` with an adapter ``notes`` that learned from its owner."""
    store = ModelStore(load().models_dir)
    weights = tmp_path / "tiny.gguf"
    weights.write_bytes(base_bytes())
    store.add("tiny:1", [store.stage(weights, "weights", "tiny.gguf")])
    file = tmp_path / "notes.gguf"
    file.write_bytes(lora_bytes(random_pairs(weights, modules=("attn_q",))))
    AdapterStore(store).add(
        file,
        name="notes",
        model="tiny:1",
        trained_on={
            "task": "notes",
            "num_examples": 12,
            "folder": SECRETS,
            "merged_from": [{"name": "tiny:1:love-letters", "digest": "sha256:" + "0" * 64}],
            "privacy": {"epsilon": 4.0, "delta": 0.001},
        },
        evaluation={
            "gate": {
                "rows": [{"name": "reply", "label": "Replies", "before": 2.5, "after": 2.1}],
                "chat": {"love-letters": 1.0},
                "reasons": [f"Worse than {SECRETS}"],
            },
            "accuracy": {"off": 0.1, "on": 0.25, "note": SECRETS},
        },
    )
    return store


def test_a_model_is_published_and_withdrawn(made: Said, store, tmp_path: Path) -> None:
    args = ("publish", "H", "clinic/tiny@1.2", "--model", "tiny:1", "--key", "K/clinic.json")
    code, told, _ = made(*args, "--licence", "MIT", "--language", "ko", "--title", "Tiny")
    assert code == 0 and told["version"] == "1.2"
    card = told["card"]
    assert (card["kind"], card["name"], card["licence"]) == ("model", "tiny:1", "MIT")
    assert (card["architecture"], card["languages"]) == ("llama", ["ko"])
    assert card["base_digest"] == told["files"][0]["digest"] and card["template_digest"]
    client = TufClient(tmp_path / "H", tmp_path / "client")
    assert client.sees("clinic/tiny/1.2/tiny.gguf") == card["base_digest"].removeprefix("sha256:")
    args = ("yank", "H", "clinic/tiny@1.2", "--reason", "too old", "--key", "K/clinic.json")
    assert made(*args)[1]["yanked"] == "too old"
    assert made("status", "H")[1]["releases"][0]["yanked"] == "too old"


def test_what_learned_from_its_owner_is_shared_only_if_they_say_so(made: Said, store) -> None:
    args = ("publish", "H", "clinic/notes@1", "--adapter", "tiny:1:notes", "--key", "K/clinic.json")
    code, told, _ = made(*args)
    assert code == 2 and "only if you say so" in told["error"]["message"]
    assert "--yes-i-may-share-it" in told["error"]["hint"]
    assert Repository(Path("H")).releases() == []
    code, told, _ = made(*args, "--yes-i-may-share-it")
    assert code == 0
    card = told["card"]
    assert card["epsilon"] == 4.0 and card["r"] == 4 and card["base_model"] == "tiny:1"
    assert card["training"]["num_examples"] == 12
    assert card["evaluation"]["gate"]["rows"] == [{"name": "reply", "before": 2.5, "after": 2.1}]
    assert card["evaluation"]["accuracy"] == {"off": 0.1, "on": 0.25}
    served = b"".join(file.read_bytes() for file in Path("H/metadata").iterdir())
    assert SECRETS.encode() not in served and b"love-letters" not in served


def test_warnings_are_read_before_the_question(made: Said, store, monkeypatch, capsys) -> None:
    import click

    from ondol.cli import hub_publish

    asked = []
    monkeypatch.setattr(hub_publish, "is_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda text, **how: asked.append(text))
    args = ["publish", "H", "clinic/notes@1", "--adapter", "tiny:1:notes", "--key", "K/clinic.json"]
    assert run(["hub", *args]) == 2
    err = capsys.readouterr().err
    assert "merged from several" in err and "ε = 4" in err and "never called back" in err
    assert "Nothing was published" in err and len(asked) == 1
    assert Repository(Path("H")).releases() == []


def test_a_hub_is_copied_changed_elsewhere_and_brought_back(made: Said, store) -> None:
    assert made("export", "H", "W")[1]["copied_bytes"] > 1000
    args = ("publish", "W", "clinic/tiny@1", "--model", "tiny:1", "--key", "K/clinic.json")
    assert made(*args, "--to", "C")[1]["to"] == "C"
    assert made("accept", "H", "C")[1]["releases"][0]["version"] == "1"
    assert made("resign", "H", "clinic", "--key", "K/clinic.json")[0] == 0
    assert made("accept", "H", "C")[1]["error"]["code"] == "hub_untrusted"


def test_signing_where_the_keys_are(made: Said) -> None:
    code, told, _ = made("rotate-keys", "H", "timestamp", "snapshot", "--key", "K/root-1.json")
    assert code == 0 and [one["missing"] for one in told["waiting"]] == [1, 1]
    assert made("sign", "H", "--to", "request.json")[1]["file"] == "request.json"
    told = made("sign", "request.json", "--key", "K/root-3.json")[1]
    assert [(one["role"], one["version"]) for one in told["documents"]] == [
        ("root", 2),
        ("root", 3),
    ]
    assert made("sign", "H", "--from", "request.json")[1]["is_done"] is True
    status = made("status", "H", "--check")[1]
    assert status["root_version"] == 3 and status["waiting"] == status["problems"] == []
    assert made("rotate-keys", "H", "root")[1]["is_done"] is False
    assert made("sign", "H", "--discard")[1]["is_done"] is True
    assert made("rotate-keys", "H", "targets", "--key", "K/targets.json")[1]["is_done"] is True


def test_a_publisher_gets_a_new_key_and_leaves(made: Said, store) -> None:
    args = ("publish", "H", "clinic/tiny@1", "--model", "tiny:1", "--key", "K/clinic.json")
    assert made(*args)[0] == 0
    public = made("key", "K/new.json")[1]["public"]
    operator = ("--key", "K/targets.json")
    assert made("rotate-keys", "H", "clinic", "--new", public, *operator)[0] == 0
    assert "new key" in made("status", "H")[1]["problems"][0]
    resigned = made("resign", "H", "clinic", "--key", "K/new.json")
    assert resigned[0] == 0 and made("status", "H")[1]["publishers"][0]["releases"] == 1
    assert made("publisher", "remove", "H", "clinic", *operator)[0] == 0
    assert made("status", "H")[1]["publishers"] == []


def test_a_hub_of_public_keys_begins_when_they_have_signed(said: Said, tmp_path: Path) -> None:
    public = [said("key", f"{name}.json")[1]["public"] for name in ("a", "b", "t")]
    args = ("--root-key", public[0], "--root-key", "b.json", "--targets-key", public[2])
    assert said("init", "H", "--name", "Away", *args)[1]["is_waiting"] is True
    assert said("status", "H")[1]["error"]["code"] == "hub_not_found"
    said("sign", "H", "--to", "r.json")
    said("sign", "r.json", "--key", "a.json", "--key", "b.json", "--key", "t.json")
    assert said("sign", "H", "--from", "r.json")[1]["is_done"] is True
    assert said("refresh", "H")[0] == 0
    assert TufClient(tmp_path / "H", tmp_path / "client").updater()


def test_people_read_how_a_hub_stands(made: Said, store, capsys) -> None:
    made("publish", "H", "clinic/tiny@1", "--model", "tiny:1", "--key", "K/clinic.json")
    made("publisher", "add", "H", "school", made("key", "K/school.json")[1]["public"])
    assert run(["hub", "status", "H"]) == 0
    out = capsys.readouterr().out
    assert "Clinic of Jeju  ONDOLHUB1-" in out and "clinic/tiny@1" in out
    assert "Waits: targets 3 for 1 more" in out
    for command in ("refresh", "export"):
        assert run(["hub", command, "H", *(["W"] if command == "export" else [])]) == 0
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("init", "N", "--name", "x"), "--keys, or --root-key"),
        (("init", "N", "--name", "x", "--keys", "N/keys"), "may not lie in the folder"),
        (("init", "H", "--name", "x", "--keys", "L"), "is a hub already"),
        (("init", "N", "--name", "x", "--keys", "K"), "There is a key"),
        (("publish", "H", "clinic/x@1", "--key", "K/clinic.json"), "one of --model"),
        (("publish", "H", "clinic/x", "--model", "tiny:1", "--key", "K/clinic.json"), "no version"),
        (("publish", "H", "clinic/x@v1", "--model", "tiny:1", "--key", "K/clinic.json"), "version"),
        (("publish", "H", "clinic/x@1", "--model", "tiny:1"), "publisher's key"),
        (("publish", "nowhere", "c/x@1", "--model", "tiny:1", "--key", "K/clinic.json"), "no hub"),
        (("publish", "H", "c/x@1", "--model", "tiny:1", "--key", "K/clinic.json"), "called c"),
        (("publish", "H", "clinic/x@1", "--model", "tiny:1", "--key", "K/gone"), "There is no key"),
        (("yank", "H", "clinic/x", "--reason", "y", "--key", "K/clinic.json"), "no version"),
        (("yank", "H", "clinic/x@1", "--reason", "y", "--key", "K/clinic.json"), "clinic/x@1"),
        (("publisher", "add", "H", "school", "nonsense"), "no public key"),
        (("publisher", "add", "H", "school", "K/clinic.json", "--key", "K/root-1.json"), "may not"),
        (("rotate-keys", "H", "clinic", "--key", "K/targets.json"), "exactly one"),
        (("rotate-keys", "H", "nobody", "--new", "K/clinic.json"), "called nobody"),
        (("sign", "H"), "--to, --from"),
        (("sign", "H", "--to", "r.json"), "Nothing waits"),
        (("sign", "H", "--from", "gone.json"), "cannot be read"),
        (("accept", "H", "K"), "no change"),
        (("approve", "H", "nothing", "--key", "K/clinic.json"), "nothing"),
        (("export", "H", "H/copy"), "another folder"),
    ],
)
def test_a_mistake_is_said_in_one_sentence(made: Said, store, arguments, sentence) -> None:
    code, told, _ = made(*arguments)
    assert code in (2, 12) and sentence in told["error"]["message"]


def test_a_wrong_passphrase_is_said_at_once(made: Said, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("another\n")
    code, told, _ = made(
        *("publisher", "add", "H", "school", "K/clinic.json"),
        *("--key", "K/targets.json", "--passphrase-file", "file"),
    )
    assert code == 12 and told["error"]["code"] == "signing_refused"
    monkeypatch.delenv("ONDOL_PASSPHRASE")
    code, told, _ = made("resign", "H", "clinic", "--key", "K/clinic.json")
    assert code == 12 and "is locked" in told["error"]["message"]
    assert made("key", "K/clinic.json")[0] == 0, "the public half needs no passphrase"


def test_people_read_what_was_done_and_what_is_next(made: Said, store, capsys) -> None:
    def told(*arguments: str) -> str:
        assert run(["hub", *arguments]) == 0
        out, err = capsys.readouterr()
        return out + err

    assert "publisher add N NAME PUBLIC --key L/targets.json" in told(
        "init", "N", "--name", "Next", "--keys", "L"
    )
    assert "Nothing waits" in told("sign", "H", "--discard")
    told("publisher", "add", "H", "school", "K/clinic.json")
    assert "is forgotten" in told("sign", "H", "--discard")
    publish = ("publish", "H", "clinic/tiny@1", "--model", "tiny:1", "--key", "K/clinic.json")
    assert "says no licence" in told(*publish)
    assert "says no licence" not in told(
        *publish[:2], "clinic/tiny@2", *publish[3:], "--licence=MIT"
    )
    assert "Every blob is" in told("status", "H", "--check")
    assert "Every blob is" not in told("status", "H")
    next(Path("H/blobs").iterdir()).write_bytes(b"other")
    assert "Every blob is" not in told("status", "H", "--check")


def test_what_cannot_be_offered_is_named(store: ModelStore, tmp_path: Path) -> None:
    model = store.get("tiny:1")
    with pytest.raises(UsageError, match="no GGUF"):
        offering.of_model(replace(model, format="onnx"), store)
    with pytest.raises(UsageError, match="made of another"):
        offering.of_model(replace(model, made=Made(system="Be brief.")), store)
    assert offering.of_model(replace(model, made=Made()), store).card.name == "tiny:1"
    adapter = AdapterStore(store).find("tiny:1:notes")
    forgotten = replace(adapter, trained_on={"forgotten_at": "2026-01-01"})
    for one, sentence in (
        (forgotten, "forgotten since"),
        (replace(adapter, stale=True), "another"),
    ):
        with pytest.raises(UsageError, match=sentence):
            offering.of_adapter(one, tmp_path)
    with pytest.raises(InvalidModelError):
        offering.tokenizer_digest(tmp_path)
    assert offering.item_name("Library/Big Model:7B") == "library-big-model-7b"
    assert offering.item_name("한글") == "item"


def test_the_result_of_a_canary_is_among_the_warnings(tmp_path: Path) -> None:
    canary = {"numbers": 9, "tested": 4, "by_heart": 2}
    digest = "sha256:" + "0" * 64
    adapter = Adapter(
        name="own", model="tiny:1", base_digest=digest, digest=digest, size_bytes=1, template="",
        r=4, lora_alpha=8.0, target_modules=(), created_at=datetime.now(UTC),
        trained_on={"task": "style"}, evaluation={"canary": canary}, private=True,
    )  # fmt: skip
    found = offering.of_adapter(adapter, tmp_path)
    assert found.canary == canary and found.card.evaluation["canary"] == canary
    assert any("2 of the 4 numbers" in sentence for sentence in found.warnings)
    other = replace(adapter, evaluation={"canary": {**canary, "by_heart": 0}})
    warnings = offering.of_adapter(other, tmp_path).warnings
    assert any("None of the 4 numbers" in sentence for sentence in warnings)
    assert any("without differential privacy" in sentence for sentence in found.warnings)
    assert "you wrote" in found.warnings[0]
    assert offering.of_adapter(replace(adapter, shipped=True), tmp_path).warnings == ()


def test_no_key_is_written_where_one_of_them_is_there_already(tmp_path: Path) -> None:
    files = [tmp_path / "root-1.json", tmp_path / "targets.json"]
    files[1].write_text("{}")
    with pytest.raises(SigningError, match="a key in"):
        keys.save_all([(file, keys.make()) for file in files], "x")
    assert not files[0].exists()
