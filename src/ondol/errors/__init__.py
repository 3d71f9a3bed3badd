"""The exception tree. Each class has a machine ``code``, an HTTP ``status`` and an ``exit_code``.

OndolError                      unexpected            500   exit 1
├── ServerBusyError             too much to do        503
│   └── ClosingError            about to end          503
├── RateLimitError              a caller's limit      429
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
│   ├── EngineTimeoutError      silent for too long   504
│   ├── ContextLengthError      prompt too long       400
│   ├── EngineNotFoundError                           404
│   ├── EngineUnhealthyError    computes otherwise    409
│   └── EngineBuildError        not compiled          500
│       └── NoCompilerError     nothing to do it with 409
├── DocumentError               the library           422   exit 5
│   ├── DocumentNotFoundError                         404
│   ├── DocumentChangedError    not what was read     409
│   ├── CollectionNotFoundError                       404
│   ├── MemoryNotFoundError                           404
│   ├── SuggestionNotFoundError                       404
│   ├── PersonaNotFoundError                          404
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
├── TrainingError               an adapter            422   exit 8
│   ├── CalibrationError        a calibrator          422
│   ├── AdapterRefusedError     it did not pass       409
│   ├── TrainingPausedError     it goes on when asked 409
│   ├── TrainingCancelledError  and nothing is kept   409
│   ├── InvalidSamplesError     nothing to learn from 422
│   ├── SampleNotFoundError                           404
│   ├── EvaluationBusyError     one at a time         409
│   ├── EvaluationNotFoundError                       404
│   └── SourceNotFoundError                           404
├── ConversationError           a conversation        422   exit 9
│   ├── ConversationNotFoundError                     404
│   ├── MessageNotFoundError                          404
│   ├── AttachmentNotFoundError                       404
│   ├── PromptNotFoundError                           404
│   ├── RunNotFoundError                              404
│   ├── ResponseNotFoundError                         404
│   └── AlreadyRunningError     one answer at a time  409
├── ProgramError                another program       422   exit 10
│   ├── ClientNotFoundError                           404
│   ├── ToolServerNotFoundError                       404
│   ├── ToolServerError         an MCP server         502
│   ├── ToolRefusedError        not allowed           403
│   └── CallNotFoundError                             404
├── FederationError             learning together     422   exit 11
│   ├── FederationNotFoundError                       404
│   ├── PlanMismatchError       another plan or model 409
│   ├── RoundRefusedError       a device says no      409
│   ├── RoundFailedError        no sum of a round     409
│   ├── UpdateRefusedError      not what it may be    422
│   ├── MalformedMessageError   no message            400
│   ├── MaskingError            no sum in secret      409
│   ├── FederationSetupError    no Flower here        409
│   └── FederationLinkError     its processes failed  502
└── HubError                    signed models         422   exit 12
    ├── HubNotFoundError                              404
    ├── HubUnreachableError     nobody there          502
    ├── UntrustedError          not what was signed   502
    ├── ExpiredError            too old to be trusted 409
    ├── ScanRefusedError        a malformed file      422
    ├── NotApprovedError        in quarantine         403
    ├── UpdateFailedError       its tests failed      409
    ├── SigningError            no key for that       409
    ├── InvalidPackError        not a whole pack      422
    └── PackNotFoundError                             404

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
    ClosingError,
    ConfigError,
    OndolError,
    RateLimitError,
    ServerBusyError,
    StorageError,
    UsageError,
)
from ondol.errors.conversations import (
    AlreadyRunningError,
    AttachmentNotFoundError,
    ConversationError,
    ConversationNotFoundError,
    MessageNotFoundError,
    PromptNotFoundError,
    ResponseNotFoundError,
    RunNotFoundError,
)
from ondol.errors.documents import (
    CollectionNotFoundError,
    DocumentChangedError,
    DocumentError,
    DocumentNotFoundError,
    LockedError,
    MemoryNotFoundError,
    PersonaNotFoundError,
    SuggestionNotFoundError,
)
from ondol.errors.evaluations import EvaluationBusyError, EvaluationNotFoundError
from ondol.errors.federations import (
    FederationError,
    FederationLinkError,
    FederationNotFoundError,
    FederationSetupError,
    MalformedMessageError,
    MaskingError,
    PlanMismatchError,
    RoundFailedError,
    RoundRefusedError,
    UpdateRefusedError,
)
from ondol.errors.hub import (
    ExpiredError,
    HubError,
    HubNotFoundError,
    HubUnreachableError,
    InvalidPackError,
    NotApprovedError,
    PackNotFoundError,
    ScanRefusedError,
    SigningError,
    UntrustedError,
    UpdateFailedError,
)
from ondol.errors.models import (
    AdapterNotFoundError,
    AdapterRefusedError,
    CalibrationError,
    ContextLengthError,
    DownloadError,
    EngineBuildError,
    EngineBusyError,
    EngineCrashedError,
    EngineError,
    EngineNotFoundError,
    EngineTimeoutError,
    EngineUnhealthyError,
    InvalidModelError,
    ModelError,
    ModelNotFoundError,
    ModelTooLargeError,
    NoCompilerError,
    TrainingCancelledError,
    TrainingError,
    TrainingPausedError,
)
from ondol.errors.programs import (
    CallNotFoundError,
    ClientNotFoundError,
    ProgramError,
    ToolRefusedError,
    ToolServerError,
    ToolServerNotFoundError,
)
from ondol.errors.samples import InvalidSamplesError, SampleNotFoundError, SourceNotFoundError

__all__ = [
    "AdapterNotFoundError",
    "AdapterRefusedError",
    "AddressInUseError",
    "AlreadyRunningError",
    "AttachmentNotFoundError",
    "CalibrationError",
    "CallNotFoundError",
    "ClientNotFoundError",
    "ClockError",
    "ClosingError",
    "CollectionNotFoundError",
    "ConfigError",
    "ContextLengthError",
    "ConversationError",
    "ConversationNotFoundError",
    "DeviceRefusedError",
    "DocumentChangedError",
    "DocumentError",
    "DocumentNotFoundError",
    "DownloadError",
    "EgressError",
    "EngineBuildError",
    "EngineBusyError",
    "EngineCrashedError",
    "EngineError",
    "EngineNotFoundError",
    "EngineTimeoutError",
    "EngineUnhealthyError",
    "EvaluationBusyError",
    "EvaluationNotFoundError",
    "ExpiredError",
    "FederationError",
    "FederationLinkError",
    "FederationNotFoundError",
    "FederationSetupError",
    "HomeBusyError",
    "HomeError",
    "HomeInterruptedError",
    "HomeRefusedError",
    "HomeTimeoutError",
    "HomeUnreachableError",
    "HubError",
    "HubNotFoundError",
    "HubUnreachableError",
    "InvalidModelError",
    "InvalidPackError",
    "InvalidSamplesError",
    "InviteError",
    "LedgerEntryNotFoundError",
    "LedgerError",
    "LockedError",
    "MalformedMessageError",
    "MaskingError",
    "MemoryNotFoundError",
    "MessageNotFoundError",
    "ModelError",
    "ModelNotFoundError",
    "ModelTooLargeError",
    "NoCompilerError",
    "NotApprovedError",
    "OndolError",
    "PackNotFoundError",
    "PersonaNotFoundError",
    "PlanMismatchError",
    "ProgramError",
    "PromptNotFoundError",
    "QuotaError",
    "RateLimitError",
    "ResponseNotFoundError",
    "RoundFailedError",
    "RoundRefusedError",
    "RunNotFoundError",
    "SampleNotFoundError",
    "ScanRefusedError",
    "ServerBusyError",
    "SignatureError",
    "SigningError",
    "SourceNotFoundError",
    "StorageError",
    "SuggestionNotFoundError",
    "ToolRefusedError",
    "ToolServerError",
    "ToolServerNotFoundError",
    "TrainingCancelledError",
    "TrainingError",
    "TrainingPausedError",
    "UntrustedError",
    "UpdateFailedError",
    "UpdateRefusedError",
    "UsageError",
]
