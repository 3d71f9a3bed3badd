"""Hugging Face repositories: ``hf:owner/repo:Q4_K_M``, or ``:file.gguf``.

huggingface_hub resolves (HF_ENDPOINT, HF_TOKEN and its login file count, so mirrors and private
repositories work); our own downloader brings the bytes, because the library's starts from nothing
after a kill. Every file is pinned to the commit that was resolved.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ondol.errors import DownloadError
from ondol.i18n import t
from ondol.models import names
from ondol.models.download import PURPOSE, Wanted, as_sentences, download, refused, retry_after
from ondol.models.inspection import PROJECTOR
from ondol.models.patience import STATUSES, TryAgainError, Watch, persist
from ondol.models.sources import Context, Offer, RemoteFile, WantedFile, key_of
from ondol.models.sources.file import parts_of

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

# The first of these that a repository has is what "latest" means.
PREFERENCE = ("Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "Q4_0", "MXFP4", "Q5_K_M", "Q8_0", "F16", "BF16")

# Projectors are small, and lose more than weights do.
PROJECTORS = ("F16", "BF16", "Q8_0", "F32")

_OTHER = re.compile(r"mmproj|imatrix|(^|[-_.])(mtp|draft|lora|vocab)[-_.]", re.IGNORECASE)


class HuggingFaceSource:
    """One repository."""

    def __init__(self, reference: str, wanted: Sequence[WantedFile], context: Context) -> None:
        self._repository, _, self._tag = reference.removeprefix("hf:").partition(":")
        self._wanted = wanted
        self._context = context
        self._endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _default_endpoint()
        self._commit = "main"

    def offer(self) -> Offer:
        self._context.egress.check(self._endpoint, PURPOSE)
        where = f"hf:{self._repository}"
        info = persist(self._info, self._context.patience, Watch(), where)
        self._commit = info.sha or "main"
        here = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        chosen = self._choose_wanted(here) if self._wanted else self._choose_gguf(here)
        return Offer(tuple(self._file(role, s) for role, s in chosen), _licence(info))

    def fetch(self, file: RemoteFile, partial: Path, watch: Watch) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(
            self._repository, file.name, revision=self._commit, endpoint=self._endpoint
        )
        wanted = Wanted(
            url,
            headers=build_hf_headers(),
            size_bytes=file.size_bytes,
            sha256=file.digest.removeprefix("sha256:"),
            magic=b"GGUF" if file.name.endswith(".gguf") else b"",
        )
        download(wanted, partial, self._context.egress, watch, self._context.patience)

    def _info(self) -> ModelInfo:
        """What ``HfApi.model_info`` asks for; the library's own client would go round the door."""
        from huggingface_hub.hf_api import ModelInfo
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            hf_raise_for_status,
        )

        url = f"{self._endpoint}/api/models/{self._repository}"
        with (
            _as_sentences(f"hf:{self._repository}"),
            self._context.egress.client(
                url,
                PURPOSE,
                headers=build_hf_headers(library_name="ondol"),
                timeout_seconds=self._context.patience.read_timeout_seconds,
            ) as client,
        ):
            response = client.get(url, params={"blobs": True})
            hf_raise_for_status(response)
            return ModelInfo(**response.json())  # type: ignore[no-untyped-call]

    def _file(self, role: str, sibling: RepoSibling) -> RemoteFile:
        sha256 = sibling.lfs.sha256 if sibling.lfs else ""
        size = sibling.lfs.size if sibling.lfs else sibling.size
        return RemoteFile(
            role,
            sibling.rfilename,
            sha256 or key_of(self._repository, self._commit, sibling.rfilename),
            digest=f"sha256:{sha256}" if sha256 else "",
            git_digest="" if sha256 else sibling.blob_id or "",
            size_bytes=size,
        )

    def _choose_wanted(self, here: Mapping[str, RepoSibling]) -> list[tuple[str, RepoSibling]]:
        missing = [file.name for file in self._wanted if file.name not in here]
        if missing:
            raise DownloadError(
                t("models.hub_lacks", repository=self._repository, file=missing[0]),
                t("models.not_there_hint"),
            )
        return [(file.role, here[file.name]) for file in self._wanted]

    def _choose_gguf(self, here: Mapping[str, RepoSibling]) -> list[tuple[str, RepoSibling]]:
        files = [n for n in here if n.lower().endswith(".gguf")]
        chosen = choose(files, self._tag or "latest")
        if chosen is None:
            tags = sorted({q for f in files if (q := names.quantisation(_stem(f)))})
            raise DownloadError(
                t("models.hub_no_match", repository=self._repository, tag=self._tag or "latest"),
                t("models.hub_tags_hint", tags=", ".join(tags))
                if tags
                else t("models.hub_no_gguf_hint"),
            )
        parts = [str(PurePosixPath(chosen).with_name(p)) for p in parts_of(_base(chosen))]
        missing = [part for part in parts if part not in here]
        if missing:
            raise DownloadError(t("models.hub_lacks", repository=self._repository, file=missing[0]))
        projector = choose_projector(files)
        seeing = [(PROJECTOR, here[projector])] if projector else []
        return [*(("weights", here[part]) for part in parts), *seeing]


