"""Files that do their worst to their parser: each costs itself, in one sentence, and no more."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ondol.errors import DocumentError, DocumentNotFoundError
from ondol.i18n import use_language
from ondol.retrieval import loaders
from ondol.retrieval.loaders import isolation, ocr
from ondol.retrieval.loaders.isolation import PROTECTIONS, Reader, child, reader
from ondol.types import Document
from tests.retrieval.file_makers import lines, make_docx, make_pdf

HOSTILE = (sys.executable, "-P", str(Path(__file__).with_name("hostile_parsers.py")))
MAX_BYTES = 64 << 20

linux = pytest.mark.skipif(sys.platform != "linux", reason="the protection is Linux's")
Order = Callable[[str], Document]


@pytest.fixture(scope="module")
def shared() -> Iterator[Reader]:
    """One child for all tests that leave it alive."""
    with Reader(seconds=30, memory_mb=512, command=HOSTILE) as opened:
        yield opened


@pytest.fixture
def order(shared: Reader, tmp_path: Path) -> Order:
    return lambda words: give(shared, tmp_path, words)


def give(reading: Reader, folder: Path, words: str) -> Document:
    page = folder / "page.html"
    page.write_text(f"<html>{words}", "utf-8")
    return reading.load(page, max_bytes=MAX_BYTES)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return buffer.getvalue()


def names(documents: tuple[Document, ...]) -> list[str]:
    return [Path(document.source).name for document in documents]


def test_every_kind_of_file_is_read_as_without_the_child(tmp_path: Path) -> None:
    mail = b"From: a@b.c\r\nSubject: Boiler\r\nContent-Type: text/plain\r\n\r\nServiced.\r\n"
    files = {
        "letter.docx": make_docx("First paragraph.", "둘째 문단."),
        "paper.pdf": make_pdf([lines("One page."), lines("And another one.")], title="Paper"),
        "page.html": "<html><title>제목</title><p>본문입니다.".encode(),
        "note.md": b"# Title\r\n\r\nText.\r\n",
        "table.csv": b"a,b\n1,2\n",
        "mail.eml": mail,
        "all.zip": zipped(note__md=b"# Note", broken__docx=b"PK\x03\x04", mail__eml=mail),
    }
    with Reader() as opened:
        for name, data in files.items():
            path = tmp_path / name
            path.write_bytes(data)
            expected = loaders.load(path, max_bytes=MAX_BYTES)
            assert opened.load(path, max_bytes=MAX_BYTES) == expected
            assert expected.text or expected.members


def test_plain_text_needs_no_child(tmp_path: Path) -> None:
    with Reader(command=["/nowhere"]) as opened:
        for name in ("a.md", "a.py", "a.csv", "a.json", "a.txt"):
            (tmp_path / name).write_text('["text"]')
            assert opened.load(tmp_path / name, max_bytes=MAX_BYTES).text
        assert opened.pid is None


def test_errors_are_those_of_the_loader(tmp_path: Path, shared: Reader) -> None:
    (tmp_path / "cut.docx").write_bytes(make_docx("Text.")[:300])
    (tmp_path / "huge.pdf").write_bytes(b"%PDF-" + bytes(2000))
    os.mkfifo(tmp_path / "pipe.pdf")
    (tmp_path / "bin.exe").write_bytes(b"MZ")
    for name in ("cut.docx", "huge.pdf", "pipe.pdf", "bin.exe", "gone.pdf"):
        with pytest.raises(DocumentError) as expected:
            loaders.load(tmp_path / name, max_bytes=1000)
        with pytest.raises(DocumentError) as found:
            shared.load(tmp_path / name, max_bytes=1000)
        assert found.value.message == expected.value.message
        assert found.value.hint == expected.value.hint
        assert isinstance(found.value, DocumentNotFoundError) == (name == "gone.pdf")


def test_the_child_speaks_the_language_of_the_request(tmp_path: Path, shared: Reader) -> None:
    (tmp_path / "cut.docx").write_bytes(make_docx("Text.")[:300])
    with use_language("ko"), pytest.raises(DocumentError, match=r"[가-힣]"):
        shared.load(tmp_path / "cut.docx", max_bytes=MAX_BYTES)
    with use_language("en"), pytest.raises(DocumentError, match="damaged"):
        shared.load(tmp_path / "cut.docx", max_bytes=MAX_BYTES)


@pytest.mark.parametrize("words", ["loop", "sleep"])
def test_a_file_that_takes_too_long_is_skipped_and_the_next_goes_on(
    tmp_path: Path, words: str
) -> None:
    with Reader(seconds=1, command=HOSTILE) as opened:
        with pytest.raises(DocumentError, match="longer than 1 seconds") as caught:
            give(opened, tmp_path, words)
        assert "retrieval.parse_seconds" in caught.value.hint
        assert give(opened, tmp_path, "fine day").text == "fine day"


@linux
def test_a_file_that_takes_too_much_memory_is_skipped(order: Order) -> None:
    with pytest.raises(DocumentError, match="memory") as caught:
        order(f"allocate {3 << 30}")
    assert "retrieval.parse_memory_mb" in caught.value.hint
    assert order(f"allocate {1 << 20}").text == f"done: {1 << 20}"


@pytest.mark.parametrize(
    ("words", "reason"),
    [("abort", "SIGABRT"), ("segfault", "SIGSEGV"), ("leave", "it ended")],
)
def test_a_parser_that_breaks_down_costs_its_file(order: Order, words: str, reason: str) -> None:
    with pytest.raises(DocumentError, match=rf"^page.html made .*\({reason}\)"):
        order(words)
    assert order("fine day").text == "fine day"


@pytest.mark.parametrize("words", ["lie huge", "lie deep", "lie noise", "lie /etc/hosts"])
def test_what_makes_no_sense_is_not_believed(order: Order, words: str) -> None:
    with pytest.raises(DocumentError, match="its answer made no sense"):
        order(words)
    assert order("fine day").text == "fine day"


@linux
def test_a_parser_writes_nothing(order: Order, tmp_path: Path) -> None:
    before = (tmp_path / "page.html", tmp_path / "new", Path("/dev/shm/ondol-test"))
    for target in before:
        assert order(f"write {target}").text == "refused: Permission denied"
    assert [target.exists() for target in before] == [True, False, False]


@linux
def test_a_parser_reads_no_other_file(order: Order, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key")
    home = str(Path.home())
    for target in ("/etc/passwd", tmp_path / "secret", home, "/proc/self/environ", "/proc/1/maps"):
        assert order(f"read {target}").text == "refused: Permission denied"
    page = tmp_path / "page.html"
    assert order(f"start /bin/cat {tmp_path / 'secret'} {page} /etc/passwd").text == "done: b''"
    assert order("start echo works").text == "done: b'works\\n'"


@linux
def test_a_parser_has_no_network(order: Order) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert order(f"connect {port}").text == "refused: Permission denied"
        started = f"{sys.executable} -c 'import socket; print(1); socket.socket()' || echo none"
        assert order(f"start {started}").text == "done: b'1\\nnone\\n'"
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


@linux
def test_a_parser_cannot_end_its_parent(order: Order) -> None:
    if landlock_version() < 6:
        pytest.skip("this kernel keeps no signals back")
    assert order("kill_parent").text == "refused: Operation not permitted"


def landlock_version() -> int:
    from ondol.confinement import landlock

    return landlock._call(landlock._CREATE_RULESET, None, 0, landlock._ASK_VERSION)


def test_a_parser_finds_no_key_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDOL_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    with Reader(command=HOSTILE) as opened:
        text = give(opened, tmp_path, "environment").text
    assert text.endswith("in /'")
    assert "ONDOL" not in text and "TOKEN" not in text and "HOME" not in text


def test_what_a_parser_prints_does_no_harm(order: Order) -> None:
    assert order("speak").text == "done: b''"
    assert order("fine day").text == "fine day"


def test_one_child_reads_all_files_and_is_gone_at_the_end(tmp_path: Path) -> None:
    with Reader(command=HOSTILE) as opened:
        give(opened, tmp_path, "one")
        pid = opened.pid
        give(opened, tmp_path, "two")
        assert opened.pid == pid and psutil.pid_exists(pid or 0)
    assert not psutil.pid_exists(pid or 0)


def test_a_child_makes_room_for_another_after_many_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_FILES", 2)
    with Reader(command=HOSTILE) as opened:
        pids = [(give(opened, tmp_path, "day"), opened.pid)[1] for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]


def test_a_child_that_was_killed_between_two_files_is_replaced(
    tmp_path: Path, shared: Reader
) -> None:
    give(shared, tmp_path, "one")
    os.kill(shared.pid or 0, signal.SIGKILL)
    assert give(shared, tmp_path, "fine day").text == "fine day"


def test_a_child_that_was_killed_over_a_file_reads_it_again(tmp_path: Path) -> None:
    with Reader(seconds=30, command=HOSTILE) as opened:
        give(opened, tmp_path, "one")
        first = opened.pid or 0
        killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
        killer.start()
        assert give(opened, tmp_path, "sleep 1").text == "done: None"
        assert opened.pid != first


@linux
def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>sleep")
    script = f"""
