"""What a chat in the terminal remembers of its owner, and is told of them.

What is known goes to a model of this machine only; one at home is told nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ondol.cli.output import Output, one_line
from ondol.errors import OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts


class Notebook:
    """The memory of the house that ``parts`` are of, for whoever types at this terminal."""

    def __init__(self, parts: Parts, output: Output) -> None:
        self._parts = parts
        self._output = output
        self._is_told = False

    def take(self, text: str) -> str:
        """Remember what ``text`` orders to be remembered; what is left of it to be answered.
        Raises what the memory raises."""
        from ondol.memory import saying

        said = saying.stated(text)
        if said is None:
            return text
        learned = self._parts.kept.memories.learn(said.text, kind=said.kind)
        id, replaced = learned.memory.id[:8], learned.replaced
        self._output.note(t(f"memory.noted_{learned.deed}"))
        if replaced:
            self._output.note(t("memory.replaced_text", text=one_line(replaced.text)))
            self._output.note(t("memory.replaced_hint", id=id, number=replaced.number))
        elif learned.is_new:
            self._output.note(t("memory.erase_hint", id=id))
        return said.rest

    def known(self, question: str) -> str:
        """The chosen persona, and what is remembered that fits. A chat goes on without them where
        they cannot be read, and says so once."""
        from ondol.server.conversing import remembering

        try:
            persona = self._parts.kept.memories.personas.text_for()
            told = remembering.facts(self._parts, question).text
        except OndolError as error:
            if not self._is_told:
                self._output.warn(error.message)
            self._is_told = True
            return ""
        return "\n\n".join(text for text in (persona, told) if text)
