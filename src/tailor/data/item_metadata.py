"""What is known of items beside behaviour: titles, text, categories, numbers, embeddings, popularity."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.lists import holds_lists
from tailor.data.vocabulary import Vocabulary, fold, forms, is_cjk, words
from tailor.errors import BadInputError, did_you_mean
from tailor.types import JsonObject

CATEGORIES = "categories"
_OWN = (c.ITEM, c.TITLE, c.PIECES, CATEGORIES, c.DOMAIN)
#: Share of a column's filled cells that must be numbers for it to count as numeric.
_NUMERIC_SHARE = 0.9
#: What denies the words behind it; it is looked for so many letters before them.
_DENIES = re.compile(r"(?<!\w)(?:no|non|not|without|zero|kein(?:e[nmrs]?)?|ohne)[\W_]+$")
_BEFORE = 12
#: Pieces that a column of texts may lie in.
_MOST_CHUNKS = 64
_NO_VECTORS = np.zeros((0, 0), np.float32)
_NO_COUNTS = np.zeros(0, np.int64)
_NO_BUCKETS = np.zeros(0, dtype=str)


@dataclass(frozen=True)
class ItemMetadata:
    """One row per item, in the order of the catalogue; re-rankers, metrics and serving read it."""

    table: pd.DataFrame
    """item_id, title, pieces and categories (JSON lists), and numeric columns, NaN where missing."""
    text: JsonObject = field(default_factory=dict)
    """Options by which the texts were written; not part of the file."""
    vectors: NDArray[np.float32] = field(default_factory=lambda: _NO_VECTORS)
    """L2-normalised embeddings (n, m); empty where nothing compares items. Not part of the file."""
    n_train: NDArray[np.int64] = field(default_factory=lambda: _NO_COUNTS)
    """Train interactions (n,), or empty. Not part of the file."""
    bucket: NDArray[np.str_] = field(default_factory=lambda: _NO_BUCKETS)
    """head, tail, cold or unseen (n,), or empty. Not part of the file."""

    @classmethod
    def build(cls, items: pd.DataFrame, pieces: pd.Series, categories: pd.DataFrame) -> Self:
        """Gather what the tables know.

        Args:
            items: the items table.
            pieces: JSON lists of text pieces, in its order.
            categories: long form, item_id and category.
        """
        by_item = categories.groupby(c.ITEM, sort=False)[c.CATEGORY].agg(list)
        title = items[c.TITLE] if c.TITLE in items else items[c.ITEM]
        table = pd.DataFrame({c.ITEM: items[c.ITEM].astype("str"), c.TITLE: title.astype("string").fillna("")})
        table[c.PIECES] = pieces.to_numpy()
        table[CATEGORIES] = [json.dumps(by_item.get(item, []), ensure_ascii=False) for item in items[c.ITEM]]
        if c.DOMAIN in items:
            table[c.DOMAIN] = items[c.DOMAIN].to_numpy()
        internal = {*_OWN, c.N_TRAIN, c.BUCKET, c.PSEUDO_COLD}
        for name in (str(col) for col in items if str(col) not in internal and c.VECTOR_PREFIX not in str(col)):
            if holds_lists(items[name]):
                continue
            numbers = pd.to_numeric(items[name], errors="coerce").astype("float64")
            filled = items[name].notna() & (items[name].astype("string").str.strip() != "")
            if filled.any() and numbers[filled].notna().mean() >= _NUMERIC_SHARE:
                table[name] = numbers
        return cls(table)

    @cached_property
    def titles(self) -> list[str]:
        """(n,)."""
        return self.table[c.TITLE].astype(str).tolist()

    @cached_property
    def pieces(self) -> list[list[str]]:
        """(n,) lists."""
        return [json.loads(cell) for cell in self.table[c.PIECES]]

    @property
    def texts(self) -> list[str]:
        """(n,), the pieces joined."""
        return [". ".join(row) for row in self.pieces]

    @cached_property
    def folded(self) -> list[str]:
        """Titles and texts without case, accents and curly apostrophes (n,), each on one line."""
        joined = (f"{title}. {text}" for title, text in zip(self.titles, self.texts, strict=True))
        return [fold(" ".join(text.replace("\u2019", "'").split())) for text in joined]

    def saying(self, phrase: str) -> NDArray[np.bool_]:
        """Mark the items (n,) whose title or text says a phrase: its words one after the other, singular or plural.

        What is denied is not said: fragrance-free, no fragrance. Texts of Chinese, Japanese and Korean, which do not
        part words, are not read.
        """
        mask, given = np.zeros(len(self.table), dtype=bool), words(phrase)
        if not given or any(is_cjk(word) for word in given):
            return mask
        one_after_another = r"[\W_]+".join(forms(word) for word in given)
        pattern = re.compile(rf"{one_after_another}(?!\w)(?![\W_]*(?:free|frei)\b)")
        text = "\n".join(self.folded)
        starts = np.cumsum([0, *(len(line) + 1 for line in self.folded[:-1])])
        begins = [match.start() for match in pattern.finditer(text) if _is_said(text, match.start())]
        mask[np.searchsorted(starts, begins, side="right") - 1] = True
        return mask

    @cached_property
    def categories(self) -> list[list[str]]:
        """(n,) lists of names."""
        return [json.loads(cell) for cell in self.table[CATEGORIES]]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All categories, by name, with the other words for them that the options of the texts name."""
        return Vocabulary(sorted({name for row in self.categories for name in row}), self._words_of("aliases"))

    @cached_property
    def keywords(self) -> Vocabulary:
        """What texts are about, in the order of :attr:`vocabulary`: words that name no category, but tell of one."""
        return Vocabulary(self.vocabulary.names, self._words_of("keywords"), with_names=False)

    def _words_of(self, option: str) -> dict[str, list[str]]:
        """Join the words of all languages, by category."""
        joined: dict[str, list[str]] = {}
        for of_language in self._category_options.get(option, {}).values():
            for name, others in of_language.items():
                joined.setdefault(name, []).extend(others)
        return joined

    @property
    def descriptions(self) -> dict[str, str]:
        """What categories are about, by name, as the options of the texts say it."""
        return dict(self._category_options.get("descriptions", {}))

    @property
    def _category_options(self) -> JsonObject:
        options: JsonObject = self.text.get("categories", {})
        return options

    @cached_property
    def category_matrix(self) -> sparse.csr_matrix:
        """0/1 (n, C), columns in the order of :attr:`vocabulary`."""
        index_of = {name: index for index, name in enumerate(self.vocabulary.names)}
        members = [(row, index_of[name]) for row, names in enumerate(self.categories) for name in dict.fromkeys(names)]
        rows, columns = np.array(members, dtype=np.int64).reshape(-1, 2).T
        shape = (len(self.table), len(index_of))
        return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)

    @cached_property
    def tail(self) -> NDArray[np.bool_]:
        """Items of the bucket "tail" (n,)."""
        return np.asarray(self.bucket == c.TAIL)

    @property
    def numeric_columns(self) -> list[str]:
        """Names of the numeric columns."""
        return [str(name) for name in self.table if name not in _OWN]

    def matching(self, filters: Mapping[str, object]) -> NDArray[np.bool_]:
        """Mark the items (n,) that pass filters: ``categories`` (any of a list), numeric columns (min, max).

        Raises:
            BadInputError: a filter or category that the catalogue does not have, or bounds that are no numbers.
        """
        keep, known = np.ones(len(self.table), dtype=bool), [CATEGORIES, *self.numeric_columns]
        for name, condition in filters.items():
            if name == CATEGORIES:
                keep &= self._in_categories(condition)
            elif name in self.numeric_columns:
                low, high = _bounds(name, condition)
                column = self.table[name].to_numpy()
                keep &= (column >= low) & (column <= high)
            else:
                hint = did_you_mean(name, known)
                raise BadInputError(f"Unknown filter '{name}'.{hint} This catalogue has: {', '.join(known)}.")
        return keep

    def _in_categories(self, condition: object) -> NDArray[np.bool_]:
        names = [condition] if isinstance(condition, str) else condition
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise BadInputError(f"categories = {condition!r}: a name or a list of names is needed")
        index_of = {name.lower(): index for index, name in enumerate(self.vocabulary.names)}
        for name in names:
            if name.lower() not in index_of:
                hint = did_you_mean(name, self.vocabulary.names)
                raise BadInputError(f"Unknown category '{name}'.{hint} Known: {', '.join(self.vocabulary.names)}.")
        chosen = [index_of[name.lower()] for name in names]
        return np.asarray(self.category_matrix[:, chosen].sum(axis=1)).ravel() > 0

    def take(self, rows: NDArray[np.int64]) -> "ItemMetadata":
        """Return some of the items."""
        return self._parts(self.table.iloc[rows].reset_index(drop=True), [self], rows)

    def with_rows(self, rows: NDArray[np.int64], other: "ItemMetadata") -> "ItemMetadata":
        """Return the same items, of which ``rows`` (a,) are what ``other`` says; columns that it lacks stay."""
        table = self.table.copy()
        for name in other.table:
            column = table[name].to_numpy(copy=True)
            column[rows] = other.table[name].to_numpy()
            table[name] = column
        return replace(self, table=table)

    def concat(self, other: "ItemMetadata") -> "ItemMetadata":
        """Return these items and more behind them."""
        table = pd.concat([self.table, other.table], ignore_index=True)
        grown = self._parts(_joined_chunks(table), [self, other], None)
        self._carry(grown, other)
        return grown

    def _carry(self, grown: "ItemMetadata", other: "ItemMetadata") -> None:
        """Hand on what was read out of the table already, with what ``other`` adds to it."""
        known, added = self.__dict__, grown.__dict__
        for name in ("titles", "pieces", "folded", "categories"):
            if name in known:
                added[name] = known[name] + getattr(other, name)
        names = {name for row in other.categories for name in row}
        if "vocabulary" not in known or not names <= set(self.vocabulary.names):
            return
        for name in ("vocabulary", "keywords"):
            if name in known:
                added[name] = known[name]
        if "category_matrix" in known:
            more = replace(other, text=self.text)
            more.__dict__["vocabulary"] = self.vocabulary
            added["category_matrix"] = sparse.csr_matrix(sparse.vstack([self.category_matrix, more.category_matrix]))

    def _parts(
        self, table: pd.DataFrame, parts: "list[ItemMetadata]", rows: NDArray[np.int64] | None
    ) -> "ItemMetadata":
        """Return an object with ``table``; arrays that every part has are joined, and cut to ``rows``."""
        arrays: JsonObject = {}
        for name in ("vectors", "n_train", "bucket"):
            columns = [getattr(part, name) for part in parts]
            if all(len(column) == len(part.table) for column, part in zip(columns, parts, strict=True)):
                joined = np.concatenate(columns)
                arrays[name] = joined if rows is None else joined[rows]
        return ItemMetadata(table, self.text, **arrays)

    def with_arrays(
        self,
        vectors: NDArray[np.float32] | None = None,
        n_train: NDArray[np.int64] | None = None,
        bucket: NDArray[np.str_] | None = None,
    ) -> "ItemMetadata":
        """Return the same items with embeddings, train counts or buckets; what is None stays."""
        given = {"vectors": vectors, "n_train": n_train, "bucket": bucket}
        changes: JsonObject = {name: value for name, value in given.items() if value is not None}
        return replace(self, **changes)

    def save(self, path: Path) -> None:
        """Write the table as parquet."""
        self.table.to_parquet(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        return cls(pd.read_parquet(path))


def _is_said(text: str, start: int) -> bool:
    """Whether a word begins at a place of a text, and nothing before it denies it."""
    before = text[max(0, start - _BEFORE) : start].rpartition("\n")[2]
    return not before[-1:].isalnum() and not _DENIES.search(before)


def _joined_chunks(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts lie in one piece where appending has left many."""
    for name in table:
        chunks = getattr(getattr(table[name].array, "_pa_array", None), "num_chunks", 0)
        if chunks > _MOST_CHUNKS:
            table[name] = pd.Series(type(table[name].array)(table[name].array._pa_array.combine_chunks()))
    return table


def _bounds(name: str, condition: object) -> tuple[float, float]:
    if not isinstance(condition, Mapping) or set(condition) - {"min", "max"}:
        raise BadInputError(f"Filter {name} = {condition!r}: write {{'min': number, 'max': number}}, either or both")
    try:
        low, high = float(condition.get("min", -np.inf)), float(condition.get("max", np.inf))
    except (TypeError, ValueError):
        raise BadInputError(f"Filter {name} = {condition!r}: min and max must be numbers") from None
    if np.isnan(low) or np.isnan(high):
        raise BadInputError(f"Filter {name} = {condition!r}: min and max must be numbers")
    return low, high
