"""Plain-language wishes: what is asked for, what is ruled out, and which of the catalogue's categories are named.

Negation is found by cue words and the scope behind them, which punctuation or a contrasting word ends: Chapman et al.
2001, "A simple algorithm for identifying negated findings and diseases in discharge summaries" (NegEx).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_QUERY = 500
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[,.;:!?]", re.UNICODE)
_CUES = frozenset(("no", "not", "without", "except", "excluding", "avoid", "never", "non", "nothing", "minus", "don't"))
#: Words that end the scope of a negation, as punctuation does.
_ENDS = frozenset(("but", "with", "instead", "rather", "however", "although", "though", "please"))
#: Words without content behind a cue: "nothing with too much romance", "not a romance", "don't want any romance".
_FILLERS = frozenset(("a", "an", "the", "any", "too", "much", "many", "very", "of", "want", "like", "is", "be", "in"))
_PUNCTUATION = frozenset(",.;:!?")
_LONGEST = 5


def words(text: str) -> list[str]:
    """Split text into lower-case words and punctuation."""
    return _WORD.findall(text.lower().replace("’", "'"))


def stem(word: str) -> str:
    """Fold the plural: comedies, comedy; westerns, western; children's, children."""
    word = word.removesuffix("'s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


@dataclass(frozen=True)
class Wish:
    """A parsed query."""

    text: str
    """What is asked for, without what is ruled out; may be empty."""
    ruled_out: tuple[str, ...]
    """Negated spans."""
    categories: tuple[int, ...]
    """Categories asked for, positions in the vocabulary."""
    without: tuple[int, ...]
    """Categories ruled out."""


class Vocabulary:
    """The catalogue's category names, found in text whatever their case, hyphens or plural."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._by_key = {self._key(name): at for at, name in reversed(list(enumerate(self.names)))}

    @staticmethod
    def _key(name: str) -> tuple[str, ...]:
        return tuple(stem(word) for word in words(name) if word not in _PUNCTUATION)

    def find(self, tokens: list[str]) -> tuple[int, ...]:
        """Return the categories named in a list of words, longest names first, no word used twice."""
        stems, found, at = [stem(word) for word in tokens], list[int](), 0
        while at < len(stems):
            sizes = range(min(_LONGEST, len(stems) - at), 0, -1)
            hit = next(((s, c) for s in sizes if (c := self._by_key.get(tuple(stems[at : at + s]))) is not None), None)
            if hit is not None and hit[1] not in found:
                found.append(hit[1])
            at += hit[0] if hit else 1
        return tuple(found)

    def parse(self, query: str) -> Wish:
        """Take a query apart."""
        wanted, spans, scope = list[str](), list[list[str]](), False
        for word in words(query):
            if word in _CUES:
                scope = True
                spans.append([])
            elif scope and (word in _PUNCTUATION or (word in _ENDS and spans[-1])):
                scope = False
            elif scope:
                if word not in _FILLERS and word not in _ENDS:
                    spans[-1].append(word)
            else:
                wanted.append(word)
        # "and"/"or" behind a cue go on: "no romance or drama".
        without = {c for span in spans for c in self.find(span)}
        categories = tuple(c for c in self.find(wanted) if c not in without)
        text = " ".join(word for word in wanted if word not in _PUNCTUATION)
        ruled_out = tuple(" ".join(w for w in span if w not in ("and", "or", "nor")) for span in spans)
        return Wish(text, tuple(span for span in ruled_out if span), categories, tuple(sorted(without)))
