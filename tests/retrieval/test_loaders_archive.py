"""Zip archives: members read as files; bombs, links and climbing paths come to nothing."""

from __future__ import annotations

import hashlib
import io
import stat
import unicodedata
import zipfile
from pathlib import Path

import pytest
from file_makers import make_docx
from office_makers import make_mail, make_xlsx, make_zip

from ondol.errors import DocumentError
from ondol.retrieval.loaders import archive, load, media_type, members
from ondol.types import Document

MEGABYTE = 1024 * 1024


def read(tmp_path: Path, data: bytes, *, max_bytes: int = 50 * MEGABYTE) -> Document:
    path = tmp_path / "묶음.zip"
    path.write_bytes(data)
    return load(path, max_bytes=max_bytes)


def inside(document: Document) -> dict[str, str]:
    """Text by the place inside the archive."""
    start = len(document.source) + 1
    return {member.source[start:]: member.text for member in document.members}


def reasons(document: Document) -> dict[str, str]:
    start = len(document.source) + 1
    return {source[start:]: reason for source, reason in document.skipped}


def test_members_of_every_kind_are_read(tmp_path: Path) -> None:
    inner = make_zip({"깊은/b.csv": "이름,값\n가,1\n"})
    data = make_zip({
        "메모/a.md": "# 제목\r\n",
        "계약.docx": make_docx("보증금은 3억 원이다."),
        "표.xlsx": make_xlsx({"장": [["이름", "값"], ["나", 2]]}),
        "속.zip": inner,
        "편지.eml": make_mail(attachments={"c.txt": b"attached"}).as_bytes(),
        "사진.png": b"\x89PNG", "a.exe": b"MZ", "noise": b"\0\1\2" * 100,
    })  # fmt: skip
    document = read(tmp_path, data)
    found = inside(document)
    assert list(found) == [
        "메모/a.md", "계약.docx", "표.xlsx", "속.zip/깊은/b.csv", "편지.eml", "편지.eml/c.txt",
    ]  # fmt: skip
    assert found["메모/a.md"] == "# 제목\r\n"
    assert found["계약.docx"] == "보증금은 3억 원이다."
    assert found["속.zip/깊은/b.csv"] == "이름: 가; 값: 1"
    assert document.text == ""
    assert document.skipped == ()
    assert document.content_hash == hashlib.sha256(data).hexdigest()
    assert document.members[0].content_hash == hashlib.sha256("# 제목\r\n".encode()).hexdigest()
    assert (document.members[0].title, document.members[0].media_type) == ("제목", "text/markdown")


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    data = make_zip({"a.txt": "글", "b.docx": "broken", "c.hwp": "old", "d.txt": "x" * 3000})
    document = read(tmp_path, data, max_bytes=2000)
    assert inside(document) == {"a.txt": "글"}
    why = reasons(document)
    assert "damaged" in why["b.docx"]
    assert "cannot read yet" in why["c.hwp"]
    assert "are skipped" in why["d.txt"]


def test_names_are_mended(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "한글.txt")
    written = ["/etc/passwd.txt", "../../up.txt", "C:\\Temp\\win.txt", decomposed, "x\x07y.txt"]
    data = make_zip({**dict.fromkeys(written, "글"), "up.txt": "둘째"})
    assert list(inside(read(tmp_path, data))) == [
        "etc/passwd.txt", "up.txt", "Temp/win.txt", "한글.txt", "xy.txt", "up (2).txt",
    ]  # fmt: skip


def test_a_long_path_loses_whole_folders(tmp_path: Path) -> None:
    """Cut anywhere else, "abc../…" would become a path that climbs and is passed over."""
    rest = "/".join(["d" * 100] * 9 + ["e" * 84 + ".txt"])
    assert len(f"../{rest}") == 1000
    document = read(tmp_path, make_zip({f"abc../{rest}": "text"}))
    assert inside(document) == {rest: "text"}


def test_korean_names_of_old_programs_are_decoded(tmp_path: Path) -> None:
    names = ["회의록.txt", "보고서/온돌방.txt"]
    data = make_zip({name.encode("cp949").hex(): name for name in names})
    for name in names:
        raw = name.encode("cp949")
        placeholder = raw.hex().encode()
        # The same length: the rest is spaces, which the reader trims away.
        data = data.replace(placeholder, raw + b" " * (len(placeholder) - len(raw)))
    assert list(inside(read(tmp_path, data))) == names


