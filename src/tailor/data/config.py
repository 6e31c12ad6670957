"""Options of reading, cleaning and splitting a catalogue, and of writing its texts."""

import string
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from tailor import columns as c
from tailor.config import Count, Fraction, Options
from tailor.data.events import EventOptions
from tailor.data.until import read_until


def _merge_pairs(columns: object) -> Any:
    """Accept ``[{a: x}, {b: y}]`` for ``{a: x, b: y}``: an environment's list replaces the base list as a whole.

    Raises:
        ValueError: an entry is no mapping, or one of our names stands twice.
    """
    if not isinstance(columns, list):
        return columns
    merged: dict[Any, Any] = {}
    for pair in columns:
        if not isinstance(pair, dict):
            raise ValueError(f"{pair!r} maps nothing: write '- ours: theirs'")
        for ours, theirs in pair.items():
            if ours in merged:
                raise ValueError(f"'{ours}' is mapped twice, to '{merged[ours]}' and to '{theirs}': leave one out")
            merged[ours] = theirs
    return merged


Columns = Annotated[dict[str, str], BeforeValidator(_merge_pairs)]
#: Names that Tailor itself writes beside the columns of a raw table.
RESERVED = {
    "items": (*c.ADDED_TO_ITEMS, c.SPLIT, c.PIECES),
    "users": (*c.ADDED_TO_USERS, c.SPLIT),
}


