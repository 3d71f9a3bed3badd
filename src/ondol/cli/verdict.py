"""What is known about an answer, on the screen: how sure it is, who gave it, what no quote says."""

from __future__ import annotations

from ondol.cli.output import Output, one_line
from ondol.i18n import t
from ondol.types import Answer, Confidence, Escalation

SHORT_ID = 8

NOT_ASKED = frozenset(
    {"private", "tools", "images", "no_home", "home_unavailable", "home_context_too_short"}
)
"""Why home was not asked by who said ``--home``."""


def show_escalation(escalation: Escalation, output: Output) -> None:
    """That the words to come are home's."""
    output.note("")
    draft = escalation.draft
    if draft is None or draft.confidence is None or draft.confidence.probability is None:
        output.note(t("trust.asking_home", home=escalation.home), dim=True)
    else:
        percent = round(draft.confidence.probability * 100)
        told = t("trust.unsure_asking_home", percent=percent, home=escalation.home)
        output.note(told, dim=True)


def show_verdict(answer: Answer, output: Output) -> None:
    """One line under the answer, and one for each sentence that nothing supports."""
    for sentence in answer.support:
        if sentence.quote is None:
            text = one_line(answer.text[sentence.start : sentence.end])
            output.note(t("trust.unsupported", sentence=text))
    if "home_knew_no_better" in answer.reasons:
        output.note(t("trust.home_knew_no_better"))
    elif "home_failed" in answer.reasons:
        output.note(t("trust.home_failed"))
    elif "asked_home" in answer.reasons:
        for code in NOT_ASKED.intersection(answer.reasons):
            output.note(t("trust.home_not_asked", why=t(f"ledger.reason_{code}")))
    if "not_in_ledger" in answer.reasons:
        output.warn(t("trust.not_in_ledger"))
    parts = [in_words(answer.confidence)] if answer.confidence else []
    parts.append(t(f"trust.route_{answer.route.value}", model=answer.model))
    if answer.ledger_id:
        parts.append(f"ondol why {answer.ledger_id[:SHORT_ID]}")
    output.note(" · ".join(parts), dim=True)


def in_words(confidence: Confidence) -> str:
    """The probability in words and as a number; or that there is none."""
    if confidence.probability is None:
        return t("trust.uncalibrated")
    percent = round(confidence.probability * 100)
    word = next(name for least, name in BANDS if percent >= least)
    return t(f"trust.{word}", percent=percent)


BANDS = ((85, "very_likely"), (65, "likely"), (40, "open"), (0, "doubtful"))
