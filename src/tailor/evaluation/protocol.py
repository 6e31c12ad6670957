"""Which items may be listed, what is left out and what counts, for each split and candidate set.

| split      | left out of lists              | warm candidates    | cold | mixed        |
|------------|--------------------------------|--------------------|------|--------------|
| validation | train                          | all but cold and B | B    | all but cold |
| test       | train, validation, cold_unused | all but cold       | cold | all          |

Models are fitted on train (validation: without B), and so are the histories; on test these hold the validation rows
too, for all models alike: what users did before the test window is known when it begins. Pairs that are blocked in the
train window (:mod:`tailor.data.events`) are left out of lists too. With ``evaluation.fit_on: train_and_validation`` the
models of test lists are fitted on these rows too (:func:`tailor.data.interactions.final_rows`). See
docs/explanation/mathematics.md, "Evaluation protocol".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NotRequired, Self, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.domains import domain_masks
from tailor.data.interactions import (
    binary,
    blocked_pairs,
    bucket_items,
    first_of_each_row,
    keep_items,
    pseudo_cold_items,
    restrict_order,
    restrict_strengths,
    warm_items,
)
from tailor.data.user_texts import UserTexts
from tailor.models.base import Csr, Floats, Indices, Mask, Query


@dataclass(frozen=True)
class EvalProtocol:
    """One split's rules for U users."""

    histories: Query
    """What scores are computed from."""
    seen: Csr
    """What lists leave out (U, n_items)."""
    candidates: dict[str, Mask]
    """warm, cold, mixed: what may be listed (n_items,)."""
    item_bucket: NDArray[np.str_]
    """head, tail, cold or unseen per item; on validation pseudo-cold B plays the cold items."""
    domains: dict[str, Mask] = field(default_factory=dict)
    """Items of each domain (n_items,), by name: a list holds items of one; empty: there is one domain."""
    item_groups: dict[str, Mask] = field(default_factory=dict)
    """Items that positives are counted of beside the buckets (n_items,). warm: head and tail, what models may learn
    from; known, on test: items with a row in train or validation, which leave-one-out figures are published of."""

    @property
    def domain_names(self) -> list[str]:
        """The names of the domains; of one alone ""."""
        return list(self.domains) or [""]

    def candidates_of(self, candidates: str, domain: str) -> Mask:
        """Mark what may be listed of one domain, "" where there is one alone (n_items,)."""
        items = self.candidates[candidates]
        return items & self.domains[domain] if domain else items

    def users_of(self, domain: str, users: Indices) -> Indices:
        """Return the users who are listed for in one domain: with a row there before the test window, or with none.

        Nobody is left out where there is one domain.
        """
        if not domain:
            return users
        in_domain = np.diff(keep_items(self.seen, self.domains[domain]).indptr) > 0
        nowhere = np.diff(self.seen.indptr) == 0
        listed: Indices = users[(in_domain | nowhere)[users]]
        return listed


Arrays = Mapping[str, NDArray[np.generic]]


class TrainRows(TypedDict):
    """What :func:`validation_protocol` and :func:`train_histories` take."""

    train: Csr
    """(U, n_items)."""
    order: Csr
    """Positions of known rows in each user's order (U, n_items); empty where the order is not known."""
    side_features: Arrays
    """With ``profiles`` (U, q)."""
    user_texts: NotRequired[Arrays]
    """What users wrote, :meth:`UserTexts.arrays`; left out: nothing."""
    strengths: NotRequired[Csr]
    """How sure known pairs are, and which are blocked, :func:`tailor.data.interactions.strength_matrix`; left out: all
    are alike."""


class TestRows(TrainRows):
    """What :func:`test_protocol` takes."""

    validation: Csr
    cold_unused: Csr
    """Rows of cold items before the test window."""


def train_rows(known: TestRows) -> TrainRows:
    """Return what :func:`validation_protocol` takes of what :func:`test_protocol` does."""
    rows = TrainRows(train=known["train"], order=known["order"], side_features=known["side_features"])
    if "user_texts" in known:
        rows["user_texts"] = known["user_texts"]
    if "strengths" in known:
        rows["strengths"] = known["strengths"]
    return rows


def validation_protocol(
    items: pd.DataFrame,
    *,
    train: Csr,
    order: Csr,
    side_features: Arrays,
    user_texts: Arrays | None = None,
    strengths: Csr | None = None,
) -> EvalProtocol:
    """Return the rules of validation lists.

    Args:
        items: the item table.
        train: (U, n_items).
        order: places of known rows in each user's order; empty where the order is not known.
        side_features: with profiles (U, q).
        user_texts: what users wrote; None: nothing.
        strengths: of known pairs, and which are blocked; None: all are alike.
    """
    cold, held_out = pseudo_cold_items(items, "B"), bucket_items(items, c.COLD)
    bucket = np.where(cold, c.COLD, np.where(held_out, "held_out", items[c.BUCKET].to_numpy(dtype=str)))
    sets = {c.WARM: ~cold & ~held_out, c.COLD: cold, c.MIXED: ~held_out}
    warm = warm_items(items) & ~cold
    histories = _histories(keep_items(train, warm), order, side_features, user_texts, strengths)
    seen = sparse.csr_matrix(train + blocked_pairs(strengths, train.shape))
    return EvalProtocol(histories, seen, sets, bucket, domain_masks(items), {c.WARM: warm})