class ColumnOptions(Options):
    """Which raw column feeds which of Tailor's columns: ``{ours: theirs}``, one mapping per raw table."""

    interactions: Columns = {"user_id": "user_id", "item_id": "item_id"}
    """user_id and item_id are required; value, event, timestamp, text, split, context_* are optional."""
    items: Columns = {"item_id": "item_id", "title": "title"}
    """item_id is required; any column may be named in a text template; vector_* columns hold item vectors; domain says
    which of several catalogues an item is of (:mod:`tailor.data.domains`)."""
    users: Columns = {"user_id": "user_id"}
    """user_id is required; other columns are carried."""

    @field_validator("interactions")
    @classmethod
    def _leaves_domains_to_items(cls, columns: dict[str, str]) -> dict[str, str]:
        if c.DOMAIN in columns:
            raise ValueError(
                f"the column '{columns[c.DOMAIN]}' cannot be called 'domain': an interaction has the domain of its "
                "item. Map the column 'domain' of the items, or give this one another name"
            )
        return columns

    @field_validator("items", "users")
    @classmethod
    def _leaves_reserved_names(cls, columns: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        table = str(info.field_name)
        for ours, theirs in columns.items():
            if ours in RESERVED[table]:
                raise ValueError(
                    f"the column '{theirs}' cannot be called '{ours}': Tailor writes {', '.join(RESERVED[table])} "
                    f"itself. Map it to another name, such as '{table.removesuffix('s')}_{ours}'"
                )
        return columns


class CleaningOptions(Options):
    """What makes a row usable, and how much may be lost before the run stops."""

    implicit_threshold: float | None = None
    """Keep interactions whose ``value`` is at least this (in the units of ``value``); null keeps all as positives. Of
    several rows for one user and item the latest decides."""
    positive_events: list[str] | None = None
    """Keep interactions whose ``event`` is one of these (purchase, like); null keeps all as positives."""
    day_first: bool | None = None
    """Whether a date like 03/04/2015 is the third of April; null: as the other cells of the column tell."""
    repair_texts: bool = False
    """Remove HTML tags from the texts of items and undo wrong encodings (CafÃ© becomes Café); else they are told."""
    merge_duplicate_items: bool = False
    """Make one item of those with the same title and year, under the id that comes first; else they are told."""
    drop_suspicious_users: bool = False
    """Leave out users that look like machines (see :func:`tailor.data.inspection.suspicious_users`); else they are
    told."""
    until: Annotated[float | str, BeforeValidator(read_until)] | None = None
    """The catalogue as it was at a date: later rows do not exist. An ISO date (UTC), seconds since 1970, or a share of
    the rows in time order; null: all rows. Updates do not read it."""
    max_dropped_fraction: Fraction = 0.5
    """Stop when more than this fraction of the interactions had to be dropped as defective (threshold not counted)."""


class CatalogueOptions(Options):
    """What a catalogue is called, and what may be done with its data; the report says both."""

    name: str = ""
    """As its publishers call it; empty: the report gives the name of the model."""
    licence: str = ""
    """In a few words; empty: the report says that none is stated."""
    source: str = ""
    """Address of the licence or of the page that offers the data."""


class SplitOptions(Options):
    """The split: 7:1:2 per user, with cold items, new users and pseudo-cold items held out."""

    strategy: Literal["per_user", "leave_one_out", "global_time", "random"] = "per_user"
    """per_user: each user's own order; leave_one_out: of each user's own order the last row is test and the one before
    it validation (needs timestamps, reads no shares); global_time: two dates for everybody (needs timestamps); random:
    each user's rows in a seeded order, for comparison with figures published so (it lets models look into the
    future)."""
    train: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.7
    """Fraction of each user's interactions, the earliest, that models learn from; leave_one_out does not read it."""
    validation: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Fraction that choices are made on; the rest is the test window. leave_one_out does not read it."""
    cold_items: Fraction = 0.1
    """Fraction of the items with interactions that lose them all; 0 with leave_one_out where it is not given."""
    cold_strategy: Literal["stratified", "latest"] = "stratified"
    """stratified: random within popularity strata; latest: the items whose first interaction is the most recent."""
    new_users: Fraction = 0.1
    """Fraction of users that leave training whole; 0 with leave_one_out where it is not given."""
    pseudo_cold: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.05
    """Fraction of the warm items in each of the two disjoint samples A and B that are treated as cold in tuning; 0:
    there are none, the language model takes its number of epochs, and cold items take the warm weights."""
    new_to_domain: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Fraction of the users in several domains who lose all rows of one of them, which a hash draws: lists of that
    domain are then measured for people who are known from elsewhere alone."""

    @model_validator(mode="before")
    @classmethod
    def _leave_one_out_holds_out_rows_alone(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("strategy") == "leave_one_out":
            return {"cold_items": 0.0, "new_users": 0.0} | values
        return values

    @model_validator(mode="after")
    def _leaves_a_test_window(self) -> Self:
        if self.train + self.validation >= 1.0:
            raise ValueError(
                f"train + validation = {self.train + self.validation:g} leaves no test window (< 1 needed)"
            )
        return self


class CardOptions(Options):
    """The data card, ``08_reporting/data_card.html``."""

    learning_curve: bool = False
    """Measure a cheap model on 25, 50, 75 and 100 % of the train interactions: four fits more."""


class DomainOptions(Options):
    """One of several catalogues that are joined."""

    columns: ColumnOptions = ColumnOptions()
    """Of its raw tables."""
    cleaning: CleaningOptions | None = None
    """null: as ``data_processing.cleaning``."""
    shared_users: bool = False
    """Whether an id of its users means the same person as in the other domains that say so; else ids of users are
    those of this domain alone."""


#: Names of domains open ids ("beauty/B004756YJA") and are said in requests.
DomainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,50}$")]


class DataProcessingOptions(Options):
    """``parameters/data_processing.yml``."""

    columns: ColumnOptions = ColumnOptions()
    cleaning: CleaningOptions = CleaningOptions()
    events: EventOptions = EventOptions()
    domains: dict[DomainName, DomainOptions] = {}
    """Catalogues that are joined, by name (:mod:`tailor.data.domains`); then ``columns`` is not read. Empty: one."""
    split: SplitOptions = SplitOptions()
    head_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8
    """Share of the train interactions that the head items hold together."""
    card: CardOptions = CardOptions()
    pseudonyms: bool = False
    """People stand in every table, list and model under a keyed hash of their id, from the first table on. The key is
    in TAILOR_PSEUDONYM_KEY, where it runs and where it is served; requests go on with the ids."""

    @model_validator(mode="after")
    def _tells_kinds_apart_in_one_way(self) -> Self:
        if self.events.weights and self.cleaning.positive_events is not None:
            raise ValueError(
                "events.weights and cleaning.positive_events are both set: leave positive_events out, and give kinds "
                "that are no positives the strength 0"
            )
        return self


def _check_separator(separator: str) -> str:
    if not separator:
        raise ValueError("nothing stands between two categories: write what does, such as ' ' or '|'")
    return separator


class CategoryOptions(Options):
    """Where an item's categories are."""

    column: str | None = None
    """Column of the items table that lists categories; null where there are none."""
    separator: Annotated[str, AfterValidator(_check_separator)] = " "
    """What stands between two categories in a cell; cells that are lists, or lists written as text, need none."""
    aliases: dict[str, dict[str, list[str]]] = {}
    """Other words by which requests name a category, by language and category: {de: {War: [krieg]}}. Names of which the
    catalogue has none are passed over, so that one list serves several catalogues."""
    keywords: dict[str, dict[str, list[str]]] = {}
    """Words of texts that are about a category without naming it, likewise: {de: {Western: [saloon, sheriff]}}; for
    languages that the base model does not read."""
    descriptions: dict[str, str] = {}
    """What a category is about, in the language of the base model: requests that name none are compared with these."""


def piece_columns(piece: str) -> list[str]:
    """Return the columns that a piece of a template names, each once.

    >>> piece_columns("{title} ({year}), {title}")
    ['title', 'year']
    """
    return list(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(piece) if name is not None))


