"""What the scanner says of a set of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ondol.errors import ScanRefusedError
from ondol.i18n import t

VERSION = 1
"""Of the checks; a newer one refuses more, or knows more kinds of file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to refuse ``file``. ``code`` is for programs, ``message`` one sentence."""

    file: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """``ok`` says that nothing was found. ``kinds`` says what each file is ("gguf", "safetensors",
    "json" ...), of those that are of a kind that is known. ``protections`` are what the child could
    not do, by what keeps it from it: "limits", "user", "privileges", "files", "network",
    "processes"."""

    ok: bool
    findings: tuple[Finding, ...]
    seconds: float
    size_bytes: int = 0
    kinds: tuple[tuple[str, str], ...] = ()
    protections: tuple[str, ...] = ()

    @property
    def refused(self) -> frozenset[str]:
        """The names of the files that something was found in."""
        return frozenset(one.file for one in self.findings)

    def json(self) -> dict[str, Any]:
        """For cards (whole numbers and texts alone, for TUF signs no others) and for programs."""
        findings = [
            {"file": one.file, "code": one.code, "message": one.message} for one in self.findings
        ]
        return {
            "ok": self.ok,
            "scanner": VERSION,
            "findings": findings,
            "files": dict(self.kinds),
            "size_bytes": self.size_bytes,
            "milliseconds": round(self.seconds * 1000),
            "protections": list(self.protections),
        }


def require(report: Report) -> None:
    """ScanRefusedError with what was found first, unless ``report`` is ``ok``."""
    if report.ok:
        return
    first, more = report.findings[0], len(report.findings) - 1
    message = t("hub_scan.and_more", message=first.message, count=more) if more else first.message
    raise ScanRefusedError(message, t("hub_scan.refused_hint"))
