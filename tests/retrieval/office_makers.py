"""Small valid files of every kind, made by the libraries that write them or by hand."""

from __future__ import annotations

import io
import json
import mailbox
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path

import xlsxwriter
from pptx import Presentation
from pptx.util import Inches

Content = str | bytes


def make_zip(files: Mapping[str, Content], *, packed: bool = True) -> bytes:
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in files.items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else kind
            archive.writestr(name, content, compress_type=stored)
    return buffer.getvalue()


def make_xlsx(sheets: Mapping[str, Sequence[Sequence[object]]], *, title: str = "") -> bytes:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"default_date_format": "yyyy-mm-dd"})
    book.set_properties({"title": title})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    book.close()
    return buffer.getvalue()


def make_pptx() -> bytes:
    """Two slides: one with items, notes and a box; one with a table and no title."""
    deck = Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "온돌의 역사"
    body = first.placeholders[1].text_frame
    body.text = "구들은 돌로 만든다"
    paragraph = body.add_paragraph()
    paragraph.text = "불길이 지나간다"
    paragraph.level = 1
    box = first.shapes.add_textbox(Inches(1), Inches(5), Inches(3), Inches(1))
    box.text_frame.text = "따로 있는 글상자"
    first.notes_slide.notes_text_frame.text = "여기서 잠시 쉬기"
    second = deck.slides.add_slide(deck.slide_layouts[6])
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(2)).table
    for row, cells in enumerate((("해", "압력"), ("2026", "1.2 bar"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    buffer = io.BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def make_odf(body: str, *, kind: str = "text", title: str = "") -> bytes:
    """``body`` is the XML inside office:text or office:spreadsheet."""
    return make_zip(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {_ODF}><office:body><office:{kind}>{body}"
            f"</office:{kind}></office:body></office:document-content>",
            "meta.xml": f"<office:document-meta {_ODF}><office:meta><dc:title>{title}</dc:title>"
            "</office:meta></office:document-meta>",
        }
    )


_HP = (
    'xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section" '
    'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph" '
    'xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head"'
)


def make_hwpx(*sections: str) -> bytes:
    """Every section is the XML of its paragraphs; style 1 is the first outline level."""
    files = {
        "mimetype": "application/hwp+zip",
        "Contents/header.xml": f'<hh:head {_HP}><hh:styles><hh:style id="0" name="바탕글"/>'
        '<hh:style id="1" name="개요 1" engName="Outline 1"/></hh:styles></hh:head>',
    }
    for number, section in enumerate(sections):
        files[f"Contents/section{number}.xml"] = f"<hs:sec {_HP}>{section}</hs:sec>"
    return make_zip(files)


def make_epub(
    chapters: Mapping[str, str], contents: Mapping[str, str] | None = None, *, extra: str = ""
) -> bytes:
    """``chapters``: file name to the inside of its body; ``contents``: file name to title."""
    items = "".join(
        f'<item id="c{n}" href="text/{name}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    points = "".join(
        f'<li><a href="text/{name}#top">{title}</a></li>'
        for name, title in (contents or {}).items()
    )
    page = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>{}'
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container "
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>온돌 이야기</dc:title></metadata>'
        '<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" '
        f'properties="nav"/>{items}</manifest><spine>{spine}</spine></package>',
        "OEBPS/nav.xhtml": page.format(
            '<html xmlns="http://www.w3.org/1999/xhtml"><body><nav><ol>'
            + points
            + "</ol></nav></body></html>"
        ),
    }
    for name, body in chapters.items():
        files[f"OEBPS/text/{name}"] = page.format(
            f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'
        )
    if extra:
        files["META-INF/encryption.xml"] = extra
    return make_zip(files)


def make_mail(
    subject: str = "보일러 점검",
    body: str = "점검은 3월 14일입니다.",
    attachments: Mapping[str, bytes] | None = None,
) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "김온돌 <kim@example.com>"
    mail["To"] = "이방 <lee@example.com>"
    mail["Date"] = "Mon, 02 Mar 2026 09:30:00 +0900"
    mail["Subject"] = subject
    mail.set_content(body)
    for name, data in (attachments or {}).items():
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return mail


def make_mbox(mails: Sequence[EmailMessage]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box"
        box = mailbox.mbox(path)
        for mail in mails:
            box.add(mail)
        box.close()
        return path.read_bytes()


def make_notebook(*cells: Mapping[str, object], **metadata: object) -> bytes:
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)},
        ensure_ascii=False,
    ).encode()
