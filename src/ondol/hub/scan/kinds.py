"""What kind of file it is, by its name and by its first bytes, which must agree.

What may carry code is refused whatever it is called: pickles, programs, scripts, archives (and so
all that is nested in them), and files that are an archive when read from their end. What is not
known is refused too. Raises ``Refused``.
"""

from __future__ import annotations

import os
import pickletools
import re
from pathlib import PurePosixPath

from ondol.hub.scan.refused import Refused

HEAD_BYTES = 512
MAX_DEPTH = 8
MAX_PART_BYTES = 255

_KINDS = {
    ".gguf": "gguf",
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".json": "json",
    ".jsonl": "jsonl",
    ".toml": "toml",
    ".jinja": "template",
    ".model": "sentencepiece",
} | dict.fromkeys((".txt", ".md", ".csv", ".tsv"), "text")
_LETTERS = frozenset(("text", "json", "jsonl", "toml", "template"))
_TEXTS = frozenset(("readme", "license", "licence", "notice", "copying", ".gitattributes"))

_CODE = frozenset(
    ".py .pyc .pyo .pyd .pyw .so .dll .dylib .exe .msi .sh .bash .zsh .bat .cmd .ps1 .js .mjs .ts "
    ".rb .pl .lua .php .jar .class .wasm .ipynb .vbs .com .scr .app .deb .rpm .html .htm "
    ".svg".split()
)
_PICKLES = frozenset(
    ".pkl .pickle .pt .pth .bin .ckpt .joblib .dill .npy .npz .h5 .hdf5 .keras .mar .nemo .msgpack "
    ".ot .pb .pdparams .pdmodel .marshal .cloudpickle .t7 .mat .rds .rdata .llamafile".split()
)
_ARCHIVES = frozenset(
    ".zip .tar .gz .tgz .bz2 .tbz .tbz2 .xz .txz .lzma .zst .zstd .lz4 .7z .rar .whl .egg .cab "
    ".iso .dmg .img .cpio .ar .a .z .br".split()
)

