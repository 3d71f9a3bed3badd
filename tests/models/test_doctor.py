"""What doctor finds, well and unwell."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ondol.i18n import LANGUAGES, use_language
from ondol.models import doctor
from ondol.models.doctor import Check, diagnose
from ondol.models.hardware import Gpu, Machine

GIB = 2**30
WELL = Machine(8, 4, 16 * GIB, 12 * GIB, "cpu", (), (Gpu("Card", 24 * GIB, 24 * GIB),))


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def engine_is_well() -> Check:
    return Check("engine", True, "fine")


def test_a_healthy_machine_passes_every_check(tmp_path: Path, free_port: int) -> None:
    for language in LANGUAGES:
        with use_language(language):
            checks = diagnose(
                machine=WELL,
                models_dir=tmp_path / "data" / "models",
                data_dir=tmp_path / "data",
                missing_models=list,
                host="127.0.0.1",
                port=free_port,
                ondol_answers=lambda: False,
                check_engine=engine_is_well,
            )
        assert [c for c in checks if c.ok is False and c.name != "disk"] == []
        assert len({c.name for c in checks}) == len(checks) == 10
        assert all(c.sentence for c in checks)
    assert list(tmp_path.iterdir()) == []


def test_everything_wrong_comes_with_the_next_command(tmp_path: Path, taken_port: int) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    checks = diagnose(
        machine=Machine(1, 1, GIB, 10 * 2**20, "cpu", ()),
        models_dir=blocked / "models",
        data_dir=blocked / "data",
        missing_models=lambda: ["smollm2:135m", "all-minilm:l6-v2"],
        host="127.0.0.1",
        port=taken_port,
        ondol_answers=lambda: False,
        check_engine=lambda: doctor.check_bundled_engine("raise SystemExit('no AVX2')"),
    )
    unwell = {c.name: c for c in checks if c.ok is False}
    assert unwell.keys() >= {"memory", "data", "models", "engine", "default models", "port"}
    assert all(c.hint for c in unwell.values())
    assert "ondol pull smollm2:135m" in unwell["default models"].hint
    assert "no AVX2" in unwell["engine"].sentence


def test_an_old_python_is_named() -> None:
    check = doctor.check_python((3, 9, 18))
    assert check.ok is False and "3.9.18" in check.sentence and "3.11" in check.hint


def test_a_disk_that_is_nearly_full_is_named(tmp_path: Path) -> None:
    check = doctor.check_disk(tmp_path, need_bytes=2**62)
    assert check.ok is False and "ondol rm" in check.hint


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    assert doctor.check_folder("data", Path("/proc/ondol/data")).ok is False
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    assert doctor.check_folder("data", folder / "deeper").ok is False


def test_ondol_on_its_own_port_is_well(taken_port: int) -> None:
    assert doctor.check_port("127.0.0.1", taken_port, lambda: True).ok is True
    assert doctor.check_port("127.0.0.1", taken_port, lambda: False).ok is False


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 11435), ("127.0.0.1", 70_000)])
def test_an_address_that_cannot_be_listened_on_is_named(host: str, port: int) -> None:
    check = doctor.check_port(host, port, lambda: True)
    assert check.ok is False and str(port) in check.sentence


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
        ("import a_module_nobody_has", "a_module_nobody_has"),
        ("raise SystemExit(3)", "?"),
    ],
)
def test_an_engine_that_cannot_be_loaded_is_named(program: str, reason: str) -> None:
    check = doctor.check_bundled_engine(program)
    assert check.ok is False and reason in check.sentence and check.hint


def test_an_engine_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENGINE_SECONDS", 0.2)
    assert doctor.check_bundled_engine("import signal; signal.pause()").ok is False


def test_a_missing_interpreter_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "executable", "/nowhere/python")
    assert doctor.check_bundled_engine().ok is False


def test_the_bundled_engine_is_importable() -> None:
    pytest.importorskip("xllamacpp")
    assert doctor.check_bundled_engine().ok is True


def test_what_only_helps_is_neither_well_nor_unwell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_gpu(Machine(1, 1, GIB, GIB, "cpu", ())).ok is None
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    check = doctor.check_pip()
    assert check.ok is None and "ensurepip" in check.hint


def test_a_module_in_the_folder_that_one_is_in_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert doctor.check_bundled_engine("import colorsys").ok is True


def test_the_child_that_loads_the_engine_is_told_no_passphrase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONDOL_PASSPHRASE", "secret words")
    look = "import os; raise SystemExit(os.environ.get('ONDOL_PASSPHRASE', 'told nothing'))"
    assert "told nothing" in doctor.check_bundled_engine(look).sentence
