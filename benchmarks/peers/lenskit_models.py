"""Run by the interpreter of .venv-lenskit: scorers of LensKit on the rows of a folder (peers/exchange.py)."""

from collections.abc import Iterator
from typing import Any

import exchange
import numpy as np
import pandas as pd
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.training import TrainingOptions


class Seeded:
    """A scorer and the seed of its training."""

    def __init__(self, scorer: Any, seed: int) -> None:
        self.scorer, self.seed = scorer, seed


def build(model_class: Any, options: dict[str, Any], seed: int) -> Seeded:
    """Make a scorer by its configuration; keys that it does not have are an error."""
    fields = model_class.config_class().model_fields
    known = set(fields) | {str(other) for field in fields.values() for other in _aliases(field)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"no option {', '.join(unknown)}; known: {', '.join(sorted(fields))}")
    return Seeded(model_class(**options), seed)


def fit(model: Seeded, task: exchange.Task) -> None:
    """Train on the rows, without ratings."""
    table = pd.DataFrame({"user_id": task.rows["user"], "item_id": task.rows["item"]})
    model.scorer.train(from_interactions_df(table), TrainingOptions(rng=model.seed))


def lists(model: Seeded, task: exchange.Task) -> dict[str, exchange.Lists]:
    """List from the histories."""
    return task.lists(scored(model.scorer, task))


def scored(scorer: Any, task: exchange.Task) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the scores of some users at a time; LensKit scores one user at a call."""
    histories, n_items = task.matrix(task.histories), task.shape[1]
    every = ItemList(item_ids=np.arange(n_items))
    for place in task.blocks():
        scores = np.full((place.stop - place.start, n_items), np.nan, np.float32)
        for row, user in enumerate(task.users[place]):
            taken = ItemList(item_ids=histories[user].indices.astype(np.int64))
            answer = scorer(RecQuery(user_id=int(user), history_items=taken), every)
            scores[row, answer.ids()] = answer.scores("numpy")
        yield place, scores


def _aliases(field: Any) -> list[Any]:
    return list(getattr(field.validation_alias, "choices", []))


if __name__ == "__main__":
    exchange.run("lenskit", build, fit, lists)
