"""Opens the house for one command: configuration, parts, log; and closes it however it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ondol.cli.failures import closing_time
from ondol.cli.output import Output
from ondol.cli.passphrase import ask_people
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.updating.bringing import Outcome


@contextmanager
def house(output: Output, **flags: object) -> Iterator[Parts]:
    """The parts, with ``flags`` (``server_port=…`` is ``server.port``) above all other settings.

    Engines are stopped when the block ends, by an exception or a signal too.
    """
    from ondol.config import load
    from ondol.engine.native import fallback
    from ondol.parts import Parts
    from ondol.updating.watching import watching

    ask_people()
    keep_log(logging.DEBUG if output.debug else logging.CRITICAL)
    named = {name.replace("_", ".", 1): value for name, value in flags.items()}
    with Parts(load().with_flags(named)) as parts, closing_time():
        with watching(parts, lambda outcome: output.warn(went_back(outcome))):
            try:
                yield parts
            finally:
                for engine, reason in () if output.json else fallback.untold():
                    output.warn(t("native.left", engine=engine, reason=reason))


def went_back(outcome: Outcome) -> str:
    """That a version was left by itself."""
    return t(
        "updating_cli.went_back",
        name=outcome.name,
        before=outcome.before,
        version=outcome.version,
    )


def keep_log(level: int) -> None:
    """Send the log to stderr from ``level`` on."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Below that, other people's libraries log what they send.
    logging.getLogger("ondol").setLevel(level)
    logging.getLogger().setLevel(max(level, logging.WARNING))
