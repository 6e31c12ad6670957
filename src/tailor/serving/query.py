"""Plain-language queries: what is wanted, what is negated, and which of the catalogue's categories are named.

Negation is found by cue words and the scope behind them, which punctuation or a contrasting word ends: Chapman et al.
2001, "A simple algorithm for identifying negated findings and diseases in discharge summaries" (NegEx).
"""

from dataclasses import dataclass

from tailor.data.vocabulary import PUNCTUATION, Vocabulary, words

MAX_QUERY = 500
_CUES = frozenset(("no", "not", "without", "except", "excluding", "avoid", "never", "non", "nothing", "minus", "don't"))
#: Words that end the scope of a negation, as punctuation does.
_ENDS = frozenset(("but", "with", "instead", "rather", "however", "although", "though", "please"))
#: Words without content behind a cue: "nothing with too much romance", "not a romance", "don't want any romance".
_FILLERS = frozenset(("a", "an", "the", "any", "too", "much", "many", "very", "of", "want", "like", "is", "be", "in"))
#: Conjunctions that go on with a negation: "no romance or drama".
_CONJUNCTIONS = frozenset(("and", "or", "nor"))


@dataclass(frozen=True)
class ParsedQuery:
    """What a query asks for."""

    text: str
    """What is wanted, without what is negated; may be empty."""
    negated: tuple[str, ...]
    """Negated phrases."""
    categories: tuple[int, ...]
    """Wanted categories, by their index in the vocabulary."""
    excluded_categories: tuple[int, ...]
    """Negated categories, likewise."""


def parse_query(query: str, vocabulary: Vocabulary) -> ParsedQuery:
    """Parse a query.

    Example:
        >>> parse_query("slow space opera, no romance", Vocabulary(["Romance", "Sci-Fi"]))
        ParsedQuery(text='slow space opera', negated=('romance',), categories=(), excluded_categories=(0,))
    """
    positive, phrases = _scopes(words(query))
    excluded = {category for phrase in phrases for category in vocabulary.find(phrase)}
    categories = tuple(category for category in vocabulary.find(positive) if category not in excluded)
    text = " ".join(word for word in positive if word not in PUNCTUATION)
    negated = (" ".join(word for word in phrase if word not in _CONJUNCTIONS) for phrase in phrases)
    return ParsedQuery(text, tuple(phrase for phrase in negated if phrase), categories, tuple(sorted(excluded)))


def _scopes(tokens: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return the words outside every negation, and the words of each negation."""
    positive: list[str] = []
    phrases: list[list[str]] = []
    negating = False
    for word in tokens:
        if word in _CUES:
            negating = True
            phrases.append([])
        elif negating and (word in PUNCTUATION or (word in _ENDS and phrases[-1])):
            negating = False
        elif negating:
            if word not in _FILLERS and word not in _ENDS:
                phrases[-1].append(word)
        else:
            positive.append(word)
    return positive, phrases
