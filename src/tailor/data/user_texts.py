"""What users write: comments on items, and texts of their own such as reviews, searches or a description of themselves.

A text about an item is known as long as the item is part of the history; a text about none always is.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.config import UserTextOptions
from tailor.data.hashing import seeded_hash
from tailor.data.ids import IdMap
from tailor.data.interactions import cells
from tailor.data.text import clean_cells, praise, write_pieces
from tailor.types import AnyArray

log = logging.getLogger(__name__)
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

IS_PRAISE = "is_praise"
#: Item of a text that is about none.
NO_ITEM = -1
_ROWS = ("users", "items", IS_PRAISE)
#: Splits whose rows are in no history before the test window begins.
_LATE = (c.TEST, c.COLD, c.COLD_UNUSED)


@dataclass(frozen=True, eq=False)
class UserTexts:
    """Embeddings of what users wrote."""

    users: Indices
    """Row in the user table (N,)."""
    items: Indices
    """Row in the item table (N,), -1 where a text is about no item."""
    is_praise: Mask
    """Whether a text speaks for its item, or of what its user likes (N,); a comment with one star does neither."""
    codes: Indices
    """Row of ``vectors`` (N,); equal texts share one."""
    vectors: Floats
    """L2-normalised embeddings of the different texts (V, m)."""

    @classmethod
    def none(cls) -> Self:
        """Return the texts of a catalogue whose users write nothing."""
        nobody = np.zeros(0, np.int64)
        return cls(nobody, nobody, np.zeros(0, bool), nobody, np.zeros((0, 0), np.float32))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray] | None) -> Self:
        """Undo :meth:`arrays`; None: no texts."""
        if arrays is None:
            return cls.none()
        is_praise = np.asarray(arrays[IS_PRAISE], bool)
        return cls(arrays["users"], arrays["items"], is_praise, arrays["codes"], arrays["vectors"])

    def arrays(self) -> dict[str, AnyArray]:
        """Return the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        """Return N."""
        return len(self.users)

    def take(self, texts: Mask) -> Self:
        """Return some of the texts."""
        used, codes = np.unique(self.codes[texts], return_inverse=True)
        codes = np.asarray(codes, dtype=np.int64)
        return type(self)(self.users[texts], self.items[texts], self.is_praise[texts], codes, self.vectors[used])

    @classmethod
    def join(cls, parts: Sequence["UserTexts"]) -> Self:
        """Put the texts of several parts behind each other; parts without any may have no width."""
        filled = [part for part in parts if len(part)]
        if not filled:
            return cls.none()
        starts = np.cumsum([0, *(len(part.vectors) for part in filled[:-1])])
        users, items, is_praise = (np.concatenate([getattr(part, name) for part in filled]) for name in _ROWS)
        codes = np.concatenate([part.codes + start for part, start in zip(filled, starts, strict=True)])
        return cls(users, items, is_praise, codes, np.vstack([part.vectors for part in filled]))

    @property
    def width(self) -> int:
        """2 m: columns of :meth:`sums`."""
        return 2 * int(self.vectors.shape[1])

    def known(self, history: sparse.csr_matrix, users: Indices) -> tuple[Indices, Indices]:
        """Return which texts are known: the row of ``history`` (K,) and the text (K,).

        Args:
            history: (B, n_items).
            users: row in the user table of each (B,), -1 where unknown.
        """
        by_user = np.argsort(self.users, kind="stable")
        sorted_users = self.users[by_user]
        first, last = (np.searchsorted(sorted_users, users, side=side) for side in ("left", "right"))
        counts = np.where(users >= 0, last - first, 0)
        rows = np.repeat(np.arange(len(users)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        texts = by_user[np.repeat(first, counts) + within]
        row, item = cells(history)
        of_history = np.isin(rows * history.shape[1] + self.items[texts], row * history.shape[1] + item)
        keep = (self.items[texts] == NO_ITEM) | of_history
        return rows[keep], texts[keep]

    def sums(self, history: sparse.csr_matrix, users: Indices) -> Floats:
        """Return the sum of each user's texts (B, 2 m): of those that praise, then of the others.

        Args:
            history: what is known of each user (B, n_items).
            users: row in the user table of each (B,), -1 where unknown.
        """
        total = np.zeros((len(users), self.width), np.float32)
        if not len(self):
            return total
        rows, texts = self.known(history, users)
        m = self.vectors.shape[1]
        for start, speaks_for in ((0, True), (m, False)):
            part = self.is_praise[texts] == speaks_for
            ones = np.ones(int(part.sum()), np.float32)
            cells_of_part = (rows[part], self.codes[texts[part]])
            choice = sparse.csr_matrix((ones, cells_of_part), shape=(len(users), len(self.vectors)))
            total[:, start : start + m] = choice @ self.vectors
        return total


def write_user_texts(
    users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame, options: UserTextOptions, missing: list[str]
) -> pd.DataFrame:
    """List what users wrote: user and item (rows of the tables, -1 for no item), split, is_praise, text.

    Of many texts about items the latest ``per_user`` in each split stay, and how many do not is logged.

    Args:
        users: the user table.
        items: the item table.
        interactions: with split, and text and value where there are any.
        options: which texts.
        missing: cell values that mean 'nothing'.

    Raises:
        ConfigurationError: the template names a column that the users table does not have.
    """
    frames = [_of_users(users, options, missing), _of_items(users, items, interactions, options, missing)]
    table = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    if len(table):
        n_against = int((~table[IS_PRAISE]).sum())
        log.info("%d texts of %d users; %d speak against an item", len(table), table["user"].nunique(), n_against)
    return table


def is_late(texts: pd.DataFrame) -> Mask:
    """Mark texts about rows that no history holds before the test window begins (N,)."""
    return np.asarray(texts[c.SPLIT].isin(_LATE))


def _of_users(users: pd.DataFrame, options: UserTextOptions, missing: list[str]) -> pd.DataFrame:
    pieces = write_pieces(users, options.template, missing, "feature_engineering.user_text.template")
    rows = [(user, piece) for user, written in enumerate(pieces) for piece in written]
    return _table([user for user, _ in rows], NO_ITEM, "", True, [piece for _, piece in rows])


def _of_items(
    users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame, options: UserTextOptions, missing: list[str]
) -> pd.DataFrame:
    if c.TEXT not in interactions or not options.comments:
        return _table([], NO_ITEM, "", True, [])
    written = clean_cells(interactions[c.TEXT], missing).to_numpy(dtype=object)
    is_praise = praise(interactions, options, interactions[interactions[c.SPLIT] == c.TRAIN])
    rows = interactions.assign(**{c.TEXT: written, IS_PRAISE: is_praise})
    rows = rows[rows[c.TEXT] != ""]
    rows = rows.assign(hash=seeded_hash(0, rows[c.USER], rows[c.ITEM]))
    by = [c.TIMESTAMP, "hash"] if c.TIMESTAMP in rows else ["hash"]
    latest = rows.sort_values(by, kind="stable").groupby([c.USER, c.SPLIT], sort=False).tail(options.per_user)
    if len(latest) < len(rows):
        log.warning(
            "%d of %d texts of users are left out: feature_engineering.user_text.per_user = %d",
            len(rows) - len(latest),
            len(rows),
            options.per_user,
        )
    latest = latest.sort_index()
    user, item = IdMap(users[c.USER]).indices(latest[c.USER]), IdMap(items[c.ITEM]).indices(latest[c.ITEM])
    return _table(user, item, latest[c.SPLIT].to_numpy(), latest[IS_PRAISE].to_numpy(), latest[c.TEXT].to_numpy())


def _table(user: object, item: object, split: object, is_praise: object, text: object) -> pd.DataFrame:
    table = pd.DataFrame({"user": user, "item": item, c.SPLIT: split, IS_PRAISE: is_praise, c.TEXT: text})
    return table.astype({"user": "int64", "item": "int64", c.SPLIT: "str", IS_PRAISE: "bool", c.TEXT: "str"})
