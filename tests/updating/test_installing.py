"""From a hub to the device: installed, updated, kept, gone back, and what is refused on the way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hub_scene import Scene, random_adapter, write_llama

from ondol.errors import (
    DownloadError,
    HubNotFoundError,
    HubUnreachableError,
    InvalidModelError,
    ScanRefusedError,
    UpdateFailedError,
    UsageError,
)
from ondol.hub.client.rows import Hubs
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message
from ondol.updating import fetching, installed, rolling_back, trial, updater
from ondol.updating.switching import Progress


def name_of(item: str) -> str:
    return f"{item}:1m"


def digest_here(parts: Parts, name: str) -> str:
    found = parts.store.get(name).file("weights")
    assert found is not None
    return found.digest


def publish(hub: Scene, item: str, *versions: str) -> list[str]:
    """Versions of an item that differ; their weights' digests."""
    made = [
        hub.model(version, seed, item, name=name_of(item))
        for seed, version in enumerate(versions, start=1)
    ]
    return [one.files[0].digest for one in made]


def test_a_model_is_scanned_and_tried_by_the_real_engine_and_answers(
    hub: Scene, parts: Parts
) -> None:
    first, second = publish(hub, "whole", "1.0", "1.1")
    steps: list[Progress] = []
    outcome = updater.install(parts, "clinic/whole@1.0", on_progress=steps.append)
    assert (outcome.what, outcome.name, outcome.version) == ("installed", "whole:1m", "1")
    assert list(dict.fromkeys(one.step for one in steps)) == [
        *("fetch", "scan", "stage", "smoke", "switch")
    ]
    assert digest_here(parts, "whole:1m") == first
    engine = parts.engine("whole:1m", num_ctx=256)
    running = engine.generate(
        [Message("user", "the")], GenerateOptions(max_tokens=200, temperature=0.0)
    )
    before = next(iter(running))
    # An answer that runs is not broken by the switch, and the next one is the new model's.
    done = updater.update(parts, "whole:1m")
    assert (done.what, done.before, done.version) == ("updated", "1", "1.1")
    rest = list(running)
    assert rest[-1].finish_reason and before.text is not None
    assert digest_here(parts, "whole:1m") == second
    engine.load()
    assert [one.digest for one in parts.pool.loaded()] == [parts.store.get("whole:1m").digest]
    (entry, _) = parts.ledger.entries(kind="update")
    assert entry.model == "whole:1m" and entry.reasons == ("updated", "clinic:whole@1.1")


@pytest.mark.usefixtures("quick")
def test_what_is_installed_is_told_with_what_is_newer(hub: Scene, parts: Parts) -> None:
    publish(hub, "told", "1.0", "2.0")
    updater.install(parts, "clinic/told@1.0")
    (here,) = installed.all(parts)
    told = here.json()
    assert (told["name"], told["version"], told["hub"]) == ("told:1m", "1", "test")
    assert told["previous"] == [] and told["pin"] is None
    (offer,) = updater.check(parts).offers
    shown = offer.json()
    assert (shown["installed"], shown["version"]) == ("1", "2")
    assert shown["download_bytes"] == shown["size_bytes"] > 0
    assert installed.one(parts, "clinic/told") == here
    with pytest.raises(HubNotFoundError):
        installed.one(parts, "nobody")


@pytest.mark.usefixtures("quick")
def test_offline_and_with_no_hub_what_runs_runs_and_goes_back(
    hub: Scene, parts: Parts, tmp_path: Path
) -> None:
    first, second = publish(hub, "lonely", "1.0", "1.1")
    updater.install(parts, "clinic/lonely@1.0")
    updater.update(parts, "lonely:1m")
    with Hubs.open() as hubs:
        row = hubs.get("test")
        with hubs.place.writing() as connection:
            connection.execute("UPDATE hubs SET url = 'http://127.0.0.1:9'")
    found = updater.check(parts)
    assert found.troubles and found.troubles[0][0] == "test"
    assert found.offers[0].current == "1.1"  # known from what was verified before
    with pytest.raises(HubUnreachableError):
        updater.update(parts, "lonely:1m")
    assert digest_here(parts, "lonely:1m") == second
    with Hubs.open() as hubs:
        hubs.remove(row.name)
    with pytest.raises(HubNotFoundError, match="removed"):
        updater.update(parts, "lonely:1m")
    assert rolling_back.rollback(parts, "lonely:1m").version == "1"
    assert digest_here(parts, "lonely:1m") == first


