"""Whether a question asks for everything ("list all …", "which of my …", "… 모두 나열해줘"),
of what kind of documents, and what remains of it to search for.

A small rule, not a model: it looks at the words a listing is asked for with, and a question that it
does not recognise is answered as any other. Knows nothing of the library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Words for one kind of document; a question that names one means the others too. What says no more
# than "document" narrows nothing.
KINDS: tuple[tuple[str, ...], ...] = (
    ("contract", "lease", "agreement", "계약서"),
    ("receipt", "invoice", "bill", "영수증", "청구서", "명세서", "고지서"),
    ("email", "e-mail", "mail", "message", "letter", "이메일", "메일", "편지"),
    ("report", "보고서"),
    ("minutes", "회의록"),
    ("recipe", "레시피", "조리법"),
    ("policy", "policies", "보험증권", "약관"),
    ("manual", "설명서"),
    ("paper", "article", "논문"),
    ("statement", "certificate", "증명서"),
)
_ANY_DOCUMENT = ("document", "file", "note", "page", "문서", "파일", "서류", "메모", "자료")

_LATIN = [word for kind in (*KINDS, _ANY_DOCUMENT) for word in kind if word.isascii()]
_HANGUL = [word for kind in (*KINDS, _ANY_DOCUMENT) for word in kind if not word.isascii()]
_NOUN = "|".join(sorted((re.escape(word) + "s?" for word in _LATIN), key=len, reverse=True))
_KOREAN_NOUN = "|".join(sorted(_HANGUL, key=len, reverse=True))

_POLITE = r"(?:please|now|ok|okay|hey|can you|could you|would you|i want you to|i need you to)"
_OF_MINE = r"(?:my|our|these|those|the)"
_BEGINS = re.compile(
    rf"""^\W*(?:{_POLITE}\W+)*(?:
        list\b(?!\s+(?:price|size)) | enumerate\b
      | (?:show|give|find|get|tell|name|print|quote|collect|display)\b(?:\s+(?:me|us))?\s+
        (?:all|every|everything|each|(?:a|the)\s+(?:full\s+|complete\s+)?list)\b
      | what\s+(?:are|were)\s+all\b | (?:all|every)\s+(?:of\s+)?{_OF_MINE}\b | all\s+(?:{_NOUN})\b
      | (?:which|what)\s+(?:of\s+)?(?:my|our|these|those)\b | which\s+of\s+the\s+(?:{_NOUN})\b
      | which\s+(?:{_NOUN})\b | (?:in\s+)?(?:which|what)\s+(?:documents|files|notes|e?-?mails)\b
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_KOREAN_VERB = (
    r"(?:나열|열거|말|알려|찾|보여|적|정리|뽑|골라|고르|추려|모아|대|써|쓰|출력|목록|리스트|인용)"
)
_KOREAN = re.compile(
    rf"""(?<!\S)(?:모두|전부|모조리|빠짐\s*없이|싹\s*다|전체|하나도\s*빼지\s*말고|다)\s+(?:다\s+)?(?:좀\s+)?{_KOREAN_VERB}
      | (?:나열|열거)\s*(?:해|하|좀|부탁)
      | (?:목록|리스트|명단)\s*(?:을|를|으로|로|만|좀)?\s*
        (?:보여|알려|만들|뽑|정리|줘|주|달라|작성|부탁|대|$)
      | 모든\s.*(?:{_KOREAN_VERB}|무엇|뭐|어떤|어디)
      | (?:{_KOREAN_NOUN})(?:들)?\s*중(?:에서?|에는?)?(?:는)?\s
      | (?:어떤|어느|무슨)\s+(?:(?:{_KOREAN_NOUN})(?:들|에)|것들|게들)
      | (?:무엇|뭐|어떤\s*것)들
      | (?:{_KOREAN_NOUN})(?:들)?(?:은|는|이|가|을|를)?\s*(?:모두|전부|다)\s""",
    re.VERBOSE,
)

_SAID = re.compile(
    rf"""\b(?:{_POLITE}|list(?:\s+of)?|enumerate|show|give|find|get|tell|name|print|quote|collect|
         display|me|us|all|every|everything|each|full|complete|mention(?:s|ed|ing)?|contain(?:s|ed|ing)?|
         include(?:s|d)?|say(?:s|ing)?|there|any|{
        "|".join(w + "s?" for w in _LATIN if w in _ANY_DOCUMENT)
    })\b""",
    re.VERBOSE | re.IGNORECASE,
)
_KOREAN_SAID = re.compile(
    r"(?<!\S)(?:모두|전부|모조리|빠짐\s*없이|싹|다|전체|모든|목록|리스트|명단|나열|열거|알려|찾아|보여|적어|정리|"
    r"뽑아|골라|추려|모아|출력|가져와?|어떤|어느|무슨|무엇|뭐|뭐가|것들?|게|좀|중에서?|중에는?|중|내|나의|우리|제|"
    r"하나도|빼지|말고|들어간|들어가는|나오는|나온|언급한|언급된|언급하는|적힌|적혀|쓰인|포함된|포함한|관련된|있는|인|"
    r"줘|주세요|주십시오|주실래요|부탁)"
    r"(?:을|를|이|가|은|는|들을|들이|으로|로|만|해|해줘|해주세요|해요|하시오|하라|줘|주세요|줄래|봐|봐줘|있나요?|있어\??|"
    r"있는지|이에요|인가요|인지|입니까)*(?!\S*\w)"
)
_ASKED_KIND = re.compile(
    rf"""(?:\b(?:all|every|each|{_OF_MINE}|of|list|which|what|enumerate)\s+(?:[\w'-]+\s+){{0,2}}?
         ({_NOUN})\b) | ({_KOREAN_NOUN})(?:들)?(?:은|는|이|가|을|를|만)?\s*(?:좀\s*)?
         (?:모두|전부|다|모조리|빠짐|전체|나열|열거|목록|리스트|찾|보여|알려|중|뽑|골라|추려|어떤|무엇|뭐)
       | (?:어떤|어느|무슨|모든)\s+(?:[\w]+\s+){{0,3}}?({_KOREAN_NOUN})""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be listed: ``subject`` is what to search for, ``kind`` the words of which a listed
    document must bear one (none: any document), ``documents`` says that documents are asked for,
    one quote of each, and not every sentence in them."""

    subject: str
    kind: tuple[str, ...] = ()
    documents: bool = False


def asks_for_all(question: str) -> bool:
    """Whether ``question`` wants everything that fits, rather than an answer."""
    text = " ".join(question.split())
    return bool(_BEGINS.match(text) or _KOREAN.search(text))


def wanted(question: str) -> Wanted:
    """What ``question`` wants listed; of one that does not say so, whatever it is about."""
    text = " ".join(question.split())
    match = _ASKED_KIND.search(text)
    noun = next((group for group in match.groups() if group), "") if match else ""
    kind = _kind(noun)
    rest = text
    if match and noun:
        begin = match.start() + match.group().lower().rindex(noun.lower())
        end = begin + len(noun)
        # The particle of a Korean noun goes with it.
        particle = re.match(r"(?:들)?(?:은|는|이|가|을|를|만|에|의|에서)?(?!\w)", text[end:])
        end += len(particle.group()) if particle and not noun.isascii() else 0
        rest = f"{text[:begin]} {text[end:]}"
    rest = _KOREAN_SAID.sub(" ", _SAID.sub(" ", rest))
    return Wanted(" ".join(rest.split()), kind, bool(noun))


def _kind(noun: str) -> tuple[str, ...]:
    word = noun.lower()
    for kind in KINDS:
        if word in kind or word.removesuffix("s") in kind:
            return kind
    return ()
