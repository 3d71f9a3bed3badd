"""Whether what is to be learned can be learned: bad data is left out or refused, in a sentence.

Left out and told: what is too long, says nothing, holds a chat template's own marks, or is there
more than once. Told only: a reply that most share. Refused (``TrainingError``): nothing that is
left, a single sample, what is no text, and a language that the base cannot read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ondol import role_marks
from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Encoded, Replied
from ondol.training.dataset import Example
from ondol.training.lines import Item
from ondol.training.preference import Pair, Thumb

FEWEST = 2
MOST_TOKENS = 4096
MOST_CHARACTERS_A_TOKEN = 16
"""More than any vocabulary packs into one: what is longer need not be read to be too long."""

SAME_REPLY_SHARE, SAME_REPLY_FEWEST = 0.5, 10
MOST_TOKENS_PER_LETTER = 1.7
"""As for questions (``answering.can_read``): SmolLM2 needs 2.8 for a syllable of Hangul."""

FEWEST_LETTERS = 3
UNREADABLE_SHARE = 0.5


class Sound(NamedTuple):
    """What may be learned from, in its order, and a sentence for everything that is amiss."""

    items: list[Any]
    warnings: tuple[str, ...]


def sound(
    items: Sequence[Item],
    encode: Callable[[Replied], Encoded],
    tokens_of: Callable[[str], int],
    *,
    most_tokens: int = MOST_TOKENS,
    fewest: int = FEWEST,
) -> Sound:
    """The sound ones of ``items``. ``encode`` is the base's own, ``tokens_of`` counts those of a
    text, ``most_tokens`` is what the base can read at once; TrainingError where fewer than
    ``fewest`` are left, or (unless that is 0) where the base could not learn from them."""
    for number, item in enumerate(items, start=1):
        _check_text(number, item)
    tests: dict[str, Callable[[Item], bool]] = {
        "empty": lambda item: not all(reply.strip() for reply in replies(item)) or _is_even(item),
        "marks": lambda item: any(role_marks.harmless(text) != text for text in replies(item)),
        "long": lambda item: _is_long(item, encode, most_tokens),
    }
    left: list[Item] = []
    bad: Counter[str] = Counter()
    for item in items:
        found = next((name for name, is_bad in tests.items() if is_bad(item)), None)
        if found is None:
            left.append(item)
        else:
            bad[found] += 1
    told: dict[str, Any] = {"total": len(items), "tokens": most_tokens}
    warnings = [t(f"training.left_out_{name}", count=n, **told) for name, n in bad.items()]
    first: dict[tuple[object, ...], Item] = {}
    for item in left:
        first.setdefault(_key(item), item)
    once = list(first.values())
    if len(once) < len(left):
        warnings.append(t("training.left_out_twice", count=len(left) - len(once)))
    if len(once) < fewest:
        raise TrainingError(" ".join([*warnings, _too_few(len(once))]), t("training.too_few_hint"))
    if fewest:
        warnings += _same_reply(once)
        warnings += _language(once, tokens_of)
    return Sound(once, tuple(warnings))


def replies(item: Item) -> tuple[str, ...]:
    """What ``item`` teaches to say, or not to say."""
    return (item.chosen, item.rejected) if isinstance(item, Pair) else (item.reply,)


def _key(item: Item) -> tuple[object, ...]:
    said = tuple((message.role, message.content) for message in item.messages)
    up = item.is_desirable if isinstance(item, Thumb) else None
    return said, replies(item), up


def _check_text(number: int, item: Item) -> None:
    for text in (*replies(item), *(message.content for message in item.messages)):
        try:
            text.encode()
        except (AttributeError, UnicodeEncodeError) as error:
            raise TrainingError(
                t("training.no_text", number=number, value=repr(text)[:60]),
                t("training.no_text_hint"),
            ) from error


def _is_even(item: Item) -> bool:
    """A pair of the same reply prefers nothing."""
    return isinstance(item, Pair) and item.chosen.strip() == item.rejected.strip()


def _is_long(item: Item, encode: Callable[[Replied], Encoded], most_tokens: int) -> bool:
    prompt = sum(len(message.content) for message in item.messages)
    for reply in replies(item):
        if prompt + len(reply) > most_tokens * MOST_CHARACTERS_A_TOKEN:
            return True
        if len(encode(Thumb(item.messages, reply, True))) > most_tokens:
            return True
    return False


def _too_few(count: int) -> str:
    return t("training.one_sample") if count == 1 else t("training.no_samples")


def _same_reply(items: Sequence[Item]) -> list[str]:
    """Whoever fills the data with one answer teaches nothing else."""
    if len(items) < SAME_REPLY_FEWEST:
        return []
    said = Counter(" ".join(_wanted(item).split()).casefold() for item in items)
    said.pop("", None)
    count = max(said.values(), default=0)
    if count <= SAME_REPLY_SHARE * len(items):
        return []
    return [t("training.same_reply", count=count, total=len(items))]


def _wanted(item: Item) -> str:
    if isinstance(item, Example):
        return "" if item.abstains else item.reply  # the honest "not here" is always the same
    if isinstance(item, Pair):
        return item.chosen
    return item.reply if item.is_desirable else ""


def _language(items: Sequence[Item], tokens_of: Callable[[str], int]) -> list[str]:
    count = sum(not is_readable(_wanted(item), tokens_of) for item in items)
    if not count:
        return []
    if count > UNREADABLE_SHARE * len(items):
        raise TrainingError(
            t("training.unreadable", count=count, total=len(items)), t("training.unreadable_hint")
        )
    return [t("training.hardly_read", count=count, total=len(items))]


def is_readable(text: str, tokens_of: Callable[[str], int]) -> bool:
    """Whether a vocabulary knows the script of ``text``; plain ASCII tells nothing."""
    foreign = " ".join(word for word in text.split() if not word.isascii())
    letters = sum(character.isalpha() for character in foreign)
    return letters < FEWEST_LETTERS or tokens_of(foreign) <= MOST_TOKENS_PER_LETTER * letters