@pytest.mark.usefixtures("quick")
def test_two_earlier_versions_are_kept_and_their_bytes_never_swept(
    hub: Scene, parts: Parts
) -> None:
    digests = publish(hub, "kept", "1.0", "1.1", "1.2", "1.3")
    updater.install(parts, "clinic/kept@1.0")
    for version in ("1.1", "1.2", "1.3"):
        updater.install(parts, f"clinic/kept@{version}")
    (here,) = installed.all(parts)
    assert (here.version, here.previous) == ("1.3", ("1.2", "1.1"))
    with parts.store.lock():
        parts.store.sweep()
    assert [parts.store.blobs.has(one) for one in digests] == [False, True, True, True]
    with pytest.raises(HubNotFoundError, match="not kept"):
        rolling_back.rollback(parts, "kept:1m", "1.0")
    # Each rollback goes one further back, to where there is nothing.
    assert rolling_back.rollback(parts, "kept:1m").version == "1.2"
    assert rolling_back.rollback(parts, "kept:1m").version == "1.1"
    with pytest.raises(UsageError, match="No earlier version"):
        rolling_back.rollback(parts, "kept:1m")
    parts.store.remove("kept:1m")
    assert not any(parts.store.blobs.has(one) for one in digests)
    assert installed.all(parts) == []


@pytest.mark.usefixtures("quick")
def test_a_version_that_was_left_is_not_offered_again_until_asked_for(
    hub: Scene, parts: Parts
) -> None:
    publish(hub, "left", "1.0", "1.1")
    updater.install(parts, "clinic/left@1.0")
    updater.update(parts, "left:1m")
    rolling_back.rollback(parts, "left:1m")
    assert updater.update(parts, "left:1m").what == "unchanged"
    (offer,) = updater.check(parts).offers
    assert offer.release is None and "1.1" in offer.left
    hub.model("1.2", 3, "left", name="left:1m")
    assert updater.update(parts, "left:1m").version == "1.2"
    rolling_back.rollback(parts, "left:1m")
    assert updater.install(parts, "clinic/left@1.2").what == "updated"
    assert [one.deed for one in rolling_back.history(parts, "left:1m")] == [
        *("updated", "rolled_back", "updated", "rolled_back", "updated", "installed")
    ]


@pytest.mark.usefixtures("quick")
def test_nothing_below_the_floor_comes_from_a_hub(hub: Scene, parts: Parts) -> None:
    digests = publish(hub, "floor", "1.0", "1.1", "2.0")
    updater.install(parts, "clinic/floor@2.0")
    with pytest.raises(UpdateFailedError, match="older than 2"):
        updater.install(parts, "clinic/floor@1.1")
    # Removed here, and the hub taken out and added again: it is still known what was accepted.
    parts.store.remove("floor:1m")
    with Hubs.open() as hubs:
        hubs.remove("test")
    hub.add_to_device("again")
    with pytest.raises(UpdateFailedError, match="older than 2"):
        updater.install(parts, "clinic/floor@1.1")
    # The operator's way back: old bytes under a new version.
    old = hub.work / "floor-1.gguf"
    hub.weights("2.1", old, "floor", name="floor:1m")
    updater.install(parts, "clinic/floor")
    assert digest_here(parts, "floor:1m") == digests[0]


