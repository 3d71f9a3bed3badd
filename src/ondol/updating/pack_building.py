"""From a folder that somebody writes to a pack that can be published: which weights it is for, and
what it is worth with them, are written into its ``pack.toml``.

Comments of that file stay; nothing else of it is changed. Raises ``InvalidPackError``,
``UpdateFailedError``, ``UsageError``, ``StorageError`` and what the engine raises.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Event
from uuid import uuid4

from ondol import paths
from ondol.errors import UsageError
from ondol.hub.packs import format
from ondol.hub.packs.format import PACK, Pack
from ondol.i18n import t
from ondol.models.json_lines import read_text
from ondol.parts import Parts
from ondol.updating import pack_model, pack_trial
from ondol.updating.pack_trial import Evaluation, OnProgress


def build(
    parts: Parts,
    folder: Path,
    out: Path,
    *,
    evaluates: bool = True,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> tuple[Pack, Evaluation | None]:
    """Write the pack in ``folder`` to the new folder ``out``, and what was measured. One that is
    worse than its base is written too: whether to publish it is for people to decide."""
    pack = format.read(folder)
    if out.exists():
        raise UsageError(t("packs.out_taken", folder=out), t("packs.out_taken_hint"))
    base = pack_model.base_of(parts, pack)
    weights = base.file("weights")
    assert weights is not None
    found = pack_trial.try_out(
        parts, pack, evaluates=evaluates, on_progress=on_progress, cancel=cancel
    )
    staging = out.with_name(f".{out.name}-{uuid4().hex[:8]}")
    try:
        staging.mkdir(parents=True)
        for name, path in pack.files.items():
            if name != PACK:
                shutil.copyfile(path, staging / name)
        text = _completed(
            read_text(pack.files[PACK], PACK, format.MOST_BYTES), weights.digest, found
        )
        (staging / PACK).write_text(text, encoding="utf-8")
        format.read(staging)
        staging.rename(out)
    except OSError as error:
        raise paths.storage_error(error, out) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return format.read(out), found


def _completed(text: str, digest: str, found: Evaluation | None) -> str:
    """``pack.toml`` with the digest of the weights and what was measured."""
    import tomlkit

    document = tomlkit.parse(text)
    document["model"]["digest"] = digest
    document.pop("measured", None)
    if found is not None:
        document.append("measured", tomlkit.item(found.table()))
    return tomlkit.dumps(document)
