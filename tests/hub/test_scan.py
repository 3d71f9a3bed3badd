"""The scanner: what passes, what is refused and why, and what the process that looks cannot do."""

from __future__ import annotations

import ast
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.errors import InvalidModelError, ScanRefusedError, StorageError
from ondol.hub.card import Card
from ondol.hub.scan import (
    Report,
    child,
    comparing,
    numbers,
    refused_by_name,
    require,
    scan,
    scanning,
)
from ondol.hub.scan.refused import Refused
from ondol.i18n import t, use_language
from ondol.lab.redteam.releases import bad_adapters, hostile_templates
from ondol.lab.redteam.releases.makers import (
    F32,
    STRING,
    adapter,
    entries,
    entry,
    factors,
    gguf,
    initializer,
    onnx,
    pieces,
    safetensors,
    sized,
    tensor,
)
from ondol.models.blobs import digest_of
from ondol.models.gguf_reader import TENSOR_TYPES

SOURCE = Path(scanning.__file__).parent
SHIPPED = SOURCE.parents[1] / "models" / "shipped"

TOKENIZER = {
    "version": "1.0",
    "added_tokens": [{"id": 1, "content": "</s>"}],
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+"}},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
}
GOOD: dict[str, bytes] = {
    "model.gguf": gguf(),
    "split-00002-of-00002.gguf": gguf(
        [entry("split.no", 2, 1), entry("split.count", 2, 2)], [tensor("w", (8,))], bytes(32)
    ),
    "adapter.gguf": adapter(),
    "model.safetensors": safetensors(),
    "deep--part.safetensors": safetensors(),
    "deep--model.safetensors.index.json": b'{"weight_map": {"w": "part.safetensors"}}',
    "adapter_model.safetensors": factors({bad_adapters.A: (2, 8), bad_adapters.B: (8, 2)}),
    "adapter_config.json": json.dumps(bad_adapters.CONFIG).encode(),
    "model.safetensors.index.json": b'{"weight_map": {"w": "model.safetensors"}}',
    "config.json": b'{"hidden_size": 64, "time_step_limit": [0.0, Infinity]}',
    "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
    "tokenizer.json": json.dumps(TOKENIZER).encode(),
    "tokenizer_config.json": b'{"chat_template": "{{ messages[0].content }}", "n": 1e30}',
    "onnx--model.onnx": onnx(),
    "tokenizer.model": pieces(),
    "pack.toml": b'name = "x"\n',
    "glossary.jsonl": b'{"term": "a"}\n\n{"term": "b"}\n',
    "vocab.txt": "안녕\nhello\n".encode(),
    "merges.txt": b"#version: 0.2\na b\n",
    "README.md": b"# A model\n",
    "LICENSE": b"Apache License\n",
    ".gitattributes": b"*.gguf filter=lfs\n",
}


