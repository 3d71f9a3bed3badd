"""Whole pulls: names, fallbacks, conversion, two at once, kill -9."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pull_servers import Mood, Server, add_repository, serving, sha256, tiny_gguf

from ondol.egress import Egress
from ondol.errors import DownloadError, InvalidModelError, ModelNotFoundError, StorageError
from ondol.models import catalog
from ondol.models.patience import Patience
from ondol.models.pull import Progress, pull
from ondol.models.store import ModelStore

HURRIED = Patience(read_timeout_seconds=2, attempts=3, backoff_seconds=0.01)
KILL = Path(__file__).parents[2] / "benchmarks" / "kill" / "pull.py"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def catalog_of(*sources: str, kind: str = "chat", files: str = "[]") -> catalog.Catalog:
    return catalog.parse(f"""
        [[model]]
        name = "tiny:1b"
        aliases = ["tiny:latest"]
        kind = "{kind}"
        sources = {json.dumps(sources)}
        size_bytes = 1
        licence = "Known Licence"
        context_length = 77
        parameters = 1000
        family = "known"
        quantization = "Q0"
        files = {files}
    """)


def test_unknown_name_is_an_error_that_names_the_nearest(store: ModelStore) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        pull("lama3.2:3b", store, Egress())
    assert "llama3.2:3b" in caught.value.message and "hf:" in caught.value.hint
    assert not store.directory.exists()


def test_alias_is_listed_under_the_name_that_was_asked_for(
    store: ModelStore, server: Server
) -> None:
    server.add("/m.gguf", tiny_gguf())
    known = catalog_of(f"{server.url}/m.gguf")
    model = pull("Tiny", store, Egress(), catalog=known)
    assert (model.name, model.licence, model.kind) == ("tiny:latest", "Known Licence", "chat")
    assert model.context_length == 512


def test_second_source_is_tried_when_the_first_fails(store: ModelStore, server: Server) -> None:
    content = tiny_gguf(50_000)
    server.add("/good.gguf", content)
    server.add("/other.gguf", tiny_gguf(50_000, seed=5))
    pin = f"#sha256={sha256(content)}"
    known = catalog_of(
        f"{server.url}/gone.gguf", f"{server.url}/other.gguf{pin}", f"{server.url}/good.gguf{pin}"
    )
    assert store.path(pull("tiny", store, Egress(), catalog=known)).read_bytes() == content


def test_first_failure_is_the_one_reported(store: ModelStore, server: Server) -> None:
    known = catalog_of(f"{server.url}/first.gguf", f"{server.url}/second.gguf")
    with pytest.raises(DownloadError, match=r"first\.gguf"):
        pull("tiny", store, Egress(), catalog=known)


def test_progress_is_told_in_ollamas_words(store: ModelStore, server: Server) -> None:
    content = tiny_gguf(400_000)
    server.add("/m.gguf", content)
    seen: list[Progress] = []
    digest = sha256(content)
    pull(f"{server.url}/m.gguf#sha256={digest}", store, Egress(), on_progress=seen.append)
    words = list(dict.fromkeys(p.status for p in seen))
    assert words == [
        "pulling manifest",
        f"pulling {digest[:12]}",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    last = [p for p in seen if p.status.startswith("pulling ") and p.digest][-1]
    assert last.completed_bytes == last.total_bytes == len(content)
    assert last.digest == f"sha256:{digest}"


BERT = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "max_position_embeddings": 32,
}


def tiny_bert() -> bytes:
    import numpy as np
    from safetensors.numpy import save

    random = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings.weight": (30, 8),
        "embeddings.position_embeddings.weight": (32, 8),
        "embeddings.token_type_embeddings.weight": (2, 8),
        "encoder.layer.0.intermediate.dense.weight": (16, 8),
        "encoder.layer.0.intermediate.dense.bias": (16,),
        "encoder.layer.0.output.dense.weight": (8, 16),
        "encoder.layer.0.output.dense.bias": (8,),
        "encoder.layer.0.attention.output.dense.weight": (8, 8),
        "encoder.layer.0.attention.output.dense.bias": (8,),
    }
    for part in ("query", "key", "value"):
        shapes[f"encoder.layer.0.attention.self.{part}.weight"] = (8, 8)
        shapes[f"encoder.layer.0.attention.self.{part}.bias"] = (8,)
    for place in ("embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"):
        shapes[f"{place}.LayerNorm.weight"] = shapes[f"{place}.LayerNorm.bias"] = (8,)
    return save({n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()})


def test_bert_safetensors_become_a_graph_that_runs(
    store: ModelStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    files = {
        "model.safetensors": tiny_bert(),
        "config.json": json.dumps(BERT).encode(),
        "tokenizer.json": b"{}",
        "sentence_bert_config.json": b'{"max_seq_length": 16}',
    }
    add_repository(server, "owner/bert", files)
    roles = {"model.safetensors": "weights", "config.json": "config", "tokenizer.json": "tokenizer"}
    wanted = [{"role": roles.get(n, "limits"), "name": n} for n in files]
    table = ", ".join(f'{{ role = "{w["role"]}", name = "{w["name"]}" }}' for w in wanted)
    known = catalog_of("hf:owner/bert", kind="embedding", files=f"[{table}]")
    model = pull("tiny:1b", store, Egress(), catalog=known, patience=HURRIED)
    assert (model.kind, model.format, model.family) == ("embedding", "onnx", "bert")
    assert (model.context_length, model.embedding_length) == (16, 8)
    assert model.capabilities == ("embedding",)
    folder = store.directory_of(model)
    assert (folder / "tokenizer.json").read_bytes() == b"{}"
    assert store.path(model, "graph").read_bytes() == (folder / "model.onnx").read_bytes()
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    tokens = np.array([[1, 2, 3]], dtype=np.int64)
    (states,) = session.run(None, {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
    assert states.shape == (1, 3, 8)
    asked = len(server.requests)
    assert pull("tiny:1b", store, Egress(), catalog=known).digest == model.digest
    # The small files have no hash on the hub, so they are asked for again; the weights are not.
    assert not [r for r in server.requests[asked:] if r.path.startswith("/cdn")]


def test_small_file_unlike_its_git_id_is_refused(
    store: ModelStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    routes = add_repository(server, "owner/x", {"graph.onnx": b"12345"})
    routes["graph.onnx"].content = b"54321"
    files = '[{ role = "graph", name = "graph.onnx" }]'
    known = catalog_of("hf:owner/x", kind="embedding", files=files)
    with pytest.raises(InvalidModelError, match="does not match its hash"):
        pull("tiny:1b", store, Egress(), catalog=known, patience=HURRIED)


def test_source_that_lacks_a_file_of_the_catalogue_is_an_error(
    store: ModelStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    add_repository(server, "owner/x", {"README.md": b"x"})
    known = catalog_of("hf:owner/x", files='[{ role = "graph", name = "graph.onnx" }]')
    with pytest.raises(DownloadError, match=r"does not hold graph\.onnx"):
        pull("tiny:1b", store, Egress(), catalog=known, patience=HURRIED)


def test_cancelled_pull_lists_nothing_and_goes_on_later(store: ModelStore, server: Server) -> None:
    server.pause_seconds = 0.01
    server.add("/m.gguf", tiny_gguf(1_000_000))
    cancel = threading.Event()

    def stop(progress: Progress) -> None:
        if progress.completed_bytes:
            cancel.set()

    with pytest.raises(DownloadError, match="stopped"):
        pull(f"{server.url}/m.gguf", store, Egress(), on_progress=stop, cancel=cancel)
    assert store.list() == []
    pull(f"{server.url}/m.gguf", store, Egress())
    assert server.starts()[-1] > 0


def test_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path, server: Server) -> None:
    (tmp_path / "models").write_text("not a folder")
    server.add("/m.gguf", tiny_gguf())
    with pytest.raises(StorageError) as caught:
        pull(f"{server.url}/m.gguf", ModelStore(tmp_path / "models"), Egress())
    assert caught.value.hint


ON_A_SMALL_DISK = """
mkdir -p "$0" && mount -t tmpfs -o "$1" none "$0" || exit 99
shift; exec "$@"
"""
IN_WORDS = """
import sys
from pathlib import Path
from ondol.egress import Egress
from ondol.errors import StorageError
from ondol.models.pull import pull
from ondol.models.store import ModelStore
try:
    pull(sys.argv[2], ModelStore(Path(sys.argv[1])), Egress())