# What begins so is that, whatever its name says: offset, bytes, and what it is.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "archive"),
    (0, b"PK\x05\x06", "archive"),
    (0, b"\x1f\x8b", "archive"),
    (0, b"BZh", "archive"),
    (0, b"\xfd7zXZ\x00", "archive"),
    (0, b"\x28\xb5\x2f\xfd", "archive"),
    (0, b"\x04\x22\x4d\x18", "archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "archive"),
    (0, b"Rar!\x1a\x07", "archive"),
    (0, b"!<arch>\n", "archive"),
    (0, b"MSCF\x00\x00", "archive"),
    (0, b"070701", "archive"),
    (257, b"ustar", "archive"),
    (0, b"\x7fELF", "code"),
    (0, b"MZ", "code"),
    (0, b"#!", "code"),
    (0, b"\x00asm", "code"),
    (0, b"\xca\xfe\xba\xbe", "code"),
    *((0, magic, "code") for magic in (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf")),
    *((0, magic, "code") for magic in (b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")),
    (0, b"\x89HDF\r\n\x1a\n", "pickle"),
    (0, b"\x93NUMPY", "pickle"),
    *((0, b"\x80" + bytes([protocol]), "pickle") for protocol in range(2, 6)),
)
_PYTHON_CACHE = re.compile(rb"..\r\n", re.S)
_END_OF_ZIP, _END_OF_ZIP_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535

# Opcodes of a pickle that calls something.
_CALLS = frozenset(("REDUCE", "BUILD", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX"))
_NAMES = frozenset(("GLOBAL", "INST"))
_NAME = re.compile(r"[\w.]+ [\w.]+")
_PICKLE_BYTES = 2**20


def check_name(name: str) -> None:
    """Refuse what no folder and no URL should be given: a way out, a hidden sign, a drive."""
    parts = name.split("/")
    if len(parts) > MAX_DEPTH or not all(_is_part(part) for part in parts):
        raise Refused("bad_name")


def _is_part(part: str) -> bool:
    whole = part.isprintable() and 0 < len(part.encode(errors="replace")) <= MAX_PART_BYTES
    return whole and not re.search(r'[\\:*?"<>|]|[. ]$|^ |^-|^\.\.', part)


def plain(name: str) -> str:
    """``name`` without the folder, which a release writes as ``folder--name``."""
    return name.rpartition("/")[2].rpartition("--")[2]


def named(name: str) -> str:
    """The kind that a file called ``name`` has to be of."""
    check_name(name)
    path = PurePosixPath(name.lower())
    for suffixes, code in ((_CODE, "code"), (_PICKLES, "pickle"), (_ARCHIVES, "archive")):
        if path.suffix in suffixes:
            raise Refused(f"kind_{code}", what=path.suffix)
    kind = "text" if path.stem in _TEXTS or path.name in _TEXTS else _KINDS.get(path.suffix)
    if kind is None:
        raise Refused("kind_unknown", what=path.suffix or path.name)
    return kind


def of(name: str, descriptor: int) -> str:
    """The kind of the open file that is called ``name``."""
    kind = named(name)
    head = os.pread(descriptor, HEAD_BYTES, 0)
    for offset, magic, code in _MAGIC:
        # A text may begin with these letters; the rest of such a file is none.
        is_word = kind in _LETTERS and magic.isalnum()
        if head[offset : offset + len(magic)] == magic and not is_word:
            raise Refused(f"kind_{code}", what=_shown(magic))
    if ends_as_zip(descriptor):
        raise Refused("kind_archive", what="zip")
    if kind != "gguf" and head[:4] == b"GGUF":
        raise Refused("kind_other", what="GGUF")
    if kind not in ("text", "gguf", "safetensors") and _PYTHON_CACHE.match(head[:4]):
        raise Refused("kind_code", what=".pyc")
    return kind


def ends_as_zip(descriptor: int) -> bool:
    """Whether the file is an archive to who reads it from its end, as zip's own readers do
    (APPNOTE.TXT 4.3.16): a record whose comment ends with the file, and whose table is in it."""
    size = os.fstat(descriptor).st_size
    length = min(size, _END_OF_ZIP_BYTES + _LONGEST_COMMENT)
    tail = os.pread(descriptor, length, size - length)
    at = tail.rfind(_END_OF_ZIP)
    while at >= 0:
        record = tail[at : at + _END_OF_ZIP_BYTES]
        if len(record) == _END_OF_ZIP_BYTES:
            comment = int.from_bytes(record[20:22], "little")
            table = int.from_bytes(record[12:16], "little")
            if at + _END_OF_ZIP_BYTES + comment == len(tail) and table <= size - length + at:
                return True
        at = tail.rfind(_END_OF_ZIP, 0, at)
    return False


def is_pickle(data: bytes) -> bool:
    """Whether ``data``, which looks like a text, is a pickle of protocol 0 or 1 that calls
    something: those have no first bytes of their own. What follows the call may be anything."""
    depth, has_name = 0, False
    marks: list[int] = []
    try:
        for code, argument, _ in pickletools.genops(data[:_PICKLE_BYTES]):
            taken = list(code.stack_before)
            if pickletools.markobject in taken:
                depth = marks.pop() - taken.index(pickletools.markobject)
            else:
                depth -= len(taken)
            if depth < 0:
                return False
            has_name |= code.name in _NAMES and bool(_NAME.fullmatch(str(argument)))
            if has_name and code.name in _CALLS:
                return True
            if code.name == "MARK":
                marks.append(depth)
            else:
                depth += len(code.stack_after)
    except (ValueError, IndexError):  # no such code, or no mark: here unpickling ends too
        pass
    return False


def _shown(magic: bytes) -> str:
    return "".join(chr(one) if 32 < one < 127 else "." for one in magic)