def train_histories(
    *,
    train: Csr,
    order: Csr,
    side_features: Arrays,
    user_texts: Arrays | None = None,
    strengths: Csr | None = None,
) -> Query:
    """Return every user with the train rows as history."""
    return _histories(train, order, side_features, user_texts, strengths)


def test_protocol(
    items: pd.DataFrame,
    *,
    train: Csr,
    validation: Csr,
    cold_unused: Csr,
    order: Csr,
    side_features: Arrays,
    user_texts: Arrays | None = None,
    strengths: Csr | None = None,
) -> EvalProtocol:
    """Return the rules of test lists; no positive of the test is needed for them.

    Args:
        items: the item table.
        train: (U, n_items).
        validation: (U, n_items).
        cold_unused: rows of cold items before the test window (U, n_items).
        order: places of known rows in each user's order; empty where the order is not known.
        side_features: with profiles (U, q).
        user_texts: what users wrote; None: nothing.
        strengths: of known pairs, and which are blocked; None: all are alike.
    """
    cold = bucket_items(items, c.COLD)
    sets = {c.WARM: ~cold, c.COLD: cold, c.MIXED: np.ones(len(items), dtype=bool)}
    seen = sparse.csr_matrix(train + validation + cold_unused + blocked_pairs(strengths, train.shape))
    before, warm = sparse.csr_matrix(train + validation), warm_items(items)
    histories = _histories(keep_items(before, warm), order, side_features, user_texts, strengths)
    groups = {c.WARM: warm, c.KNOWN: before.getnnz(axis=0) > 0}
    return EvalProtocol(histories, seen, sets, items[c.BUCKET].to_numpy(dtype=str), domain_masks(items), groups)


def _histories(
    cells: Csr, order: Csr, side_features: Arrays, user_texts: Arrays | None, strengths: Csr | None = None
) -> Query:
    """Return every user with the history ``cells`` (U, n_items), and what they wrote about these items."""
    history, profiles = binary(cells), np.asarray(side_features["profiles"], dtype=np.float32)
    users = np.arange(history.shape[0])
    texts = UserTexts.from_arrays(user_texts).sums(history, users)
    confidence = restrict_strengths(strengths, history)
    known_order = restrict_order(order, history)
    return Query.of(history, known_order, confidence, profile=profiles, user_index=users, user_text=texts)


#: What reports say of models of test lists, by ``evaluation.fit_on``.
FITTED = {
    c.TRAIN: "The models of test lists are fitted on the train rows.",
    c.TRAIN_AND_VALIDATION: "The models of test lists are fitted on the train and the validation rows; options, "
    "weights and boosts were chosen on validation, with fits on train.",
}


def positives(matrix: Csr, protocol: EvalProtocol, candidates: str, domain: str = "") -> Csr:
    """Return the rows that count for one candidate set of one domain: those of its items (U, n_items)."""
    return keep_items(matrix, protocol.candidates_of(candidates, domain))


@dataclass(frozen=True)
class NewUserProtocol:
    """The test of new users: the first n items of each are revealed, the others are to be recommended."""

    users: Indices
    """Rows of the new users in the user table (N,)."""
    order: Csr
    """Their warm items, in the order in which they are revealed (N, n_items)."""
    profiles: Floats
    """What is known of them (N, q)."""
    texts: UserTexts
    """What users wrote."""
    domains: dict[str, Mask] = field(default_factory=dict)
    """Items of each domain (n_items,), by name; empty: there is one domain."""

    @property
    def domain_names(self) -> list[str]:
        """The names of the domains; of one alone ""."""
        return list(self.domains) or [""]

    @classmethod
    def build(
        cls,
        users: pd.DataFrame,
        items: pd.DataFrame,
        new_user: Csr,
        reveal_order: Csr,
        side_features: Arrays,
        user_texts: Arrays | None = None,
    ) -> Self:
        """Take the new users.

        Args:
            users: the user table.
            items: the item table.
            new_user: their interactions (U, n_items).
            reveal_order: places of these in each user's order.
            side_features: with profiles (U, q).
            user_texts: what users wrote; None: nothing.
        """
        rows = np.flatnonzero(users[c.BUCKET] == "new")
        warm = keep_items(binary(new_user), ~bucket_items(items, c.COLD))
        order = sparse.csr_matrix(reveal_order.multiply(warm), dtype=np.float32)[rows]
        profiles = np.asarray(side_features["profiles"], dtype=np.float32)[rows]
        return cls(rows, sparse.csr_matrix(order), profiles, UserTexts.from_arrays(user_texts), domain_masks(items))

    def items_of(self, domain: str) -> Mask:
        """Mark the items of one domain, "" for all (n_items,)."""
        return self.domains[domain] if domain else np.ones(self.order.shape[1], dtype=bool)

    def rows_in(self, domain: str) -> Indices:
        """Return the rows of the new users who have rows in one domain, "" for all (N',)."""
        if not domain:
            return np.arange(len(self.users))
        return np.flatnonzero(np.diff(keep_items(self.order, self.domains[domain]).indptr) > 0)

    def revealed(self, n: int) -> Query:
        """Return the new users with their first n items."""
        known = first_of_each_row(self.order, n)
        texts = self.texts.sums(known, self.users)
        return Query.of(known, known, profile=self.profiles, user_index=self.users, user_text=texts)

    def hidden(self, n: int) -> Csr:
        """Return what is not revealed, 0/1 (N, n_items)."""
        hidden = sparse.csr_matrix(self.order - first_of_each_row(self.order, n))
        hidden.eliminate_zeros()
        return binary(hidden)