import threading
from pathlib import Path
from ondol.retrieval.loaders.isolation import Reader
reader = Reader(seconds=600, command={list(HOSTILE)!r})
reader.protections
print(reader.pid, flush=True)
reader.load(Path({str(tmp_path / "page.html")!r}), max_bytes=1000)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    psutil.wait_procs([process], timeout=10)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_what_the_child_started_ends_with_it(tmp_path: Path) -> None:
    with Reader(seconds=1, command=HOSTILE) as opened:
        with pytest.raises(DocumentError, match="longer"):
            give(opened, tmp_path, "start exec /bin/sleep 4321")
    left = [p for p in psutil.process_iter(["cmdline"]) if "4321" in (p.info["cmdline"] or [])]
    assert left == []


def test_one_hostile_member_costs_itself_and_the_others_are_read(
    tmp_path: Path, shared: Reader
) -> None:
    (tmp_path / "a.zip").write_bytes(
        zipped(
            a__md=b"first",
            b__html=b"<html>abort",
            c__html=b"<html>fine day",
            d__html=b"<html>segfault",
            e__md=b"last",
        )
    )
    document = shared.load(tmp_path / "a.zip", max_bytes=MAX_BYTES)
    assert names(document.members) == ["a.md", "c.html", "e.md"]
    assert [Path(source).name for source, _ in document.skipped] == ["b.html", "d.html"]
    assert "SIGABRT" in document.skipped[0][1] and "SIGSEGV" in document.skipped[1][1]


