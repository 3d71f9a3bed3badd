"""The one exception of the checks: why a file is refused, before it is a sentence."""

from __future__ import annotations

from ondol.i18n import t


class Refused(Exception):
    """``code`` is a key of the catalogue ``hub_scan``, ``values`` what its sentence names."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(code)
        self.code = code
        self.values = values

    def sentence(self, file: str) -> str:
        """What is said of ``file``."""
        return t(f"hub_scan.{self.code}", file=file, **self.values)
