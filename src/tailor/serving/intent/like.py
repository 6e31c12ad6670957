"""Titles that a text names as examples of what is wanted: something like Star Wars, I loved Fargo, 类似 Toy Story."""

import re
from dataclasses import dataclass

from tailor.data.vocabulary import Token, Vocabulary, is_cjk
from tailor.serving.intent.cues import STOP
from tailor.serving.intent.titles import Key, TitleIndex, title_key

_YEAR = re.compile(r"(?:18|19|20)\d\d")
#: Behind these a title is expected, even of one word in lower case.
_BEFORE = re.compile(
    r"(?:\b(?:something|anything|things|stuff|movies?|films?|shows?|series|anime|one|ones|"
    r"more|books?|games?|exactly|just"
    r"|kind of|a bit|much|close|close to|be|is|are|feels?|looks?) like|\bsimilar (?:to|as|"
    r"with)|\bsuch as|\balong the lines"
    r" of|\bin the (?:vein|style|spirit|manner|mould|tradition) of|\breminds? me of|"
    r"\breminding me of|\breminiscent of"
    r"|\bclose(?:st)? to|\bcomparable (?:to|with)|\brelated to|\bresembl(?:es|ing)|"
    r"\bsame (?:vibe|feel|mood|style) as|\bakin to"
    r"|\bas (?:good|funny|scary|dark|great|exciting|sad|beautiful|clever|fun|smart) as|"
    r"\b(?:fans?|lovers?|friends?) of|^like|, like"
    r"|\b(?:ahnlich(?:e[rs]?)? (?:wie|zu)|so (?:etwas|was|ein|eine|einen)? ?wie|etwas wie|"
    r"so wie|filme? wie|serien? wie|genau wie"
    r"|vergleichbar mit|im stil von|im stile von|in der art von|a la|erinnert an|fans? von|^wie)"
    r"|类似于?|像|如同|好比|相似于|同款|风格像)\W*(?:the (?:movie|film|show|series)\W*|dem film\W*|der serie\W*)?$"
)
#: Behind these a title may stand: one that is written with a capital letter, or of several words.
_WEAK_BEFORE = re.compile(
    r"(?:\b(?:like|liked|likes|love|loved|loves|adored?|enjoyed?|watched|watch|rewatch(?:ed)?|"
    r"saw|seen|binged|finished|after|another"
    r"|next|new|favou?rite(?: \w+)? is|favou?rite|prefer(?:red)?|into|the same as|more of|"
    r"more|for fans of|obsessed with|of|to"
    r"|mochte|mag|liebe|liebte|geliebt|gesehen|nach|von|fand|gefiel|mehr|wie)"
    r"|喜欢|爱|看过|看完|看了|跟|和|与|求|刷完|最爱|想看)\W*(?:the (?:movie|film|show|"
    r"series)\W*|die |der |das |den )?$"
)
_BEHIND = re.compile(
    r"^\W*(?:and (?:things|stuff|films|movies|shows|others?|the like|similar)|or (?:similar|"
    r"something like it|the like)|(?:what|anything|something)"
    r" (?:next|now|else|similar|like it|like that)|what (?:should|do|can|to)|again|is (?:my|"
    r"the best|great|one of)|was (?:great|amazing|brilliant|good|awesome)"
    r"|-?like\b|style|-?esque|vibes?|type|lookalikes?|fans?\b|mehr davon|bitte mehr|"
    r"und (?:ahnlich|so)|oder (?:ahnlich|so)|geliebt|gesehen|gemocht"
    r"|gefallen|hat mir|fand ich|war (?:toll|super|gro)|ahnlich|差不多|一样|同类|那样|那种|"
    r"这样|这么|这种|之类|类似|风格|似的|一类|的同类|很好看|好看)"
)
#: Signs before and behind a title that are looked at.
_NEAR = 60
_QUOTES = "\"'“”„«»《》「」『』"


@dataclass(frozen=True)
class Named:
    """A title in a text."""

    first: int
    behind: int
    """Token behind the last."""
    item: int


def named_titles(text: str, tokens: list[Token], index: TitleIndex, vocabulary: Vocabulary) -> list[Named]:
    """Return the titles that a text names, in order; the longest first where two overlap.

    Args:
        text: folded; tokens stand at their ``start`` and ``end`` in it.
        tokens: of the text.
        index: of the catalogue.
        vocabulary: whose names and aliases are no titles, unless they stand in quotes.
    """
    whole = _whole(tokens, index, vocabulary)
    if whole is not None:
        return [whole]
    named: list[Named] = []
    taken: set[int] = set()
    for length in range(min(index.longest + 1, len(tokens)), 0, -1):
        for first in range(len(tokens) - length + 1):
            behind = first + length
            if taken & set(range(first, behind)):
                continue
            item = _title_at(text, tokens, first, behind, index, vocabulary)
            if item is not None:
                named.append(Named(first, behind, item))
                taken |= set(range(first, behind))
    return sorted(named, key=lambda one: one.first)


