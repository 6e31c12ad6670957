"""An index of titles as people type them: without accents, articles, punctuation, years, or a letter."""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailor.data.vocabulary import edit_distance, fold, tokenise, tolerance, word_set

_ARTICLES = word_set("the a an der die das ein eine le la les l' un une el los las il lo gli i den det o os as")
_PARENTHESES = re.compile(r"\(([^)]*)\)")
_YEAR = re.compile(r"(?:18|19|20)\d\d")
Key = tuple[str, ...]


def title_key(text: str) -> Key:
    """Fold a title to its words: no case, accents, apostrophes or marks, "&" as "and".

    >>> title_key("Schindler's List"), title_key("Léon & Co.")
    (('schindlers', 'list'), ('leon', 'and', 'co'))
    """
    tokens = tokenise(text.replace("&", " and "))
    return tuple(token.word.replace("'", "") for token in tokens if not token.is_punctuation)


def _article_first(text: str) -> str:
    """Write "Matrix, The" as "The Matrix"."""
    head, comma, last = text.rpartition(", ")
    return f"{last} {head}" if comma and fold(last) in _ARTICLES else text


def title_keys(title: str) -> list[Key]:
    """Return how a title may be typed, the fullest first; what stands before a colon comes last."""
    bare = _PARENTHESES.sub(" ", title).strip()
    names = [_article_first(bare), bare]
    names += [_article_first(part) for part in _PARENTHESES.findall(title) if not _YEAR.fullmatch(part.strip())]
    keys = [title_key(name) for name in names]
    keys += [key[1:] for key in keys if len(key) > 1 and key[0] in _ARTICLES]
    head, colon, _ = names[0].partition(":")
    if colon:
        keys.append(title_key(head))
    return [key for key in dict.fromkeys(keys) if key]


class TitleIndex:
    """Finds items by titles that stand in a text."""

    def __init__(self, titles: Sequence[str], counts: NDArray[np.int64], years: Sequence[float] = ()) -> None:
        """Index titles.

        Args:
            titles: of the items (n,).
            counts: interactions of each (n,): of items of one title, the one with the most is meant.
            years: of each (n,), NaN where unknown; or empty.
        """
        self.counts, self.years = counts, years
        self.items: dict[Key, list[int]] = defaultdict(list)
        shortened: dict[Key, list[int]] = defaultdict(list)
        for item, title in enumerate(titles):
            for place, key in enumerate(title_keys(title)):
                (self.items if place == 0 or ":" not in title else shortened)[key].append(item)
        for key, items in shortened.items():
            self.items.setdefault(key, items)
        self.words = frozenset(word for key in self.items for word in key)
        self.longest = min(max((len(key) for key in self.items), default=1), 12)
        self._with_word: dict[str, list[Key]] = defaultdict(list)
        self._single: dict[str, list[Key]] = defaultdict(list)
        for key in self.items:
            for word in set(key):
                self._with_word[word].append(key)
            if len(key) == 1:
                self._single[key[0][0]].append(key)

    def exact(self, key: Key, year: int | None = None) -> int | None:
        """Return the item of a title; of several, that of the year, else the one with the most interactions."""
        items = self.items.get(key, [])
        if year is not None and len(self.years):
            items = [item for item in items if self.years[item] == year]
        return max(items, key=lambda item: int(self.counts[item])) if items else None

    def close(self, key: Key) -> int | None:
        """Return the item whose title is the nearest within the tolerance for typing errors; None: no title is."""
        text = "".join(key)
        most = tolerance(text)
        if not most:
            return None
        rare = [word for word in key if 0 < len(self._with_word.get(word, ())) <= 500]
        candidates = {other for word in rare for other in self._with_word[word]}
        if len(key) == 1:
            candidates |= set(self._single.get(key[0][0], ()))
        distances = {other: edit_distance(text, "".join(other), most) for other in candidates}
        near = [other for other, distance in distances.items() if distance <= most]
        return self.exact(min(near, key=lambda other: (distances[other], other))) if near else None

    def search(self, text: str, k: int) -> list[int]:
        """Return up to k items whose titles contain every word of a text, the last one perhaps unfinished.

        Where no title does, those with a word within the tolerance for typing errors of each.
        """
        asked = title_key(text)
        year = int(asked[-1]) if len(asked) > 1 and _YEAR.fullmatch(asked[-1]) else None
        matches = self._containing(asked, exactly=True)
        if not matches and year is not None and len(self.years):
            matches = [item for item in self._containing(asked[:-1], exactly=True) if self.years[item] == year]
        return (matches or self._containing(asked, exactly=False))[:k]

    def _containing(self, asked: Key, exactly: bool) -> list[int]:
        def holds(key: Key, word: str) -> bool:
            text = " ".join(key)
            if exactly:
                return word in text
            return any(edit_distance(word, other, tolerance(word)) <= tolerance(word) for other in key)

        matching = (key for key in self.items if all(holds(key, word) for word in asked))
        return sorted({item for key in matching for item in self.items[key]})