@pytest.mark.usefixtures("quick")
def test_channels_pins_and_what_was_withdrawn(hub: Scene, parts: Parts) -> None:
    publish(hub, "chosen", "1.0")
    hub.model("1.1", 2, "chosen", name="chosen:1m", channel="beta")
    hub.model("1.2", 3, "chosen", name="chosen:1m")
    updater.install(parts, "clinic/chosen@1.0")
    pinned = rolling_back.pin(parts, "chosen:1m")
    assert str(pinned.pinned) == "1" and updater.update(parts, "chosen:1m").what == "unchanged"
    assert updater.check(parts).offers[0].json()["is_pinned"]
    rolling_back.pin(parts, "chosen:1m", "1.1")
    assert updater.update(parts, "chosen:1m").version == "1.1"
    rolling_back.unpin(parts, "chosen:1m")
    hub.model("1.3", 4, "chosen", name="chosen:1m", channel="beta")
    assert updater.check(parts).offers[0].release.version.numbers[:2] == (1, 2)
    assert updater.check(parts, channel="beta").offers[0].release.version.numbers[:2] == (1, 3)
    hub.repository.yank("clinic", "chosen", "1.2", "wrong", hub.publishers["clinic"])
    hub.repository.yank("clinic", "chosen", "1.1", "worse", hub.publishers["clinic"])
    rolling_back.pin(parts, "chosen:1m", "1.2")
    assert updater.check(parts).offers[0].release is None  # not even where it is pinned
    rolling_back.unpin(parts, "chosen:1m")
    outcome = updater.update(parts, "chosen:1m")
    assert outcome.what == "unchanged" and "worse" in outcome.words[0]
    with pytest.raises(UpdateFailedError, match="withdrawn by its publisher: wrong"):
        updater.install(parts, "clinic/chosen@1.2")
    with pytest.raises(UpdateFailedError, match="older than"):
        rolling_back.pin(parts, "chosen:1m", "1.0.1")


@pytest.mark.usefixtures("quick")
def test_what_this_ondol_is_too_old_for_is_not_offered(hub: Scene, parts: Parts) -> None:
    publish(hub, "newer", "1.0")
    hub.model("1.1", 2, "newer", name="newer:1m", min_ondol="999.0")
    assert updater.install(parts, "clinic/newer").version == "1"
    assert updater.update(parts, "newer:1m").what == "unchanged"
    with pytest.raises(UpdateFailedError, match="needs Ondol 999"):
        updater.install(parts, "clinic/newer@1.1")


@pytest.mark.usefixtures("quick")
def test_a_model_that_was_here_is_replaced_only_if_its_owner_says_so_and_kept(
    hub: Scene, parts: Parts
) -> None:
    (new,) = publish(hub, "mine", "1.0")
    own = write_llama(hub.work / "own.gguf", 99)
    parts.store.add("mine:1m", [parts.store.stage(own, "weights", "own.gguf")])
    before = digest_here(parts, "mine:1m")
    with pytest.raises(UsageError, match="is here already") as told:
        updater.install(parts, "clinic/mine")
    assert told.value.param == "replace" and digest_here(parts, "mine:1m") == before
    assert updater.install(parts, "clinic/mine", name="theirs:1m").name == "theirs:1m"
    parts.store.remove("theirs:1m")
    updater.install(parts, "clinic/mine", name="mine:1m", replace=True)
    assert digest_here(parts, "mine:1m") == new
    assert installed.one(parts, "mine:1m").previous == ("local",)
    rolling_back.rollback(parts, "mine:1m")
    assert digest_here(parts, "mine:1m") == before


