"""Category names of a catalogue, found in text whatever their case, hyphens or plural."""

import re
from collections.abc import Iterable, Sequence

PUNCTUATION = frozenset(",.;:!?")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[,.;:!?]", re.UNICODE)
#: Words of the longest name that is looked for.
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


class Vocabulary:
    """The names of a catalogue's categories."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._index_of = {self._key(name): index for index, name in reversed(list(enumerate(self.names)))}

    @staticmethod
    def _key(name: str) -> tuple[str, ...]:
        return tuple(stem(word) for word in words(name) if word not in PUNCTUATION)

    def find(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Return the categories named in a list of words, longest names first, no word used twice."""
        stems = [stem(word) for word in tokens]
        categories: list[int] = []
        start = 0
        while start < len(stems):
            index, n_words = self._longest_at(stems, start)
            if index is not None and index not in categories:
                categories.append(index)
            start += n_words
        return tuple(categories)

    def _longest_at(self, stems: list[str], start: int) -> tuple[int | None, int]:
        """Return the longest name that begins at ``start`` (None: no name does), and how many words it takes."""
        for n_words in range(min(_LONGEST, len(stems) - start), 0, -1):
            index = self._index_of.get(tuple(stems[start : start + n_words]))
            if index is not None:
                return index, n_words
        return None, 1
