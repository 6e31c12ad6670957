"""Category names of a catalogue, found in text whatever their case, accents, hyphens, plural, language or typing."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

PUNCTUATION = frozenset(",.;:!?，。；：！？—–|")
#: Stands for a word that is a title or a number already.
UNREADABLE = "\0"
#: Scripts that put no space between words: each sign is a token of its own, the vocabulary joins them.
_CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])[^\W_])+(?:'(?:(?![{_CJK}])[^\W_])+)?|[,.;:!?，。；：！？—–|]")
_IS_CJK = re.compile(f"[{_CJK}]")
_ACCENTS = re.compile("[\u0300-\u036f]")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text that only separates them by spaces and lines."""
    return frozenset(text.split())


#: Words that a language joins to a category: Kriegsfilm, Actionserie.
_COMPOUNDS = word_set(
    "film filme filmen films streifen serie serien komodie komodien anime animes buch bucher spiel spiele"
)
#: Signs that follow a category in Chinese; a misspelt one is only looked for before these.
_CJK_ENDS = frozenset("片番剧类")


@dataclass(frozen=True)
class Token:
    """A word, a CJK sign or a punctuation mark."""

    word: str
    """Folded: lower case, no accents, one kind of apostrophe."""
    raw: str
    start: int
    end: int

    @property
    def is_punctuation(self) -> bool:
        """Whether it is a mark."""
        return self.word in PUNCTUATION


def fold(text: str) -> str:
    """Fold case and accents: Léon, leon; Komödie, komodie; Straße, strasse."""
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text.casefold())))


def tokenise(text: str) -> list[Token]:
    """Split text into tokens; a sign of Chinese or Japanese is one of its own."""
    text = re.sub("[’‘`´]", "'", unicodedata.normalize("NFC", text))
    return [Token(fold(match[0]), match[0], match.start(), match.end()) for match in _TOKEN.finditer(text)]


def words(text: str) -> list[str]:
    """Split text into folded words and punctuation."""
    return [token.word for token in tokenise(text)]


def is_cjk(word: str) -> bool:
    """Whether a word begins with a sign of Chinese, Japanese or Korean."""
    return bool(_IS_CJK.match(word))


def forms(word: str) -> str:
    """Return a pattern of a word in the singular and the plural, whichever is given.

    >>> bool(re.fullmatch(forms("zombies"), "zombie")), bool(re.fullmatch(forms("story"), "stories"))
    (True, True)
    """
    singular = {word}
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        singular.add(word[:-1])
        singular |= {word[:-2]} if word.endswith(("ches", "shes", "sses", "xes", "zes", "oes")) else set()
        singular |= {word[:-3] + "y"} if word.endswith("ies") else set()
    every = singular | {one + end for one in singular for end in ("s", "es")}
    every |= {one[:-1] + "ies" for one in singular if one.endswith("y")}
    return f"(?:{'|'.join(re.escape(one) for one in sorted(every, key=lambda one: (-len(one), one)))})"


