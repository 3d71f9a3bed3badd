"""Whether a question is open ("tell me about the boiler", "보일러에 대해 알려줘"), and about what.

An open request has no one answer: whatever is said of its topic answers it. A small rule, not a
model: it knows the words such a request is made with, and one that asks for something of its topic
(when, who, how, whether) is a question like any other. Knows nothing of the library.
"""

from __future__ import annotations

import re

from ondol.retrieval.terms import query_terms

# Characters; what is longer says more of what is wanted than its topic.
LONGEST = 160

_POLITE = (
    r"(?:please|hi|hello|hey|ok(?:ay)?|so|now|just|(?:can|could|would|will)\syou(?:\splease)?|"
    r"i(?:'d|’d|\swould)\slike\syou\sto|i\swant\syou\sto)"
)
_MUCH = (
    r"(?:something|anything|more|a\s(?:bit|little)(?:\smore)?|briefly|in\sbrief|in\sshort|"
    r"a\sfew\swords)"
)
_LIBRARY = (
    r"(?:(?:(?:any|all)\sof\s)?(?:my|our|the|these|those|this|your)\s)?"
    r"(?:documents?|files?|notes?|papers?|texts?|sources?|pages?|library|records?)"
)
_ABOUT = r"(?:about|regarding|concerning)"
_PORTRAIT = (
    r"(?:overview|summary|outline|description|introduction|explanation|idea|gist|"
    r"information|info|details|facts|background|basics)"
)
_ENGLISH = re.compile(
    rf"""^\W*(?:{_POLITE}\W+)*(?:
        (?:tell|teach|inform)\s+(?:me|us)\s+(?:{_MUCH}\s+)?about
      | (?:say|write)\s+(?:{_MUCH}\s+)about | (?:talk|speak)\s+(?:to\s+(?:me|us)\s+)?about
      | what\s+(?:do|did|should|must|can|could|would)\s+(?:you|i|we|they|one)\s+
        (?:(?:need|have|want)\s+to\s+)?(?:know|learn|find|read|have|(?:tell|say)(?:\s+(?:me|us))?)\s+
        (?:in\s+{_LIBRARY}\s+)?{_ABOUT}
      | what\s+(?:do|does|did|can|could|would)\s+{_LIBRARY}\s+
        (?:say|tell(?:\s+(?:me|us))?|know|contain|mention|hold|have|report|write)\s+{_ABOUT}
      | what(?:\s+is|\s+was|['’]s|\s+has\s+been)\s+(?:there\s+)?
        (?:to\s+(?:know|say)|said|written|known|reported|recorded|in\s+{_LIBRARY})\s+(?:in\s+{_LIBRARY}\s+)?{_ABOUT}
      | (?:what|how)\s+about
      | (?:(?:give|show|get|find|write)\s+(?:me|us)?\s*)?(?:(?:an?|the|some|any|more)\s+)?
        (?:(?:short|brief|quick|general|rough)\s+)?{_PORTRAIT}\s+(?:{_ABOUT}|of|on|to|for)
      | (?:summari[sz]e|describe|outline|introduce|explain)(?:\s+(?:to|for)\s+(?:me|us))?
      | i(?:\s+want|\s+need|\s+would\s+like|['’]d\s+like)\s+
        (?:(?:to\s+)?(?:know|learn|read|hear)|(?:some\s+)?{_PORTRAIT})\s+(?:{_MUCH}\s+)?{_ABOUT}
      | (?:is\s+there|(?:do|have)\s+(?:you|i|we)(?:\s+(?:have|know|got))?)\s+
        (?:anything|something|any\s+{_PORTRAIT})\s+(?:in\s+{_LIBRARY}\s+)?(?:{_ABOUT}|on)
      | anything\s+(?:{_ABOUT}|on)
    )\s+(?P<topic>\S.*)$""",
    re.VERBOSE | re.IGNORECASE,
)
_ENGLISH_TAIL = re.compile(
    rf"(?:[\s,]+(?:please|briefly|shortly|in (?:brief|short|detail|general)|"
    rf"(?:for|to) (?:me|us)|in (?:a few|one|two|three|four|five|\d+) (?:words|lines|sentences)|"
    rf"(?:(?:based )?on|from|in|according to|using) {_LIBRARY}))+\W*$",
    re.IGNORECASE,
)
# A question or a claim about something has one answer.
_ASKS = re.compile(
    r"^(?:what|which|who|whom|whose|when|where|why|how|whether|if|that|because)\b|"
    r"\b(?:is|are|was|were|has|had|does|do|did|will|would|should|must|can|could)\b",
    re.IGNORECASE,
)
_ANOTHER_SENTENCE = re.compile(r"[.?!;:。？！]\s+\S")
_POINTS = re.compile(
    r"^(?:it|its|this|that|these|those|them|him|her|me|us|you|yourself|myself|the (?:rest|others?)|"
    r"(?:the )?(?:first|second|third|last|next|other|previous|same)(?: one)?)$",
    re.IGNORECASE,
)
_ONLY_THE_LIBRARY = re.compile(rf"^{_LIBRARY}$", re.IGNORECASE)

