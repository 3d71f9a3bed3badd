"""What a sentence claims, as far as rules can tell: of what it speaks, and what it says of it.

Two sentences about the same thing of which there is only one ("My dog is called …", "I live in …")
contradict each other, and so do a sentence and its negation. A rule that does not know a sentence
finds no contradiction: both are kept. English and Korean; ``wording`` brings both to plain words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ondol.memory import wording
from ondol.memory.wording import ATTRIBUTES_KO, LANGUAGES


@dataclass(frozen=True, slots=True)
class Claim:
    """``value`` is said of ``subject``. With ``is_whole`` the two are all that the sentence says:
    another one with the same claim says the same."""

    subject: tuple[str, ...]
    value: str
    is_whole: bool = False


def contradicts(one: str, other: str) -> bool:
    """Whether both sentences cannot hold at once, as far as rules can tell."""
    a = {claim.subject: claim.value for claim in claims(one)}
    return any(a.get(c.subject, c.value) != c.value for c in claims(other))


def says_the_same(one: str, other: str) -> bool:
    """Whether two sentences differ in their words alone, as far as rules can tell."""
    a = {claim for claim in claims(one) if claim.is_whole}
    return bool(a) and any(claim in a for claim in claims(other))


def of_the_owner(text: str) -> Claim | None:
    """The claim about the owner, of which only one can hold, that ``text`` makes."""
    found = (claim for claim in claims(text) if claim.is_whole and claim.subject[0] == "my")
    return next(found, None)


def claims(text: str) -> list[Claim]:
    """Everything that rules find in one sentence."""
    said = wording.plain(text)
    if not said:
        return []
    if wording.is_korean(said):
        return [*_first(_KOREAN, said), *_manners(said), *_denied(wording.korean_polarity(said))]
    said = wording.expanded(said)
    return [*_first(_ENGLISH, said), *_manners(said), *_denied(wording.polarity(said))]


_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], Claim]]

_ATTRIBUTE = (
    "(?:(?:first|last|full|middle|family|given|maiden|pet) )?name|nickname|birthday|birth date|"
    "date of birth|age|(?:home |email |e-mail |postal |work )?address|e-?mail|"
    "(?:(?:tele|mobile |cell |home |work )?phone )?number|(?:mobile |cell )?phone|job|occupation|"
    "profession|employer|home ?town|nationality|height|weight|blood type|(?:shoe |dress )?size|"
    "time ?zone|(?:native|first|mother) (?:language|tongue)|pronouns|major|anniversary|due date|"
    "deadline|password|passphrase|pin|code|user ?name|licen[cs]e plate|star sign"
)
_OWNER = r"(my|our|the|[^\W\d_][\w-]*'s)"


def _owned(found: re.Match[str], what: str, value: str) -> Claim:
    owner = "my" if found[1] in ("my", "our") else found[1].removesuffix("'s")
    things = what.replace("'s", "").split()
    return Claim((owner, *things), _value(value), is_whole=True)


def _value(text: str) -> str:
    return re.sub(r"^(?:now|a|an|the|currently)\s+|(?<=[가-힣])이?다$", "", text.strip())


def _mine(subject: str, group: int = 1) -> Callable[[re.Match[str]], Claim]:
    return lambda found: Claim(("my", *subject.split()), _value(found[group]), is_whole=True)


_ENGLISH: tuple[_Rule, ...] = (
    (
        re.compile(rf"^{_OWNER} ([\w' -]+?)(?:'s)? (?:is|are|was) (?:now )?(?:called|named) (.+)$"),
        lambda found: _owned(found, f"{found[2]} name", found[3]),
    ),
    (
        re.compile(rf"^{_OWNER} ((?:[\w' -]+ )??(?:{_ATTRIBUTE})) (?:is|are|was|=|:) (.+)$"),
        lambda found: _owned(found, found[2], found[3]),
    ),
    (
        re.compile(r"^(my|our) favou?rite ([\w ]+?) (?:is|are) (.+)$"),
        lambda found: _owned(found, f"favourite {found[2]}", found[3]),
    ),
    (
        re.compile(rf"^{_OWNER} ([\w' -]+?) (?:now )?lives (?:in|at|near) (.+)$"),
        lambda found: _owned(found, f"{found[2]} home", found[3]),
    ),
    (re.compile(r"^i (?:now )?live (?:in|at|near) (.+)$"), _mine("home")),
    (re.compile(r"^i (?:have |just )*moved to (.+)$"), _mine("home")),
    (re.compile(r"^i (?:now )?work (?:at|for) (.+)$"), _mine("employer")),
    (re.compile(r"^i (?:now )?work as (.+)$"), _mine("job")),
    (re.compile(r"^i am (\d{1,3})(?: years old)?$"), _mine("age")),
    (re.compile(r"^i was born on (.+)$"), _mine("birthday")),
    (re.compile(r"^i (?:am|come) from (.+)$"), _mine("home town")),
    (re.compile(r"^(?:please )?call me (.+)$"), _mine("called")),
    (re.compile(r"^i am called (.+)$"), _mine("called")),
    (
        re.compile(r"^i have (no|\w+|\d+) (child(?:ren)?|kids?|\w+(?:s|ies))$"),
        lambda found: Claim(("my", "number", found[2].removesuffix("s")), found[1], is_whole=True),
    ),
)

_ENDING = (
    r"(?:이야|야|이에요|예요|에요|입니다|이다|임|이라고 (?:해|한다|합니다|불러)\w*|"
    r"라고 (?:해|한다|합니다|불러)\w*)?$"
)
_I = r"^(?:(?:나는|저는|난|전|내가|제가|우리는) )?(?:(?:지금|요즘|이제|현재) )?"
_MY = ("내", "제", "나의", "저의", "우리")


def _korean_owned(found: re.Match[str]) -> Claim:
    words = [re.sub(r"의$", "", word) or word for word in (found[1] or "").split()]
    things = ["my" if word in (*_MY, "우", "나", "저") else word for word in words]
    attribute = ATTRIBUTES_KO.get(found[2].replace(" ", ""), found[2])
    return Claim((*things, *attribute.split()), _value(found[3]), is_whole=True)


_KOREAN: tuple[_Rule, ...] = (
    (
        re.compile(rf"^([\w ]{{1,40}}?) ({'|'.join(ATTRIBUTES_KO)})(?:은|는|이|가) (.+?){_ENDING}"),
        _korean_owned,
    ),
    (
        re.compile(
            r"^(?:내|제|나의|저의|우리) ([\w ]+?)(?:은|는|이|가) "
            r"(.+?)이?라고 (?:불|부|해|한|합)"
        ),
        lambda found: Claim(("my", *found[1].split(), "name"), found[2], is_whole=True),
    ),
    (
        re.compile(rf"^(?:내가|제가) (?:가장 |제일 )?좋아하는 ([\w ]+?)(?:은|는) (.+?){_ENDING}"),
        lambda found: Claim(("my", "favourite", *found[1].split()), found[2], is_whole=True),
    ),
    (re.compile(rf"{_I}([\w ]+?)에(?:서)? (?:살|산|삽|거주)"), _mine("home")),
    (re.compile(rf"{_I}([\w ]+?)(?:으로|로) 이사 ?(?:했|갔|왔|함|감)"), _mine("home")),
    (re.compile(rf"{_I}([\w ]+?)에서 (?:일해|일하|일한|일합|근무)"), _mine("employer")),
    (re.compile(rf"{_I}([\w ]+?)(?:으로|로) (?:일해|일하|일한|일합)"), _mine("job")),
    (re.compile(rf"{_I}(\d{{1,3}}) ?(?:살|세)(?:이|야|입|$)"), _mine("age")),
    (re.compile(r"^(?:나를|저를|날|절) (.+?)(?:이라고|라고|으로|로) 불러"), _mine("called")),
)

_ANSWERING = (
    r"\b(?:answers?|reply|replies|respond|responses?|write|speak|talk|explain|keep|be)\b"
    r"|대답|답|말해|말하|써|설명|작성"
)
# What can be wanted of an answer only in one way; the two words of a pair exclude each other.
_MANNERS: tuple[tuple[str, str, str], ...] = (
    (
        "length",
        r"\bshort|\bbrief|\bconcis|\bterse|짧게|간단|간결|간략",
        r"\blong\b|\blonger\b|\bdetail|\bin depth|\bat length|길게|자세|상세",
    ),
    (
        "register",
        r"\bformal|\bpolite|존댓말|높임말|존대|공손",
        r"\binformal|\bcasual|반말",
    ),
    ("units", r"\bmetric\b|미터법", r"\bimperial\b|야드파운드"),
    ("temperature", r"\bcelsius\b|섭씨", r"\bfahrenheit\b|화씨"),
    ("clock", r"\b24[- ]hour|24시간", r"\b12[- ]hour|12시간"),
    ("spelling", r"\bbritish (?:english|spelling)", r"\bamerican (?:english|spelling)"),
)
_NO_ANSWER_NEEDED = ("units", "temperature", "clock", "spelling")


def _first(rules: tuple[_Rule, ...], said: str) -> list[Claim]:
    for pattern, make in rules:
        if (found := pattern.match(said)) and (claim := make(found)).value:
            return [claim]
    return []


def _manners(said: str) -> list[Claim]:
    found = []
    is_answering = re.search(_ANSWERING, said) is not None
    is_denied = wording.is_denied(said)
    for name, one, other in _MANNERS:
        if is_denied or not (is_answering or name in _NO_ANSWER_NEEDED):
            continue
        says = (re.search(one, said) is not None, re.search(other, said) is not None)
        if says[0] != says[1]:
            found.append(Claim(("answer", name), "one" if says[0] else "other"))
    languages = {name for name, words in LANGUAGES.items() if re.search(words, said)}
    if is_answering and not is_denied and len(languages) == 1:
        found.append(Claim(("answer", "language"), languages.pop()))
    return found


def _denied(found: tuple[tuple[str, ...], bool]) -> list[Claim]:
    words, is_denied = found
    return [Claim(("says", *words), "no" if is_denied else "yes")] if words else []