def stem(word: str) -> str:
    """Fold the plural: comedies, comedy; westerns, western; children's, children."""
    word = word.removesuffix("'s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def edit_distance(a: str, b: str, most: int = 2) -> int:
    """Count the letters added, dropped, exchanged or swapped with their neighbour; ``most`` + 1 where there are more.

    >>> edit_distance("comdey", "comedy"), edit_distance("horor", "horror"), edit_distance("war", "west")
    (1, 1, 3)
    """
    if abs(len(a) - len(b)) > most:
        return most + 1
    before, row = [0] * (len(b) + 1), list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        older, before, row = before, row, [i, *[0] * len(b)]
        for j, other in enumerate(b, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                row[j] = min(row[j], older[j - 2] + 1)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def tolerance(word: str) -> int:
    """Return how many typing errors a word of its length may have: none below 5 letters, 2 from 8 on."""
    return 0 if len(word) < 5 else 1 if len(word) < 8 else 2


class Vocabulary:
    """The names of a catalogue's categories, and other words for them."""

    def __init__(
        self, names: Iterable[str], aliases: Mapping[str, Sequence[str]] | None = None, with_names: bool = True
    ) -> None:
        """Index names and aliases.

        Args:
            names: of the categories; of two that read the same, the first counts.
            aliases: other words by name, of any language; a name comes before an alias. Names that the catalogue does
                not have are passed over.
            with_names: whether the names themselves are found, not the aliases alone.
        """
        self.names = tuple(names)
        index_of = {name: index for index, name in enumerate(self.names)}
        self._index_of: dict[tuple[str, ...], int] = {}
        for index, name in reversed(list(enumerate(self.names)) if with_names else []):
            self._index_of[self._key(name)] = index
        for name, others in (aliases or {}).items():
            if name in index_of:
                for other in others:
                    self._index_of.setdefault(self._key(other), index_of[name])
        self._index_of.pop((), None)
        self._longest = max((len(key) for key in self._index_of), default=1)

    @staticmethod
    def _key(name: str) -> tuple[str, ...]:
        return tuple(stem(word) for word in words(name) if word not in PUNCTUATION)

    def find(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Return the categories named in a list of words, longest names first, no word used twice."""
        return tuple(dict.fromkeys(index for _, _, index in self.mentions(tokens)))

    def mentions(
        self, tokens: Sequence[str], known: Collection[str] = (), typos: bool = False
    ) -> list[tuple[int, int, int]]:
        """Return where categories are named: first word, the one behind the last, category.

        Args:
            tokens: folded words.
            known: words that are no misspelt category, since the catalogue's texts have them.
            typos: whether misspelt categories are looked for.
        """
        stems = [stem(word) for word in tokens]
        named: list[tuple[int, int, int]] = []
        start = 0
        while start < len(stems):
            index, n_words = self._longest_at(stems, start)
            if index is None and typos:
                index, n_words = self._misspelt_at(stems, tokens, start, known)
            if index is not None:
                named.append((start, start + n_words, index))
            start += n_words
        return named

    def _longest_at(self, stems: list[str], start: int) -> tuple[int | None, int]:
        """Return the longest name that begins at ``start`` (None: no name does), and how many words it takes."""
        for n_words in range(min(self._longest, len(stems) - start), 0, -1):
            index = self._index_of.get(tuple(stems[start : start + n_words]))
            if index is not None:
                return index, n_words
        return self._compound(stems[start]), 1

    def _compound(self, word: str) -> int | None:
        """Return the category that a compound begins with: kriegsfilm, actionserie."""
        for end in range(len(word) - 3, 2, -1):
            if word[end:] in _COMPOUNDS:
                head = word[:end]
                for part in (head, head.removesuffix("s"), head.removesuffix("en"), head.removesuffix("n")):
                    if (part,) in self._index_of:
                        return self._index_of[(part,)]
        return None

    def _misspelt_at(
        self, stems: list[str], tokens: Sequence[str], start: int, known: Collection[str]
    ) -> tuple[int | None, int]:
        """Return the one category that the words at ``start`` are within the tolerance of."""
        best: dict[int, tuple[int, int]] = {}
        if stems[start] == UNREADABLE:
            return None, 1
        for key, index in self._index_of.items():
            given = stems[start : start + len(key)]
            if len(given) < len(key) or is_cjk(given[0]) != is_cjk(key[0]):
                continue
            distance = self._distance(key, given, tokens, start, known)
            if distance and (index not in best or distance < best[index][0]):
                best[index] = (distance, len(key))
        if not best:
            return None, 1
        least = min(distance for distance, _ in best.values())
        closest = [(index, n_words) for index, (distance, n_words) in best.items() if distance == least]
        return closest[0] if len(closest) == 1 else (None, 1)

    @staticmethod
    def _distance(
        key: tuple[str, ...], given: list[str], tokens: Sequence[str], start: int, known: Collection[str]
    ) -> int:
        """Return the errors in ``given`` as a misspelt ``key``; 0 where it cannot be that."""
        wrong = [place for place, (a, b) in enumerate(zip(key, given, strict=True)) if a != b]
        if len(wrong) != 1:
            return 0
        if is_cjk(key[0]):
            behind = tokens[start + len(key) : start + len(key) + 1]
            whole = start == 0 and len(key) == 2 and (behind and (behind[0] in _CJK_ENDS or behind[0] == "电"))
            return int(bool(whole and is_cjk(given[wrong[0]])))
        name, word = key[wrong[0]], given[wrong[0]]
        if tokens[start + wrong[0]] in known or word in known or name[0] != word[0]:
            return 0
        most = tolerance(word) if len(key) == 1 else min(len(word) // 4, 2)
        distance = edit_distance(name, word, most)
        return distance if distance <= most else 0
