"""Errors of documents and of the library."""

from __future__ import annotations

from ondol.errors.base import OndolError


class DocumentError(OndolError):
    """A document or the library cannot be used."""

    code = "document_error"
    status = 422
    exit_code = 5


class DocumentNotFoundError(DocumentError):
    """No such file, or the library does not know it."""

    code = "document_not_found"
    status = 404


class DocumentChangedError(DocumentError):
    """The file is no longer what was read."""

    code = "document_changed"
    status = 409


class CollectionNotFoundError(DocumentError):
    """The library has no collection of that name."""

    code = "collection_not_found"
    status = 404


class MemoryNotFoundError(DocumentError):
    """Nothing is remembered under that id."""

    code = "memory_not_found"
    status = 404


class SuggestionNotFoundError(DocumentError):
    """Nothing that waits for a yes has that id."""

    code = "suggestion_not_found"
    status = 404


class PersonaNotFoundError(DocumentError):
    """No persona has that name."""

    code = "persona_not_found"
    status = 404


class LockedError(DocumentError):
    """A passphrase is needed, and none was given or another one."""

    code = "library_locked"
    status = 423
