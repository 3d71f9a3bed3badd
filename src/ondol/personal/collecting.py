"""What the owner said of answers to samples: run again after each change, it makes the samples what
the feedback is now, no more and no less.

Nothing is collected before the owner agreed to learn from feedback (a source of that kind). A
thumb up is a reply as it should be; an edit is one too, and preferred over what it replaced; of
versions of an answer a liked one is preferred over a disliked one; a thumb down alone is a thumb.
A prompt is what was asked, in the conversation as it was, put right where the owner put it right;
what an answer quoted of documents stands before its question as it did then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

from ondol.conversations.quoting import TAKEN_OUT
from ondol.conversations.records import Message as Answer
from ondol.conversations.store import Conversations
from ondol.errors import ConversationNotFoundError
from ondol.parts import Parts
from ondol.personal import forgetting
from ondol.personal.forgetting import Dependents, Receipt
from ondol.prompt import GROUNDING_QUOTES, MARKS, PLAIN, build_prompt
from ondol.samples.records import Added, Draft, Source
from ondol.samples.talk import recent
from ondol.types import Message, Quote, Sensitivity

KIND = "feedback"
NAME = "feedback"


@dataclass(frozen=True, slots=True)
class Collected:
    """What changed: new samples, and what went because its feedback or its conversation did."""

    added: Added = field(default_factory=Added)
    gone: Receipt = field(default_factory=Receipt)


def agree(parts: Parts, **how: object) -> Source:
    """Write down that the owner agrees to learning from feedback; call after asking."""
    return parts.kept.samples.add_source(KIND, NAME, **how)  # type: ignore[arg-type]


def source_of(parts: Parts) -> Source | None:
    """The source that feedback is collected into; ``None`` before the owner agreed."""
    return next((one for one in parts.kept.samples.sources() if one.kind == KIND), None)


def collect(
    parts: Parts, conversation: str | None = None, *, dependents: Dependents = "retrain"
) -> Collected:
    """Make the samples what the feedback is now, of one conversation or of all. ``dependents`` is
    what becomes of adapters that learned from what is gone: who takes back a thumb did not ask for
    an adapter to go, nor for a training to end."""
    source = source_of(parts)
    if source is None:
        return Collected()
    samples, conversations = parts.kept.samples, parts.kept.conversations
    let_go = samples.let_go()
    said = [
        one
        for one in _said(conversations, conversation)
        if one.feedback and one.feedback.at > let_go.get(one.id, "")
    ]
    drafts = list(drafts_of(conversations, said))
    # What an answer said stays in its conversation.
    here = said if conversation is None else _answers(conversations, conversation)
    elsewhere = {one.content for one in here}
    added, gone, is_erased = samples.replace(
        source.id, drafts, conversation=conversation, elsewhere=elsewhere
    )
    if not gone:
        return Collected(added)
    is_patient = dependents == "retrain"
    receipt = forgetting.without(
        parts, gone, dependents=dependents, is_erased=is_erased, is_patient=is_patient
    )
    return Collected(added, receipt)


def _said(conversations: Conversations, conversation: str | None) -> list[Answer]:
    if conversation is None:
        return conversations.opinions.all()
    return [one for one in _answers(conversations, conversation) if one.feedback]


def _answers(conversations: Conversations, conversation: str | None) -> list[Answer]:
    if conversation is None:
        return conversations.opinions.all()
    with suppress(ConversationNotFoundError):
        found = conversations.messages(conversation)
        return [one for one in found if one.role == "assistant"]
    return []


def conversations_gone(
    parts: Parts, ids: Collection[str], *, dependents: Dependents = "stale"
) -> Receipt:
    """Forget what was learned from conversations that are being deleted."""
    source = source_of(parts)
    if source is None:
        return Receipt()
    wanted = set(ids)
    found = parts.kept.samples.all(source=source.id)
    gone = [one.id for one in found if one.conversation in wanted]
    return forgetting.forget_samples(parts, gone, dependents=dependents) if gone else Receipt()


def documents_gone(parts: Parts, sources: Collection[str]) -> Receipt:
    """Forget what was learned from answers that quote documents; call before these are forgotten.
    The answers stay, and are learned from again when something else is said of them."""
    own = source_of(parts)
    wanted = set(sources)
    if own is None or not wanted:
        return Receipt()
    quoting = parts.kept.conversations.quoting
    found = parts.kept.samples.all(source=own.id)
    quoted = {one.message: quoting.sources(one.message) & wanted for one in found if one.message}
    gone = [one.id for one in found if one.message and quoted[one.message]]
    return forgetting.forget_samples(parts, gone) if gone else Receipt()


def drafts_of(conversations: Conversations, said: Iterable[Answer]) -> Iterator[Draft]:
    """The samples that answers with feedback make."""

    def place(one: Answer) -> tuple[str, str]:
        return one.conversation, one.parent or ""

    for (conversation, parent), versions in groupby(sorted(said, key=place), key=place):
        if parent:
            yield from _of_versions(conversations, conversation, parent, list(versions))


def _of_versions(
    conversations: Conversations, conversation: str, parent: str, versions: list[Answer]
) -> Iterator[Draft]:
    path = conversations.turns.path(conversation, parent)
    for one in versions:
        prompt = _prompt(path, one.answer or {})
        if not prompt or one.status == "running" or _is_cut(prompt, one):
            continue
        edited, is_right = _edited(one), one.feedback.right if one.feedback else None

        def draft(kind: str, reply: str, **others: object) -> Draft:
            return Draft(kind, conversation, prompt, reply, message=one.id, **others)  # type: ignore[arg-type] # noqa: B023

        good = edited or (one.content if is_right else "")
        bad = [other.content for other in versions if other is not one and _is_wrong(other)]
        if edited and edited.split() != one.content.split():
            bad.append(one.content)
        if good:
            yield draft("sft", good)
            for rejected in dict.fromkeys(bad):
                yield draft("preference", good, rejected=rejected)
        elif is_right is False and not any(map(_is_good, versions)):
            yield draft("thumb", one.content, is_desirable=False)


def _prompt(path: list[Answer], answer: Mapping[str, object]) -> tuple[Message, ...]:
    """What was asked at the end of ``path``, as a model was given it."""
    if not path or path[-1].role != "user":
        return ()
    history = [Message(one.role, _edited(one) or one.content) for one in path[:-1]]
    asked = path[-1].content
    given = answer.get("quotes")
    quotes = [_quote(one) for one in given[:GROUNDING_QUOTES]] if isinstance(given, list) else []
    before = recent([*history, Message("user", asked)])
    return tuple(build_prompt(asked, quotes, before[:-1], PLAIN)) if quotes else before


def _quote(one: Mapping[str, object]) -> Quote:
    number, text = int(str(one["number"])), str(one["text"])
    return Quote(number, text, str(one["source"]), 0, 0, 0.0, sensitivity=Sensitivity.PRIVATE)


def _edited(one: Answer) -> str:
    return (one.feedback.edited or "").strip() if one.feedback else ""


def _is_good(one: Answer) -> bool:
    return bool(_edited(one) or (one.feedback and one.feedback.right))


def _is_wrong(one: Answer) -> bool:
    return bool(one.feedback and one.feedback.right is False and one.content.strip())


def _is_cut(prompt: Iterable[Message], one: Answer) -> bool:
    """Whether quotes of a document that was forgotten were taken out of it, or of its prompt."""
    texts = [*(m.content for m in prompt), one.content, _edited(one)]
    cites = any(MARKS.search(text) for text in texts[-2:])
    return any(TAKEN_OUT in text for text in texts) or (
        cites and not (one.answer or {}).get("quotes")
    )