def put(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    found = {}
    for number, (name, data) in enumerate(files.items()):
        found[name] = folder / str(number)
        found[name].write_bytes(data)
    return found


def codes(report: Report) -> set[str]:
    return {one.code for one in report.findings}


def test_what_is_well_formed_passes(tmp_path: Path) -> None:
    report = scan(put(tmp_path, GOOD))
    assert report.ok, report.findings
    assert dict(report.kinds).keys() == GOOD.keys()
    assert report.size_bytes == sum(map(len, GOOD.values()))
    require(report)


def test_the_models_that_come_with_ondol_pass(
    chat_model_file: Path, embedding_model_files: tuple[Path, Path]
) -> None:
    graph, tokenizer = embedding_model_files
    files = {"model.gguf": chat_model_file, "model.onnx": graph, "tokenizer.json": tokenizer}
    adapters = {path.name: path for path in SHIPPED.glob("*.gguf")}
    assert adapters
    assert scan(files, linked=True).findings == ()
    assert scan(adapters, bases=[chat_model_file], linked=True).findings == ()


def test_published_templates_pass(tmp_path: Path) -> None:
    from tests import gguf_copy

    sources = (gguf_copy.HERMES, gguf_copy.THINKING, gguf_copy.BARE_JSON)
    declining = "{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}hi"
    more = (
        declining,
        "{% generation %}{{ bos_token }}{% endgeneration %}",
        "{{ strftime_now('%Y') }}",
    )
    files = {f"{n}.gguf": gguf(entries(template=s)) for n, s in enumerate((*sources, *more))}
    assert scan(put(tmp_path, files)).findings == ()


def test_a_report_can_be_signed_and_says_its_sentences_in_both_languages(tmp_path: Path) -> None:
    from securesystemslib.formats import encode_canonical

    files = put(tmp_path, {"model.gguf": gguf() + bytes(64), "m.pkl": b"x"})
    with use_language("ko"):
        korean = scan(files)
    report = scan(files)
    assert encode_canonical(report.json())
    assert json.loads(json.dumps(report.json()))["ok"] is False
    assert report.refused == {"model.gguf", "m.pkl"}
    assert [one.code for one in report.findings] == ["trailing", "kind_pickle"]
    assert "64 bytes behind" in report.findings[0].message
    assert "64바이트" in korean.findings[0].message
    with pytest.raises(ScanRefusedError, match="1 more finding") as refused:
        require(report)
    assert refused.value.exit_code == 12


def test_every_reason_has_a_sentence() -> None:
    found = set()
    for module in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and part.value != "kind_":
                        found.add(part.value)
    assert len(found) > 50
    for code in found | {"kind_code", "kind_pickle", "kind_archive"}:
        assert t(f"hub_scan.{code}")


def test_a_name_alone_may_be_enough() -> None:
    assert "pytorch_model.bin" in refused_by_name("pytorch_model.bin")
    assert refused_by_name("onnx--model.onnx") == "" == refused_by_name("1_Pooling/config.json")
    assert refused_by_name("../../etc/passwd.gguf")
    assert "\x1b" not in refused_by_name("a\x1b[2Jb.gguf")


# Links and what is no file


def test_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(gguf())
    (tmp_path / "soft").symlink_to("real")
    assert codes(scan({"model.gguf": tmp_path / "soft"})) == {"link"}
    assert scan({"model.gguf": tmp_path / "real"}).ok
    (tmp_path / "second").hardlink_to(tmp_path / "real")
    assert codes(scan({"model.gguf": tmp_path / "real"})) == {"hard_link"}
    assert scan({"model.gguf": tmp_path / "real"}, linked=True).ok
    both = {"a.gguf": tmp_path / "real", "b.gguf": tmp_path / "second"}
    assert scan(both).ok


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        listener.bind(f"{short}/s")
        places = {
            "pipe.gguf": tmp_path / "pipe",
            "folder.gguf": tmp_path,
            "device.gguf": Path("/dev/zero"),
            "socket.gguf": Path(short) / "s",
        }
        assert {one.file: one.code for one in scan(places).findings} == dict.fromkeys(
            places, "not_a_file"
        )
    listener.close()
    assert codes(scan({"model.gguf": tmp_path / "gone"})) == {"not_opened"}


@pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")
def test_a_file_in_memory_is_taken() -> None:
    descriptor = os.memfd_create("adapter", os.MFD_CLOEXEC)
    os.write(descriptor, adapter())
    try:
        path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        assert scan({"adapter.gguf": path}, bases=()).ok
    finally:
        os.close(descriptor)


# Adapters, their models, and cards


def base(rows: int = 8) -> bytes:
    query = tensor("blk.0.attn_q.weight", (8, rows))
    return gguf(tensors=[query], data=bytes(8 * rows * 4))


CARD = Card(
    kind="adapter",
    name="mine",
    files={"adapter.gguf": "adapter"},
    architecture="llama",
    r=2,
    lora_alpha=8.0,
)


def test_an_adapter_has_to_fit_the_model_that_it_is_for(tmp_path: Path) -> None:
    files = put(tmp_path, {"adapter.gguf": adapter()})
    fits, other, broken = (tmp_path / name for name in ("fits", "other", "broken"))
    fits.write_bytes(base())
    other.write_bytes(base(rows=16))
    broken.write_bytes(base()[:-200])
    card = replace(CARD, base_digest=digest_of(fits))
    assert scan(files, card, bases=[fits]).findings == ()
    assert codes(scan(files, bases=[other])) == {"malformed"}
    assert codes(scan(files, bases=[broken])) == {"bad_base"}
    assert codes(scan(files, bases=[tmp_path / "gone"])) == {"bad_base"}
    assert codes(scan(files, replace(card, base_digest=digest_of(other)), bases=[fits])) == {
        "card_differs"
    }


GGUF = {"kind": "gguf", "architecture": "llama", "parameters": 32, "part": 0, "parts": 1}
ADAPTER = {"adapter.gguf": GGUF | {"purpose": "adapter", "r": 2, "lora_alpha": 8.0}}
MODEL = {"model.gguf": GGUF | {"purpose": "chat"}}
HALVES = {
    f"m-0000{n}-of-00002.gguf": GGUF | {"purpose": "chat", "part": n - 1, "parts": 2}
    for n in (1, 2)
}
WHOLE = Card(kind="model", name="m", files={"model.gguf": "weights"}, parameters=32)


@pytest.mark.parametrize(
    ("facts", "card", "changed", "code"),
    [
        (ADAPTER, CARD, {}, None),
        (ADAPTER, CARD, {"r": 3}, "card_differs"),
        (ADAPTER, CARD, {"lora_alpha": 9.0}, "card_differs"),
        (ADAPTER, CARD, {"architecture": "qwen2"}, "card_differs"),
        (ADAPTER, CARD, {"base_digest": ""}, "card_lacks"),
        (ADAPTER, CARD, {"files": {"adapter.gguf": "weights"}}, "bad_role"),
        (MODEL, WHOLE, {}, None),
        (MODEL, WHOLE, {"parameters": 33}, "card_differs"),
        (MODEL, WHOLE, {"files": {"model.gguf": "adapter"}}, "bad_role"),
        (MODEL, WHOLE, {"files": {"model.gguf": "graph"}}, "bad_role"),
        (HALVES, WHOLE, {"parameters": 64}, None),
        (HALVES, WHOLE, {"parameters": 32}, "card_differs"),
        ({"README.md": {"kind": "text"}}, WHOLE, {"files": {"README.md": "readme"}}, None),
    ],
)
def test_what_the_card_says_has_to_be_so(
    facts: comparing.Facts, card: Card, changed: dict[str, Any], code: str | None
) -> None:
    card = replace(replace(card, base_digest="sha256:" + "0" * 64), **changed)
    found = {refused.code for _, refused in comparing.with_card(card, facts, ())}
    assert found == ({code} if code else set())


# The child


def test_the_child_can_open_nothing_and_start_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    script = f"""
import os, socket, sys, threading
from ondol.hub.scan import child
child._load()
held = child._confine(os.getppid(), {scanning.MEMORY_BYTES})
tries = {{
    "read": lambda: open({str(tmp_path / "secret")!r}),
    "passwd": lambda: open("/etc/passwd"),
    "write": lambda: open({str(tmp_path / "new")!r}, "w"),
    "list": lambda: os.listdir("/"),
    "socket": lambda: socket.socket(),
    "fork": lambda: os._exit(0) if os.fork() == 0 else None,
    "run": lambda: os.execv("/bin/true", ["true"]),
    "memory": lambda: bytearray({scanning.MEMORY_BYTES}),
    "signal": lambda: os.kill(os.getppid(), 0) if os.getuid() else (_ for _ in ()).throw(OSError),
}}
for name, attempt in tries.items():
    try:
        attempt()
    except (OSError, MemoryError):
        continue
    print(name)
print(*held, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False
    )
    held = set(done.stderr.split())
    if sys.platform != "linux" or not {"files", "network"} <= held:
        pytest.skip("no Landlock or seccomp here")
    allowed = set(done.stdout.split()) - {"signal"}
    assert allowed == set()
    assert {"limits", "privileges", "files", "network", "processes"} <= held
    assert ("user" in held) == (os.geteuid() == 0)


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """A child that answers every request as ``answer`` says, a piece of Python."""
    script = tmp_path / "child.py"
    script.write_text(f"""
import os, signal, time
from ondol.confinement import child, frames
parent = child.claim_stdin()
frames.Incoming(parent, 1 << 20).frame()
frames.send(parent, {{"protections": []}})
while taken := child.take_request(parent):
    request, descriptor = taken
    os.close(descriptor)
    name = request["name"]
{answer}
    frames.send(parent, {{"kind": "done", "facts": {{}}}})
""")
    monkeypatch.setattr(scanning, "COMMAND", (sys.executable, "-P", str(script)))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("    if name == 'b.gguf': os.kill(os.getpid(), signal.SIGSEGV)", "ended_child"),
        ("    if name == 'b.gguf': os._exit(0)", "ended_child"),
        ("    if name == 'b.gguf': parent.sendall(b'\\xff' * 100)", "ended_child"),
        ("    if name == 'b.gguf': frames.send_bytes(parent, b'[]')", "ended_child"),
        (
            "    if name == 'b.gguf': frames.send(parent, {'kind': 'done', 'facts': {'a': {}}})",
            "ended_child",
        ),
        (
            "    if name == 'b.gguf': frames.send(parent, {'kind': 'finding', 'code': '<b>'})",
            "ended_child",
        ),
    ],
)
def test_a_file_that_ends_its_child_is_refused_and_the_next_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: str
) -> None:
    stand_in(tmp_path, monkeypatch, answer)
    files = {
        f"{name}.gguf": path for name, path in put(tmp_path, dict.fromkeys("abc", b"x")).items()
    }
    report = scan(files)
    assert {one.file: one.code for one in report.findings} == {"b.gguf": code}


def test_a_file_that_takes_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "    if name == 'b.gguf': time.sleep(60)")
    monkeypatch.setattr(scanning, "SECONDS", 1)
    monkeypatch.setattr(scanning, "PATIENCE", 1)
    files = {
        f"{name}.gguf": path for name, path in put(tmp_path, dict.fromkeys("bc", b"x")).items()
    }
    assert {one.file: one.code for one in scan(files).findings} == {"b.gguf": "too_slow"}


def test_files_that_go_on_ending_children_are_not_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "    os._exit(1)")
    monkeypatch.setattr(scanning, "MAX_DEATHS", 2)
    files = {
        f"{name}.gguf": path for name, path in put(tmp_path, dict.fromkeys("abc", b"x")).items()
    }
    found = [one.code for one in scan(files).findings]
    assert found == ["ended_child", "ended_child", "not_looked"]


def test_what_a_child_says_cannot_steer_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "{'kind': 'finding', 'code': 'bad', 'message': 'a\\x1b[2J\\nb' + 'c' * 9000}"
    stand_in(tmp_path, monkeypatch, f"    frames.send(parent, {said})")
    (one,) = scan(put(tmp_path, {"a.gguf": b"x"})).findings
    assert one.message.startswith("a[2Jbc") and len(one.message) <= 2000


def test_no_child_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "COMMAND", ("/nonexistent/python",))
    with pytest.raises(StorageError, match="cannot be started"):
        scan(put(tmp_path, {"a.gguf": gguf()}))
    monkeypatch.setattr(scanning, "CAN_CONFINE", False)
    with pytest.raises(StorageError, match="cannot be started"):
        scan(put(tmp_path, {"a.gguf": gguf()}))


# Invariants


def looked_at(name: str, data: bytes) -> list[str]:
    """The codes of what a look finds, in this process; whatever else goes wrong is raised."""
    request: dict[str, Any] = {"name": name, "is_base": False}
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            return [one.code for one in child._look(request, name, file.fileno(), [], {})]
        except Refused as refused:
            return [refused.code]
        except InvalidModelError:
            return ["malformed"]


BYTES = {
    name: GOOD[name]
    for name in ("model.gguf", "adapter.gguf", "model.safetensors", "onnx--model.onnx")
} | {"tokenizer.model": pieces(), "tokenizer.json": GOOD["tokenizer.json"]}


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(BYTES)), st.data())
def test_changed_bytes_pass_or_are_refused_and_nothing_else(name: str, data: st.DataObject) -> None:
    content = bytearray(BYTES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        change = data.draw(st.sampled_from(("set", "cut", "insert", "word")))
        match change:
            case "set":
                content[at] = data.draw(st.integers(0, 255))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                content[at:at] = data.draw(st.binary(max_size=9))
            case _:
                word = data.draw(st.sampled_from((0, 1, 2**31, 2**32, 2**63, 2**64 - 1)))
                content[at : at + 8] = struct.pack("<Q", word)
        if not content:
            break
    looked_at(name, bytes(content)) if content else None


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(("w", "dtype", "shape", "data_offsets", "__metadata__", "a")), inner,
        max_size=4), max_leaves=12))  # fmt: skip
def test_whatever_a_header_of_safetensors_says_it_passes_or_is_refused(said: Any) -> None:
    looked_at("model.safetensors", safetensors(json.dumps(said)))


DEQUANTIZED = [
    name for name, _, _ in TENSOR_TYPES.values()
    if name not in ("F64", "I8", "I16", "I32", "I64", "Q8_1", "Q1_0", "Q2_0", "Q8_K", "NVFP4")
]  # fmt: skip


@pytest.mark.parametrize("name", DEQUANTIZED)
def test_what_is_no_number_is_what_the_makers_of_gguf_say(name: str) -> None:
    np, gguf_py = pytest.importorskip("numpy"), pytest.importorskip("gguf")
    kind = gguf_py.GGMLQuantizationType[name]
    size = {one: size for one, _, size in TENSOR_TYPES.values()}[name]
    random = np.random.default_rng(1)
    descriptors = tempfile.TemporaryFile()
    with descriptors as file, np.errstate(all="ignore"):
        for _ in range(40):
            data = random.integers(0, 256, 2 * max(size, 4), dtype=np.uint8)
            theirs = gguf_py.quants.dequantize(data.reshape(1, -1), kind)
            file.seek(0)
            file.write(data.tobytes())
            file.flush()
            ours = numbers.has_nan(file.fileno(), 0, data.size, name)
            assert ours == (not np.isfinite(theirs).all())


def test_a_nan_is_found_wherever_pieces_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "PIECE_BYTES", 64)
    count = 101
    path = tmp_path / "w"
    for place in (0, 15, 16, 17, 50, count - 1):
        values = [0.0] * count
        values[place] = float("nan")
        path.write_bytes(b"xyz" + struct.pack(f"<{count}f", *values))
        with path.open("rb") as file:
            assert numbers.has_nan(file.fileno(), 3, 4 * count, "F32")
    with path.open("rb") as file, pytest.raises(EOFError):
        numbers.has_nan(file.fileno(), 3, 4 * count + 4, "F16")


# What only some files say


@pytest.mark.parametrize(
    "change",
    [
        lambda: gguf(entries(entry("general.x", STRING, "x" * 5000))),
        lambda: gguf(entries(entry("llama.rope.freq_base", F32, 10000.0))),
        lambda: gguf(
            entries(**{"attention.head_count": entry("llama.attention.head_count", 4, 0)})
        ),
        lambda: onnx(sized(5, initializer(raw=b"", dims=(0,)))),
        lambda: safetensors({"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, b""),
    ],
    ids=["long-text", "float", "no-heads", "empty-initializer", "empty-tensor"],
)
def test_unusual_is_not_wrong(change: Callable[[], bytes]) -> None:
    data = change()
    name = {b"GGUF": "m.gguf"}.get(data[:4], "m.safetensors")
    assert looked_at("m.onnx" if data[:2] == b"\x08\x08" else name, data) == []


@pytest.mark.parametrize(
    "text",
    [
        "come\nhere\nReally.",
        "config\nfoo\nbar.",
        "(Read me first.)",
        "(in\nshort)\n.",
        "]R}b.",
        "c\na\nb\n.",
        "MZ-700, an emulator",
        "BZh is how they begin",
        "(S'a'\nVb\nt.",
    ],
)
def test_prose_is_no_pickle_and_no_program(text: str) -> None:
    assert looked_at("notes.txt", text.encode()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"cos\nsystem\n(S'id'\ntR\xff and then nothing of a pickle".replace(b"\xff", b"?"),
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"I1\n0cos\nsystem\n(S'id'\ntR.",
    ],
)
def test_a_pickle_of_letters_alone_is_found(data: bytes) -> None:
    assert looked_at("notes.txt", data) == ["kind_pickle"]


def test_templates_of_the_corpus_are_refused_for_what_they_are(tmp_path: Path) -> None:
    unsafe = {f"{name}.jinja": s.encode() for name, s in hostile_templates.UNSAFE.items()}
    found = {one.file: one.code for one in scan(put(tmp_path, unsafe)).findings}
    assert found.keys() == unsafe.keys()
    reasons = set(found.values())
    assert reasons <= {"template_unsafe", "template_invalid", "template_fails", "template_slow"}