_MARKS = " .,;:?!\"'“”‘’…"

_KOREAN_MUCH = (
    r"(?:좀|조금|더|한번|간단히|간략히|간단하게|간략하게|짧게|자세히|자세하게|아는\s*대로|요점만)"
)
_KOREAN_LIBRARY = r"(?:(?:내|제|우리|이)\s*)?(?:문서|자료|파일|메모|노트|서류|서재|글)(?:들)?"
_KOREAN_ASKED = (
    r"(?:알려|말해|말씀해|설명|이야기|얘기|소개|요약|정리|가르쳐|보여|들려|써|적어)"
    r"(?:해|하여)?\s*(?:줘요?|주세요|주십시오|주실래요|주시겠어요|줄래요?|달라|다오|봐요?|보세요|부탁\S*|하세요|하라|해|해요)?"
)
_KOREAN_WHAT = (
    r"(?:무엇(?:을|이|이라고)?|무어|뭐(?:를|가|라고)?|뭘|뭔가|어떤|무슨|아는|나온|적힌|있는)"
)
_KOREAN_STANDS = (
    r"(?:알아야|알고|알|아는|아나|아니|아세요|압니까|나와|나오|적혀|쓰여|써|되어|돼|말하|말해|하|해|했|있|계)"
    r"\S*"
)
_KOREAN = re.compile(
    rf"""^\W*(?:
        (?P<about>.+?)(?:에|와|과)?\s*(?:대해서?|대하여|대한|관해서?|관하여|관한|관련해서?|관련하여|관련된)\s*
        (?:{_KOREAN_MUCH}\s*)*(?:{_KOREAN_LIBRARY}(?:에는?|에서는?|은|는|이|가)?\s*)?
        (?:{_KOREAN_WHAT}\s*)*(?:(?:내용|정보|것|게|거|점|개요|요약|설명|소개|이야기)(?:들)?(?:을|를|은|는|이|가|만)?\s*)?
        (?:{_KOREAN_MUCH}\s*)*(?:{_KOREAN_ASKED}|{_KOREAN_STANDS}(?:\s+{_KOREAN_STANDS})*)?
      | (?P<object>.+?)(?:을|를)?\s*
        (?:(?:한|두|세|네|다섯|몇|\d+)\s*(?:문장|줄|마디|단어)(?:으로|로)?\s*)?
        (?:{_KOREAN_MUCH}\s*)*(?:설명|소개|요약)\s*(?:좀\s*)?
        (?:해|하여|부탁)\s*\S*
    )\W*$""",
    re.VERBOSE,
)
_KOREAN_HEAD = re.compile(rf"^{_KOREAN_LIBRARY}(?:에서는?|에는?|은|는|이|가|의)\s+")
_KOREAN_ASKS = re.compile(
    r"(?<!\S)(?:언제|누가|누구|누굴|어디|얼마|몇|왜|어떻게|무엇|무슨|뭐|어느|어떤)|(?:는|은|인|을|할|될)지$|(?:까닭|이유)$"
)
_KOREAN_POINTS = re.compile(
    r"^(?:그|이|저)(?:것|거|게|곳|분|사람)?$|^(?:거기|여기|너|당신|나|저|에|와|과)$"
)


def topic(question: str) -> str:
    """What an open request is about; "" for any other question."""
    text = " ".join(question.split())
    if len(text) > LONGEST:
        return ""
    if match := _ENGLISH.match(text):
        found = _ENGLISH_TAIL.sub("", match["topic"]).strip(_MARKS)
        told = _ASKS.search(found) or _POINTS.match(found) or _ONLY_THE_LIBRARY.match(found)
    elif match := _KOREAN.match(text):
        found = _KOREAN_HEAD.sub("", match["about"] or match["object"]).strip(_MARKS)
        told = _KOREAN_ASKS.search(found) or _KOREAN_POINTS.match(found)
        told = told or re.fullmatch(_KOREAN_LIBRARY, found)
    else:
        return ""
    if told or _ANOTHER_SENTENCE.search(found) or not query_terms(found):
        return ""
    return found
