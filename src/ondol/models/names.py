"""Model names and references: what a user may type, in the one form that everything else sees.

A name is Ollama's ``[namespace/]model[:tag]``, in lower case, tag ``latest`` when none is given. A
reference says where weights are: ``hf:owner/repo[:quantisation]``, a URL, a file, ``pypi:``.
Raises ``UsageError`` on anything else.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from ondol.errors import UsageError
from ondol.i18n import t

LONGEST = 200

_PART = r"[a-z0-9][a-z0-9._-]*"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,2}}")
_TAG = re.compile(r"[a-z0-9_][a-z0-9._-]{0,79}")
_HUGGINGFACE = re.compile(
    r"(?:hf:|(?:https?://)?(?:hf\.co|huggingface\.co)/)"
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)/?"
    r"(?::(?P<tag>[A-Za-z0-9][\w./-]*))?"
)
_REFERENCE_STARTS = ("hf:", "pypi:", "http://", "https://", "file:", "/", "./", "../", "~")
_QUANTISATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8](?:_[0-9A-Z]+)*|TQ[12]_0|BF16|F16|F32|(?:MX|NV)FP4(?:_MOE)?))"
    r"(?=$|[-.])",
    re.IGNORECASE,
)


def normalize(name: str) -> str:
    """The canonical form of ``name``: ``Llama3.2`` is ``llama3.2:latest``.

    References keep their spelling, except that every way to write a Hugging Face one becomes
    ``hf:owner/repo:TAG``.
    """
    text = name.strip()
    hub = _HUGGINGFACE.fullmatch(text)
    if hub:
        return f"hf:{hub['repository']}:{_hub_tag(hub['tag'])}"
    if is_reference(text):
        if text.startswith("hf:"):
            raise UsageError(t("models.bad_hub_name", name=text), t("models.bad_hub_name_hint"))
        if text.startswith(("http://", "https://")) and not _has_host(text):
            raise UsageError(t("models.bad_name", name=text), t("models.bad_name_hint"))
        return text
    model, _, tag = text.lower().partition(":")
    tag = tag or "latest"
    if len(text) > LONGEST or not _NAME.fullmatch(model) or not _TAG.fullmatch(tag):
        raise UsageError(t("models.bad_name", name=text), t("models.bad_name_hint"), param="model")
    return f"{model}:{tag}"


def is_reference(name: str) -> bool:
    """Whether ``name`` says where the weights are, rather than what they are called."""
    return name.startswith(_REFERENCE_STARTS) or name.lower().endswith(".gguf")


def is_file(name: str) -> bool:
    """Whether ``name`` says that the weights are in a file of this machine."""
    elsewhere = ("hf:", "pypi:", "http://", "https://")
    return is_reference(name.strip()) and not normalize(name).startswith(elsewhere)


def installed_name(name: str) -> str:
    """The name that ``name`` has in the store: a URL or file is called after its file name."""
    canonical = normalize(name)
    if canonical.startswith("hf:") or not is_reference(canonical):
        return canonical
    if canonical.startswith("pypi:"):
        stem = canonical.removeprefix("pypi:").split("==")[0]
    else:
        path = urlsplit(canonical).path if "://" in canonical else canonical
        stem = PurePosixPath(unquote(path)).name.removesuffix(".gguf").removesuffix(".GGUF")
    tag = quantisation(stem)
    model = stem if tag is None else stem[: stem.upper().rindex(tag) - 1]
    return normalize(f"{_slug(model)}:{tag or 'latest'}")


def split(name: str) -> tuple[str, str]:
    """A canonical name's model and tag."""
    model, _, tag = name.rpartition(":")
    return model, tag


def quantisation(text: str) -> str | None:
    """The quantisation a file name ends with, in capitals: ``Q4_K_M``, ``UD-Q4_K_XL``, ``BF16``."""
    found = _QUANTISATION.findall(text)
    return str(found[-1]).upper() if found else None


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _hub_tag(tag: str | None) -> str:
    if tag is None or tag.lower() == "latest":
        return "latest"
    return tag if tag.lower().endswith(".gguf") else tag.upper()


def _slug(text: str) -> str:
    """``text`` with what a name may not hold left out."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return slug or "model"
