"""What kind of file this is: by its name, then by its first bytes.

Types that begin with ``text/x-`` are read line by line (code, data); tables row by row; the others
are prose. Never raises and never blocks.
"""

from __future__ import annotations

import re
from pathlib import Path

from ondol.errors import DocumentError
from ondol.retrieval.loaders import contents, encoding, ocr

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
HWPX = "application/hwp+zip"
EPUB = "application/epub+zip"
IPYNB = "application/x-ipynb+json"
EML = "message/rfc822"
MBOX = "application/mbox"
ZIP = "application/zip"
CSV = "text/csv"
TSV = "text/tab-separated-values"
HTML = "text/html"
PLAIN = "text/plain"

CONTAINERS = frozenset((ZIP, EML, MBOX))
# What tesseract reads.
PICTURES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "tif": "image/tiff",
    "tiff": "image/tiff", "webp": "image/webp", "bmp": "image/bmp", "gif": "image/gif",
}  # fmt: skip

HEAD_BYTES = 8192

_PROSE = {
    "md": "text/markdown", "markdown": "text/markdown", "mdx": "text/markdown",
    "txt": PLAIN, "text": PLAIN, "adoc": PLAIN, "org": PLAIN, "tex": PLAIN,
    "rst": "text/rst",
    "html": HTML, "htm": HTML, "xhtml": HTML,
    "pdf": PDF, "docx": DOCX, "pptx": PPTX, "pptm": PPTX, "ppsx": PPTX,
    "odt": ODT, "hwpx": HWPX, "epub": EPUB, "ipynb": IPYNB,
    "eml": EML, "mbox": MBOX, "mbx": MBOX, "zip": ZIP,
}  # fmt: skip
_DATA = {
    "csv": CSV, "tsv": TSV, "xlsx": XLSX, "xlsm": XLSX, "ods": ODS,
    "json": "application/json", "jsonl": "application/json", "ndjson": "application/json",
    "yaml": "text/x-yaml", "yml": "text/x-yaml", "toml": "text/x-toml",
    "ini": "text/x-ini", "cfg": "text/x-ini", "conf": "text/x-ini", "properties": "text/x-ini",
    "log": "text/x-log", "xml": "text/x-xml", "sql": "text/x-sql", "srt": "text/x-subtitles",
    "vtt": "text/x-subtitles", "diff": "text/x-diff", "patch": "text/x-diff",
}  # fmt: skip
_CODE = {
    "text/x-python": "py pyi pyw",
    "text/x-c": "c h",
    "text/x-c++": "cc cpp cxx hh hpp hxx ino",
    "text/x-csharp": "cs",
    "text/x-java": "java",
    "text/x-kotlin": "kt kts",
    "text/x-scala": "scala sc",
    "text/x-go": "go",
    "text/x-rust": "rs",
    "text/x-swift": "swift",
    "text/x-objective-c": "m mm",
    "text/x-javascript": "js mjs cjs jsx",
    "text/x-typescript": "ts mts cts tsx",
    "text/x-vue": "vue svelte astro",
    "text/x-css": "css scss sass less",
    "text/x-php": "php",
    "text/x-ruby": "rb",
    "text/x-perl": "pl pm",
    "text/x-lua": "lua",
    "text/x-r": "r",
    "text/x-julia": "jl",
    "text/x-haskell": "hs",
    "text/x-ocaml": "ml mli",
    "text/x-elixir": "ex exs",
    "text/x-erlang": "erl hrl",
    "text/x-clojure": "clj cljs edn",
    "text/x-lisp": "el lisp scm",
    "text/x-dart": "dart",
    "text/x-zig": "zig",
    "text/x-fortran": "f f90 f95",
    "text/x-asm": "s asm",
    "text/x-shell": "sh bash zsh fish ps1 bat cmd",
    "text/x-make": "mk cmake gradle",
    "text/x-protobuf": "proto graphql thrift",
    "text/x-terraform": "tf hcl nix",
}
CODE = tuple(_CODE)
_BY_EXTENSION = (
    _PROSE | _DATA | PICTURES | {e: kind for kind, names in _CODE.items() for e in names.split()}
)
_BY_NAME = {
    "makefile": "text/x-make", "gnumakefile": "text/x-make", "dockerfile": "text/x-shell",
    "containerfile": "text/x-shell", "jenkinsfile": "text/x-groovy", "rakefile": "text/x-ruby",
    "gemfile": "text/x-ruby", "cmakelists.txt": "text/x-make",
}  # fmt: skip

