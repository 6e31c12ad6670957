"""Items at serving time: added, changed and removed without a fit, kept in a database (:mod:`tailor.state`)."""

import hashlib
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import TextOptions
from tailor.data.item_dates import EXPIRES, RELEASED, DateOptions, with_dates
from tailor.data.item_metadata import ItemMetadata
from tailor.data.people import SuppressionList
from tailor.errors import BadInputError, TailorError, did_you_mean
from tailor.models.base import AcceptsNewItems, Floats
from tailor.serving.events import StoredEvents
from tailor.serving.package import CATALOGUE_READ_AT, REGISTERED_AS
from tailor.serving.people import with_suppressed
from tailor.serving.recommender import DATES, Recommender
from tailor.serving.validation import read_id
from tailor.serving.words import EncodesTexts, ReadsDomains
from tailor.state.address import MODEL_VARIABLE, STATE_VARIABLE, address_of
from tailor.types import JsonObject

if TYPE_CHECKING:
    from tailor.state.store import Imported, State, StateStore, StoredItem
    from tailor.state.suppressions import SuppressionStore

log = logging.getLogger(__name__)
#: Items in one call, and added to one model in all; a fit takes them in for good.
MAX_CALL, MAX_ADDED = 1000, 20_000
MAX_CELL = 10_000
Row = JsonObject


def read_items(model: Recommender, rows: Sequence[Row]) -> ItemMetadata:
    """Write the texts of items as the catalogue's own were written.

    Args:
        model: carries the text template.
        rows: columns as in the items table: item_id and whatever the template, the categories and the numbers read;
            lists of numbers under the names of the catalogue's vectors.

    Raises:
        BadInputError: too many, an id is missing or repeated, a column is unknown, a cell is too long or no vector.
    """
    from tailor.data.text import item_categories, pack_pieces, write_pieces  # noqa: PLC0415

    if not 1 <= len(rows) <= MAX_CALL:
        raise BadInputError(f"{len(rows)} items in one call; send 1 to {MAX_CALL}")
    options, numeric = _text_options(model), model.known_metadata.numeric_columns
    table = _read_table(rows, columns_of(model))
    _check_domains(table, model.domains)
    pieces = write_pieces(table, options.item_template, options.missing, "text.item_template")
    categories = item_categories(table, options.categories, options.missing)
    metadata = ItemMetadata.build(table, pack_pieces(pieces), categories)
    dates = [name for name in (RELEASED, EXPIRES) if name in numeric]
    table = with_dates(table, _dates_of(model, dates), "items")
    numbers = {name: pd.to_numeric(table[name], errors="coerce").astype("float64") for name in numeric}
    for name, column in numbers.items():
        if np.isinf(column).any():
            cell = str(table.loc[np.isinf(column), name].iloc[0])[:50]
            raise BadInputError(f"{name} = '{cell}' is not a finite number: send another, or leave it out")
    read = ItemMetadata(metadata.table[[c.ITEM, c.TITLE, c.PIECES, "categories"]].assign(**numbers))
    names = model.parts.names
    if model.domains:
        read.table[c.DOMAIN] = table[c.DOMAIN].to_numpy(dtype=str)
    return read.with_arrays(vectors=model.parts.read({name: table[name].tolist() for name in names})) if names else read


def _check_domains(table: pd.DataFrame, domains: Sequence[str]) -> None:
    """Refuse an item of no domain where the model joins several catalogues."""
    for item, domain in table[[c.ITEM, c.DOMAIN]].itertuples(index=False) if domains else ():
        if domain not in domains:
            raise BadInputError(
                f"The item '{item}' is of domain {domain!r}: say one of {', '.join(domains)} in the column 'domain'"
            )


def _text_options(model: Recommender) -> TextOptions:
    return parse(TextOptions, model.about.get("text", {}), "text")


def columns_of(model: Recommender) -> list[str]:
    """Return the columns that an item may have: id, title, and what text, categories, numbers and vectors read."""
    options, numeric = _text_options(model), model.known_metadata.numeric_columns
    read = {name for piece in options.item_template for _, name, _, _ in Formatter().parse(piece) if name}
    domain = [c.DOMAIN] if model.domains else []
    category = [options.categories.column] if options.categories.column else []
    dates = _dates_of(model, numeric).columns.values()
    plain = [name for name in numeric if name not in (RELEASED, EXPIRES)]
    names = [c.ITEM, c.TITLE, *domain, *sorted(read), *category, *plain, *dates, *model.parts.names]
    return list(dict.fromkeys(names))


