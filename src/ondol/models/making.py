"""Makes a model of one's own: from one that is here or from files that were sent, with a system
message, options, examples, an adapter.

Nothing is copied: the weights stay where they are, under one name more. Raises ``UsageError``,
``ModelNotFoundError``, ``InvalidModelError`` and ``StorageError``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models import incoming, names
from ondol.models.adapter_fit import check_fit
from ondol.models.adapters import Adapter, AdapterStore
from ondol.models.gguf import read_header
from ondol.models.go_template import is_own_template, jinja_of
from ondol.models.inspection import About, StagedFile, inspect
from ondol.models.made import LONGEST_STOP, MOST_STOPS, Made, copied, parameters_of
from ondol.models.manifest import Model, ModelFile
from ondol.models.store import ModelStore

ADAPTER_NAME = "adapter"
# Of what a model begins with; far more than any context that these machines can read.
MOST_LETTERS = 256 * 1024
MOST_MESSAGES = 1000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model is made of: ``source`` (a model that is here), or ``files``; these and
    ``adapters`` are names of files with the digests of blobs that are here. Of what is ``None`` or
    empty the source's own stays."""

    source: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    template: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[tuple[str, str]] = ()
    licences: Sequence[str] = ()


def make(
    name: str, recipe: Recipe, store: ModelStore, adapters: AdapterStore, say: Say = print
) -> Model:
    """The model ``name``, which replaces what had that name; ``say`` hears how far it has got."""
    target = _name(name)
    parameters, idle = parameters_of(recipe.parameters)
    _check_size(recipe, parameters.get("stop", ()))
    if len(recipe.adapters) > 1:
        raise UsageError(t("making.one_adapter"), param="adapters")
    if not recipe.source and not recipe.files:
        raise UsageError(t("making.neither"), param="from")
    if recipe.source:
        found = _installed(recipe.source, store, adapters, say)
    else:
        found = _sent(recipe.files, store, say)
    if recipe.template and not is_own_template(found.jinja, recipe.template):
        raise UsageError(t("making.no_templates"), param="template")
    file = _adapter_file(recipe.adapters, found, store, say)
    if found.adapter is not None and file is not None:
        raise UsageError(t("making.one_adapter"), param="adapters")
    before = found.made
    made = Made(
        parent=found.name if recipe.source else "",
        system=before.system if recipe.system is None else recipe.system,
        parameters={**before.parameters, **parameters},
        messages=tuple(recipe.messages) or before.messages,
        adapter=ADAPTER_NAME if file else found.adapter.name if found.adapter else "",
    )
    for one in idle:
        say(t("making.idle_parameter", name=one))
    say("writing manifest")
    base = store.add(target, found.staged) if found.staged else store.get(found.name)
    licence = "\n".join(recipe.licences) or base.licence
    model = store.copy(base.name, target, made=made, licence=licence, **copied(base))
    if file is not None:
        adapters.add(file, name=ADAPTER_NAME, model=model.name)
    elif found.adapter is not None:
        _bring(found.adapter, model, adapters)
    return model


def _check_size(recipe: Recipe, stop: Sequence[str]) -> None:
    """All of it stands before, or is looked for in, every answer that the model will give."""
    said = [recipe.system or "", *(text for _, text in recipe.messages)]
    if sum(map(len, said)) > MOST_LETTERS or len(recipe.messages) > MOST_MESSAGES:
        told = t("making.too_much_said", letters=MOST_LETTERS, messages=MOST_MESSAGES)
        raise UsageError(told, param="system" if recipe.system else "messages")
    if len(stop) > MOST_STOPS or any(len(one) > LONGEST_STOP for one in stop):
        told = t("making.too_many_stops", most=MOST_STOPS, letters=LONGEST_STOP)
        raise UsageError(told, param="stop")


def duplicate(source: str, destination: str, store: ModelStore, adapters: AdapterStore) -> Model:
    """A second name for a model, with the adapter that it was made with."""
    model = store.copy(source, destination, **copied(store.get(source)))
    if model.made and model.made.adapter:
        _bring(adapters.get(store.get(source).name, model.made.adapter), model, adapters)
    return model


def _name(name: str) -> str:
    target = names.normalize(name)
    if names.is_reference(target):
        raise UsageError(t("models.bad_name", name=name), t("models.bad_name_hint"), param="model")
    return target


@dataclass(frozen=True, slots=True)
class _Found:
    """What a model is made from: the installed one ``name``, or files that are ``staged``.
    ``weights`` are the files that an adapter has to fit, ``adapter`` the one that comes along."""

    name: str
    weights: Sequence[Path]
    jinja: str
    made: Made = field(default_factory=Made)
    adapter: Adapter | None = None
    staged: Sequence[StagedFile] = ()


def _installed(name: str, store: ModelStore, adapters: AdapterStore, say: Say) -> _Found:
    base, adapter = adapters.resolve(name)
    made = base.made or Made()
    if adapter is None and made.adapter:
        adapter = adapters.get(base.name, made.adapter)
    for file in base.files:
        say(f"using existing layer {file.digest}")
    is_able = base.format == "gguf" and base.kind == "chat"
    weights = [store.blobs.path(f.digest) for f in base.files if f.role == "weights" and is_able]
    return _Found(base.name, weights, jinja_of(store, base), made, adapter)


def _sent(files: Mapping[str, str], store: ModelStore, say: Say) -> _Found:
    staged = [_staged(name, digest, store, say) for name, digest in files.items()]
    staged.sort(key=lambda one: one.file.name)
    kind = inspect(staged, About()).kind
    weights = [one.path for one in staged if one.file.role == "weights"]
    jinja = read_header(weights[0]).chat_template or ""
    name = staged[0].file.name
    return _Found(name, weights if kind == "chat" else (), jinja, staged=staged)


def _staged(name: str, digest: str, store: ModelStore, say: Say) -> StagedFile:
    path = blob(store, digest)
    title = PurePosixPath(name.replace("\\", "/")).name
    if title in ("", ".", ".."):
        raise UsageError(t("making.bad_file_name", name=name[:80]), param="files")
    title = title if title.lower().endswith(".gguf") else f"{title}.gguf"
    say("parsing GGUF")
    role = "projector" if read_header(path, title).kind == "projector" else "weights"
    say(f"creating new layer {incoming.checked(digest)}")
    return StagedFile(ModelFile(role, title, incoming.checked(digest), path.stat().st_size), path)


def _adapter_file(
    given: Mapping[str, str], found: _Found, store: ModelStore, say: Say
) -> Path | None:
    """The file of the adapter, which fits the weights."""
    for name, digest in given.items():
        path = blob(store, digest)
        if not found.weights:
            raise UsageError(t("adapters.no_base", model=found.name), param="adapters")
        check_fit(path, found.weights, name, found.name)
        say(f"creating new layer {incoming.checked(digest)}")
        return path
    return None


def blob(store: ModelStore, digest: str) -> Path:
    """The file of a blob that was sent, or that a model has."""
    path = incoming.find(store.blobs, digest)
    if path is None:
        raise UsageError(t("making.no_blob", digest=digest[:80]), param="files")
    return path


def _bring(adapter: Adapter, model: Model, adapters: AdapterStore) -> None:
    """Give ``model`` the adapter of the one that it was made from; those that came with Ondol are
    every model's."""
    if adapter.shipped:
        return
    adapters.add(
        adapters.path(adapter),
        name=adapter.name,
        model=model.name,
        template=adapter.template,
        trained_on=adapter.trained_on,
        evaluation=adapter.evaluation,
        languages=adapter.languages,
        description=adapter.description,
        abstention_bias=adapter.abstention_bias,
    )
