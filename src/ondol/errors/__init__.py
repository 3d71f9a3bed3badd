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

from ondol.errors.away import (
    ClockError,
    DeviceRefusedError,
    EgressError,
    HomeBusyError,
    HomeError,
    HomeInterruptedError,
    HomeRefusedError,
    HomeTimeoutError,
    HomeUnreachableError,
    InviteError,
    LedgerEntryNotFoundError,
    LedgerError,
    QuotaError,
    SignatureError,
)
from ondol.errors.base import (
    AddressInUseError,
    ConfigError,
    OndolError,
    StorageError,
    UsageError,
)
from ondol.errors.documents import (
    CollectionNotFoundError,
    DocumentError,
    DocumentNotFoundError,
    LockedError,
)
from ondol.errors.models import (
    AdapterNotFoundError,
    CalibrationError,
    ContextLengthError,
    DownloadError,
    EngineBusyError,
    EngineCrashedError,
    EngineError,
    InvalidModelError,
    ModelError,
    ModelNotFoundError,
    ModelTooLargeError,
    TrainingError,
)

__all__ = [
    "AdapterNotFoundError",
    "AddressInUseError",
    "CalibrationError",
    "ClockError",
    "CollectionNotFoundError",
    "ConfigError",
    "ContextLengthError",
    "DeviceRefusedError",
    "DocumentError",
    "DocumentNotFoundError",
    "DownloadError",
    "EgressError",
    "EngineBusyError",
    "EngineCrashedError",
    "EngineError",
    "HomeBusyError",
    "HomeError",
    "HomeInterruptedError",
    "HomeRefusedError",
    "HomeTimeoutError",
    "HomeUnreachableError",
    "InvalidModelError",
    "InviteError",
    "LedgerEntryNotFoundError",
    "LedgerError",
    "LockedError",
    "ModelError",
    "ModelNotFoundError",
    "ModelTooLargeError",
    "OndolError",
    "QuotaError",
    "SignatureError",
    "StorageError",
    "TrainingError",
    "UsageError",
]
