"""Jupyter notebooks: Markdown cells as they are, code cells and their text outputs in fences.

Pictures and HTML among the outputs are left out, very long outputs cut short. Raises
``DocumentError`` when the JSON is no notebook.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import encoding
from ondol.retrieval.loaders.extract import Extract

MAX_OUTPUT_CHARACTERS = 5000

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.M)


def parse(data: bytes, name: str) -> Extract:
    """The cells in order; the title is the one in the metadata, else the first heading."""
    notebook = json.loads(encoding.decode(data))
    if not isinstance(notebook, dict):
        raise DocumentError(t("documents.broken", name=name))
    cells = _cells(notebook)
    if cells is None:
        raise DocumentError(t("formats.notebook_version", name=name))
    metadata = notebook.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    language = _language(metadata)
    parts = [part for cell in cells for part in _cell(cell, language)]
    text = "\n\n".join(parts)
    if not text:
        raise DocumentError(t("documents.no_text", name=name))
    title = metadata.get("title")
    heading = _HEADING.search(
        "\n".join(part for part in parts if not part.startswith(("```", "~~~")))
    )
    return Extract(text, title if isinstance(title, str) else heading.group(1) if heading else "")


def _cells(notebook: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Version 4 has cells, version 3 has them in work sheets."""
    cells = notebook.get("cells")
    if cells is None and isinstance(notebook.get("worksheets"), list):
        sheets = [sheet for sheet in notebook["worksheets"] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets for cell in sheet.get("cells") or []]
    if not isinstance(cells, list):
        return None
    return [cell for cell in cells if isinstance(cell, dict)]


def _language(metadata: dict[str, Any]) -> str:
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        about = metadata.get(key)
        if isinstance(about, dict) and isinstance(about.get(name), str):
            return re.sub(r"\W", "", about[name].lower())[:20]
    return "python"


def _cell(cell: dict[str, Any], language: str) -> Iterator[str]:
    kind = cell.get("cell_type")
    source = _text(cell.get("source", cell.get("input"))).strip("\n")
    if kind == "heading":  # version 3
        yield f"{'#' * _level(cell.get('level'))} {source.strip()}"
    elif kind == "code":
        if source.strip():
            yield _fenced(source, language)
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else []:
            written = _output(output) if isinstance(output, dict) else ""
            if written:
                yield _fenced(written, "text")
    elif source.strip():
        yield source


def _level(level: object) -> int:
    return level if isinstance(level, int) and 1 <= level <= 6 else 1


def _output(output: dict[str, Any]) -> str:
    """What an output says in plain text."""
    kind = output.get("output_type")
    data = output.get("data")
    if kind in ("error", "pyerr"):
        text = f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
    elif isinstance(data, dict):
        text = _text(data.get("text/plain"))
    else:
        text = _text(output.get("text"))
    plain = _ANSI.sub("", text).strip("\n")
    if len(plain) > MAX_OUTPUT_CHARACTERS:
        plain = plain[:MAX_OUTPUT_CHARACTERS].rsplit("\n", 1)[0] + "\n…"
    return plain if plain.strip() else ""


def _fenced(text: str, language: str) -> str:
    fence = "~~~" if "```" in text else "```"
    return f"{fence}{language}\n{text}\n{fence}"


def _text(value: object) -> str:
    """A string, or a list of lines."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
