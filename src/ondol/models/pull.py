"""Pulling a model: find its source, bring its files, verify, list.

The only module that joins catalogue, sources and store. A pull that is interrupted, even by
kill -9, goes on from where it was the next time; nothing is listed before all of it is verified.
Raises ``ModelNotFoundError``, ``DownloadError``, ``InvalidModelError``, ``StorageError``,
``EgressError``, ``UsageError``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic

from ondol import paths
from ondol.egress import Egress
from ondol.errors import DownloadError, InvalidModelError
from ondol.i18n import t
from ondol.models import catalog as catalogue
from ondol.models import names
from ondol.models.blobs import discard, git_digest_of, mismatch
from ondol.models.catalog import Catalog, Entry
from ondol.models.inspection import PROJECTOR, About, StagedFile
from ondol.models.locks import hold_all
from ondol.models.manifest import Model, ModelFile
from ondol.models.patience import Patience, Watch
from ondol.models.resume import shown, size_of
from ondol.models.sources import Context, ModelSource, Offer, RemoteFile, key_of, open_source
from ondol.models.store import BlobVanishedError, ModelStore

REPORT_EVERY_SECONDS = 0.1
CONVERTED = "model.onnx"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a pull, in Ollama's words. Bytes are None where they make no sense; ``key`` names
    the partial file that they gather in."""

    status: str
    digest: str = ""
    completed_bytes: int | None = None
    total_bytes: int | None = None
    key: str = ""


def pull(
    name: str,
    store: ModelStore,
    egress: Egress,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: Event | None = None,
    save_as: str | None = None,
    projector: Path | None = None,
    catalog: Catalog | None = None,
    patience: Patience | None = None,
) -> Model:
    """Bring the model called ``name`` (or at that reference) here and list it.

    ``save_as`` lists it under another name; ``projector`` is a file through which it sees. A
    cancelled pull raises DownloadError within one read.
    """
    catalog = catalogue.load() if catalog is None else catalog
    wanted = names.normalize(name)
    entry = catalog.entry(wanted)
    references = entry.sources if entry else (wanted,)
    target = names.installed_name(save_as or wanted)
    errors: list[DownloadError | InvalidModelError] = []
    for reference in references:
        job = _Pull(
            reference,
            target,
            entry,
            store,
            egress,
            _Reporter(on_progress or (lambda progress: None)),
            cancel or Event(),
            patience or Patience(),
            projector,
        )
        try:
            return job.run()
        except (DownloadError, InvalidModelError) as error:
            if job.cancel.is_set():
                raise
            errors.append(error)
    # A source that may deliver in a minute matters more than one that never will.
    raise next((error for error in errors if getattr(error, "is_passing", False)), errors[0])


@dataclass(slots=True)
class _Reporter:
    """Passes progress on, but not more often than anybody can see."""

    tell: Callable[[Progress], None]
    last: float = field(default=0.0)

    def say(self, status: str) -> None:
        self.tell(Progress(status))

    def bytes(
        self, status: str, digest: str, completed: int, total: int | None, key: str = ""
    ) -> None:
        now = monotonic()
        if completed == total or now - self.last >= REPORT_EVERY_SECONDS:
            self.last = now
            self.tell(Progress(status, digest, completed, total, key))


