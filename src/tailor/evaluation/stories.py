"""Three stories of what the registered model did for the tail: of a new user, of a cold item, of a lover of the tail.

Whom a story is of is chosen by what the tail gave: the most hits among tail items, or of one cold item. Such a choice
shows what can come out at best, so each story says of how many the same is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.hashing import seeded_hash
from tailor.data.ids import IdMap
from tailor.data.interactions import bucket_items
from tailor.evaluation.groups import NICHE, taste_of
from tailor.evaluation.protocol import NewUserProtocol
from tailor.evaluation.ranking import internal_ids
from tailor.hybrid.explain import Explanation, explain
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Indices, Mask, Query
from tailor.types import JsonObject

#: Known items, later items and places of a list that are written out; hits behind them are, too.
_HISTORY, _TRUTH, _PLACES = 8, 12, 10
#: Users whose lists are shown with a cold item.
_LISTS = 5
#: Items of a new user that are known: of those measured, the number nearest to this one.
_REVEALED = 3
_OTHER = "exposure of rare items"
#: Shares of a score below this are not worth a word.
_LEAST_SHARE = 0.05
Matrix = sparse.csr_matrix


@dataclass(frozen=True)
class Catalogue:
    """What a story says of items; row i is item i of each."""

    titles: list[str]
    bucket: NDArray[np.str_]
    ids: pd.Series

    @classmethod
    def of(cls, items: pd.DataFrame) -> Self:
        """Read the item table; an item without a title is called by its id."""
        titles = (items[c.TITLE] if c.TITLE in items else items[c.ITEM]).astype(str).tolist()
        return cls(titles, items[c.BUCKET].to_numpy(dtype=str), items[c.ITEM])


@dataclass(frozen=True)
class Places:
    """Every place of some lists, and whether its user took the item later."""

    user: Indices
    """Row of the later interactions (n,)."""
    item: Indices
    rank: Indices
    hit: Mask
    domain: NDArray[np.object_] | None
    """Of several catalogues, that of the list."""

    @classmethod
    def of(cls, lists: pd.DataFrame, rows: Indices, catalogue: Catalogue, later: Matrix, k: int) -> Self:
        """Mark the hits of lists.

        Args:
            lists: one model's long table of one list set.
            rows: the row of ``later`` of each place (n,).
            catalogue: of the items.
            later: what users took (U, n_items).
            k: places that count.
        """
        inside = lists[c.RANK].to_numpy() <= k
        user, item = rows[inside], internal_ids(lists[c.ITEM], catalogue.ids)[inside]
        hit = np.asarray(later[user, item]).ravel() > 0 if len(user) else np.zeros(0, dtype=bool)
        domain = lists[c.DOMAIN].to_numpy(dtype=object)[inside] if c.DOMAIN in lists else None
        return cls(user, item, lists[c.RANK].to_numpy()[inside].astype(np.int64), hit, domain)

    def counts(self, mask: Mask, by: Indices, size: int) -> Indices:
        """Count the places of a mask (n,) by user or by item (size,)."""
        return np.bincount(by[mask], minlength=size).astype(np.int64)

    def order(self, chosen: Mask) -> Indices:
        """Return some places, those of each domain by rank."""
        rows = np.flatnonzero(chosen)
        domain = np.zeros(len(rows)) if self.domain is None else np.unique(self.domain[rows], return_inverse=True)[1]
        return rows[np.lexsort((self.rank[rows], domain))]

    def named(self, place: int) -> JsonObject:
        """Return the rank, whether it is a hit, and the domain where there are several."""
        domain = {} if self.domain is None else {c.DOMAIN: str(self.domain[place])}
        return domain | {c.RANK: int(self.rank[place]), "hit": bool(self.hit[place])}


def tell_new_user(
    scorer: HybridScorer,
    items: pd.DataFrame,
    users: pd.DataFrame,
    protocol: NewUserProtocol,
    lists: pd.DataFrame,
    k: int,
) -> list[JsonObject]:
    """Tell of the new user whose list has the most hits among tail items; no story where the split hides no users.

    Args:
        scorer: the model whose lists these are.
        items: the item table.
        users: the user table; ids are not shown.
        protocol: the test of new users.
        lists: this model's long table of the lists of new users, with n_history.
        k: places of a list that count.
    """
    if not len(lists):
        return []
    catalogue, lengths = Catalogue.of(items), lists["n_history"].unique().tolist()
    n = int(min(lengths, key=lambda length: (abs(length - _REVEALED), length)))
    lists = lists[lists["n_history"] == n]
    rows = IdMap(protocol.users).indices(internal_ids(lists[c.USER], users[c.USER]))
    later = protocol.hidden(n)
    slots = Places.of(lists, rows, catalogue, later, k)
    of, ids = np.unique(rows), users[c.USER].iloc[protocol.users]
    chosen, compared = _most_tail_hits(slots, of, ids, catalogue)
    asked = f"{len(of):,} new users of whom {n} item{'s are' if n != 1 else ' is'} known"
    query = protocol.revealed(n).take(np.array([chosen]))
    return [_story_of_user("A new user", f"Of {asked}, {compared}.", scorer, query, (slots, chosen), later, catalogue)]


def tell_tail_lover(
    scorer: HybridScorer,
    items: pd.DataFrame,
    users: pd.DataFrame,
    histories: Query,
    train: Matrix,
    positives: Matrix,
    lists: pd.DataFrame,
    k: int,
) -> list[JsonObject]:
    """Tell of the niche user whose list has the most hits among tail items; no story where nobody is niche.

    Args:
        scorer: the model whose lists these are.
        items: the item table.
        users: the user table; ids are not shown.
        histories: what scores are computed from, of all users.
        train: train rows (U, n_items); by the share of head items among them a user is niche or not.
        positives: what users took in the test window (U, n_items).
        lists: this model's long table of mixed test lists.
        k: places of a list that count.
    """
    catalogue, rows = Catalogue.of(items), internal_ids(lists[c.USER], users[c.USER])
    taste = taste_of(train, bucket_items(items, c.HEAD), users[c.USER])
    slots = Places.of(lists, rows, catalogue, positives, k)
    of = np.unique(rows)
    of = of[taste[of] == NICHE]
    if not len(of):
        return []
    chosen, compared = _most_tail_hits(slots, of, users[c.USER], catalogue)
    known = train[chosen].indices
    share = np.mean(catalogue.bucket[known] != c.HEAD)
    why = (
        f"Of {len(of):,} users in whose histories head items have the smallest share, {compared}. "
        f"In the train history of this one, {share:.0%} of the items are of the tail."
    )
    query = histories.take(np.array([chosen]))
    return [_story_of_user("A lover of the tail", why, scorer, query, (slots, chosen), positives, catalogue)]


def tell_cold_item(
    scorer: HybridScorer,
    items: pd.DataFrame,
    users: pd.DataFrame,
    histories: Query,
    positives: Matrix,
    lists: pd.DataFrame,
    k: int,
) -> list[JsonObject]:
    """Tell of the cold item that was listed to the most users who took it later; no story where no cold item was taken.

    Arguments are those of :func:`tell_tail_lover`.
    """
    catalogue, rows = Catalogue.of(items), internal_ids(lists[c.USER], users[c.USER])
    slots = Places.of(lists, rows, catalogue, positives, k)
    takers = positives[np.unique(rows)].getnnz(axis=0)
    of = np.flatnonzero((catalogue.bucket == c.COLD) & (takers > 0))
    if not len(of):
        return []
    n_hits = slots.counts(slots.hit, slots.item, len(items))
    listed = slots.counts(np.ones(len(slots.item), dtype=bool), slots.item, len(items))
    chosen = int(of[np.lexsort((seeded_hash(0, catalogue.ids.iloc[of]), listed[of], -n_hits[of]))[0]])
    listed_to_takers = _some((n_hits[of] > 0).sum())
    why = (
        f"Of {len(of):,} items that nobody in training has taken and somebody took later, {listed_to_takers} stood on "
        f"a list of {k} of somebody who took it. This one stood on {listed[chosen]:,} lists; "
        f"{n_hits[chosen]:,} of the {takers[chosen]:,} users who took it are among them."
    )
    written = np.flatnonzero(slots.item == chosen)
    written = written[
        np.lexsort((seeded_hash(0, users[c.USER].iloc[slots.user[written]]), slots.rank[written], ~slots.hit[written]))
    ]
    entries = []
    for place in written[:_LISTS]:
        query = histories.take(slots.user[place : place + 1])
        explanation = explain(scorer, query, np.array([chosen]))
        why_listed = describe_score(explanation, 0, catalogue.titles)
        of_user = f"a user with {len(explanation.history)} known items"
        entries.append(slots.named(int(place)) | {"title": of_user, "bucket": "", "why": why_listed})
    name = f"A cold item: {catalogue.titles[chosen]}"
    return [{"name": name, "chosen": why, "history": "", "column": "list of", "rows": entries, "truth": []}]


def describe_score(explanation: Explanation, place: int, titles: Sequence[str]) -> str:
    """Say which sources carried a score, and because of which history items, where the history carried it."""
    labels = [*(SOURCES[name].label for name in explanation.sources), _OTHER]
    parts = np.array([*(values[place] for values in explanation.sources.values()), explanation.other[place]])
    positive = parts[parts > 0].sum()
    largest = [part for part in np.argsort(-parts)[:3] if positive > 0 and parts[part] > _LEAST_SHARE * positive]
    text = ", ".join(f"{labels[part]} {parts[part] / positive:.0%}" for part in largest) or "popularity"
    because = [titles[explanation.history[row]] for row in explanation.because_of(place)[:2]]
    return f"{text}; most because of {' and '.join(because)}" if because else text


def _most_tail_hits(slots: Places, of: Indices, ids: pd.Series, catalogue: Catalogue) -> tuple[int, str]:
    """Return the one of some users with the most tail hits, then the most hits, and how that compares with the others.

    Args:
        slots: of all lists.
        of: rows of the users, ascending.
        ids: of every row; equals are ordered by their hash.
        catalogue: of the items.
    """
    hits = slots.counts(slots.hit, slots.user, len(ids))[of]
    in_tail = slots.hit & (catalogue.bucket[slots.item] == c.TAIL)
    tail = slots.counts(in_tail, slots.user, len(ids))[of]
    first = int(np.lexsort((seeded_hash(0, ids.iloc[of]), -hits, -tail))[0])
    if tail[first]:
        compared = (
            f"{_some((tail > 0).sum())} later took a tail item of their list; this one took the most, {tail[first]}"
        )
    elif hits[first]:
        compared = f"nobody took a tail item of the list later; this one took the most items of it, {hits[first]}"
    else:
        compared = "nobody took an item of the list later; this one is the first by a hash"
    return int(of[first]), compared


def _story_of_user(
    name: str,
    why: str,
    scorer: HybridScorer,
    query: Query,
    of: tuple[Places, int],
    later: Matrix,
    catalogue: Catalogue,
) -> JsonObject:
    """Write out one user's list with its hits, and what the user took later."""
    slots, user = of
    of_user = slots.order(slots.user == user)
    written = of_user[(slots.rank[of_user] <= _PLACES) | slots.hit[of_user]]
    explanation = explain(scorer, query, slots.item[written])
    entries = [
        slots.named(int(place))
        | {
            "title": catalogue.titles[slots.item[place]],
            "bucket": str(catalogue.bucket[slots.item[place]]),
            "why": describe_score(explanation, row, catalogue.titles),
        }
        for row, place in enumerate(written)
    ]
    known = [catalogue.titles[item] for item in explanation.history[:_HISTORY]]
    return {
        "name": f"{name}: {len(explanation.history)} known item{'s' * (len(explanation.history) != 1)}",
        "chosen": why,
        "history": _shortened(known, len(explanation.history)),
        "column": "item",
        "rows": entries,
        "truth": _truth(
            later[user].indices.astype(np.int64), set(slots.item[of_user][slots.hit[of_user]].tolist()), catalogue
        ),
    }


def _truth(taken: Indices, of_list: set[int], catalogue: Catalogue) -> list[JsonObject]:
    """Return what a user took later, what the list held first; of what is left out the number."""
    order = sorted(taken.tolist(), key=lambda item: (item not in of_list, item))
    entries: list[JsonObject] = [
        {"title": catalogue.titles[item], "bucket": str(catalogue.bucket[item]), "hit": item in of_list}
        for item in order[: max(_TRUTH, len(of_list))]
    ]
    left_out = len(order) - len(entries)
    return [*entries, {"title": f"{left_out:,} more", "bucket": "", "hit": False}] if left_out else entries


def _shortened(titles: list[str], n: int) -> str:
    return "; ".join(titles) + (f"; {n - len(titles):,} more" if n > len(titles) else "")


def _some(n: int) -> str:
    return f"{n:,}" if n else "none"