def _check_piece(piece: str) -> str:
    """Refuse a piece of a template that can be written for no row.

    Raises:
        ValueError: says what is wrong with the piece, and what to write.
    """
    try:
        names = piece_columns(piece)
    except ValueError:
        raise ValueError("a brace has no partner: write {column}, and {{ or }} for a brace itself") from None
    for name in names:
        first = name.replace("[", ".").split(".")[0]
        if not first or first.isdigit():
            raise ValueError(f"'{{{name}}}' names no column: write the name of one, such as {{title}}")
        if first != name:
            raise ValueError(f"'{{{name}}}' looks into a cell: write the column alone, {{{first}}}")
    try:
        piece.format(**dict.fromkeys(names, "x"))
    except (ValueError, LookupError):
        plain = ", ".join(f"{{{name}}}" for name in names)
        raise ValueError(f"cells are text, which this format does not fit: write {plain} and nothing else") from None
    return piece


Piece = Annotated[str, AfterValidator(_check_piece)]


class TextOptions(Options):
    """How the texts of items are written for the language model."""

    retired: ClassVar[dict[str, str]] = dict.fromkeys(
        ("user_template", "history_titles"),
        "is gone: what is known of new users is named in feature_engineering.profile.columns, and what they write in "
        "feature_engineering.user_text.",
    )

    item_template: list[Piece] = ["{title}"]
    """Pieces joined by '. '; a piece with a missing value is left out, never printed as 'nan'."""
    missing: list[str] = ["", "nan", "none", "null", "unknown", "n/a"]
    """Cell values (case-insensitive) that count as missing."""
    categories: CategoryOptions = CategoryOptions()
    reviews_per_item: Annotated[int, Field(ge=0, le=100)] = 3
    """Texts that users wrote about an item (train rows only) that join its text, where interactions have a ``text``."""
    review_words: Count = 30
    """Words kept of each such text."""


class UserTextOptions(Options):
    """What users write, as evidence of their tastes."""

    comments: bool = True
    """Read the column ``text`` of the interactions, where there is one: what users wrote about items."""
    template: list[Piece] = []
    """Texts of users that are about no item: pieces over columns of the users table, each a text of its own; a piece
    with a missing value is left out. They count as known from the first day on."""
    per_user: Count = 50
    """Texts about items that are read of each user in each split, the latest."""
    praise_from: float | None = None
    """Least value of an interaction whose text speaks for the item; null: the middle of the scale, where the values
    form one (3 to 11 different ones), else every text does. What speaks against an item joins no item's text."""
    max_pieces: Annotated[int, Field(ge=1, le=64)] = 8
    """A text longer than the encoder reads is cut into pieces, whose embeddings are averaged; so many are read."""


class SideFeatureOptions(Options):
    """What is known of users (evidence for new ones), or of the moment of an interaction."""

    columns: list[str] = []
    """Columns of the users; of the interactions (``context_*``)."""
    bins: Annotated[int, Field(ge=2, le=100)] = 8
    """Intervals of equal share that a number of more distinct values is cut into."""
    min_rows: Count = 5
    """A value that fewer train rows (users, interactions) have counts as missing."""