@pytest.mark.usefixtures("quick")
def test_two_items_cannot_have_one_name(hub: Scene, parts: Parts) -> None:
    publish(hub, "one", "1.0")
    hub.model("1.0", 5, "other", name="one:1m")
    updater.install(parts, "clinic/one")
    with pytest.raises(UsageError):
        updater.install(parts, "clinic/other", replace=True)
    assert updater.install(parts, "clinic/other", name="other:1m").name == "other:1m"
    moved = updater.install(parts, "clinic/other", name="third:1m")
    assert moved.what == "installed" and "other:1m stays" in moved.words[0]
    parts.store.remove("third:1m")
    # The name of what was removed is free, and what was accepted of that is remembered.
    parts.store.remove("one:1m")
    parts.store.remove("other:1m")
    assert updater.install(parts, "clinic/other", name="one:1m").name == "one:1m"
    assert updater.install(parts, "clinic/one", name="two:1m").what == "installed"
    assert {one.install.reference: one.install.name for one in installed.all(parts)} == {
        "clinic/other": "one:1m",
        "clinic/one": "two:1m",
    }


@pytest.mark.usefixtures("quick")
def test_adapters_that_would_not_fit_any_more_are_named_before(hub: Scene, parts: Parts) -> None:
    publish(hub, "base", "1.0", "1.1")
    updater.install(parts, "clinic/base@1.0")
    file = random_adapter(parts.store.path(parts.store.get("base:1m")), hub.work / "own-lora.gguf")
    parts.adapters.add(file, name="style", model="base:1m")
    (offer,) = updater.check(parts).offers
    assert offer.stale == ("base:1m:style",)
    with pytest.raises(UsageError, match="base:1m:style") as told:
        updater.update(parts, "base:1m")
    assert told.value.param == "allow_stale"
    assert not parts.adapters.get("base:1m", "style").stale
    outcome = updater.update(parts, "base:1m", allow_stale=True)
    assert outcome.stale == ("base:1m:style",) and parts.adapters.get("base:1m", "style").stale
    assert installed.one(parts, "base:1m").stale == ("base:1m:style",)
    rolling_back.rollback(parts, "base:1m")
    assert not parts.adapters.get("base:1m", "style").stale


def test_a_model_that_does_not_load_is_not_switched_to(
    hub: Scene, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, "broken", "1.0")
    good = (hub.work / "broken-1.gguf").read_bytes()
    bad = hub.work / "bad.gguf"
    # Well-formed, and no engine loads it: a matrix that it needs has another name.
    bad.write_bytes(good.replace(b"blk.0.ffn_up.weight", b"blk.0.ffn_xx.weight"))
    hub.weights("1.1", bad, "broken", name="broken:1m")
    with monkeypatch.context() as patch:
        patch.setattr(trial, "try_model", lambda *_: trial.Tried())
        updater.install(parts, "clinic/broken@1.0")
    before = digest_here(parts, "broken:1m")
    with pytest.raises(UpdateFailedError, match="did not pass its test"):
        updater.update(parts, "broken:1m")
    assert digest_here(parts, "broken:1m") == before
    failed = rolling_back.history(parts, "broken:1m")[0]
    assert (failed.deed, failed.version) == ("failed", "1.1") and "did not pass" in failed.reason
    # It is not tried again by itself, and nothing of it is kept.
    assert updater.update(parts, "broken:1m").what == "unchanged"
    assert len(list(parts.store.blobs.directory.iterdir())) == 1


def test_what_the_scanner_refuses_is_not_kept(
    hub: Scene, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, "scanned", "1.0", "1.1")

    def refused(*_: object) -> None:
        raise ScanRefusedError("It holds code.")

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "scanned", refused)
        with pytest.raises(ScanRefusedError):
            updater.install(parts, "clinic/scanned")
    assert installed.all(parts) == [] and not list(parts.store.blobs.directory.iterdir())
    assert not (parts.store.directory / "manifests").exists()


@pytest.mark.usefixtures("quick")
def test_kept_bytes_that_changed_are_not_gone_back_to(hub: Scene, parts: Parts) -> None:
    first, second = publish(hub, "rotten", "1.0", "1.1")
    updater.install(parts, "clinic/rotten@1.0")
    updater.update(parts, "rotten:1m")
    blob = parts.store.blobs.path(first)
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(InvalidModelError):
        rolling_back.rollback(parts, "rotten:1m")
    assert digest_here(parts, "rotten:1m") == second


