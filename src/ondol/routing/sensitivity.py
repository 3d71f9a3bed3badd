"""How far a prompt may travel: as far as the strictest of everything that went into it.

A join over labels (Denning 1976, a lattice model of secure information flow): documents, memory,
attachments, the conversation so far, personal data, and text copied from private documents. What
is not known is private. Knows no engine and no network; ``inspection`` looks again at what leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Protocol

from ondol.i18n import LANGUAGES, t, use_language
from ondol.routing import personal_data
from ondol.routing.redaction import redact
from ondol.routing.taint import Spoken
from ondol.types import Evidence, Heard, Label, Message, Sensitivity


class Labelled(Protocol):
    """A text with a label of its own: a document, a chunk, a quote, something remembered."""

    @property
    def text(self) -> str: ...

    @property
    def sensitivity(self) -> Sensitivity: ...


NOTHING = Label(Sensitivity.PUBLIC)
"""The label of no text at all; joined to another it changes nothing."""


def join(*labels: Label) -> Label:
    """The strictest of ``labels``, with the reasons of all that are as strict: associative,
    commutative, and never freer than any of them."""
    strictest = min((label.sensitivity for label in labels), default=Sensitivity.PUBLIC)
    reasons = {r for label in labels if label.sensitivity is strictest for r in label.reasons}
    return Label(strictest, tuple(sorted(reasons)))


class PromptLabeller:
    """Labels prompts and remembers what was said. ``find_private`` knows text that was copied from
    a private document; ``question_sensitivity`` is how far the owner's own words may travel;
    ``label_now`` is the strictest label that the documents of these sources have now."""

    def __init__(
        self,
        spoken: Spoken,
        find_private: Callable[[str], bool],
        *,
        question_sensitivity: Sensitivity = Sensitivity.TRUSTED,
        label_now: Callable[[Iterable[str]], Sensitivity] = lambda sources: Sensitivity.PUBLIC,
    ) -> None:
        self._label_now = label_now
        self._spoken = spoken
        self._find_private = find_private
        self.question_sensitivity = question_sensitivity

    def label(
        self,
        question: str,
        evidence: Evidence,
        history: Sequence[Message] = (),
        *,
        attachments: Sequence[Labelled] = (),
        memory: Sequence[Labelled] = (),
        declared: Sensitivity | None = None,
        redacting: bool = False,
    ) -> Label:
        """The strictest of everything that goes in; every quote and hit in ``evidence`` counts.

        ``declared`` is how far a request says that what it brings may travel: it stands in for what
        is unknown, and never frees a document, personal data or what was said before. With
        ``redacting`` personal data that ``redaction`` takes out does not count; nothing else is
        freed by it.
        """
        own = Label(self.question_sensitivity, ("setting",))
        if declared is not None and declared < own.sensitivity:
            own = Label(declared, ("declared",))
        documents: list[Labelled] = [*evidence.quotes, *(hit.chunk for hit in evidence.hits)]
        given: list[tuple[str, Sequence[Labelled]]] = [
            ("document", documents),
            ("attachment", attachments),
            ("memory", memory),
        ]
        labels = [Label(one.sensitivity, (why,)) for why, ones in given for one in ones]
        if sources := _sources(evidence):
            # Its owner may have made one of them stricter since it was read.
            labels.append(Label(self._label_now(sources), ("document",)))
        turns = [self._turn(message, own, declared) for message in history]
        brought = [one for _, ones in given for one in ones]
        private = Sensitivity.PRIVATE
        self._spoken.notice(one.text for one in brought if one.sensitivity is private)
        asked = [message.content for message in history if message.role == "user"]
        said = [message.content for message in history if message.role != "user"]
        free = list(dict.fromkeys(one.text for one in brought if one.sensitivity is not private))
        self._spoken.notice_free(free)
        # Together, so that what is split over several turns is seen whole.
        groups = [[*asked, question], *([text] for text in said)]
        found = self._personal([*groups, *([one] for one in free)], redacting)
        label = join(own, *labels, *turns, *found)
        if label.sensitivity is private:
            # Nothing that it may have been copied from would make it stricter.
            return label
        return join(label, *self._copied(groups, free))

    def remember(self, text: str, sensitivity: Sensitivity) -> None:
        """An answer, a draft or a rewritten question that was given: it keeps its label."""
        if text.strip() and text.strip() not in _own_words():
            self._spoken.remember(text, sensitivity)

    def hear(self, text: str, sensitivity: Sensitivity) -> Heard | None:
        """The same, known to this process at once and written down with the answer."""
        is_own = not text.strip() or text.strip() in _own_words()
        return None if is_own else self._spoken.hear(text, sensitivity)

    def stamp(self) -> object:
        """As long as it stays what it is, so does every label."""
        return self._spoken.stamp(), self.question_sensitivity

    def forget(self) -> None:
        """Forget everything that was said: from here on it is unknown, and so PRIVATE."""
        self._spoken.forget()

    def holds_private(self, text: str) -> bool:
        """Whether ``text`` holds a passage of a private document, or of a private answer."""
        return self._spoken.quotes(text) or self._find_private(text)

    def _turn(self, message: Message, own: Label, declared: Sensitivity | None) -> Label:
        content = message.content.strip()
        if message.role == "user" or not content:
            return own
        if message.role == "assistant":
            if content in _own_words():
                return NOTHING
            known = self._spoken.sensitivity(content)
            if known is not None:
                return Label(known, ("history",))
        return Label(Sensitivity.PRIVATE, ("unknown_history",)) if declared is None else own

    def _personal(self, groups: Sequence[Sequence[str]], redacting: bool) -> Iterator[Label]:
        """The personal data in texts; those of a group follow each other."""
        if redacting:
            groups = [
                [m.content for m in redact([Message("user", text) for text in group]).messages]
                for group in groups
            ]
        joined = ["\n".join(group) for group in groups]
        for kind in sorted({found.kind for text in joined for found in personal_data.find(text)}):
            yield Label(Sensitivity.PRIVATE, (f"personal_data:{kind}",))

    def _copied(self, groups: Sequence[Sequence[str]], labelled: Sequence[str]) -> Iterator[Label]:
        """What texts were copied from, as they are: a private passage does not get freer because a
        number in it is taken out. ``labelled`` have a label of their own: what was said of them
        while they were private does not matter when their owner has made them freer since; a
        private document that they copy does."""
        joined = ["\n".join(group) for group in groups]
        # One search for all: nothing depends on which of them it is in.
        if any(map(self._spoken.quotes, joined)) or self._find_private(
            "\n".join([*joined, *labelled])
        ):
            yield Label(Sensitivity.PRIVATE, ("matches_private_text",))


def _sources(evidence: Evidence) -> set[str]:
    """Every document that ``evidence`` is from."""
    found = {source for quote in evidence.quotes for source in (quote.source, *quote.also_in)}
    return found | {source for hit in evidence.hits for source in (hit.chunk.source, *hit.also_in)}


class RedactingLabeller:
    """Labels prompts whose personal data is taken out before they travel."""

    def __init__(self, labeller: PromptLabeller) -> None:
        self._labeller = labeller
        self.remember, self.hear, self.stamp = labeller.remember, labeller.hear, labeller.stamp

    def label(self, question: str, evidence: Evidence, history: Sequence[Message] = ()) -> Label:
        """The strictest of everything that goes in, once it is redacted."""
        return self._labeller.label(question, evidence, history, redacting=True)


@cache
def _own_words() -> frozenset[str]:
    """What Ondol says without having read anything: it tells nothing of any document."""
    words = set()
    for code in LANGUAGES:
        with use_language(code):
            words.add(t("answer.nothing_found").strip())
    return frozenset(words)