def test_each_member_has_its_own_time(tmp_path: Path) -> None:
    slow = {f"m{number}__html": b"<html>sleep 0.6" for number in range(4)}
    (tmp_path / "a.zip").write_bytes(zipped(**slow, n__html=b"<html>loop", o__md=b"last"))
    with Reader(seconds=2, command=HOSTILE) as opened:
        document = opened.load(tmp_path / "a.zip", max_bytes=MAX_BYTES)
    assert len(document.members) == 5
    assert [reason for _, reason in document.skipped] == [
        "n.html took longer than 2 seconds to read, and was skipped."
    ]


def test_too_many_hostile_members_leave_the_rest_out(tmp_path: Path, shared: Reader) -> None:
    hostile = {f"m{number}__html": b"<html>abort" for number in range(9)}
    (tmp_path / "a.zip").write_bytes(zipped(a__md=b"first", **hostile, z__md=b"last"))
    document = shared.load(tmp_path / "a.zip", max_bytes=MAX_BYTES)
    assert names(document.members) == ["a.md"]
    assert len(document.skipped) == reader.MAX_DEATHS
    assert document.skipped[-1][1].startswith("Too many files in a.zip")


def test_a_container_has_an_end_too(tmp_path: Path) -> None:
    slow = {f"m{number:02}__html": b"<html>sleep 0.4" for number in range(20)}
    (tmp_path / "a.zip").write_bytes(zipped(**slow))
    with Reader(seconds=1, command=HOSTILE) as opened:
        document = opened.load(tmp_path / "a.zip", max_bytes=MAX_BYTES)
    assert 0 < len(document.members) < 20
    assert document.skipped[-1][1] == (
        "a.zip took longer than 3 seconds in all; the rest was left out."
    )


