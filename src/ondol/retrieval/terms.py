"""Text to search terms: stems for English, words for other alphabets, bigrams for Hangul and Han,
beside them Korean morphemes where they are asked for.

Stems are Snowball English (Porter, 2001). A Korean noun hides inside an inflected word, so every
Hangul word becomes its overlapping pairs of syllables. The index, the query and the sentences all
go through here, so a term means the same everywhere.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable
from typing import Any

from ondol.retrieval import korean

_CJK = r"\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_ACCENTS = re.compile("[\u0300-\u036f]")
_RUN = re.compile(rf"([{_CJK}]+)|([^\W_{_CJK}]+)")

# Words that say that something is asked, not what about.
STOP_WORDS = frozenset(
    "a an the is are was were be been being am do does did done has have had having of in on at to "
    "for by from with as and or but if than then that this these those it its he she they them his "
    "her their we our you your i me my what which who whom whose when where why how there here can "
    "could will would shall should may might must not no so about into over under between during "
    "tell please give explain describe s t d ll ve re".split()
)

# How Korean questions end, and the words that ask; longest first.
_QUESTION_WORDS = re.compile(
    r"^(?:무엇|무어|뭐|뭔|뭘|누구|누가|언제|어디|어딘|얼마|몇|어떤|어느|어떻게|왜|무슨|알려|말해|"
    r"설명해|가르쳐|대해|관한|관해|이유|까닭)"
)
_KOREAN_STOP_WORDS = frozenset(
    "수 때 것 거 걸 게 건 안 못 더 좀 잘 또 및 등 그 이 저 인 일 하 할 한 해 했 있 없 되 될 된 "
    "돼 됐 하는 하기 하게 하려면 하면 해야 한다 합니다 했다 했다고 있는 있을 있다 있다고 없는 없을 "
    "되는 되면 때문 때문에 때문이라고 것은 것이 것을 거나 받을 받은".split()
)
_ENDINGS = re.compile(
    r"(?:이었나요|였나요|했나요|됐나요|되었나요|인가요|있나요|없나요|하나요|되나요|입니까|습니까|합니까|"
    r"됩니까|은가요|는가요|나요|가요|까요|니까|는지|은지|인지|했지|이지|하지|되지|하니|되니|이니|"
    r"이야|예요|이에요|에요|어요|아요|해요|세요|줘요|주세요|줘|죠|지요|인가|는가|은가|던가|냐|니|야|지|까)$"
)
_PARTICLES = re.compile(
    r"(?:에서는|에서의|으로는|에게서|으로부터|로부터|까지는|부터는|이라고|라고|에서|에게|에는|으로|까지|부터|"
    r"처럼|보다|마다|이나|이란|라는|이라는|하고|은|는|이|가|을|를|의|에|로|와|과|도|만|란)$"
)

_local = threading.local()


def terms(text: str, *, morphemes: bool = False) -> list[str]:
    """The terms of ``text``, each kind in order, repeated as often as they occur. ``morphemes``
    needs an analyser (see ``korean``)."""
    east_asian, words = _runs(text)
    found = _bigrams(east_asian) + _stem(words)
    return found + korean.morphemes(text) if morphemes else found


def terms_for(wanted: Iterable[str], text: str) -> list[str]:
    """The terms of ``text``, with those morphemes among ``wanted`` that it mentions."""
    return terms(text) + korean.mentioned(wanted, _normal(text))


def query_terms(text: str, *, morphemes: bool = False) -> list[str]:
    """The distinct terms worth searching for; all of them when nothing else is left."""
    east_asian, words = _runs(text)
    pairs = _bigrams([_core(run) for run in east_asian])
    kept = pairs + _stem([word for word in words if word not in STOP_WORDS])
    found = list(dict.fromkeys(kept)) or list(dict.fromkeys(terms(text)))
    return found + korean.query_morphemes(text) if morphemes else found


def _runs(text: str) -> tuple[list[str], list[str]]:
    """The runs of Hangul, Han and kana in ``text``, and its other words."""
    runs = _RUN.findall(_normal(text))
    return [run for run, _ in runs if run], [word for _, word in runs if word]


def _core(run: str) -> str:
    """A Hangul word of a question without its particle or ending; empty when it only asks."""
    if _QUESTION_WORDS.match(run) or run in _KOREAN_STOP_WORDS:
        return ""
    for ending in (_ENDINGS, _PARTICLES):
        shorter = ending.sub("", run)
        if len(shorter) >= 2:
            run = shorter
        elif not shorter:  # what follows a name in Latin letters or a number: "KTX는"
            return ""
    return "" if run in _KOREAN_STOP_WORDS else run


def _normal(text: str) -> str:
    """Lower case and composed (macOS writes Korean in decomposed form), without accents, as the
    full-text index keeps them: "Muller" finds "Müller"."""
    if text.isascii():
        return text.lower()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFKC", bare).lower()


def _bigrams(runs: list[str]) -> list[str]:
    """The pairs of neighbours in each of ``runs``; of one character that one."""
    return [run[i : i + 2] for run in runs if run for i in range(len(run) - 1 or 1)]


def _stem(words: list[str]) -> list[str]:
    stems: list[str] = _stemmer().stemWords(words)
    return stems


def _stemmer() -> Any:
    # A stemmer keeps state while it works, so every thread has its own.
    if not hasattr(_local, "stemmer"):
        import Stemmer

        _local.stemmer = Stemmer.Stemmer("english")
    return _local.stemmer
