"""The catalogue as a Markdown table, for docs/models.md.

``python -m ondol.models.catalog_table docs/models.md`` writes it between the file's two markers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ondol.models import catalog
from ondol.models.blobs import readable_size
from ondol.models.catalog import Catalog, Entry

BEGIN = "<!-- catalogue:begin (python -m ondol.models.catalog_table docs/models.md) -->"
END = "<!-- catalogue:end -->"


def table(entries: Catalog) -> str:
    """One row a model."""
    rows = [
        "| name | kind | parameters | download | context | licence | good for |",
        "|---|---|---|---|---|---|---|",
        *(_row(entry) for entry in entries),
    ]
    return "\n".join(rows)


def insert(document: str, content: str) -> str:
    """``document`` with ``content`` between the markers."""
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def _row(entry: Entry) -> str:
    licence = f"{entry.licence}: {entry.note}" if entry.note else entry.licence
    cells = (
        f"`{entry.name}`",
        entry.kind,
        _count(entry.parameters),
        readable_size(entry.size_bytes),
        f"{entry.context_length:,}",
        licence,
        ", ".join(entry.good_for),
    )
    return f"| {' | '.join(cells)} |"


def _count(parameters: int) -> str:
    if parameters < 950_000_000:
        return f"{parameters / 1e6:.0f}M"
    return f"{parameters / 1e9:.1f}B"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(insert(file.read_text("utf-8"), table(catalog.load())), encoding="utf-8")
