"""Mails and mailboxes: decoded headers, the body once, attachments as members."""

from __future__ import annotations

import base64
from email.message import EmailMessage
from pathlib import Path

import pytest
from file_makers import make_docx
from office_makers import make_mail, make_mbox, make_zip

from ondol.errors import DocumentError
from ondol.retrieval.loaders import load, media_type
from ondol.types import Document

HEAD = "From: 김온돌 <kim@example.com>\nTo: 이방 <lee@example.com>\nDate: 2026-03-02 09:30 +0900\n"


def read(tmp_path: Path, data: bytes, name: str = "a.eml") -> Document:
    path = tmp_path / name
    path.write_bytes(data)
    return load(path, max_bytes=50_000_000)


def sources(document: Document) -> list[str]:
    """Where the members lie inside the container."""
    return [member.source.removeprefix(document.source) for member in document.members]


def test_headers_are_decoded_and_the_body_follows(tmp_path: Path) -> None:
    document = read(tmp_path, make_mail().as_bytes())
    assert document.text == HEAD + "Subject: 보일러 점검\n\n점검은 3월 14일입니다."
    assert document.title == "보일러 점검"
    assert document.members == ()


def test_attachments_are_members_that_are_read_as_files(tmp_path: Path) -> None:
    mail = make_mail(attachments={
        "견적서.docx": make_docx("견적은 삼백만 원입니다."),
        "묶음.zip": make_zip({"속/메모.txt": "압축 속 메모"}),
        "메모.txt": b"first",
        "logo.png": b"\x89PNG",
        "old.hwp": b"x",
    })  # fmt: skip
    mail.add_attachment(make_mail("안쪽 메일", "속 본문"))
    mail.add_attachment(b"second", maintype="text", subtype="plain", filename="메모.txt")
    document = read(tmp_path, mail.as_bytes())
    assert sources(document) == [
        "/견적서.docx", "/묶음.zip/속/메모.txt", "/메모.txt", "/안쪽 메일.eml", "/메모 (2).txt",
    ]  # fmt: skip
    assert document.members[0].text == "견적은 삼백만 원입니다."
    assert document.members[3].text.endswith("속 본문")
    assert document.members[4].text == "second"
    ((skipped, reason),) = document.skipped
    assert skipped.endswith("/old.hwp")
    assert "cannot read yet" in reason
    assert all(not member.members and len(member.content_hash) == 64 for member in document.members)


def test_a_body_in_two_versions_is_read_once(tmp_path: Path) -> None:
    mail = make_mail(body="글로 쓴 본문")
    mail.add_alternative("<p>꾸민 <b>본문</b></p>", subtype="html")
    assert read(tmp_path, mail.as_bytes()).text.endswith("\n\n글로 쓴 본문")
    mail = make_mail(body=" ")
    mail.add_alternative("<h1>제목</h1><p>꾸민 <b>본문</b></p>", subtype="html")
    assert read(tmp_path, mail.as_bytes()).text.endswith("\n\n# 제목\n\n꾸민 본문")


def word(text: str, charset: str) -> str:
    return f"=?{charset}?B?{base64.b64encode(text.encode(charset)).decode()}?="


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: " + "보일러 점검 안내".encode("cp949"),
        b"Subject: " + "보일러 점검 안내".encode(),
        b"Subject: "
        + word("보일러 점검 안내", "euc-kr").replace("euc-kr", "ks_c_5601-1987").encode(),
        b"Subject: "
        + word("보일러 ", "euc-kr").encode()
        + b"\r\n "
        + word("점검 안내", "utf-8").encode(),
        b"subject: =?utf-8?Q?=EB=B3=B4=EC=9D=BC=EB=9F=AC_=EC=A0=90=EA=B2=80_=EC=95=88=EB=82=B4?=",
    ],
)
def test_subjects_are_decoded_however_they_were_written(tmp_path: Path, raw: bytes) -> None:
    body = "점검은 삼월에 합니다. 온돌방을 비워 주세요.".encode("cp949")
    data = b"From: a@example.com\r\n" + raw + b"\r\n\r\n" + body
    document = read(tmp_path, data)
    assert document.title == "보일러 점검 안내"
    assert document.text.endswith("온돌방을 비워 주세요.")


def test_a_file_name_is_decoded_however_it_was_written(tmp_path: Path) -> None:
    part = b"Content-Type: text/plain; %s\r\nContent-Disposition: attachment; %s\r\n\r\nhi\r\n"
    names = [
        (b"", b"filename*=UTF-8''%EB%A9%94%EB%AA%A8.txt"),
        (b"", b'filename="' + word("메모.txt", "euc-kr").encode() + b'"'),
        (b'name="../../' + "메모.txt".encode() + b'"', b""),
        (b"", b'filename="' + "메모.txt".encode("cp949") + b'"'),
    ]
    for content_type, disposition in names:
        data = (
            b'Subject: x\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
            + part % (content_type, disposition)
            + b"--b--\r\n"
        )
        (member,) = read(tmp_path, data).members
        assert member.source.rpartition("/")[2].endswith("메모.txt")
        assert ".." not in member.source.removeprefix(str(tmp_path))


def test_an_encrypted_mail_is_named(tmp_path: Path) -> None:
    mail = make_mail()
    mail.set_content(
        b"\x30\x82", maintype="application", subtype="pkcs7-mime", filename="smime.p7m"
    )
    document = read(tmp_path, mail.as_bytes())
    assert "Subject: 보일러 점검" in document.text
    assert document.skipped[0][1] == "smime.p7m is an encrypted mail."


def test_what_is_no_mail_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="damaged"):
        read(tmp_path, b"\n\nnothing")
    with pytest.raises(DocumentError, match="damaged"):
        read(tmp_path, b"nothing", "a.mbox")


def test_every_mail_of_a_mailbox_is_a_member(tmp_path: Path) -> None:
    mails = [
        make_mail(
            "첫째/메일", "From 여기서 시작하는 줄\n\nFrom here 2026 on\n", {"표.csv": b"a,b\nx,1\n"}
        ),
        make_mail("", "둘째"),
    ]
    document = read(tmp_path, make_mbox(mails), "보낸편지함.mbox")
    assert (document.text, document.title) == ("", "보낸편지함")
    assert sources(document) == ["/0001 첫째 메일.eml", "/0001 첫째 메일.eml/표.csv", "/0002.eml"]
    assert "\n\nFrom here 2026 on" in document.members[0].text
    assert document.members[1].text == "a: x; b: 1"
    assert len({member.content_hash for member in document.members}) == 3


def test_a_mailbox_is_known_without_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "Inbox"
    path.write_bytes(make_mbox([make_mail()]))
    assert media_type(path) == "application/mbox"
    letter = tmp_path / "letter"
    letter.write_text("From 2019 on we heated with wood.\nIt was warm.\n", encoding="utf-8")
    assert media_type(letter) == "text/plain"


def test_mails_nested_without_end_are_opened_only_so_deep(tmp_path: Path) -> None:
    mail = make_mail("0", "bottom")
    for number in range(1, 9):
        outer = make_mail(str(number), "around")
        outer.add_attachment(mail)
        mail = outer
    document = read(tmp_path, mail.as_bytes())
    assert len(document.members) == 5
    assert "5 levels" in document.skipped[0][1]


def test_a_picture_in_the_text_is_no_member(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["Subject"] = "그림"
    mail.set_content("본문")
    mail.add_attachment(
        b"\x89PNG", maintype="image", subtype="png", cid="<a>", disposition="inline"
    )
    document = read(tmp_path, mail.as_bytes())
    assert (document.members, document.skipped) == ((), ())
