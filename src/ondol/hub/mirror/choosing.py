"""Which files of a repository a mirror brings, and which roles they have in a release.

Weights that hold numbers only (safetensors, GGUF, ONNX) and the small texts beside them; never what
the scanner would refuse unseen. Of weights that come in several forms, one: the others come when
somebody asks for them by name. Pure functions over names and sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ondol.hub.mirror.upstream import Pinned, UpstreamFile
from ondol.hub.scan import refused_by_name
from ondol.i18n import t
from ondol.models.sources.file import parts_of
from ondol.models.sources.huggingface import choose, choose_projector

SMALL_BYTES = 64 << 20
"""A vocabulary has tens of megabytes; what is larger is not text."""

WEIGHTS = (".safetensors", ".gguf", ".onnx")
_INDEX = ".index.json"


def why_not(path: str, size_bytes: int) -> str:
    """Why a mirror never brings the file, as a sentence; "" where it may."""
    if PurePosixPath(path).name.startswith("."):
        return t("hub_mirror.left_hidden", path=path)
    if refused := refused_by_name(path):
        return refused
    if size_bytes > SMALL_BYTES and not _is_weights(path):
        return t("hub_mirror.left_long", path=path)
    return ""


def chosen(pinned: Pinned, asked: Iterable[str] = ()) -> list[UpstreamFile]:
    """What to bring of ``pinned``: its texts and one form of its weights; of what is ``asked`` for
    by path, all. Files that nothing could be checked by are not among them."""
    allowed = {
        file.path: file
        for file in pinned.files
        if not why_not(file.path, file.size_bytes) and file.is_known
    }
    wanted = {path for path in allowed if not _is_weights(path)}
    named = [path for path in asked if path in allowed]
    weights = [part for path in named for part in _parts(path) if _is_weights(path)]
    if not any(map(_is_weights, named)):
        weights = _weights(list(allowed))
    wanted |= {*named, *weights}
    # An index of weights that do not come along would name files that are not there.
    return [
        file
        for path, file in allowed.items()
        if path in wanted and (not path.endswith(_INDEX) or path in named or _leads(path, wanted))
    ]


def roles_of(paths: Sequence[str]) -> dict[str, str]:
    """The role of each file, in the words of ``models.manifest``. Only one form of the weights is
    ``weights``: what a device that installs the release takes."""
    main = set(_weights([path for path in paths if _is_weights(path)]))
    return {path: _role(path, path in main) for path in paths}


_KNOWN = {
    "config.json": "config",
    "tokenizer.json": "tokenizer",
    "sentence_bert_config.json": "limits",
    "adapter_config.json": "adapter-config",
    "chat_template.jinja": "template",
    "README.md": "readme",
}


def _role(path: str, is_main: bool) -> str:
    name = PurePosixPath(path).name.lower()
    if _is_weights(path):
        if "mmproj" in name:
            return "projector"
        role = "graph" if name.endswith(".onnx") else "weights"
        role = "adapter" if name.startswith("adapter_model") else role
        return role if is_main else f"other-{role}"
    is_licence = name.startswith(("license", "licence", "copying"))
    return _KNOWN.get(path, "licence" if is_licence else "file")


def _weights(paths: Sequence[str]) -> list[str]:
    """One form of the weights: safetensors at the top, else a GGUF (and how it sees), else a
    graph, else safetensors wherever they are."""
    found = [path for path in paths if _is_weights(path)]
    top = [path for path in found if path.endswith(".safetensors") and "/" not in path]
    gguf = [path for path in found if path.lower().endswith(".gguf")]
    if top:
        return top
    if gguf:
        main = choose(gguf, "latest") or min(gguf, key=lambda path: (len(path), path))
        seeing = choose_projector(gguf)
        parts = [part for part in _parts(main) if part in gguf]
        return [*parts, *([seeing] if seeing and seeing not in parts else [])]
    graphs = sorted((path for path in found if path.endswith(".onnx")), key=lambda p: (len(p), p))
    return graphs[:1] or [path for path in found if path.endswith(".safetensors")]


def _parts(path: str) -> list[str]:
    """``path`` and, of weights in several files, the others."""
    if path.lower().endswith(".gguf"):
        return [str(PurePosixPath(path).with_name(n)) for n in parts_of(PurePosixPath(path).name)]
    return [path]


def _leads(index: str, wanted: Iterable[str]) -> bool:
    """Whether weights that ``index`` (``model.safetensors.index.json``) tells of come along."""
    stem, suffix = (
        PurePosixPath(index.removesuffix(_INDEX)).stem,
        PurePosixPath(index.removesuffix(_INDEX)).suffix,
    )
    return any(
        PurePosixPath(path).name.startswith(stem) and path.endswith(suffix)
        for path in wanted
        if not path.endswith(_INDEX)
    )


def _is_weights(path: str) -> bool:
    return path.lower().endswith(WEIGHTS)