def test_links_hidden_files_and_tool_folders_are_left_out(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO(make_zip({
        "a.txt": "글", ".git/config": "x", "__MACOSX/._a.txt": "x", "node_modules/b.js": "x",
        "~$계약.docx": "x", "folder/": "",
    }))  # fmt: skip
    with zipfile.ZipFile(buffer, "a") as target:
        target.writestr(link, "/etc/passwd")
    document = read(tmp_path, buffer.getvalue())
    assert inside(document) == {"a.txt": "글"}
    assert document.skipped == ()


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    data = bytearray(make_zip({"a.txt": "비밀", "b.txt": "글"}))
    data[data.find(b"PK\x03\x04") + 6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    document = read(tmp_path, bytes(data))
    assert inside(document) == {"b.txt": "글"}
    assert "password" in reasons(document)["a.txt"]


def test_a_member_packed_like_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    document = read(tmp_path, make_zip({"a.txt": "글", "bomb.txt": b" " * (8 * MEGABYTE)}))
    assert inside(document) == {"a.txt": "글"}
    assert "times its size" in reasons(document)["bomb.txt"]


def test_a_member_that_lies_about_its_size_is_not_unpacked(tmp_path: Path) -> None:
    data = bytearray(make_zip({"a.txt": "글" * 1000, "b.txt": "둘"}))
    for header, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        position = data.find(header) + offset
        data[position : position + 4] = (10).to_bytes(4, "little")
    document = read(tmp_path, bytes(data))
    assert inside(document) == {"b.txt": "둘"}
    assert "damaged" in reasons(document)["a.txt"]


def test_archives_in_archives_are_opened_only_so_deep(tmp_path: Path) -> None:
    data = make_zip({"bottom.txt": "바닥"})
    for number in range(8):
        data = make_zip({f"{number}.zip": data, f"{number}.txt": "층"})
    document = read(tmp_path, data)
    assert len(document.members) == 5
    assert "5 levels" in document.skipped[0][1]


def test_all_members_together_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = make_zip({f"{n}.txt": f"글 {n}" for n in range(5)})
    data = make_zip({"a.zip": half, "b.zip": half})

    def limited(**limits: int) -> Document:
        def limits_of(max_bytes: int) -> members.Limits:
            return members.Limits(max_bytes, **limits)

        monkeypatch.setattr("ondol.retrieval.loaders.loader.Limits", limits_of)
        return read(tmp_path, data)

    few = limited(members_left=8)
    assert len(few.members) == 6  # the two archives count too
    assert "the rest was left out" in few.skipped[0][1]
    small = limited(bytes_left=len(half) + 20)
    assert len(small.members) == 4
    assert "unpacks to more" in small.skipped[0][1]
    short = limited(characters_left=10)
    assert [member.text for member in short.members] == ["글 0", "글 1", "글 2"]
    assert "characters of text" in short.skipped[0][1]


def test_an_archive_of_too_many_entries_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    with pytest.raises(DocumentError, match="far more than a document"):
        read(tmp_path, make_zip({f"{n}.txt": "x" for n in range(4)}))


def test_an_archive_with_nothing_to_read_is_refused(tmp_path: Path) -> None:
    for files in ({}, {"a.exe": "MZ"}):
        with pytest.raises(DocumentError, match="nothing that Ondol reads"):
            read(tmp_path, make_zip(files))
    with pytest.raises(DocumentError, match="damaged"):
        read(tmp_path, b"PK\x03\x04 nonsense")


def test_a_folder_of_archives_and_office_files_is_walked_into(tmp_path: Path) -> None:
    for name, data in {
        "a.zip": make_zip({"word/notes.txt": "낱말"}), "b.eml": make_mail().as_bytes(),
        "c.jar": make_zip({"a.txt": "x"}), "d.png": b"\x89PNG", "e.doc": b"\xd0\xcf\x11\xe0",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    kinds = {path.name: media_type(path) for path in sorted(tmp_path.iterdir())}
    assert kinds == {
        "a.zip": "application/zip", "b.eml": "message/rfc822", "c.jar": None, "d.png": None,
        "e.doc": None,
    }  # fmt: skip