def _dates_of(model: Recommender, numeric: Sequence[str]) -> DateOptions:
    """Return which columns hold the dates that the model's items have."""
    options = parse(DateOptions, model.about.get(DATES, {}), DATES)
    return DateOptions(
        released=options.released if RELEASED in numeric else None,
        expires=options.expires if EXPIRES in numeric else None,
    )


def _read_table(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Check every cell and id; return the rows as a table with all columns."""
    for row in rows:
        for name, cell in row.items():
            _check_cell(name, cell, columns)
    ids = [read_id(row.get(c.ITEM)) or "" for row in rows]
    if "" in ids or len(set(ids)) < len(ids) or not all(name.isprintable() for name in ids):
        raise BadInputError("Each item needs an item_id of its own, of printable characters")
    table = pd.DataFrame([{name: row.get(name) for name in columns} for row in rows], dtype=object)
    return table.assign(**{c.ITEM: ids})


def _check_cell(name: str, cell: object, columns: Sequence[str]) -> None:
    if name not in columns:
        raise BadInputError(f"Unknown column '{name}'.{did_you_mean(name, columns)} An item has: {', '.join(columns)}.")
    if name.startswith(c.VECTOR_PREFIX):
        return
    if cell is not None and (isinstance(cell, dict | list) or len(str(cell)) > MAX_CELL):
        raise BadInputError(f"{name}: {str(cell)[:50]!r} is not a text or number of at most {MAX_CELL} characters")


def put(model: Recommender, metadata: ItemMetadata, features: Floats | None = None) -> Recommender:
    """Return a recommender that has these items: new ones join, known ones take the new text.

    Args:
        model: what takes them in.
        metadata: of the items (a).
        features: their embeddings (a, m), where they are known already.
    """
    features = model.encode_items(metadata.texts, _domains_of(model, metadata)) if features is None else features
    indices = model.item_indices(metadata.table[c.ITEM].tolist())
    known, new = np.flatnonzero(indices >= 0), np.flatnonzero(indices < 0)
    if len(known):
        model = model.with_texts(metadata.take(known), features[known])
    return model.with_new_items(metadata.take(new), features[new]) if len(new) else model


def _domains_of(model: Recommender, metadata: ItemMetadata) -> list[str]:
    """Return the domains of items that are put (a,); empty where the model has one."""
    return metadata.table[c.DOMAIN].tolist() if model.domains else []


@dataclass
class ItemStore:
    """What was added to a model and removed from it, in a database that outlives the process and may be shared.

    A change is written in a transaction before it is acknowledged; changes of other processes come with
    :meth:`follow`. What a model cannot use of it is set aside and said in ``notes``, and blocks nothing.
    """

    path: Path
    """The database lies there with the ending ``.db``, unless TAILOR_STATE_URL names another; with ``.json``, what an
    earlier version kept, which is imported once."""
    name: str = ""
    """Of the model in the registry; empty: that of the path."""
    notes: list[str] = field(default_factory=list)
    """What the model that answers could not use, and why."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: int = -1
    """Number of the last change that the model that answers has."""

    @classmethod
    def open(cls, path: Path, name: str = "") -> "ItemStore":
        """Open the database, and make it where there is none.

        Raises:
            BadInputError: it cannot be opened, or the file to import cannot be read.
        """
        store = cls(path, name)
        _ = store.state
        return store

    @cached_property
    def state(self) -> "StateStore":
        """The database, opened when it is first needed."""
        from tailor.state.store import StateStore  # noqa: PLC0415  (what only answers needs no SQLAlchemy)

        address = address_of(self.path.with_suffix(".db"))
        return StateStore.open(address, self.name or self.path.stem, _file_of_before(self.path.with_suffix(".json")))

    @cached_property
    def events(self) -> StoredEvents:
        """What users did, in the same database."""
        return StoredEvents(self.state)

    @cached_property
    def suppressions(self) -> "SuppressionStore":
        """Who asked to be forgotten, in the same database."""
        from tailor.state.suppressions import SuppressionStore  # noqa: PLC0415

        return SuppressionStore.of(self.state)

    @property
    def rows(self) -> dict[str, Row]:
        """Items put, by id."""
        return {item.item_id: item.columns for item in self.state.read().items}

    @property
    def removed(self) -> set[str]:
        """Ids of items that are listed no more."""
        return self.state.read().removed

    @property
    def description(self) -> JsonObject:
        """Where the state is, the number of its last change that answers have, and what was set aside."""
        return {"where": self.state.name, "change": self._seen, "notes": list(self.notes)}

    def apply(
        self, model: Recommender, stored: "State | None" = None, suppressed: SuppressionList | None = None
    ) -> Recommender:
        """Return a recommender with everything that was put and removed, and with what users did.

        Ids that it no longer knows are passed over. An item that a later fit knows is as that fit has it.

        Args:
            model: as it was fitted.
            stored: items and removals of an earlier moment; None: those of now.
            suppressed: likewise, who asked to be forgotten.

        Raises:
            BadInputError: the database cannot be read.
        """
        stored, known = self.state.read() if stored is None else stored, Embeddings(self.state)
        applied = Applied.to(model, stored, known)
        model = with_suppressed(applied.model, self.suppressions.read() if suppressed is None else suppressed)
        self.notes, self._seen = applied.notes, stored.change
        known.keep()
        return model.keeping_the_encoder(replace(model, events=self.events))

    @property
    def has_changed(self) -> bool:
        """Whether another process changed something since.

        Raises:
            BadInputError: the database cannot be read.
        """
        return self.state.change != self._seen

    def follow(self, model: Recommender) -> Recommender | None:
        """Return a recommender with what other processes changed since; None where nothing changed.

        Args:
            model: what :meth:`apply`, :meth:`put` or :meth:`remove` returned last.

        Raises:
            BadInputError: the database cannot be read.
        """
        if not self.has_changed:
            return None
        stored = self.state.read(self._seen)
        known = Embeddings(self.state)
        applied = Applied.to(model, stored, known, taken_in=False)
        known.keep()
        followed = with_suppressed(applied.model, self.suppressions.read())
        self.notes += [note for note in applied.notes if note not in self.notes]
        self._seen = stored.change
        return followed

    def put(self, model: Recommender, rows: Sequence[Row]) -> Recommender:
        """Add or change items, for good: stored and in the model that is returned, or neither.

        Args:
            model: that answers.
            rows: see :func:`read_items`.

        Raises:
            BadInputError: see :func:`read_items`, there are too many in all, or the database does not take them.
        """
        metadata, known = read_items(model, rows), Embeddings(self.state)
        changed = put(model, metadata, known.of(model, metadata))
        ids = metadata.table[c.ITEM].tolist()
        self._have(self.state.put([{**row, c.ITEM: name} for name, row in zip(ids, rows, strict=True)], MAX_ADDED))
        known.keep()
        return listed_again(changed, ids)

    def remove(self, model: Recommender, item_ids: Sequence[str]) -> Recommender:
        """List items no more.

        Raises:
            BadInputError: an id is unknown, or the database does not take it.
        """
        reduced = model.without_items(item_ids)
        self._have(self.state.remove(list(dict.fromkeys(item_ids))))
        return reduced

    def suppress(self, model: Recommender, user_id: str) -> tuple[Recommender, int]:
        """Know a person no more, and delete what was recorded of them; once more changes nothing.

        Returns:
            The recommender that knows them no more, and how many events were deleted.

        Raises:
            ConfigurationError: the key of the list is not set.
            BadInputError: the database does not take it.
        """
        names = model.people.names(user_id)
        change = self.suppressions.add(names)
        hidden = with_suppressed(model, self.suppressions.read())
        n_events = self.suppressions.forget_events(names)
        if change is not None:  # seen once it is answered with: what fails before that is followed later
            self._have(change)
        return hidden, n_events

    def _have(self, change: int) -> None:
        """Remember a change of our own as seen, unless one of another process stands before it and is still to come."""
        if change == self._seen + 1:
            self._seen = change


#: Seconds between two looks at the state, and after one that failed.
_LOOK_S, _AFTER_FAILURE_S = 1.0, 15.0


@dataclass
class Following:
    """A recommender that keeps up with the state, for what has no champion: MLflow's server, a batch."""

    store: ItemStore
    answering: Recommender
    _next: float = field(default_factory=lambda: time.monotonic() + _LOOK_S)
    """When the state is looked at again."""

    @classmethod
    def of_environment(cls, model: Recommender) -> "Following | None":
        """Follow the state that TAILOR_STATE_URL names; None where it names none.

        Raises:
            BadInputError: the database cannot be read, or holds the state of several models and TAILOR_STATE_MODEL
                names none.
        """
        address = os.environ.get(STATE_VARIABLE, "")
        if not address:
            log.info("State: none. Set %s to list what was put and leave out what was removed.", STATE_VARIABLE)
            return None
        name = os.environ.get(MODEL_VARIABLE) or model.about.get(REGISTERED_AS) or _only_model(address)
        return cls.of(ItemStore.open(Path("data/serving") / f"{name}.json", name), model)

    @classmethod
    def of(cls, store: ItemStore, model: Recommender) -> "Following":
        """Follow a store from what it holds now."""
        following = cls(store, store.apply(model))
        log.info("State: change %d of %s", store.description["change"], store.state.name)
        for note in store.notes:
            log.warning("State: %s", note)
        return following

    @property
    def model(self) -> Recommender:
        """The recommender as the state was a second ago; where the state cannot be read now, as it was last.

        One request looks, and others do not wait for it; after a failure none does for a while.
        """
        if time.monotonic() < self._next or not self.store.lock.acquire(blocking=False):
            return self.answering
        try:
            self.answering = self.store.follow(self.answering) or self.answering
            self._next = time.monotonic() + _LOOK_S
        except TailorError as problem:  # of the database; or the key of the suppression list is not set
            log.warning("%s", problem)
            self._next = time.monotonic() + _AFTER_FAILURE_S
        finally:
            self.store.lock.release()
        return self.answering


def _only_model(address: str) -> str:
    """Return the name of the model that a database holds the state of.

    Raises:
        BadInputError: there are several, or none.
    """
    from tailor.state.store import models_of  # noqa: PLC0415

    names = models_of(address)
    if len(names) != 1:
        known = ", ".join(names) or "none"
        raise BadInputError(f"{MODEL_VARIABLE}: name the model whose state is followed; the database has: {known}.")
    return names[0]


def listed_again(model: Recommender, item_ids: Sequence[str]) -> Recommender:
    """Return a recommender that lists items (known ones) that were removed."""
    if model.removed is None:
        return model
    removed = model.removed.copy()
    removed[model.item_indices(item_ids)] = False
    return model.keeping_the_encoder(replace(model, removed=removed))


@dataclass
class Embeddings:
    """Embeddings of stored items, of which those that are in the database are not computed again."""

    state: "StateStore"
    made: dict[str, dict[str, tuple[str, bytes]]] = field(default_factory=dict)
    """What was computed and is not in the database yet, by encoder and item: hash of the text, vector."""

    def of(self, model: Recommender, metadata: ItemMetadata) -> Floats:
        """Return the embeddings of items (a, m)."""
        encoder, texts, ids = _name_of(model.encoder), metadata.texts, metadata.table[c.ITEM].tolist()
        domains = _domains_of(model, metadata) if _domains_read_by(model.encoder) else []
        hashed = [f"{domain}\0{text}" for domain, text in zip(domains, texts, strict=True)] if domains else texts
        known, hashes = self.state.embeddings(encoder, ids), [_hash(text.encode()) for text in hashed]
        missing = [row for row, name in enumerate(ids) if known.get(name, ("",))[0] != hashes[row]]
        if missing:
            some = [domains[row] for row in missing] if domains else []
            vectors = model.encode_items([texts[row] for row in missing], some).astype(np.float32)
            computed = {ids[row]: (hashes[row], vector.tobytes()) for row, vector in zip(missing, vectors, strict=True)}
            self.made.setdefault(encoder, {}).update(computed)
            known |= computed
        return np.stack([np.frombuffer(known[name][1], np.float32) for name in ids])

    def keep(self) -> None:
        """Store what was computed; where that does not go it is computed again the next time."""
        for encoder, vectors in self.made.items():
            try:
                self.state.keep_embeddings(encoder, vectors)
            except BadInputError as problem:
                log.warning("Embeddings are not kept: %s", problem)
        self.made.clear()


def _domains_read_by(encoder: EncodesTexts) -> list[str]:
    """Return the domains whose texts an encoder reads in a way of their own."""
    return list(encoder.domains) if isinstance(encoder, ReadsDomains) else []


def _name_of(encoder: EncodesTexts) -> str:
    """Return a name that another encoder does not have: the hash of what it makes of a text."""
    domains = _domains_read_by(encoder)
    readers = [encoder, *(encoder.of_domain(name) for name in domains if isinstance(encoder, ReadsDomains))]
    rows = [reader.encode(["A text that tells one encoder from another."]) for reader in readers]
    return _hash(np.asarray(np.concatenate(rows), np.float32).tobytes())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


@dataclass(frozen=True)
class Applied:
    """A recommender with what is stored, and what it could not use of that."""

    model: Recommender
    notes: list[str]

    @classmethod
    def to(cls, model: Recommender, stored: "State", known: "Embeddings", taken_in: bool = True) -> "Applied":
        """Put what is stored into a recommender.

        Args:
            model: as it was fitted, or with earlier changes.
            stored: items and removals.
            known: embeddings that need not be computed.
            taken_in: whether items that a later fit has are left as that fit has them.
        """
        notes = []
        rows = [item.columns for item in stored.items if not (taken_in and _is_taken_in(model, item))]
        if len(rows) < len(stored.items):
            notes.append(f"{len(stored.items) - len(rows)} stored items are taken in: a later fit has them")
        rows, unknown = _known_columns(model, rows)
        notes += [f"{n} stored items: column '{name}' is set aside, the model has none" for name, n in unknown.items()]
        for start in range(0, len(rows), MAX_CALL):
            model, refused = _put_what_can_be(model, rows[start : start + MAX_CALL], known)
            notes += refused
        removed = np.zeros(len(model.items), dtype=bool)
        gone = model.item_indices(sorted(stored.removed))
        removed[gone[gone >= 0]] = True
        if removed.any() or model.removed is not None:
            model = model.keeping_the_encoder(replace(model, removed=removed))
        return cls(model, notes)


def _is_taken_in(model: Recommender, item: "StoredItem") -> bool:
    """Whether the fit knows an item from a catalogue that was read after the item was put."""
    read_at = model.about.get(CATALOGUE_READ_AT)
    return read_at is not None and float(read_at) > item.put_at and item.item_id in model.items


def _known_columns(model: Recommender, rows: Sequence[Row]) -> tuple[list[Row], dict[str, int]]:
    """Return rows with the columns that the model reads, and how many rows had each of the others."""
    known, unknown = set(columns_of(model)) if rows else set(), Counter[str]()
    for row in rows:
        unknown.update(row.keys() - known)
    return [{name: cell for name, cell in row.items() if name in known} for row in rows], dict(sorted(unknown.items()))


def _put_what_can_be(model: Recommender, rows: Sequence[Row], known: Embeddings) -> tuple[Recommender, list[str]]:
    """Put stored items; those that the model refuses are set aside, with its reason."""
    if not isinstance(model.model, AcceptsNewItems):
        name = model.model.recipe.name
        return model, [f"{len(rows)} stored items are set aside: the model '{name}' takes none in without a new fit"]
    try:
        metadata = read_items(model, rows)
        return put(model, metadata, known.of(model, metadata)), []
    except BadInputError as problem:
        if hasattr(problem, "http_status"):  # of the database, not of an item
            raise
        if len(rows) == 1:
            return model, [f"The stored item '{rows[0][c.ITEM]}' is set aside: {problem}"]
    notes = []
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        model, refused = _put_what_can_be(model, half, known)
        notes += refused
    return model, notes


def _file_of_before(path: Path) -> "Imported | None":
    """Read the file that an earlier version kept, if there is one.

    Raises:
        BadInputError: it cannot be read.
    """
    from tailor.state.store import Imported  # noqa: PLC0415

    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text())
        rows = {row[c.ITEM]: row for row in stored["items"]}
        return Imported(rows, set(stored["removed"]), path.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInputError(f"{path} cannot be read; restore it or delete it (added items are lost)") from None