def _whole(tokens: list[Token], index: TitleIndex, vocabulary: Vocabulary) -> Named | None:
    """Return the title that the text is, marks aside; a misspelt one too."""
    inner = [place for place, token in enumerate(tokens) if not token.is_punctuation]
    if not inner:
        return None
    first, behind = inner[0], inner[-1] + 1
    key = _key(tokens[first:behind])
    bare = [token.word for token in tokens[first:behind]]
    if not any(_carries(word) for word in key) or _only_categories(bare, vocabulary):
        return None
    item = _exact(key, index)
    if item is None and (len(key) > 1 or len(key[0]) > 6) and not vocabulary.mentions(bare, index.words, typos=True):
        item = index.close(key)
    return None if item is None else Named(first, behind, item)


def _only_categories(bare: list[str], vocabulary: Vocabulary) -> bool:
    """Whether words that carry something are names of categories, all of them."""
    named = {place for first, behind, _ in vocabulary.mentions(bare) for place in range(first, behind)}
    return all(place in named or not _carries(word) for place, word in enumerate(bare))


def _key(tokens: list[Token]) -> Key:
    return title_key(" ".join(token.word for token in tokens))


def _exact(key: Key, index: TitleIndex) -> int | None:
    """Return the item of a title, or of a title with its year behind it."""
    item = index.exact(key)
    if item is None and len(key) > 1 and _YEAR.fullmatch(key[-1]):
        item = index.exact(key[:-1], int(key[-1]))
    return item


def _carries(word: str) -> bool:
    return word not in STOP and (len(word) > 1 or is_cjk(word))


def _title_at(  # noqa: PLR0911  (one return per way in which words are no title)
    text: str, tokens: list[Token], first: int, behind: int, index: TitleIndex, vocabulary: Vocabulary
) -> int | None:
    """Return the item whose title these tokens are, where what stands around them says that they are one."""
    part = tokens[first:behind]
    if part[0].is_punctuation or part[-1].is_punctuation:
        return None
    key = _key(part)
    if not key:
        return None
    lead, rest = text[max(0, part[0].start - _NEAR) : part[0].start], text[part[-1].end : part[-1].end + _NEAR]
    quoted = bool(lead and rest and lead[-1] in _QUOTES and rest[0] in _QUOTES)
    if not quoted and len(key) < 3 and not any(_carries(word) for word in key):
        return None
    strong = bool(_BEFORE.search(lead.rstrip(_QUOTES + " ") or "")) or quoted
    weak = strong or bool(_WEAK_BEFORE.search(lead)) or bool(_BEHIND.search(rest))
    item = _exact(key, index)
    if item is None:
        fuzzy = (strong and _ends(rest)) or (weak and _capital(part) and len(key) > 1)
        return index.close(key) if fuzzy and not vocabulary.find([token.word for token in part]) else None
    if quoted:
        return item
    if _only_categories([token.word for token in part], vocabulary) and not (weak and _capital(part) and len(key) > 2):
        return None
    n_content = sum(_carries(word) for word in key)
    in_cjk = any(is_cjk(token.word) for token in tokens) and not any(is_cjk(word) for word in key)
    capital = _capital(part) and (len(key) > 1 or first > 0 or bool(_BEHIND.search(rest)))
    accepted = (
        strong
        or (len(key) >= 4 and n_content >= 2)
        or (weak and capital)
        or (weak and n_content >= 2)
        or (len(key) > 1 and n_content >= 1 and _capital(part) and first > 0)
        or (in_cjk and max(map(len, key)) > 2)
    )
    return item if accepted else None


def _ends(rest: str) -> bool:
    """Whether a phrase ends here."""
    return bool(re.match(r"\s*(?:$|[,.;:!?，。]|but\b|and\b|without\b|aber\b|的|一样|差不多|那样)", rest))


def _capital(part: list[Token]) -> bool:
    """Whether words are written as titles are: capital letters where they carry something."""
    carrying = [token.raw for token in part if _carries(token.word)] or [part[0].raw]
    return all(raw[0].isupper() or raw[0].isdigit() for raw in carrying) and any(raw[0].isupper() for raw in carrying)
