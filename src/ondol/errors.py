"""The exception tree. Each class has a machine ``code``, an HTTP ``status`` and an ``exit_code``.

OndolError                      unexpected            500   exit 1
├── ConfigError                 a setting is wrong    422   exit 2
│   ├── UsageError              a request is wrong    422   exit 2
│   ├── AddressInUseError       the port is taken     500   exit 2
│   └── StorageError            disk full, read-only  507   exit 2
├── ModelError                  weights               500   exit 3
│   ├── ModelNotFoundError                            404
│   ├── AdapterNotFoundError                          404
│   ├── InvalidModelError       malformed file        422
│   ├── DownloadError           network or source     502
│   └── ModelTooLargeError      does not fit          507
├── EngineError                 the model process     500   exit 4
│   ├── EngineCrashedError                            502
│   ├── EngineBusyError         queue full            503
│   └── ContextLengthError      prompt too long       400
├── DocumentError               the library           422   exit 5
│   ├── DocumentNotFoundError                         404
│   ├── CollectionNotFoundError                       404
│   └── LockedError             no, or a wrong, passphrase 423
├── EgressError                 the door is shut      403   exit 6
├── HomeError                   the owner's server    502   exit 6
│   ├── HomeUnreachableError    nobody there          502
│   ├── HomeInterruptedError    gone in mid-answer    502
│   ├── HomeTimeoutError        too slow              504
│   ├── HomeBusyError           queue full            503
│   └── HomeRefusedError        it said no            403
│       ├── DeviceRefusedError  revoked, or a stranger 403
│       ├── InviteError         used, expired, wrong  403
│       ├── SignatureError      not signed, or replayed 401
│       ├── ClockError          made at another time  401
│       └── QuotaError          enough for today      429
├── LedgerError                 what was written down 422   exit 7
│   └── LedgerEntryNotFoundError                      404
└── TrainingError               an adapter            422   exit 8
    └── CalibrationError        a calibrator          422

``message`` and ``hint`` are sentences for people, already in the reader's language (see i18n):
what happened and why, then the next command. Knows nothing about how they are shown.
"""

from __future__ import annotations


class OndolError(Exception):
    """Base of everything Ondol raises on purpose."""

    code = "internal_error"
    status = 500
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(OndolError):
    """A setting cannot be used."""

    code = "invalid_config"
    status = 422
    exit_code = 2


class UsageError(ConfigError):
    """A request or argument cannot be used; ``param`` names the field."""

    code = "invalid_request"

    def __init__(self, message: str, hint: str = "", *, param: str | None = None) -> None:
        super().__init__(message, hint)
        self.param = param


class AddressInUseError(ConfigError):
    """Another program listens on the port."""

    code = "address_in_use"
    status = 500


class StorageError(ConfigError):
    """Nothing more can be written: the disk is full or the folder is read-only."""

    code = "storage_unavailable"
    status = 507


class ModelError(OndolError):
    """Something is wrong with a model's files."""

    code = "model_error"
    exit_code = 3


class ModelNotFoundError(ModelError):
    """No model of that name is here (or in the catalogue)."""

    code = "model_not_found"
    status = 404


class AdapterNotFoundError(ModelError):
    """The model has no adapter of that name, or none that was made for this version of it."""

    code = "adapter_not_found"
    status = 404


class InvalidModelError(ModelError):
    """A model file is malformed or does not match its hash."""

    code = "invalid_model"
    status = 422


class DownloadError(ModelError):
    """A source could not deliver."""

    code = "download_failed"
    status = 502


class ModelTooLargeError(ModelError):
    """The model does not fit in memory."""

    code = "model_too_large"
    status = 507


class EngineError(OndolError):
    """The model process could not answer."""

    code = "engine_error"
    exit_code = 4


class EngineCrashedError(EngineError):
    """The model process ended in the middle of a request."""

    code = "engine_crashed"
    status = 502


class EngineBusyError(EngineError):
    """The queue is full; try again in ``retry_after_seconds``."""

    code = "engine_busy"
    status = 503

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class ContextLengthError(EngineError):
    """The prompt is longer than the context window."""

    code = "context_length_exceeded"
    status = 400


class DocumentError(OndolError):
    """A document or the library cannot be used."""

    code = "document_error"
    status = 422
    exit_code = 5


class DocumentNotFoundError(DocumentError):
    """No such file, or the library does not know it."""

    code = "document_not_found"
    status = 404


class CollectionNotFoundError(DocumentError):
    """The library has no collection of that name."""

    code = "collection_not_found"
    status = 404


class LockedError(DocumentError):
    """A passphrase is needed, and none was given or another one."""

    code = "library_locked"
    status = 423


class EgressError(OndolError):
    """The only door is shut for this destination."""

    code = "egress_refused"
    status = 403
    exit_code = 6


class HomeError(OndolError):
    """The owner's own server did not answer, or this one did not as a server."""

    code = "home_error"
    status = 502
    exit_code = 6


class HomeUnreachableError(HomeError):
    """Nobody answers there, or somebody who is not home."""

    code = "home_unreachable"


class HomeInterruptedError(HomeError):
    """Home was gone in the middle of an answer."""

    code = "home_interrupted"


class HomeTimeoutError(HomeError):
    """Home sent nothing for longer than ``home.timeout_seconds``."""

    code = "home_timeout"
    status = 504


class HomeBusyError(HomeError):
    """Home's queue is full; try again in ``retry_after_seconds``."""

    code = "home_busy"
    status = 503

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class HomeRefusedError(HomeError):
    """Home will not do what it was asked."""

    code = "home_refused"
    status = 403


class DeviceRefusedError(HomeRefusedError):
    """The device was revoked, or never enrolled."""

    code = "device_refused"


class InviteError(HomeRefusedError):
    """An invite that was used, has expired, or was never made."""

    code = "invite_refused"


class SignatureError(HomeRefusedError):
    """A request that carries no good signature, or one that was seen before."""

    code = "signature_refused"
    status = 401


class ClockError(HomeRefusedError):
    """A request that says it was made at another time than now."""

    code = "wrong_clock"
    status = 401


class QuotaError(HomeRefusedError):
    """The device had its share of the day; more in ``retry_after_seconds``."""

    code = "quota_exceeded"
    status = 429

    def __init__(self, message: str, hint: str = "", *, retry_after_seconds: int = 3600) -> None:
        super().__init__(message, hint)
        self.retry_after_seconds = retry_after_seconds


class LedgerError(OndolError):
    """The ledger is not what was signed."""

    code = "ledger_broken"
    status = 422
    exit_code = 7


class LedgerEntryNotFoundError(LedgerError):
    """No entry of the ledger has that id."""

    code = "ledger_entry_not_found"
    status = 404


class TrainingError(OndolError):
    """An adapter cannot be trained, or cannot be made into a file that the engine serves."""

    code = "training_error"
    status = 422
    exit_code = 8


class CalibrationError(TrainingError):
    """A calibrator cannot be learned from these labels, or cannot be read."""

    code = "calibration_error"
