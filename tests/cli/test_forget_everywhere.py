"""Forgetting beyond the library: logs, trainings, adapters, leftovers, questions asked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ondol import database, paths
from ondol.config import Config, load
from ondol.forget import FullReceipt, forget
from ondol.models.adapter_manifest import Adapter, from_json, to_json
from ondol.parts import Parts
from ondol.types import Sensitivity
from tests.retrieval.fake_embedder import FakeEmbedder
from tests.retrieval.test_forget import Markers, found_in, tails, write

SENTENCE = "The secret recipe of the Kim family needs three kinds of pepper."


@pytest.fixture
def parts(home: Path) -> Iterator[Parts]:
    from ondol.retrieval.library import Library

    with Parts(load()) as made:
        made.use_library(Library(paths.database_file(), FakeEmbedder()))
        yield made


@pytest.fixture
def recipe(tmp_path: Path, parts: Parts) -> Path:
    file = tmp_path / "recipe-of-kim.txt"
    file.write_text(f"{SENTENCE} Nothing else is written here.", "utf-8")
    other = tmp_path / "other.txt"
    other.write_text("The dog of the neighbours barks at night.", "utf-8")
    parts.library.add([file, other])
    return file


def training(name: str, quote: str, weights: bytes = b"adapter") -> Path:
    folder = paths.ensure(paths.data_dir() / "training" / name)
    said = f"Answer from the numbered sentences.\n\n[1] {quote}\n[2] Something else."
    example = {"messages": [{"role": "user", "content": said}], "reply": "Three [1]."}
    (folder / "examples.jsonl").write_text(json.dumps(example) + "\n", "utf-8")
    (folder / "adapter.gguf").write_bytes(weights)
    return folder


def run(parts: Parts, *files: Path) -> FullReceipt:
    return forget(parts, files, unload=lambda: [])


def test_logs_keep_their_length_and_lose_the_name(parts: Parts, recipe: Path, home: Path) -> None:
    log = paths.ensure(paths.state_dir()) / "server.log"
    log.write_text(f"error: {recipe} is damaged\nINFO recipe-of-kim.txt again\nup\n", "utf-8")
    size = log.stat().st_size
    receipt = run(parts, recipe)
    assert receipt.logs == 2 and log.stat().st_size == size
    assert log.read_text("utf-8").endswith("again\nup\n")
    assert found_in(home, {b"recipe-of-kim", SENTENCE.encode()}) == set()


def test_trainings_with_its_sentences_go_and_others_stay(
    parts: Parts, recipe: Path, home: Path
) -> None:
    gone, stays = training("grounding-1", SENTENCE), training("grounding-2", "Dogs bark.")
    receipt = run(parts, recipe)
    assert receipt.trainings == 1 and not gone.exists() and stays.exists()
    assert found_in(home, {SENTENCE.encode()}) == set()


def test_what_was_said_goes_with_the_last_document(parts: Parts, recipe: Path, home: Path) -> None:
    labeller = parts.oversight.labeller
    labeller.remember(f"The recipe says: {SENTENCE}", Sensitivity.PRIVATE)
    with closing(database.connect(paths.database_file())) as connection:
        rows = connection.execute("SELECT text_hash FROM spoken").fetchall()
    hashes = {bytes(row[0]) for row in rows}
    parts.library.forget([recipe.parent / "other.txt"])
    other = recipe.parent / "another.txt"
    other.write_text("The cat of the neighbours sleeps all day.", "utf-8")
    parts.library.add([other])
    # The hashes do not say of which document an answer was made.
    run(parts, other)
    assert hashes and labeller.holds_private(SENTENCE)
    run(parts, recipe)
    assert not labeller.holds_private(SENTENCE)
    assert found_in(home, hashes) == set()


def test_a_training_that_runs_is_said_to_be_out_of_reach(parts: Parts, recipe: Path) -> None:
    from ondol import trainable

    folder = training("grounding-1", SENTENCE)
    with trainable.alone(folder.name):
        receipt = run(parts, recipe)
    assert "training" in receipt.not_reached and folder.exists()


def test_what_cannot_be_reached_is_said(parts: Parts, recipe: Path) -> None:
    Path(f"{paths.database_file()}.replaced-20260101T000000").write_bytes(b"old")
    assert run(parts, recipe).not_reached == ("backups", "disk", "replaced")


def test_killed_backups_lose_their_leftovers(parts: Parts, recipe: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    leftover = Path(f"{paths.database_file()}.{child}.trial")
    leftover.write_bytes(b"encrypted")
    run(parts, recipe)
    assert not leftover.exists()


def test_samples_of_answers_that_quote_a_document_go_with_it(
    parts: Parts, recipe: Path, home: Path
) -> None:
    from ondol.personal import collecting

    conversations = parts.kept.conversations
    _, answer = conversations.turns.ask(conversations.create().id, "How many peppers?", None)
    quote = {"number": 1, "text": SENTENCE, "source": str(recipe)}
    conversations.turns.save(answer.id, "Three. [1]", {"quotes": [quote]}, status="done")
    conversations.opinions.give(answer.id, True)
    collecting.agree(parts)
    collecting.collect(parts)
    assert SENTENCE in parts.kept.samples.all()[0].messages[-1].content
    folder = training("personal-1", "nothing of it")
    (folder / "training.json").write_text(json.dumps({"samples": [parts.kept.samples.all()[0].id]}))
    receipt = run(parts, recipe)
    assert (receipt.samples, receipt.trainings) == (1, 1) and not folder.exists()
    assert parts.kept.samples.all() == []
    assert found_in(home, {SENTENCE.encode()}) == set()


def test_the_receipt_never_says_what_it_was(parts: Parts, recipe: Path) -> None:
    said = json.dumps(run(parts, recipe).json())
    assert "pepper" not in said and "recipe" not in said
    assert json.loads(said)["documents"] == 1


def test_an_adapter_of_such_a_training_is_not_served(
    parts: Parts, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = b"learned from it"
    training("grounding-1", SENTENCE, weights)
    asked: list[str] = []

    class Store:
        def outdate(self, digest: str) -> list[str]:
            asked.append(digest)
            return ["model:mine"]

    monkeypatch.setattr(Parts, "adapters", Store())
    assert run(parts, recipe).adapters == ("model:mine",)
    assert asked == [f"sha256:{hashlib.sha256(weights).hexdigest()}"]


def test_no_byte_is_left_after_questions(ondol, config: Config, home: Path, tmp_path: Path) -> None:
    markers, kept = Markers(21), Markers(22)
    lost = write(tmp_path / "notes", markers, 3)
    write(tmp_path / "notes", kept, 2)
    ondol("add", tmp_path / "notes")
    said = ondol("ask", f"Who spoke of {markers.all[3]}?", "--json").stdout
    assert markers.all[3] in said and found_in(home, tails(markers.all))
    unsure = ondol("forget", "--matching", markers.all[3])
    assert unsure.code == 2 and "--yes" in unsure.stderr
    listed = ondol("forget", "--matching", markers.all[3], "--dry-run", "--json").json
    assert listed == {"documents": 1, "sources": [str(lost[0])]}
    assert ondol("forget", "--matching", markers.all[3], "--yes", "--json").json["documents"] == 1
    receipt = ondol("forget", *lost[1:])
    assert receipt.code == 0 and "Forgotten: 2 " in receipt.stdout
    assert not any(word in receipt.stdout + receipt.stderr for word in markers.all)
    assert found_in(home, tails(markers.all)) == set()
    assert found_in(home, tails(kept.all))
    assert ondol("forget").code == 2


def test_outdated_is_written_into_the_manifest() -> None:
    from datetime import UTC, datetime

    adapter = Adapter(
        "a", "m:1b", f"sha256:{'0' * 64}", f"sha256:{'1' * 64}", 1, "", 8, 16.0, (),
        datetime.now(UTC), trained_on={"forgotten_at": "2026-01-01T00:00:00+00:00"},
    )  # fmt: skip
    assert from_json(to_json(adapter)).is_outdated


def test_a_running_server_lets_go_of_what_it_read(
    ondol, server: str, tmp_path: Path, home: Path
) -> None:
    markers, kept = Markers(31), Markers(32)
    (lost,) = write(tmp_path / "notes", markers, 1)
    write(tmp_path / "notes", kept, 1)
    ondol("add", tmp_path / "notes")
    question = f"Who spoke of {markers.all[3]}?"
    assert markers.all[3] in ondol("ask", question, "--json").stdout
    assert ondol("ps", "--json").json["loaded"]
    receipt = ondol("forget", lost, "--json").json
    assert receipt["engines"] and receipt["is_erased"]
    assert ondol("ps", "--json").json["loaded"] == []
    assert markers.all[4] not in ondol("search", markers.all[3], "--json").stdout
    assert found_in(home, tails(markers.all)) == set()


def kept_response(parts: Parts, source: str) -> str:
    """The id of a response that is kept for a program and quotes ``source``."""
    from ondol.conversations.responses import KeptResponse

    body = {"id": "resp_1", "output": [{"id": "msg_1", "text": SENTENCE}]}
    kept = KeptResponse("resp_1", None, [], body)
    parts.kept.responses.keep("key:1", kept, [source], days=30)
    return kept.id


def test_responses_that_quote_a_document_go_with_it(
    parts: Parts, recipe: Path, tmp_path: Path
) -> None:
    id = kept_response(parts, str(tmp_path / "other.txt"))
    assert forget(parts, [recipe]).responses == 0
    assert parts.kept.responses.get("key:1", id, days=30)
    assert forget(parts, [tmp_path / "other.txt"]).responses == 1
    assert parts.kept.responses.erase() == (0, True)


def test_all_responses_are_erased_on_their_own(ondol, home: Path, tmp_path: Path) -> None:
    with Parts(load()) as parts:
        kept_response(parts, "/nowhere")
    assert any(SENTENCE.encode() in file.read_bytes() for file in home.glob("**/*.db*"))
    refused = ondol("forget", "--responses", str(tmp_path))
    assert refused.code == 2 and "on their own" in refused.stderr
    assert ondol("forget", "--responses", "--json").json == {"responses": 1, "erased": True}
    assert not any(SENTENCE.encode() in file.read_bytes() for file in home.glob("**/*.db*"))
    assert "0" in ondol("forget", "--responses").stdout
