"""What a few users get, and why, in words."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.hashing import seeded_hash
from tailor.hybrid.blend import SOURCES
from tailor.hybrid.explain import Explanation, explain
from tailor.hybrid.scorer import Hybrid

_WORDS = dict(
    zip(
        SOURCES,
        ("factors", "factors of similar texts", "co-consumption", "order", "text", "context", "profile", "popularity"),
        strict=True,
    )
)
_SHOWN = 8


def choose(users: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Return one user of the least active quartile, one of a middle and one of the most active, by seeded hash."""
    order = np.argsort(seeded_hash(seed, users[c.USER]))
    bucket = users[c.BUCKET].to_numpy(dtype=str)
    found = [next((int(u) for u in order if bucket[u] == wanted), None) for wanted in ("q1", "q3", "q4")]
    return np.array([u for u in found if u is not None], dtype=np.int64)


def tell(
    scorer: Hybrid,
    users: pd.DataFrame,
    items: pd.DataFrame,
    titles: pd.Series,
    history: sparse.csr_matrix,
    lists: pd.DataFrame,
    seed: int,
    top: int = 5,
) -> list[dict[str, Any]]:
    """Tell of three users what they took, what they get, and what carried it.

    Args:
        scorer: the model whose lists these are.
        users: the user table; ids are not shown.
        items: the item table.
        titles: what an item is called (n_items,).
        history: what scores are computed from (U, n_items).
        lists: this model's mixed test lists, long.
        seed: of the choice.
        top: places shown.
    """
    found, names = [], titles.astype(str).tolist()
    for letter, user in zip("ABC", choose(users, seed), strict=False):
        rows = lists[(lists[c.USER] == users[c.USER].iloc[user]) & (lists[c.RANK] <= top)].sort_values(c.RANK)
        listed = pd.Index(items[c.ITEM]).get_indexer(pd.Index(rows[c.ITEM]))
        told = explain(scorer, history[[user]], listed, user=int(user))
        taken = [names[i] for i in told.history[:_SHOWN]]
        entries = [
            {
                "rank": place + 1,
                "title": names[i],
                "bucket": items[c.BUCKET].iloc[i],
                "score": f"{told.score[place]:.2f}",
            }
            | {"why": why(told, place, names)}
            for place, i in enumerate(listed)
        ]
        name = f"User {letter}: {len(told.history)} known items"
        found.append({"name": name, "history": "; ".join(taken), "rows": entries})
    return found


def why(told: Explanation, place: int, names: list[str]) -> str:
    """Say which sources carried a score, and which history items its factor part."""
    own = np.append(told.sources[place], told.other[place])
    words = [*(_WORDS[name] for name in SOURCES), "exposure of rare items"]
    carried = own[own > 0].sum()
    order = np.argsort(-own)[:3]
    parts = [f"{words[s]} {own[s] / carried:.0%}" for s in order if carried > 0 and own[s] > 0.05 * carried]
    text = ", ".join(parts) or "popularity"
    best = np.argsort(-told.by_history[place])[:2]
    because = [names[told.history[h]] for h in best if told.by_history[place, h] > 0]
    return f"{text}; most because of {' and '.join(because)}" if because else text