@dataclass(frozen=True, slots=True)
class _Pull:
    """One reference on its way into the store."""

    reference: str
    target: str
    entry: Entry | None
    store: ModelStore
    egress: Egress
    report: _Reporter
    cancel: Event
    patience: Patience
    projector: Path | None = None

    def run(self) -> Model:
        self.report.say("pulling manifest")
        self.store.blobs.prepare()
        context = Context(self.egress, self._workspace(), self.patience)
        source = open_source(self.reference, self.entry.files if self.entry else (), context)
        offer = source.offer()
        for attempt in range(3):
            try:
                model = self._run_locked(source, offer)
                break
            except BlobVanishedError:
                if attempt == 2:
                    raise
        self.report.say("success")
        return model

    def _run_locked(self, source: ModelSource, offer: Offer) -> Model:
        keys = [key_of(self.reference), *(file.key for file in offer.files)]
        locks = paths.ensure(self.store.directory / "locks")
        with hold_all((locks / key for key in keys), self._wait_for_lock):
            here = self._already(offer)
            if here:
                return here
            try:
                model = self._bring(source, offer)
            finally:
                # A finished wheel is worth keeping; an empty folder is not.
                _remove_if_empty(self._workspace())
            shutil.rmtree(self._workspace(), ignore_errors=True)
            self.store.forget_stale_partials()
            return model

    def _wait(self) -> None:
        Watch(cancel=self.cancel).check()

    def _wait_for_lock(self) -> None:
        self._wait()
        self.report.bytes("waiting for another pull of the same files", "", 0, None)

    def _already(self, offer: Offer) -> Model | None:
        """The model, when exactly this content is listed under this name."""
        model = next((m for m in self.store.list() if m.name == self.target), None)
        if model is None or self.projector or not all(file.digest for file in offer.files):
            return None
        listed = {file.digest for file in model.files}
        return model if listed >= {file.digest for file in offer.files} else None

    def _bring(self, source: ModelSource, offer: Offer) -> Model:
        self._check_space(offer.files)
        largest_first = sorted(offer.files, key=lambda f: -(f.size_bytes or 0))
        fetched = {file.name: self._fetch(source, file) for file in largest_first}
        staged = [fetched[file.name] for file in offer.files]
        try:
            staged += [*self._convert(staged), *self._see()]
            self.report.say("writing manifest")
            return self.store.add(self.target, staged, self._about(offer))
        except BlobVanishedError:
            raise
        except InvalidModelError as error:
            if not all(part.path.exists() for part in staged):
                raise BlobVanishedError(t("models.vanished", name=self.target)) from error
            # Verified and still no model: it will not get better by keeping it.
            for part in staged:
                if part.path.name.startswith("partial-"):
                    discard(part.path)
            raise

    def _check_space(self, files: Sequence[RemoteFile]) -> None:
        missing = [f for f in files if not (f.digest and self.store.blobs.has(f.digest))]
        have = sum(size_of(self.store.blobs.partial(f.key)) for f in missing)
        needed = sum(f.size_bytes or 0 for f in missing) - have
        if needed > 0:
            self.store.blobs.check_space(needed)

    def _fetch(self, source: ModelSource, file: RemoteFile) -> StagedFile:
        """``file``'s verified content, wherever it comes from: the store, a partial, the source."""
        store = self.store
        if file.digest and store.blobs.has(file.digest, file.size_bytes):
            size = store.blobs.path(file.digest).stat().st_size
            self._on_bytes(file, size, size)
            known = ModelFile(file.role, file.name, file.digest, size)
            return StagedFile(known, store.blobs.path(file.digest))
        partial = store.blobs.partial(file.key)
        resumed = size_of(partial) > 0
        try:
            return self._fetch_and_verify(source, file, partial)
        except InvalidModelError:
            if not resumed:
                raise
            # The old part may have been of something else: once more, from nothing.
            discard(partial)
            return self._fetch_and_verify(source, file, partial)

    def _fetch_and_verify(self, source: ModelSource, file: RemoteFile, partial: Path) -> StagedFile:
        self._on_bytes(file, size_of(partial), file.size_bytes)
        watch = Watch(lambda done, total: self._on_bytes(file, done, total), self.cancel)
        source.fetch(file, partial, watch)
        self.report.say("verifying sha256 digest")
        if file.git_digest and git_digest_of(partial) != file.git_digest:
            discard(partial)
            raise mismatch(file.name)
        return self.store.stage(
            partial,
            file.role,
            file.name,
            digest=file.digest,
            on_bytes=lambda done: self._verified(file, partial, done),
        )

    def _on_bytes(self, file: RemoteFile, completed: int, total: int | None) -> None:
        label = file.digest.partition(":")[2][:12] or file.name
        self.report.bytes(f"pulling {label}", file.digest, completed, total, file.key)

    def _verified(self, file: RemoteFile, partial: Path, done: int) -> None:
        self._wait()
        self.report.bytes("verifying sha256 digest", file.digest, done, size_of(partial))

    def _see(self) -> list[StagedFile]:
        """The projector that its owner adds to the model."""
        if self.projector is None:
            return []
        if not self.projector.is_file():
            raise DownloadError(t("models.no_such_path", path=self.projector))
        return [self.store.stage(self.projector, PROJECTOR, self.projector.name)]

    def _convert(self, staged: Sequence[StagedFile]) -> list[StagedFile]:
        """The ONNX graph of an embedding model that comes as safetensors."""
        by_name = {part.file.name: part.path for part in staged}
        if "model.safetensors" not in by_name or any(s.file.role == "graph" for s in staged):
            return []
        from ondol.models.bert_onnx import convert

        self.report.say("converting to ONNX")
        folder = paths.ensure(self._workspace() / "convert")
        graph = self.store.blobs.partial()
        try:
            for name, path in by_name.items():
                link = folder / name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(path.absolute())
            self.store.blobs.check_space(by_name["model.safetensors"].stat().st_size)
            convert(folder, graph)
        except OSError as error:
            raise paths.storage_error(error, graph) from error
        return [self.store.stage(graph, "graph", CONVERTED)]

    def _about(self, offer: Offer) -> About:
        entry = self.entry
        web = self.reference.startswith(("http://", "https://"))
        source = shown(self.reference) if web else self.reference.split("#")[0]
        if entry is None:
            return About(licence=offer.licence, source=source)
        return About(
            kind=entry.kind,
            family=entry.family,
            parameters=entry.parameters,
            quantization=entry.quantization,
            context_length=entry.context_length,
            licence=entry.licence,
            source=source,
        )

    def _workspace(self) -> Path:
        return self.store.blobs.partial(f"{key_of(self.reference)}.work")


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