@pytest.mark.usefixtures("quick")
def test_who_cancels_keeps_what_ran(hub: Scene, parts: Parts) -> None:
    first, _ = publish(hub, "stopped", "1.0", "1.1")
    updater.install(parts, "clinic/stopped@1.0")
    cancel = threading.Event()

    def at_stage(progress: Progress) -> None:
        if progress.step == "stage":
            cancel.set()

    with pytest.raises(DownloadError):
        updater.update(parts, "stopped:1m", on_progress=at_stage, cancel=cancel)
    assert digest_here(parts, "stopped:1m") == first
    assert updater.update(parts, "stopped:1m").version == "1.1"


@pytest.mark.usefixtures("quick")
def test_what_nobody_lived_to_write_down_is_written_down(
    hub: Scene, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, "killed", "1.0", "1.1")
    updater.install(parts, "clinic/killed@1.0")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ondol.updating.bringing.accept", die)
        with pytest.raises(KeyboardInterrupt):
            updater.update(parts, "killed:1m")
    assert updater.update(parts, "killed:1m").what == "unchanged"
    updater.install(parts, "clinic/killed@1.1")
    here = installed.one(parts, "killed:1m")
    assert (here.version, str(here.install.floor), here.previous) == ("1.1", "1.1", ("1",))


@pytest.mark.usefixtures("quick")
def test_an_embedder_that_a_library_was_made_with_is_not_changed_under_it(
    hub: Scene, parts: Parts, tmp_path: Path
) -> None:
    wanted = parts.config["models.embedding"]
    staged = []
    for role, name, content in (
        ("graph", "model.onnx", b"graph"),
        ("tokenizer", "tokenizer.json", b"{}"),
        ("config", "config.json", b'{"model_type":"bert","hidden_size":8}'),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        staged.append(parts.store.stage(file, role, name))
    parts.store.add(wanted, staged)
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another graph")
    hub.publish(
        "embedder", "1.0", {"model.onnx": other}, {"model.onnx": "graph"}, kind="model", name=wanted
    )
    with pytest.raises(UpdateFailedError, match="vectors of your library"):
        updater.install(parts, "clinic/embedder", replace=True)
    assert updater.install(parts, "clinic/embedder", name="embedder:2").what == "installed"


@pytest.mark.parametrize("reference", ["clinic", "clinic/", "/a", "a/b/c", "@1", ""])
def test_what_is_no_item_of_a_hub_is_told(parts: Parts, reference: str) -> None:
    with pytest.raises(UsageError):
        updater.install(parts, reference)


@pytest.mark.usefixtures("quick")
def test_what_a_hub_does_not_have_is_told(hub: Scene, parts: Parts) -> None:
    publish(hub, "there", "1.0")
    with pytest.raises(HubNotFoundError, match="has no version 7"):
        updater.install(parts, "clinic/there@7")
    with pytest.raises(HubNotFoundError, match="No hub that you added has"):
        updater.install(parts, "clinic/nothing")
    with pytest.raises(HubNotFoundError, match="No hub is called"):
        updater.install(parts, "clinic/there", hub="elsewhere")


@pytest.mark.usefixtures("quick")
def test_a_publisher_with_new_keys_is_told_of_by_whoever_asks(hub: Scene, parts: Parts) -> None:
    hub.publisher("moved")
    made = {"kind": "model", "name": "moved:1m"}
    file = write_llama(hub.work / "moved.gguf", 31)
    roles = {"model.gguf": "weights"}
    hub.publish("it", "1.0", {"model.gguf": file}, roles, publisher="moved", **made)
    updater.install(parts, "moved/it")
    hub.rekey("moved")
    other = write_llama(hub.work / "moved-2.gguf", 32)
    hub.publish("it", "1.1", {"model.gguf": other}, roles, publisher="moved", **made)
    found = updater.check(parts)
    assert [name for name, _ in found.notes] == ["test"] and "another key" in found.notes[0][1]
    assert found.json()["notes"][0]["hub"] == "test"
