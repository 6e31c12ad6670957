"""The data card: what a catalogue holds after cleaning and splitting, in figures that say what a run can reach.

Figures are of all cleaned interactions, whatever their split, unless a docstring says otherwise. Ids of users are in
none of them.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from string import Formatter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.config import TextOptions, UserTextOptions
from tailor.data.item_vectors import centres_of, missing_counts
from tailor.data.text import add_reviews, clean_cells, write_pieces
from tailor.data.times import are_dates
from tailor.types import JsonObject

Counts = NDArray[np.int64]

#: Tokens of a language model per word of English; subword tokenizers make between 1.2 and 1.5.
TOKENS_PER_WORD = 1.3
#: Tokens that open and close a text.
SPECIAL_TOKENS = 2
#: What stands for examples that may hold ids of users.
HIDDEN = "(not shown: may hold ids of users)"
#: Lower ends of the groups that counts are shown in.
_EDGES = (0, 1, 2, 3, 6, 11, 21, 51, 101, 1001)
#: Points of the long-tail curve.
_POINTS = 100
#: Most months that are listed one by one.
_MOST_MONTHS = 1200
#: Scripts by the first word of a character's Unicode name; the names of the others are put together.
_SCRIPTS = (
    *("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "ETHIOPIC"),
    *("DEVANAGARI", "BENGALI", "TAMIL", "TELUGU", "THAI", "HANGUL", "HIRAGANA", "KATAKANA", "CJK"),
)
#: Written without spaces, about one token per character.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


@dataclass(frozen=True)
class Group:
    """How many users or items have a number of interactions."""

    label: str
    """The number, or first–last."""
    count: int


@dataclass(frozen=True)
class Sizes:
    """How large the catalogue is, and how uneven."""

    users: int
    """With at least one interaction."""
    items: int
    """Of the items table."""
    items_taken: int
    """With at least one interaction."""
    interactions: int
    sparsity: float
    """1 - interactions / (users × items)."""
    gini: float
    """Gini index of the interactions of all items: 0 if all items are taken alike, near 1 if one takes all."""
    largest_item: str
    """Id of the item with most interactions."""
    largest_share: float
    """Its share of the interactions."""
    median_history: float
    """Median of the interactions per user."""
    short_histories: float
    """Share of the users with fewer than five interactions."""


@dataclass(frozen=True)
class ColumnUse:
    """A column of the items that texts are written from."""

    column: str
    empty: float
    """Share of the items whose cell says nothing."""


@dataclass(frozen=True)
class VectorUse:
    """A column of vectors that items have beside their texts."""

    column: str
    numbers: int
    """Of each vector."""
    missing: int
    """Items without a vector."""


@dataclass(frozen=True)
class Script:
    """A writing system."""

    name: str
    share: float
    """Of all letters of the texts."""


@dataclass(frozen=True)
class Texts:
    """What the language model gets to read: one text per item."""

    columns: list[ColumnUse]
    reviews: bool
    """Whether texts that users wrote join them."""
    empty: float
    """Share of the items without any text."""
    words: dict[str, float]
    """Quantiles (0 %, 25 %, …) of the words of the texts that are not empty."""
    tokens: float
    """Mean tokens of a text as the encoder reads it, estimated; cut off at ``max_length``."""
    max_length: int
    """Tokens that the encoder reads of a text."""
    truncated: float
    """Share of the items whose text is longer, estimated."""
    scripts: list[Script]


@dataclass(frozen=True)
class Times:
    """When interactions took place."""

    present: bool
    """Whether interactions have a timestamp."""
    readable: bool = False
    """Whether timestamps are dates, see :func:`tailor.data.times.are_dates`."""
    first: str = ""
    """ISO date, UTC; the number itself where it is no date."""
    last: str = ""
    constant: bool = False
    """Whether all timestamps are the same."""
    ties: float = 0.0
    """Share of the rows that have the user and the timestamp of another row."""
    months: dict[str, int] | None = None
    """Interactions per month (2015-03); None where times are no dates or span more than a century."""


@dataclass(frozen=True)
class Card:
    """All of it; :meth:`to_json` is what is written."""

    sizes: Sizes
    long_tail: list[tuple[float, float]]
    """Share of the items, the most popular first, and the share of the interactions that they hold together."""
    users_by_history: list[Group]
    items_by_interactions: list[Group]
    texts: Texts
    times: Times
    split: dict[str, dict[str, int]]
    """Counts by label: interactions by split, items and users by bucket."""
    quality: list[JsonObject]
    """What was dropped or repaired; examples that may hold ids of users are not shown."""
    accounts: list[JsonObject]
    """Rows in and out of each table."""
    vectors: list[VectorUse] = field(default_factory=list)
    """Vectors of other kinds than texts, by column; none in most catalogues."""

    def to_json(self) -> JsonObject:
        """Return plain dictionaries and lists."""
        return asdict(self)


def describe(
    interactions: pd.DataFrame,
    items: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    options: TextOptions,
    max_length: int,
    user_text: UserTextOptions | None = None,
) -> Card:
    """Describe a catalogue.

    Args:
        interactions: user_id, item_id, split, and timestamp and text where there are some (N rows).
        items: the item table (n_items rows).
        tables: ``data_summary``, ``data_quality`` and ``data_accounts`` under the names summary, quality and accounts.
        options: how texts are written.
        max_length: tokens that the encoder reads of a text.
        user_text: which texts speak against an item; None: the defaults.

    Raises:
        ConfigurationError: the text template names a column that the items do not have.
    """
    per_user: Counts = np.asarray(interactions[c.USER].value_counts(), dtype=np.int64)
    per_item: Counts = np.asarray(items[c.ITEM].map(interactions[c.ITEM].value_counts()).fillna(0), dtype=np.int64)
    return Card(
        sizes=measure_sizes(per_user, per_item, items[c.ITEM]),
        long_tail=long_tail(per_item),
        users_by_history=group_counts(per_user),
        items_by_interactions=group_counts(per_item),
        texts=measure_texts(items, interactions, options, max_length, user_text),
        times=measure_times(interactions),
        split=split_counts(tables["summary"]),
        quality=_records(hide_users(tables["quality"])),
        accounts=_records(tables["accounts"]),
        vectors=count_vectors(items),
    )


def count_vectors(items: pd.DataFrame) -> list[VectorUse]:
    """Count the numbers of the vectors of each column, and the items that lack one.

    Args:
        items: the item table.
    """
    widths = {name: len(centre) for name, centre in centres_of(items).items()}
    return [VectorUse(name, widths[name], missing) for name, missing in missing_counts(items).items()]


def measure_sizes(per_user: Counts, per_item: Counts, item_ids: pd.Series) -> Sizes:
    """Count users, items and interactions.

    Args:
        per_user: interactions of each user, all positive (n_users,).
        per_item: interactions of each item (n_items,).
        item_ids: in the same order (n_items,).
    """
    total, largest = int(per_item.sum()), int(per_item.argmax())
    return Sizes(
        users=len(per_user),
        items=len(per_item),
        items_taken=int((per_item > 0).sum()),
        interactions=total,
        sparsity=1.0 - total / (len(per_user) * len(per_item)),
        gini=gini(per_item),
        largest_item=str(item_ids.iloc[largest]),
        largest_share=float(per_item[largest] / total),
        median_history=float(np.median(per_user)),
        short_histories=float((per_user < 5).mean()),
    )


def gini(counts: Counts) -> float:
    """Return the Gini index of counts (n,), Σ_j (2j - n - 1) x_(j) / (n Σ x), x ascending; 0 where all are 0."""
    x, n = np.sort(counts).astype(np.float64), len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum())) if counts.any() else 0.0


def long_tail(per_item: Counts) -> list[tuple[float, float]]:
    """Return points (share of the items, share of the interactions they hold), the most popular items first.

    Args:
        per_item: interactions of each item (n_items,).

    Returns:
        From (0, 0) to (1, 1), at most 101 points.
    """
    held = np.r_[0, np.cumsum(-np.sort(-per_item))]
    n, total = len(per_item), max(int(held[-1]), 1)
    ranks = np.unique(np.round(np.linspace(0, n, min(n, _POINTS) + 1)).astype(np.int64))
    return [(float(rank / n), float(held[rank] / total)) for rank in ranks]


def group_counts(counts: Counts) -> list[Group]:
    """Return how many of ``counts`` (n,) fall into 0, 1, 2, 3–5, 6–10, … ; groups above the largest are left out."""
    groups = []
    for low, after in zip(_EDGES, [*_EDGES[1:], None], strict=True):
        if low > counts.max(initial=0):
            break
        inside = counts >= low if after is None else (counts >= low) & (counts < after)
        groups.append(Group(_label(low, after), int(inside.sum())))
    return groups if (counts == 0).any() else groups[1:]


def _label(low: int, after: int | None) -> str:
    if after is None:
        return f"{low:,} and more"
    return str(low) if after == low + 1 else f"{low:,}–{after - 1:,}"


def measure_texts(
    items: pd.DataFrame,
    interactions: pd.DataFrame,
    options: TextOptions,
    max_length: int,
    user_text: UserTextOptions | None = None,
) -> Texts:
    """Measure the texts as ``feature_engineering`` writes them, with what users wrote on train rows.

    Tokens are an estimate, see :func:`estimate_tokens`; what was truncated in truth stands in the provenance of the
    embeddings.

    Args:
        items: the item table.
        interactions: with split, and text where users wrote some.
        options: template, missing cells, reviews.
        max_length: tokens that the encoder reads of a text.
        user_text: which texts speak against an item; None: the defaults.
    """
    pieces = write_pieces(items, options.item_template, options.missing, "feature_engineering.text.item_template")
    reviews = c.TEXT in interactions and options.reviews_per_item > 0
    texts = [". ".join(row) for row in add_reviews(pieces, items, interactions, options, user_text)]
    tokens = estimate_tokens(texts)
    return Texts(
        columns=[
            ColumnUse(name, float((clean_cells(items[name], options.missing) == "").mean()))
            for name in template_columns(options.item_template)
        ],
        reviews=reviews,
        empty=float(np.mean([not text for text in texts])),
        words=_quantiles(np.array([len(text.split()) for text in texts if text])),
        tokens=float(np.minimum(tokens, max_length).mean()),
        max_length=max_length,
        truncated=float((tokens > max_length).mean()),
        scripts=count_scripts(texts),
    )


def template_columns(template: Sequence[str]) -> list[str]:
    """Return the columns that the pieces of a template name, each once, in order."""
    return list(dict.fromkeys(name for piece in template for _, name, _, _ in Formatter().parse(piece) if name))


def estimate_tokens(texts: Sequence[str]) -> NDArray[np.float64]:
    """Estimate the tokens of each text (n,): 1.3 per word, one per character of a script without spaces, and two more.

    No tokenizer is asked, so that the card needs no language model.
    """
    words = np.array([len(_UNSPACED.sub(" ", text).split()) for text in texts], dtype=np.float64)
    unspaced = np.array([len(_UNSPACED.findall(text)) for text in texts], dtype=np.float64)
    return TOKENS_PER_WORD * words + unspaced + SPECIAL_TOKENS


def count_scripts(texts: Sequence[str]) -> list[Script]:
    """Return the scripts of the letters of all texts, the most frequent first; letters of rare scripts are "other"."""
    letters: Counter[str] = Counter()
    for text in texts:
        letters.update(text)
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha():
            scripts[_script(letter)] += count
    total = scripts.total()
    return [Script(name, count / total) for name, count in scripts.most_common()]


def _script(letter: str) -> str:
    words = unicodedata.name(letter, "").split()
    name = next((word for word in words[:2] if word in _SCRIPTS), "other")
    return name if name in ("CJK", "other") else name.title()


def _quantiles(values: NDArray[np.int64]) -> dict[str, float]:
    shares = {"least": 0.0, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "most": 1.0}
    return {name: float(np.quantile(values, share)) for name, share in shares.items()} if len(values) else {}


def measure_times(interactions: pd.DataFrame) -> Times:
    """Say when interactions took place, and how many of a user's share one time.

    Args:
        interactions: with user_id, and timestamp (seconds since 1970) where there is one; rows without are left out.
    """
    timed = interactions.dropna(subset=[c.TIMESTAMP]) if c.TIMESTAMP in interactions else interactions.iloc[:0]
    if timed.empty:
        return Times(present=False)
    seconds = timed[c.TIMESTAMP].astype("float64")
    first, last = float(seconds.min()), float(seconds.max())
    readable = are_dates(seconds)
    return Times(
        present=True,
        readable=readable,
        first=_date(first) if readable else f"{first:g}",
        last=_date(last) if readable else f"{last:g}",
        constant=first == last,
        ties=float(timed.duplicated([c.USER, c.TIMESTAMP], keep=False).mean()),
        months=_months(seconds) if readable else None,
    )


def _date(seconds: float) -> str:
    return str(np.datetime64(int(np.floor(seconds)), "s").astype("datetime64[D]"))


def _months(seconds: pd.Series) -> dict[str, int] | None:
    """Count rows per month, months without any included."""
    days = np.floor(seconds.to_numpy() / 86_400).astype(np.int64).astype("datetime64[D]")
    month = days.astype("datetime64[M]").astype(np.int64)
    low, high = int(month.min()), int(month.max())
    if high - low >= _MOST_MONTHS:
        return None
    counts = np.bincount(month - low, minlength=high - low + 1)
    return {str(np.datetime64(low + place, "M")): int(count) for place, count in enumerate(counts)}


def split_counts(summary: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return counts by label for each group of ``data_summary`` (what, label, count)."""
    counts: dict[str, dict[str, int]] = {}
    for what, label, count in summary[["what", "label", "count"]].itertuples(index=False):
        counts.setdefault(str(what), {})[str(label)] = int(count)
    return counts


def hide_users(quality: pd.DataFrame) -> pd.DataFrame:
    """Return ``data_quality`` without examples that may hold ids of users.

    Examples of the table of users, and of problems that speak of users, are not shown; nor are those of interactions
    whose problem names no column, since they may be whole rows.
    """
    if "examples" not in quality:
        return quality
    columns = (c.ITEM, c.VALUE, c.TIMESTAMP, c.TEXT, c.SPLIT, c.CONTEXT_PREFIX, "event")
    problem, table = quality["problem"].astype(str), quality["table"].astype(str).str.rsplit("/", n=1).str[-1]
    named = np.array([any(name in words for name in columns) for words in problem], dtype=bool)
    of_users = (table == "users").to_numpy() | problem.str.contains("user", case=False).to_numpy(dtype=bool)
    hidden = of_users | ((table == "interactions").to_numpy() & ~named)
    return quality.assign(examples=quality["examples"].mask(hidden & (quality["examples"] != ""), HIDDEN))


def _records(table: pd.DataFrame) -> list[JsonObject]:
    """Return the rows as plain values; whole numbers and text stay, all else becomes text."""

    def plain(value: object) -> object:
        return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)

    return [{str(name): plain(row[name]) for name in table} for row in table.to_dict(orient="records")]