# Documents that people expect an answer from but that have no reader yet.
NOT_YET = frozenset(
    "doc docm dot ppt pps xls xlsb odp rtf hwp hwt pages numbers key msg pst emlx mobi azw "
    "azw3".split()
)
# Never opened: the name alone says that there is nothing here for a reader.
_BINARY = frozenset(
    "ico icns svg heic avif psd ai eps ps raw "
    "mp3 mp4 m4a m4v mov avi mkv webm wav flac ogg opus aac "
    "gz tgz bz2 xz zst 7z rar tar jar war apk dmg iso deb rpm whl egg cab "
    "exe dll so dylib a o obj lib class pyc pyo pyd wasm bin dat elf "
    "db sqlite sqlite3 mdb parquet arrow feather npy npz pkl pickle pt pth onnx gguf safetensors "
    "h5 ttf otf woff woff2 eot map lock part crdownload tmp swp bak".split()
)

_PACKAGES = {kind: kind for kind in (ODT, ODS, EPUB, HWPX)}
_FOLDERS = {b"word/": DOCX, b"ppt/": PPTX, b"xl/": XLSX}
# The member "mimetype" comes first and is stored as it is: name, no extra field, then its content.
_MIMETYPE = re.compile(rb"mimetype([a-z.+/-]+?)(?:PK|\s|$)")
_UNDER_OLD_NAMES = frozenset((PDF, DOCX, PPTX, XLSX, HWPX, HTML))
_NEVER_MARKUP = frozenset((PDF, DOCX, PPTX, XLSX, HWPX, ODT, ODS, EPUB, None))
_MBOX_START = re.compile(rb"From \S*[^\r\n]*\d{4}[^\r\n]*\r?\n[!-9;-~]+:")
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S
)


def media_type(path: Path) -> str | None:
    """The kind that ``load`` would read ``path`` as; ``None`` when it is not a kind we read.

    A file that cannot be opened keeps the kind that its name promises, so that ``load`` says why.
    Pictures are a kind only where tesseract can read them.
    """
    if is_never_opened(path.name):
        return None
    try:
        head = contents.read_head(path, HEAD_BYTES)
    except DocumentError:
        return None if extension(path.name) in NOT_YET else _by_name(path.name) or PLAIN
    kind = decide(path.name, head)
    return None if is_picture(kind) and not ocr.is_available() else kind


def decide(name: str, head: bytes) -> str | None:
    """The kind of a file of that name that begins with ``head`` (``HEAD_BYTES`` or the file)."""
    if is_never_opened(name):
        return None
    kind = _by_content(head, _by_name(name))
    # What web programs call .xls or .doc is often a page, or an office file of the new kind.
    is_readable = kind in _UNDER_OLD_NAMES and extension(name) != "docm"  # not by python-docx
    return None if extension(name) in NOT_YET and not is_readable else kind


def is_never_opened(name: str) -> bool:
    """Whether the name alone says that there is nothing in it to read."""
    return extension(name) in _BINARY and _by_name(name) is None


def is_picture(kind: str | None) -> bool:
    return kind is not None and kind.startswith("image/")


def extension(name: str) -> str:
    """Lower case, without the dot: "pdf" for "Report.PDF"; empty where there is none."""
    return Path(name).suffix[1:].lower()


def of_extension(extension: str) -> str | None:
    """The kind that an ending ("pdf") promises."""
    return _BY_EXTENSION.get(extension)


def _by_name(name: str) -> str | None:
    return _BY_NAME.get(name.lower()) or _BY_EXTENSION.get(extension(name))


def _by_content(head: bytes, named: str | None) -> str | None:
    """What the first bytes show; where they show nothing, what the name promised."""
    if head.startswith(b"%PDF-"):
        return PDF
    if head.startswith(b"PK\x03\x04"):
        return _by_package(head, named)
    if named in _NEVER_MARKUP and _HTML_START.match(head.removeprefix(b"\xef\xbb\xbf")):
        return HTML
    if named is not None:
        return named
    if _MBOX_START.match(head):
        return MBOX
    return None if encoding.is_binary(head) or head.startswith((b"{\\rtf", b"%!PS")) else PLAIN


def _by_package(head: bytes, named: str | None) -> str | None:
    """A zip archive: an office file says what it is in its first member, or by its folders."""
    said = _MIMETYPE.match(head, 30)
    if said:
        return _PACKAGES.get(said.group(1).decode("ascii"), named)
    if named != ZIP or b"[Content_Types].xml" in head:
        for folder, kind in _FOLDERS.items():
            if folder in head:
                return kind
    return named or ZIP