except StorageError as error:
    print(error.message, "|", error.hint)
"""


@pytest.mark.parametrize(
    ("options", "length", "words"),
    [
        ("size=300k", True, "There is not enough room"),
        ("size=300k", False, "The disk is full"),
        ("ro", True, "cannot be written"),
    ],
)
def test_full_or_read_only_disk_is_a_storage_error(
    tmp_path: Path, server: Server, options: str, length: bool, words: str
) -> None:
    server.add("/m.gguf", tiny_gguf(2_000_000), length=length)
    folder, name = str(tmp_path / "disk"), f"{server.url}/m.gguf"
    shell = ["unshare", "-rm", "sh", "-c", ON_A_SMALL_DISK, folder, options]
    child = [sys.executable, "-c", IN_WORDS, f"{folder}/models", name]
    try:
        done = subprocess.run([*shell, *child], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode == 99 or "unshare:" in done.stderr:
        pytest.skip("this user may not mount a small disk")
    assert words in done.stdout, done.stderr
    assert done.stdout.strip().rpartition("|")[2]


PULL = """
import sys
from pathlib import Path
from ondol.egress import Egress
from ondol.models.pull import pull
from ondol.models.store import ModelStore
pull(sys.argv[2], ModelStore(Path(sys.argv[1])), Egress())
"""


def start(store: ModelStore, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PULL, str(store.directory), name])


def test_two_processes_that_pull_the_same_model_fetch_it_once(store: ModelStore) -> None:
    content = tiny_gguf(600_000)
    with serving(pause_seconds=0.005) as server:
        server.add("/m.gguf", content)
        name = f"{server.url}/m.gguf#sha256={sha256(content)}"
        children = [start(store, name) for _ in range(2)]
        assert [child.wait(60) for child in children] == [0, 0]
        assert server.served == len(content)
    assert len(store.list()) == 1 and not list((store.directory / "locks").iterdir())


def test_two_processes_pull_different_models_at_once(store: ModelStore) -> None:
    with serving(pause_seconds=0.005) as server:
        for name in ("a", "b"):
            # Neither is served to its end before the other has begun.
            server.add(f"/{name}.gguf", tiny_gguf(600_000, seed=ord(name)))
        children = [start(store, f"{server.url}/{name}.gguf") for name in ("a", "b")]
        assert [child.wait(60) for child in children] == [0, 0]
    assert {m.name for m in store.list()} == {"a:latest", "b:latest"}


def test_pull_survives_the_removal_of_what_it_counts_on(store: ModelStore, server: Server) -> None:
    first, second = tiny_gguf(30_000, seed=1), tiny_gguf(30_000, seed=2)
    for name, content in (("x", first), ("y", second)):
        server.add(f"/{name}.gguf", content)
    pull(f"{server.url}/x.gguf", store, Egress())
    removed = []

    def remove(progress: Progress) -> None:
        if progress.status == "writing manifest" and not removed:
            removed.append(store.remove("x"))

    name = f"{server.url}/x.gguf#sha256={sha256(first)}"
    model = pull(name, store, Egress(), save_as="z", on_progress=remove)
    assert removed == [len(first)] and store.path(model).read_bytes() == first


def test_stalled_server_is_given_up_in_the_end(store: ModelStore, server: Server) -> None:
    server.add("/m.gguf", tiny_gguf(100_000), *[Mood(stall_after=0)] * 9)
    patience = Patience(read_timeout_seconds=0.1, attempts=2, backoff_seconds=0.01)
    with pytest.raises(DownloadError, match="nothing arrived for too long"):
        pull(f"{server.url}/m.gguf", store, Egress(), patience=patience)


def test_pull_killed_at_random_points_resumes_and_lists_only_whole_models() -> None:
    spec = importlib.util.spec_from_file_location("kill_pull", KILL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_pull"] = module
    spec.loader.exec_module(module)
    tally = module.run(6, seed=1)
    assert tally.is_clean, tally
    assert tally.points == 6 and tally.pulls_finished


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, ondol.models.pull\n"
        "heavy = {'httpx2', 'huggingface_hub', 'numpy', 'onnx', 'onnxruntime', 'tqdm'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