def choose(files: Sequence[str], tag: str) -> str | None:
    """The GGUF file that ``tag`` means: a file name, a quantisation, or ``latest``.

    Of a split model, its first part. None when no file, or no single file, fits.
    """
    if tag.lower().endswith(".gguf"):
        return next((f for f in files if tag in (f, _base(f))), None)
    firsts = [f for f in files if _base(parts_of(_base(f))[0]) == _base(f)]
    models = [f for f in firsts if not _OTHER.search(_base(f))]
    if tag.lower() != "latest":
        return _only([f for f in models if _is_tagged(f, tag.upper())])
    for preferred in PREFERENCE:
        found = _only([f for f in models if _is_tagged(f, preferred)])
        if found:
            return found
    return _only(models)


def choose_projector(files: Sequence[str]) -> str | None:
    """The projector through which the repository's models see; None where it has none."""
    found = sorted((f for f in files if "mmproj" in _base(f).lower()), key=len)
    for preferred in PROJECTORS:
        for file in found:
            if preferred in _stem(file).upper():
                return file
    return found[0] if found else None


def _is_tagged(file: str, tag: str) -> bool:
    return (
        names.quantisation(_stem(file)) == tag
        or re.search(rf"[-._]{re.escape(tag)}$", _stem(file).upper()) is not None
    )


def _only(files: Sequence[str]) -> str | None:
    """The one that fits; of several, the plainest name, unless two are equally plain."""
    ranked = sorted(files, key=len)
    tied = len(ranked) > 1 and len(ranked[0]) == len(ranked[1])
    return None if not ranked or tied else ranked[0]


def _base(file: str) -> str:
    return PurePosixPath(file).name


def _stem(file: str) -> str:
    """The file's name without ``.gguf`` and without ``-00001-of-00003``."""
    return re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", _base(file), flags=re.IGNORECASE)


def _licence(info: ModelInfo) -> str:
    found = [tag for tag in info.tags or () if tag.startswith("license:")]
    return found[0].removeprefix("license:") if found else ""


def _default_endpoint() -> str:
    from huggingface_hub import constants

    # Not constants.ENDPOINT, which is what HF_ENDPOINT was when the library was imported.
    return str(constants.HUGGINGFACE_CO_URL_HOME).rstrip("/")


@contextmanager
def _as_sentences(where: str) -> Iterator[None]:
    """Turn the library's exceptions into ours."""
    from huggingface_hub import errors

    try:
        with as_sentences(where):
            yield
    except errors.GatedRepoError as error:
        raise DownloadError(t("models.gated", where=where), t("models.gated_hint")) from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(t("models.hub_unknown", where=where), t("models.gated_hint")) from error
    except errors.OfflineModeIsEnabled as error:
        raise DownloadError(t("models.hub_offline"), t("models.hub_offline_hint")) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in STATUSES:
            again = retry_after(error.response.headers)
            raise TryAgainError(t("models.status", status=status), again) from error
        raise refused(status, where) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DownloadError(t("models.not_a_hub", where=where), t("models.failed_hint")) from error