def test_a_real_bomb_is_reported_and_what_lies_beside_it_is_read(tmp_path: Path) -> None:
    bomb = zipped(zeros__txt=bytes(60 << 20))
    nested = zipped(inner__zip=zipped(inner__zip=bomb), note__md=b"# Note")
    (tmp_path / "bomb.zip").write_bytes(bomb)
    (tmp_path / "nested.zip").write_bytes(nested)
    with Reader() as opened:
        alone = opened.load(tmp_path / "bomb.zip", max_bytes=MAX_BYTES)
        assert alone.members == () and "times its size" in alone.skipped[0][1]
        inside = opened.load(tmp_path / "nested.zip", max_bytes=MAX_BYTES)
        assert names(inside.members) == ["note.md"]
        assert "times its size" in inside.skipped[0][1]


def test_a_file_far_too_large_is_not_even_handed_over(tmp_path: Path) -> None:
    with open(tmp_path / "huge.pdf", "wb") as file:
        file.write(b"%PDF-1.7")
        file.truncate(2 << 30)
    with Reader(command=["/nowhere"]) as opened, pytest.raises(DocumentError, match=r"2,048\.0 MB"):
        opened.load(tmp_path / "huge.pdf", max_bytes=MAX_BYTES)


@pytest.mark.parametrize("command", [["/nowhere"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_a_child_that_cannot_start_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "a.docx").write_bytes(make_docx("Text."))
    with Reader(command=command) as opened, pytest.raises(DocumentError) as caught:
        opened.load(tmp_path / "a.docx", max_bytes=MAX_BYTES)
    assert caught.value.message.startswith("The process that reads documents could not be started")
    assert "ondol doctor" in caught.value.hint


@linux
def test_doctor_is_told_what_holds() -> None:
    assert set(isolation.protections()) <= set(PROTECTIONS)
    assert {"limits", "privileges", "network"} <= set(isolation.protections())


def test_a_system_without_any_of_it_reads_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CAN_ISOLATE", False)
    (tmp_path / "a.docx").write_bytes(make_docx("Text."))
    with Reader(command=["/nowhere"]) as opened:
        assert opened.load(tmp_path / "a.docx", max_bytes=MAX_BYTES).text == "Text."
        assert opened.protections == ()


def test_a_child_of_another_system_protects_what_it_can() -> None:
    script = """
import sys
sys.platform = "darwin"
from ondol.retrieval.loaders import isolated
isolated.main()
"""
    with Reader(command=[sys.executable, "-P", "-c", script]) as opened:
        assert opened.protections == ("limits",)


def test_scans_are_recognised_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "find_program", lambda: shutil.which("tesseract"))
    if not ocr.is_available():
        pytest.skip("no tesseract here")
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (1200, 200), 255)
    font = ImageFont.load_default(64)
    ImageDraw.Draw(picture).text((40, 60), "The boiler was serviced", font=font, fill=0)
    picture.save(tmp_path / "note.png")
    with Reader() as opened:
        document = opened.load(tmp_path / "note.png", max_bytes=MAX_BYTES)
    assert "boiler was serviced" in document.text


def test_threads_take_turns(tmp_path: Path, shared: Reader) -> None:
    found: list[str] = []

    def read(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        found.extend(give(shared, folder, f"text {number}-{n}").text for n in range(5))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(f"text {a}-{b}" for a in range(4) for b in range(5))


def test_closing_does_not_wait_for_the_file_that_is_being_read(tmp_path: Path) -> None:
    failed: list[DocumentError] = []

    def read() -> None:
        with pytest.raises(DocumentError) as caught:
            give(opened, tmp_path, "sleep")
        failed.append(caught.value)

    opened = Reader(seconds=600, command=HOSTILE)
    give(opened, tmp_path, "one")
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    time.sleep(0.3)
    opened.close()
    thread.join(timeout=60)
    assert failed and opened.pid is None
    with pytest.raises(DocumentError, match="reading has ended"):
        give(opened, tmp_path, "two")
    assert opened.pid is None


def test_an_interrupted_answer_does_not_reach_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reader(command=HOSTILE) as opened:
        give(opened, tmp_path, "one")
        hear = child.Child.hear

        def interrupt(self: child.Child, deadline: float) -> dict[str, object]:
            monkeypatch.setattr(child.Child, "hear", hear)
            time.sleep(0.2)
            raise KeyboardInterrupt

        monkeypatch.setattr(child.Child, "hear", interrupt)
        with pytest.raises(KeyboardInterrupt):
            give(opened, tmp_path, "old text")
        assert give(opened, tmp_path, "new text").text == "new text"
