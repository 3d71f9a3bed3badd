"""Whose a name is, and which version has it: nothing goes back but where its owner says so."""

from __future__ import annotations

import pytest
from hub_scene import MODEL, Scene
from served_llama import write_llama

from ondol.cli.hub_install import show_outcome
from ondol.cli.output import Output
from ondol.errors import UpdateFailedError, UsageError
from ondol.hub.targets import Version
from ondol.parts import Parts
from ondol.updating import fetching, rolling_back, updater
from ondol.updating.bringing import Bringing, How, Outcome
from ondol.updating.installs import Install, Installs


@pytest.mark.usefixtures("quick")
def test_what_one_item_gave_back_no_other_takes(hub: Scene, parts: Parts) -> None:
    own = write_llama(hub.work / "own.gguf", 7)
    parts.store.add(MODEL, [parts.store.stage(own, "weights", "own.gguf")])
    for seed, item in ((1, "one"), (2, "two")):
        hub.model("1", seed, item)
    updater.install(parts, "clinic/one", replace=True)
    rolling_back.rollback(parts, MODEL, "local")
    before = parts.store.get(MODEL)
    with pytest.raises(UsageError, match=MODEL):
        updater.install(parts, "clinic/two")
    assert parts.store.get(MODEL) == before
    # The one that its owner let have the name may have it again.
    assert updater.install(parts, "clinic/one").what == "updated"


@pytest.mark.usefixtures("quick")
def test_who_waited_for_a_newer_version_does_not_go_below_it(hub: Scene, parts: Parts) -> None:
    for seed in (1, 2):
        hub.model(str(seed), seed, "raced", name="raced:1m")
    with Installs.open() as kept, fetching.hubs(parts) as (device,):
        device.refresh()
        older = device.release("clinic", "raced", Version.of("1"))
        # As it was chosen before the other process had its turn.
        row = Install(device.fingerprint, "clinic", "raced", "model", "raced:1m")
        updater.install(parts, "clinic/raced@2")
        with pytest.raises(UpdateFailedError, match="older than"):
            Bringing(parts, kept, device, How()).bring(row, older)
    assert updater.update(parts, "raced:1m").version == "2"


def test_a_publishers_words_do_not_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = Install("F", "clinic", "one", "model", MODEL)
    words = ("Withdrawn: \x1b[2J\u202eevil",)
    show_outcome(Output(), Outcome("unchanged", row, "1", "1", words))
    assert "\x1b" not in (told := capsys.readouterr().err) and "\u202e" not in told
