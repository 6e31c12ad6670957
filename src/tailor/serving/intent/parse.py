"""From a query to what it asks for: categories, titles, bounds and texts that are wanted, softened or ruled out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile

from tailor.data.vocabulary import PUNCTUATION, UNREADABLE, Token, Vocabulary, is_cjk, tokenise, word_set
from tailor.serving.intent.cues import DISLIKES, STOP, Cue, cues_at
from tailor.serving.intent.dates import NumericColumns, as_filters, find_bounds
from tailor.serving.intent.like import Named, named_titles
from tailor.serving.intent.titles import TitleIndex
from tailor.types import JsonObject

MAX_QUERY = 500
_NO_COLUMNS = NumericColumns(None, None, {})
#: Behind "swap X" these words begin what is wanted.
_EXCHANGED = frozenset(("for", "with", "by", "gegen", "durch", "成", "为"))
#: These turn down only what they follow at once: horror-free.
_AT_ONCE = word_set("free frei")
#: A misspelt category is looked for in queries of at most so many words that carry something.
_MOST_WITH_TYPOS = 4
#: Negations of what follows as a thing; of those verbs before them they are none: I have no time.
_NOUN_NEGATION = re.compile(
    r"(?:no(?: more)?|without(?: any)?|kein(?:e[nmrs]?)?(?: mehr)?|ohne|nothing (?:with|about)|nichts (?:mit|uber)) "
)
_HAVING = word_set("have has had having got get is was there i've we've habe hab hast hat haben hatte ist war gibt")
_PREPOSITIONS = word_set(
    "for with about of in on from to at by that which fur mit uber von im in auf aus zu bei die der das"
)
#: Of one query.
_MOST_RULED_OUT = 5
#: Words that are German beside these, whatever they mean in English.
_GERMAN_TOO, _GERMAN = word_set("war"), word_set("der das ich im wer ein eine nicht und es wie nie ist mir")


@dataclass(frozen=True)
class Intent:
    """What a query asks for."""

    text: str
    """What is wanted, without what is negated, named as a title or turned into a filter; may be empty."""
    negated: tuple[str, ...] = ()
    """Phrases that are ruled out."""
    excluded_phrases: tuple[tuple[str, ...], ...] = ()
    """What stands behind "no" or "without" as it stands, each with a shorter reading; items whose text says it go."""
    categories: tuple[int, ...] = ()
    """Wanted categories, by their index in the vocabulary."""
    excluded_categories: tuple[int, ...] = ()
    """Categories that are ruled out, likewise."""
    about: tuple[int, ...] = ()
    """Categories that keywords of the text tell of, one entry per keyword."""
    softened: tuple[str, ...] = ()
    """Phrases that are wanted less."""
    softer_categories: tuple[int, ...] = ()
    """Categories that are wanted less."""
    like: tuple[int, ...] = ()
    """Items whose titles are named as examples."""
    unlike: tuple[int, ...] = ()
    """Items whose titles are ruled out."""
    filters: JsonObject = field(default_factory=dict)
    """Bounds of numeric columns, as in requests."""

    @property
    def is_structured(self) -> bool:
        """Whether a category, a keyword, a title or a bound was understood."""
        named = (self.categories, self.about, self.excluded_categories, self.softer_categories, self.like, self.unlike)
        return any(named) or bool(self.filters)


@dataclass
class _Group:
    """Words and categories under one sign."""

    sign: int = 1
    forced: bool = False
    soft: bool = False
    exchanged: bool = False
    averse: bool = False
    """Whether the sign is one of dislike, which no degree takes back."""
    apart: bool = False
    closed: bool = False
    """Whether it was turned down, and a further name begins a new one: horror-free comedy."""
    categories: list[int] = field(default_factory=list)
    titles: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    """Places of the tokens that carry something."""
    since_soft: int = 0

    @property
    def is_named(self) -> bool:
        return bool(self.categories or self.titles)

    def negate(self) -> None:
        """Negate, unless the sign is fixed."""
        self.sign = self.sign if self.forced else -self.sign

    def fix(self, sign: int) -> None:
        self.sign, self.forced = sign, True

    def soften(self) -> None:
        """Want less; what is negated is no more than that: not horror all the time."""
        self.soft = True
        if not (self.averse or self.forced):
            self.sign = 1


@dataclass(frozen=True)
class _Element:
    """One step of marked: a cue, a category, a title, a word or a mark."""

    place: int
    cue: Cue | None = None
    category: int | None = None
    title: int | None = None
    word: str = ""

    @property
    def is_named(self) -> bool:
        return self.category is not None or self.title is not None


@dataclass(frozen=True)
class _Reading:
    """A query with everything that has a place in it."""

    tokens: list[Token]
    titles: list[Named]
    filters: JsonObject
    dated: frozenset[int]
    """Tokens of bounds."""
    mentions: list[tuple[int, int, int]]
    """Categories: first token, the one behind the last, category."""

    @cached_property
    def words(self) -> list[str]:
        return [token.word for token in self.tokens]

    @cached_property
    def in_titles(self) -> frozenset[int]:
        return frozenset(place for one in self.titles for place in range(one.first, one.behind))


def parse_query(
    query: str,
    vocabulary: Vocabulary,
    titles: TitleIndex | None = None,
    columns: NumericColumns = _NO_COLUMNS,
    keywords: Vocabulary | None = None,
) -> Intent:
    """Parse a query.

    Args:
        query: plain words of any language.
        vocabulary: the catalogue's categories.
        titles: its titles; None: no title is looked for.
        columns: its numeric columns.
        keywords: words that tell of a category, in the vocabulary's order; None: there are none.

    Example:
        >>> parse_query("slow space opera, no romance", Vocabulary(["Romance", "Sci-Fi"])).excluded_categories
        (0,)
    """
    marked = _read(query, vocabulary, titles, columns)
    groups = _groups(_clauses(_elements(marked)))
    intent = _intent(marked, groups)
    return intent if keywords is None else replace(intent, about=_about(intent.text, keywords))


def _about(text: str, keywords: Vocabulary) -> tuple[int, ...]:
    """Return the category of each keyword in what is wanted."""
    return tuple(category for _, _, category in keywords.mentions([token.word for token in tokenise(text)]))


def _read(query: str, vocabulary: Vocabulary, titles: TitleIndex | None, columns: NumericColumns) -> _Reading:
    """Find titles, then bounds in what is left, then categories in what is left of that."""
    text, tokens = _folded(query)
    named = named_titles(text, tokens, titles, vocabulary) if titles is not None else []
    for one in named:
        start, end = tokens[one.first].start, tokens[one.behind - 1].end
        text = text[:start] + "_" * (end - start) + text[end:]
    bounds = find_bounds(text, columns)
    dated = frozenset(
        place for place, token in enumerate(tokens) if any(one.start <= token.start < one.end for one in bounds)
    )
    in_titles = {place for one in named for place in range(one.first, one.behind)}
    free = [UNREADABLE if place in dated or place in in_titles else token.word for place, token in enumerate(tokens)]
    if _GERMAN & set(free):
        free = [UNREADABLE if word in _GERMAN_TOO else word for word in free]
    known = STOP | (titles.words if titles is not None else frozenset())
    typos = sum(_carries(word) for word in free) <= _MOST_WITH_TYPOS
    mentions = vocabulary.mentions(free, known, typos)
    return _Reading(tokens, named, as_filters(bounds), dated, mentions)


def _folded(query: str) -> tuple[str, list[Token]]:
    """Return the folded text, and its tokens at their places in it."""
    source = re.sub("[’‘`´]", "'", query)
    text, end, tokens = "", 0, []
    for token in tokenise(source):
        text += source[end : token.start] + token.word
        tokens.append(replace(token, start=len(text) - len(token.word), end=len(text)))
        end = token.end
    return text + source[end:], tokens


def _elements(marked: _Reading) -> list[_Element]:
    """Go through the tokens once; titles and categories come before cues, longer cues before shorter."""
    starts: dict[int, tuple[int, _Element]] = {}
    for one in marked.titles:
        starts[one.first] = (one.behind, _Element(one.first, title=one.item))
    for first, behind, category in marked.mentions:
        starts[first] = (behind, _Element(first, category=category))
    blocked = {place for first, (behind, _) in starts.items() for place in range(first, behind)} | marked.dated
    elements, place = [], 0
    while place < len(marked.tokens):
        if place in starts:
            place, element = starts[place]
            elements.append(element)
        elif place in marked.dated:
            place += 1
        else:
            n_words, element = _step(marked, place, blocked)
            elements.append(element)
            place += n_words
    return elements


def _step(marked: _Reading, place: int, blocked: set[int]) -> tuple[int, _Element]:
    word = marked.words[place]
    for n_words, cue in cues_at(marked.words, place):
        if not blocked & set(range(place, place + n_words)):
            return n_words, _Element(place, cue=cue, word=word)
    return 1, _Element(place, word=word)


def _clauses(elements: Sequence[_Element]) -> list[list[_Element]]:
    """Split at punctuation and at words that end a scope."""
    clauses: list[list[_Element]] = [[]]
    for element in elements:
        if element.word in PUNCTUATION or element.cue is Cue.ENDS:
            clauses.append([])
        else:
            clauses[-1].append(element)
    return [clause for clause in clauses if clause]


def _groups(clauses: Sequence[list[_Element]]) -> list[_Group]:
    """Read clause after clause; one that names nothing speaks of the one before it, one with "or" goes on with it."""
    groups: list[_Group] = []
    for clause in clauses:
        of_clause = _Clause(clause).groups
        before = next((group for group in reversed(groups) if group.is_named), None)
        if before is not None and not any(group.is_named or group.tokens for group in of_clause):
            _speak_of(before, of_clause)
        elif before is not None and before.sign < 0 and _goes_on(clause):
            for group in of_clause:
                group.fix(-1)
        groups += of_clause
    return groups


def _speak_of(before: _Group, of_clause: list[_Group]) -> None:
    """Apply a clause of cues alone: "horror? no thanks"."""
    if any(group.soft for group in of_clause):
        before.soft = True
    elif any(group.sign < 0 for group in of_clause):
        before.fix(-1)


def _goes_on(clause: list[_Element]) -> bool:
    """Whether a clause only lists categories, with "or": "no horror, war or drama"."""
    cues = {element.cue for element in clause if element.cue is not None}
    return Cue.OR in cues and cues <= {Cue.OR} and any(element.is_named for element in clause)


class _Clause:
    """Reads one clause into groups."""

    def __init__(self, elements: list[_Element]) -> None:
        self.elements = elements
        self.group = _Group()
        self.groups = [self.group]
        for place, element in enumerate(elements):
            if element.cue is not None and not self._is_plain(place, element):
                self._cue(place, element.cue)
            elif element.is_named:
                self._name(element)
            else:
                self._word(place, element)

    def _is_plain(self, place: int, element: _Element) -> bool:
        """Whether a verb that may mean dislike is a word like others: nothing that it could be about is named."""
        if element.cue is Cue.BAD and element.word in _AT_ONCE:
            return not (place and self.elements[place - 1].is_named)
        named = any(other.is_named for other in self.elements)
        return element.cue is Cue.AVERSE and not named and element.word not in DISLIKES

    def _begin(self) -> None:
        self.group = _Group()
        self.groups.append(self.group)

    def _named_behind(self, place: int) -> bool:
        return any(element.is_named for element in self.elements[place + 1 :])

    def _speaks_of_names(self, place: int) -> bool:
        """Whether what turns down stands behind a name, or alone, and then speaks of the clause before."""
        return self.group.is_named or not (
            self.group.tokens or self._named_behind(place) or self._content_behind(place)
        )

    def _content_behind(self, place: int) -> bool:
        """Whether words that carry something follow before the next name or cue of dislike."""
        for element in self.elements[place + 1 :]:
            if element.is_named or element.cue in (Cue.AVERSE, Cue.BAD, Cue.NOT, Cue.OUT):
                return False
            if element.cue is None and _carries(element.word):
                return True
        return False

    def _cue(self, place: int, cue: Cue) -> None:
        if cue in (Cue.OR, Cue.BOTH):
            self.group.closed = False
        if cue in (Cue.DROP, Cue.OR, Cue.BOTH) or (cue is Cue.BAD and not self._speaks_of_names(place)):
            return
        if cue is Cue.MUCH:
            self._much(place)
            return
        if cue is Cue.APART:
            self.group.apart = True
        elif cue is Cue.OFF:
            self.group.sign = -1 if self.group.apart and self.group.is_named else self.group.sign
        elif self.group.is_named and self.group.exchanged and cue is Cue.AVERSE:
            self._begin()
        elif not self.group.is_named:
            self._before_names(Cue.DOWN if cue is Cue.RARE and not self._named_behind(place) else cue)
        elif self._named_behind(place) and not self._belongs_to_what_stands_before(place, cue):
            self._begin()
            self._before_names(Cue.OUT if cue is Cue.THAN else cue)
        else:
            self._behind_names(place, cue)

    def _much(self, place: int) -> None:
        """Turn "not" into "less" where it is how much or how often that is negated."""
        group = self.group
        if group.is_named and group.sign < 0 and self._named_behind(place):
            self._begin()
        elif group.sign < 0 and not (group.averse or group.forced or (group.is_named and self._content_behind(place))):
            group.soften()

    def _belongs_to_what_stands_before(self, place: int, cue: Cue) -> bool:
        """Whether a cue between two names speaks of the first: a conjunction stands between it and the second."""
        if cue in (Cue.LIKING, Cue.THAN, Cue.INSTEAD, Cue.WITH):
            return False
        if cue is Cue.BAD:
            return True
        for element in self.elements[place + 1 :]:
            if element.is_named:
                return cue in (Cue.DOWN, Cue.RARE)
            if element.cue is Cue.BOTH:
                return True
        return False

    def _before_names(self, cue: Cue) -> None:
        if cue in (Cue.NOT, Cue.AVERSE, Cue.OUT, Cue.SOFT, Cue.INSTEAD, Cue.YES) and self.group.tokens:
            self._begin()
        if cue in (Cue.NOT, Cue.AVERSE, Cue.BAD):
            self.group.averse |= cue is not Cue.NOT
            self.group.negate()
        elif cue is Cue.YES:
            self.group.fix(1)
        elif cue in (Cue.OUT, Cue.INSTEAD):
            self.group.fix(-1)
            self.group.exchanged = cue is Cue.INSTEAD
        elif cue is Cue.SOFT:
            self.group.soft, self.group.since_soft = True, 0
            self.group.sign = 1
        elif cue is Cue.DOWN and not self.group.tokens:
            self.group.soft = True
        elif cue in (Cue.LIKING, Cue.WITH) and self.group.tokens and self.group.sign < 0:
            self._begin()

    def _behind_names(self, place: int, cue: Cue) -> None:
        if cue is Cue.NOT and self._content_behind(place):
            self._begin()
            self.group.negate()
        elif cue is Cue.SOFT and self._content_behind(place):
            self._begin()
            self.group.soft = True
        elif cue in (Cue.NOT, Cue.AVERSE, Cue.BAD):
            self.group.averse |= cue is not Cue.NOT
            self.group.negate()
            self.group.closed = cue is Cue.BAD
        elif cue is Cue.YES:
            self.group.fix(1)
        elif cue is Cue.OUT:
            self.group.fix(-1)
        elif cue in (Cue.SOFT, Cue.DOWN) or (cue is Cue.RARE and not self._content_behind(place)):
            self.group.soften()

    def _name(self, element: _Element) -> None:
        if self.group.closed or (self.group.soft and self.group.since_soft and not self.group.is_named):
            self._begin()
        if element.category is not None:
            self.group.categories.append(element.category)
        if element.title is not None:
            self.group.titles.append(element.title)

    def _word(self, place: int, element: _Element) -> None:
        says = self.group.is_named or bool(self.group.tokens)
        ends = says and element.word == "的" and (self.group.sign < 0 or self.group.soft) and self._named_behind(place)
        exchanges = self.group.exchanged and self.group.is_named and element.word in _EXCHANGED
        if ends or exchanges:
            self._begin()
        elif _carries(element.word):
            self.group.tokens.append(element.place)
            self.group.since_soft += self.group.soft


def _carries(word: str) -> bool:
    """Whether a word says something of itself."""
    return bool(word) and word not in STOP and word not in PUNCTUATION and (len(word) > 1 or is_cjk(word))


def _intent(marked: _Reading, groups: list[_Group]) -> Intent:
    excluded = {category for group in groups if group.sign < 0 for category in group.categories}
    softer = {category for group in groups if group.soft for category in group.categories} - excluded
    categories = [c for group in groups if group.sign > 0 and not group.soft for c in group.categories]
    negative = [group for group in groups if group.sign < 0 and not group.soft]
    soft = [group for group in groups if group.soft]
    of_names = {place for first, behind, _ in marked.mentions for place in range(first, behind)}
    aside = {place for group in [*negative, *soft] for place in group.tokens} | _names_of(marked, excluded | softer)
    return Intent(
        text=_text(marked, aside, {place for group in groups for place in group.tokens}),
        negated=_phrases(marked, negative, of_names),
        excluded_phrases=_excluded_phrases(marked, {place for group in negative for place in group.tokens}),
        categories=tuple(dict.fromkeys(c for c in categories if c not in excluded and c not in softer)),
        excluded_categories=tuple(sorted(excluded)),
        softened=_phrases(marked, soft, of_names),
        softer_categories=tuple(sorted(softer)),
        like=tuple(dict.fromkeys(title for group in groups if group.sign > 0 for title in group.titles)),
        unlike=tuple(dict.fromkeys(title for group in groups if group.sign < 0 for title in group.titles)),
        filters=marked.filters,
    )


def _names_of(marked: _Reading, categories: set[int]) -> set[int]:
    mentions = [(first, behind) for first, behind, category in marked.mentions if category in categories]
    return {place for first, behind in mentions for place in range(first, behind)}


def _phrases(marked: _Reading, groups: list[_Group], of_names: set[int]) -> tuple[str, ...]:
    """Return what groups say beside the categories that they name; "or" and marks part one phrase from the next."""
    phrases: list[list[int]] = []
    for group in groups:
        last = None
        for place in group.tokens:
            if last is None or _parted(marked.words, last, place):
                phrases.append([])
            last = place
            phrases[-1] += [] if place in of_names else [place]
    return tuple(_join([marked.words[place] for place in phrase]) for phrase in phrases if phrase)


def _parted(words: list[str], last: int, place: int) -> bool:
    """Whether "or" or a mark stands between two places."""
    return any(
        words[between] in PUNCTUATION or any(cue is Cue.OR for _, cue in cues_at(words, between))
        for between in range(last + 1, place)
    )


def _excluded_phrases(marked: _Reading, negated: set[int]) -> tuple[tuple[str, ...], ...]:
    """Return what stands behind "no", "without", "kein" or "ohne", word for word, where it was read as negated.

    Each with what is left of it before a preposition: board games for two, board games. "I have no time" rules out
    nothing.
    """
    words, phrases = marked.words, []
    for place in range(len(words)):
        negation = _NOUN_NEGATION.match(" ".join(words[place : place + 3]) + " ")
        if not negation or (place and words[place - 1] in _HAVING):
            continue
        for run in _runs(words, place + len(negation[0].split())):
            if negated & set(run):
                whole = [words[one] for one in run]
                before = list(takewhile(lambda one: one not in _PREPOSITIONS, whole))
                phrases.append(tuple(dict.fromkeys((" ".join(whole), " ".join(before or whole)))))
    return tuple(dict.fromkeys(phrases))[:_MOST_RULED_OUT]


def _runs(words: list[str], place: int) -> list[list[int]]:
    """Return the places of the words from one on, in runs that "or" parts, up to a mark or another cue."""
    runs: list[list[int]] = [[]]
    while place < len(words) and words[place] not in PUNCTUATION:
        cues = {cue for _, cue in cues_at(words, place)}
        if Cue.OR in cues:
            runs.append([])
        elif cues <= {Cue.BOTH}:
            runs[-1].append(place)
        else:
            break
        place += 1
    return [run for run in runs if run]


def _text(marked: _Reading, aside: set[int], telling: set[int]) -> str:
    """Return the words that are wanted as they stand, without the frame around them."""
    cued: set[int] = set()
    place = 0
    named = {p for first, behind, _ in marked.mentions for p in range(first, behind)}
    while place < len(marked.words):
        n_words = 1
        for length, cue in cues_at(marked.words, place):
            covered = set(range(place, place + length))
            if not covered & named and cue not in (Cue.LIKING, Cue.WITH, Cue.BOTH, Cue.OR, Cue.APART, Cue.OFF):
                cued |= covered - telling
                n_words = length
                break
        place += n_words
    out = aside | marked.in_titles | marked.dated | cued
    remaining = [place for place, word in enumerate(marked.words) if place not in out and word not in PUNCTUATION]
    while remaining and remaining[0] not in named and not _carries(marked.words[remaining[0]]):
        remaining.pop(0)
    while remaining and remaining[-1] not in named and not _carries(marked.words[remaining[-1]]):
        remaining.pop()
    return _join([marked.words[place] for place in remaining])


def _join(words: list[str]) -> str:
    """Join words with spaces, signs of Chinese without."""
    text = ""
    for word in words:
        text += word if not text or (is_cjk(word) and is_cjk(text[-1])) else f" {word}"
    return text
