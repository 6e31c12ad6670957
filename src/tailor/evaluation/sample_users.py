"""What a few users get, and why, in words."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.hashing import seeded_hash
from tailor.data.ids import IdMap
from tailor.evaluation.ranking import internal_ids
from tailor.hybrid.explain import Explanation, explain
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.models.base import Query
from tailor.types import JsonObject

_HISTORY_SHOWN = 8
_OTHER = "exposure of rare items"
#: Shares of a score below this are not worth a word.
_LEAST_SHARE = 0.05


def choose_users(users: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Return one user of the least active quartile, one of a middle and one of the most active, by seeded hash."""
    order = np.argsort(seeded_hash(seed, users[c.USER]))
    bucket = users[c.BUCKET].to_numpy(dtype=str)
    first = [next((int(user) for user in order if bucket[user] == label), None) for label in ("q1", "q3", "q4")]
    return np.array([user for user in first if user is not None], dtype=np.int64)


def describe_users(
    scorer: HybridScorer,
    users: pd.DataFrame,
    items: pd.DataFrame,
    histories: Query,
    lists: pd.DataFrame,
    seed: int,
    top: int = 5,
) -> list[JsonObject]:
    """Describe three users: what they took, what they get, and what carried it.

    Args:
        scorer: the model whose lists these are.
        users: the user table; ids are not shown.
        items: the item table.
        histories: what scores are computed from, of all users.
        lists: this model's mixed test lists, long; of several domains each is described.
        seed: of the choice.
        top: places shown.
    """
    titles = (items[c.TITLE] if c.TITLE in items else items[c.ITEM]).astype(str).tolist()
    buckets, ids = items[c.BUCKET].tolist(), IdMap(items[c.ITEM])
    labels = [name for name in (c.DOMAIN, c.RANK) if name in lists]
    described = []
    listed = np.unique(internal_ids(lists[c.USER], users[c.USER]))
    for letter, user in zip("ABC", listed[choose_users(users.iloc[listed], seed)], strict=False):
        rows = lists[(lists[c.USER] == users[c.USER].iloc[user]) & (lists[c.RANK] <= top)].sort_values(labels)
        of_user = ids.indices(rows[c.ITEM])
        explanation = explain(scorer, histories.take(np.array([user])), of_user)
        entries = [
            label
            | {
                "title": titles[item],
                "bucket": buckets[item],
                "score": f"{explanation.score[place]:.2f}",
                "why": describe_score(explanation, place, titles),
            }
            for place, (item, label) in enumerate(zip(of_user, rows[labels].to_dict("records"), strict=True))
        ]
        history = "; ".join(titles[item] for item in explanation.history[:_HISTORY_SHOWN])
        name = f"User {letter}: {len(explanation.history)} known items"
        described.append({"name": name, "history": history, "rows": entries})
    return described


def describe_score(explanation: Explanation, place: int, titles: list[str]) -> str:
    """Say which sources carried a score, and because of which history items, where the history carried it."""
    labels = [*(SOURCES[name].label for name in explanation.sources), _OTHER]
    parts = np.array([*(values[place] for values in explanation.sources.values()), explanation.other[place]])
    positive = parts[parts > 0].sum()
    largest = [part for part in np.argsort(-parts)[:3] if positive > 0 and parts[part] > _LEAST_SHARE * positive]
    text = ", ".join(f"{labels[part]} {parts[part] / positive:.0%}" for part in largest) or "popularity"
    because = [titles[explanation.history[row]] for row in explanation.because_of(place)[:2]]
    return f"{text}; most because of {' and '.join(because)}" if because else text
