"""Whether an answer says that it does not know, refuses to choose, or asserts something.

There is one list of ignorance. The stance of an answer and fabrication both read it, part by part: a part is
a sentence, or what stands before or after "but", ";" and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import sentences


def _any(*patterns: str) -> str:
    return "(?:" + "|".join(patterns) + ")"


_ADVERBS = r"(?:\w+ly\s+|even\s+|ever\s+|just\s+|quite\s+|too\s+|at all\s+|100\s?%\s+|yet\s+|seem to\s+)*"
_WE = r"(?:^|[^\w\s]\s*|\b(?:I|we|and|so|but|sorry|yet|that|which|as I said)\s+)"
_NOT = _any(
    r"(?:do|did|can|could|have|has|am|was|would|will|is|are) ?(?:not|never)",
    r"\w+n't|dont|cannot|never|'m not|not|unable to",
    r"(?:'m|'re|am|are|was|be) (?:not able|unable) to",
)
_TOLD = (
    r"(?:information|data|details?|knowledge|records?|context|facts?|specifics|background|answer|idea|clue)"
)
_KNOWING = _any(
    r"know\b(?!\s+(?:\w+\s+){0,2}(?:reason|why|how|if you|more|anything else|much else|what you))",
    r"recall|remember|recogni[sz]e|determine|tell(?: you)?\b(?! \w+ apart)|find\b(?! (?:fault|it hard))",
    r"identify|verify|confirm|say|answer\b|understand|look (?:\w+ )?up|access|search|browse|retrieve|guess",
    r"figure|come across|heard? of|heard|provide\b|offer|give you|speak to|comment|help(?! but)|assist",
    r"calculate|locate|place (?:it|that|the name)",
    rf"(?:have|possess|hold|see)\s+(?:[\w-]+\s+){{0,4}}{_TOLD}\b(?! (?:of much|else|at hand))",
    r"have (?:any |an |the |real-time |direct )?(?:access|ability|capability|means|recollection"
    r"|memory of (?:it|that|this))",
    r"think (?:I|we)(?:'ve| have) (?:\w+ )?(?:heard|come|seen|met)",
)
_STATE = r"(?:sure|certain|familiar|aware|acquainted|in a position to|able to|equipped to)"
_SELF = [
    rf"{_WE}(?:\w+ly\s+|am\s+|still\s+|just\s+|I\s+|we\s+)*{_NOT}\s+{_ADVERBS}{_KNOWING}",
    rf"{_WE}(?:I'?\s?a?m\s+)?(?:\w+ly\s+|still\s+|I'm\s+|I am\s+)*not\s+{_ADVERBS}{_STATE}\b",
    rf"\b{_TOLD} (?:(?:is|are)(?:n't| not)|is un|are un)\s*(?:\w+ly )?(?:available|accessible|enough"
    rf"|sufficient)",
    r"\bnot (?:enough|sufficient) to (?:determine|say|tell|know|answer|work)\b",
    r"\bnot (?:\w+ly )?clear (?:what|who|where|to me)\b",
    r"\b(?:isn't|is not|wasn't|was not|not) (?:something|anything|one|a \w+|an? \w+ \w+"
    r"|that) (?:that )?I(?:'m|"
    r" am|'ve| have| know| recogni[sz]e)",
    r"\b(?:no|any|\bzero|not a) (?:\w+ )?(?:idea|clue)\b|\bhaven't (?:the|a) \w+ (?:idea|clue)\b",
    rf"\b(?:have|has|with|got|there(?:'s| is| are| was))\s+(?:\w+ly\s+)?(?:no|insufficient"
    rf"|not enough)\s+(?:\w+\s+){{0,3}}{_TOLD}\b",
    rf"(?:^|[.!?]\s*|,\s*)(?:no|insufficient|not enough)\s+(?:\w+\s+){{0,2}}{_TOLD}\b",
    rf"\bno\s+(?:\w+\s+){{0,2}}{_TOLD}\b[^.;]*\b(?:found|available|exists?|known)\b",
    rf"\b(?:isn't|aren't|is not|are not) (?:any|enough|sufficient) (?:\w+ )?{_TOLD}\b",
    r"(?<!not )(?<!n't )\b(?:unfamiliar with|unsure|unaware of|uncertain)\b",
    r"\blacks? (?:the |any )?(?:\w+ )?(?:information|knowledge|data|context)",
    r"\b(?:never|not) heard\b|\bdunno\b|\bidk\b|\bbeats me\b|\bsearch me\b|\bwho knows\b|\bno clue\b"
    r"|\bhard to say\b",
    r"\byour guess is as good\b|\bwish I (?:knew|could)\b|\bdrawing a blank\b|\b(?:don't|doesn't"
    r"|does not) ring (?:a|any) bells?\b",
    r"\b(?:beyond|outside|not within|not in|isn't in|is not in|not part of) (?:of )?(?:my"
    r"|our) (?:\w+ )?(?:knowledge|training|"
    r"data\w*|expertise|memory|ability|capabilit\w+|scope)\b",
    r"\bmy (?:training|knowledge|data\w*|memory)(?: \w+)? (?:does|do|did|has|have|is)(?: not|n't| no)\b",
    r"\bI (?:would|'d|will|'ll)?\s*(?:need|have) to (?:look|check|search|research|consult|verify)\b",
    r"\b(?:I|we) (?:would |'d )?(?:need|require) (?:some |a bit |a little )?(?:more|further|additional)\b",
    r"\bneither\b[^.;,]* is (?:known|familiar) to me\b|\bI know neither\b",
    r"\bI know of no\b|\b(?:nobody|no one) (?:really )?knows(?: for (?:sure|certain))?[.!]?$"
    r"|\bneither confirm nor deny\b",
]
"""The writer says that he does not know."""
_FACT = [
    r"\b(?:it|this|that|which|answer|value|currency|capital|name|nature|meaning|\w+)(?:'s| is| are| was"
    r"| remains?| were) "
    r"(?:\w+ly |still |not |currently )*(?<!not )(?:unknown|not known|unclear|undefined|indeterminate"
    r"|undetermined)\b"
    r"(?! to (?!me|us))",
    r"\bcannot be (?:determined|known|answered|verified|established|found|said)\b",
    r"\b(?:not possible|impossible|no way) to "
    r"(?:determine|calculate|estimate|say|tell|know|answer|give|verify|find)\b",
    r"\bno way (?:of knowing|to tell)\b",
    r"\bunknown to (?:me|us)\b|^\W*unknown\b|^\W*not known\b|^\W*not that I\b",
]
"""The answer is said to be unknown."""
_ABSENT = [
    r"\bnot a (?:\w+ly )?(?:\w+-)?(?:known|recogni[sz]ed|familiar|documented)\b",
    r"\bnot (?:\w+ly )?(?:known|recogni[sz]ed|documented|listed|recorded) (?:as|to|in|among|anywhere)\b",
    r"\b(?:there(?:'s| is| are| was)|know of|I see|seems to be|exists) no (?:\w+ ){0,3}(?:such|called"
    r"|named|known|by th(?:at|is) name|"
    r"with th(?:at|is) name|record)\b|\bno such\b",
    r"\bthere(?:'s| is| was) no (?:\w+ ){1,3}(?:called|named|known|by|with)\b",
    r"(?:\bnot|n't) (?:a |an )?(?:real|actual|existing) \w+|\b(?:does not|doesn't|do not|don't) exist\b"
    r"|\bnon-?existent\b",
    r"\b(?:does not|doesn't|do not|don't|did not|didn't) (?:\w+ly )?(?:(?:seem|appear) to (?:be|exist"
    r"|refer|match|correspond|have|"
    r"mean|name)|match|correspond|refer to (?:any|a known)|appear (?:in|on|to)|fit|mean anything)\b",
    r"\bnot in any (?:\w+ )?(?:dictionary|atlas|list|book|source|database)\b",
    r"\bno (?:widely |commonly |officially )?(?:known|recogni[sz]ed|official|established|documented)\b",
    r"\b(?:is|are|was|be|seems?|appears? to be|seems to be|it's|that's|probably"
    r"|likely) (?:\w+ly )?(?:an? |the )?(?:\w+ly )?"
    r"(?:fictional|fictitious|made[- ]up|imaginary|hypothetical|invented|nonsense)\b",
    r"\b(?:misspel\w*|typo)\b",
]
"""What was asked about is said not to exist."""
_ASKS_BACK = [
    r"\b(?:please|could you|can you|would you|if you (?:could|can)|kindly)\s+(?:\w+\s+){0,2}(?:clarif\w+"
    r"|specify|provide|tell|share|give|"
    r"elaborate|rephrase|explain|check)\b(?!\s+(?:\w+\s+)?(?:your|the) answer)",
    r"(?<!you )\b(?:need|require|without|give me|with|some|provide(?: me)?(?: with)?) (?:\w+ ){0,2}"
    r"(?:more|further|additional) (?:\w+ )?(?:context|information|details|background)\b(?! about)",
    r"^\W*(?:more|further|additional) (?:context|information|details)\b",
    r"\bwhat (?:do|did) you mean\b|\b(?:what|which (?:one|\w+)) you(?:'re| are)? (?:mean|refer\w*|talk\w*"
    r"|ask\w*)\b",
]
"""The writer asks what is meant."""
_ELSE = re.compile(r"\belse\b|\b(?:much|more) (?:about|of)\b", re.I)
_ASIDE = re.compile(r"\b(?:known|unknown|unclear|know|sure|certain) (?:exactly )?(?:when|why|how)\b", re.I)
_IGNORANT = re.compile("|".join([*_SELF, *_FACT]), re.I)
_DENIES = re.compile("|".join([*_ABSENT, *_ASKS_BACK]), re.I)
_UNDECIDED = re.compile(
    r"\b(?:can(?:'t|not)|could(?:n't| not)|unable to|hard to|difficult to|impossible"
    r" to|refuse to|won't|will not)\s+(?:\w+\s+)?"
    r"(?:decide|choose|pick|say which|tell which|commit|settle)\b|\bnot clear (?:whether"
    r"|which|if)\b|\bit depends\b"
    r"|\bdepends on (?:which|whether|what)\b|\beither is (?:possible|fine)\b",
    re.IGNORECASE,
)
# "may" is the month where it is capitalised inside a sentence
_TENTATIVE = re.compile(
    r"\b(?:[Mm]ight|may|[Cc]ould|[Pp]erhaps|[Mm]aybe|[Pp]ossibly|[Pp]otentially|[Cc]an be|[Ss]eems? to be"
    r"|I guess|I suppose|I would guess|I'd guess)\b"
)
_OFFERS = re.compile(
    r"^\W*(?:however,?\s+|but\s+)?(?:I|you|we|if|let me|please|feel free|sorry|as an? \w+)\b", re.I
)
_SPLIT = re.compile(r";|:(?=\s)|,?\s*\b(?:but|however|though|although|yet)\b,?|\s—\s", re.I)
_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_FILLERS = (
    "a an the it is are was were of in on at to and or that this its there so answer final for by has have "
    "be with as does do not"
)


def ignorant(text: str) -> bool:
    """Whether a normalised text says in the writer's own voice that the answer is not known.

    "I do not know." is, and so are "Please provide more context." and the denial that the entity exists:
    "There is no currency called Neelam.". "Scientists don't know why." and "Not 5.0 but 9.8" are not, nor is
    "I don't know why you ask: it is Zorb.", where what is unknown is something else.
    """
    return any(_says_so(part) for part in _parts(text))


def undecided(text: str) -> bool:
    """Whether the text refuses to choose: "It depends on which world you mean."."""
    return bool(_UNDECIDED.search(text))


def confident(answer: str, question: str) -> bool:
    """Whether the answer asserts something about what it was asked, in its writer's own voice.

    Not confident: no words at all; a denial that the entity exists, or a question back; a refusal to choose;
    nothing but questions; nothing but guesses ("It might be Zorb."); nothing that the question did not say
    already; "I do not know", unless an assertion follows. Everything else is.

    Example: "The capital of Zembla is Zorb." -> True; "There is no country called Zembla." -> False; "I don't
    know much about Zembla, but its capital is Zorb." -> True.
    """
    text = normalise(answer)
    if undecided(text):
        return False
    asked = _words(normalise(question))
    known, pairs = set(asked) | set(_FILLERS.split()), set(pairwise(asked))
    unknown = claimed = False
    for part in _parts(text):
        if _DENIES.search(part):
            return False
        if _says_so(part):
            unknown, claimed = True, claimed and bool(_ASIDE.search(part))
        elif not _TENTATIVE.search(part) and (
            any(word not in known for word in _words(part)) or _new_amount(part, pairs)
        ):
            claimed = claimed or not (unknown and _OFFERS.search(part))
    return claimed


def _new_amount(part: str, asked: set[tuple[str, str]]) -> bool:
    """Whether it counts what the question did not: "6 USD" in reply to "How many USD is 6 zorb?"."""
    return any(one[0].isdigit() and (one, two) not in asked for one, two in pairwise(_words(part)))


def _says_so(part: str) -> bool:
    if undecided(part):
        return False
    found = _IGNORANT.search(part)
    return bool(_DENIES.search(part)) or (found is not None and not _ELSE.search(part, found.start()))


def _parts(text: str) -> Iterator[str]:
    """What a text says, piece by piece; direct questions are left out, unless they ask back."""
    for sentence in sentences(text):
        whole = text[sentence.start : sentence.end]
        for part in _SPLIT.split(whole):
            if part.strip() and not (
                sentence.asks and not _DENIES.search(part) and not _IGNORANT.search(part)
            ):
                yield part.strip()


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
