"""What click finds wrong with a command line, in our own words and the reader's language.

Click says it in English sentences; they are known by their wording, and one that is not known is
passed on as it is.
"""

from __future__ import annotations

import re

import click

from ondol.i18n import t

# The sentence of ours, and click's (8.x); what stands between goes into ours.
_SENTENCES = tuple(
    (key, re.compile(pattern, re.DOTALL))
    for key, pattern in (
        ("cli.not_whole", r"(?P<value>.+) is not a valid integer(?: range)?\."),
        ("cli.not_number", r"(?P<value>.+) is not a valid float(?: range)?\."),
        ("cli.not_truth", r"(?P<value>.+) is not a valid boolean\..*"),
        ("cli.out_of_range", r"(?P<value>.+) is not in the range (?P<range>.+)\."),
        ("cli.not_among", r"(?P<value>'[^']*'|\"[^\"]*\") is not (?:one of )?(?P<choices>.+)\."),
        ("cli.path_missing", r"\w+ (?P<name>'.*') does not exist\."),
        ("cli.path_is_file", r"\w+ (?P<name>'.*') is a file\."),
        ("cli.path_is_folder", r"\w+ (?P<name>'.*') is a directory\."),
        ("cli.path_unreadable", r"\w+ (?P<name>'.*') is not readable\."),
        (
            "cli.needs_value",
            r"Option '?(?P<name>[^' ]+)'? requires (?:an argument|\d+ arguments)\.",
        ),
        ("cli.takes_no_value", r"Option '?(?P<name>[^' ]+)'? does not take a value\."),
        ("cli.one_too_many", r"Got unexpected extra arguments? \((?P<words>.+)\)"),
    )
)


def reason(error: click.ClickException) -> str:
    """What is wrong, with the option or the argument that it is about."""
    said = _translated(error.message)
    if not isinstance(error, click.BadParameter):
        return said if said != error.message else error.format_message()
    parameter = error.param
    if isinstance(parameter, click.Option):
        return t("cli.bad_value", name=max(parameter.opts, key=len), reason=said)
    if parameter is not None:
        name = parameter.human_readable_name.removesuffix("...")
        return t("cli.bad_value", name=name, reason=said)
    return said


def _translated(message: str) -> str:
    for key, pattern in _SENTENCES:
        if found := pattern.fullmatch(message.strip()):
            return t(key, **found.groupdict())
    return message
