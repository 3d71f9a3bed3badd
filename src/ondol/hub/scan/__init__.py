"""Is a file what it says, and nothing else? Looked at by a child process that can harm nobody.

``scan`` reads every byte of models, adapters and what belongs to them (``docs/hub-scan.md``);
``require`` stops where it found something.
"""

from ondol.hub.scan.report import Finding, Report, require
from ondol.hub.scan.scanning import refused_by_name, scan

__all__ = ["Finding", "Report", "refused_by_name", "require", "scan"]
