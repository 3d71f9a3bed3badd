"""Office files that are zip archives of XML (docx, pptx, xlsx, odt, hwpx, epub), opened safely.

Checks sizes, passwords and entity declarations before anything is parsed. Raises ``DocumentError``
for bombs and passwords, and whatever ``zipfile`` and lxml raise for damage.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from ondol.errors import DocumentError
from ondol.i18n import t

MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 512 * 1024 * 1024
MAX_XML_BYTES = 96 * 1024 * 1024

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DOCTYPES = tuple("<!DOCTYPE".encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be"))
_PROPERTIES = "docProps/core.xml"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_RELATIONS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


class Package:
    """The members of one archive; ``xml`` members come parsed, with no entity expanded."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self.names = archive.namelist()

    def read(self, member: str) -> bytes:
        """The bytes of a member; ``KeyError`` when it is not there."""
        return self._archive.read(member)

    def xml(self, member: str, *, forgiving: bool = False) -> Any:
        """The root element; ``forgiving`` reads on after mistakes."""
        return parse_xml(self.read(member), forgiving=forgiving)

    @property
    def title(self) -> str:
        """What the properties of a Microsoft file give as the title; often empty."""
        if _PROPERTIES not in self.names:
            return ""
        found = self.xml(_PROPERTIES).find(_TITLE)
        return (found.text or "").strip() if found is not None else ""

    def relations(self, member: str) -> Iterator[tuple[str, str, str]]:
        """Id, last word of the type, and path of every part that ``member`` refers to."""
        folder, file = posixpath.split(member)
        path = posixpath.join(folder, "_rels", f"{file}.rels")
        if path not in self.names:
            return
        for relation in self.xml(path).iter(_RELATIONS):
            if relation.get("TargetMode") != "External":
                kind = relation.get("Type", "").rpartition("/")[2]
                yield relation.get("Id", ""), kind, resolve(member, relation.get("Target", ""))


def resolve(base: str, target: str) -> str:
    """The path that ``target`` (a relative address) means in the member ``base``."""
    path = unquote(target.partition("#")[0])
    return posixpath.normpath(posixpath.join("/", posixpath.dirname(base), path)).lstrip("/")


def parse_xml(content: bytes, *, forgiving: bool = False) -> Any:
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=forgiving,
        remove_comments=True,
        remove_pis=True,
    )
    root = etree.fromstring(content, parser)
    if root is None:  # only a forgiving parser can find nothing at all
        raise ValueError("no XML")
    return root


def open_package(data: bytes, name: str, *, doctypes: bool = False) -> Package:
    """The package in ``data``; ``doctypes`` lets document type declarations pass (books)."""
    if data.startswith(OLE):
        raise DocumentError(t("formats.old_office", name=name), t("formats.old_office_hint"))
    archive = zipfile.ZipFile(io.BytesIO(data))
    _check(archive, name, doctypes=doctypes)
    return Package(archive, name)


def _check(archive: zipfile.ZipFile, name: str, *, doctypes: bool) -> None:
    members = archive.infolist()
    xml = [m for m in members if m.filename.lower().endswith((".xml", ".rels"))]
    if (
        len(members) > MAX_MEMBERS
        or sum(m.file_size for m in members) > MAX_UNPACKED_BYTES
        or sum(m.file_size for m in xml) > MAX_XML_BYTES
    ):
        raise DocumentError(t("documents.unpacks_too_large", name=name))
    if any(m.flag_bits & 1 for m in members):
        raise DocumentError(t("documents.encrypted", name=name), t("documents.encrypted_hint"))
    for member in xml if not doctypes else ():
        content = archive.read(member)
        if any(mark in content for mark in _DOCTYPES):
            raise DocumentError(t("documents.declares_entities", name=name))


def local(element: Any) -> str:
    """An element's name without its namespace; empty for comments and entities."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
