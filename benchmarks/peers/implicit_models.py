"""Run by the interpreter of .venv-implicit: models of `implicit` on the rows of a folder (peers/exchange.py)."""

import inspect
from collections.abc import Iterator
from typing import Any

import exchange
import numpy as np

#: What an entry need not say: one thread and the task's seed, so that lists are the same in every run.
FIXED = {"num_threads": 1, "use_gpu": False}


def build(model_class: Any, options: dict[str, Any], seed: int) -> Any:
    """Make a model by keyword arguments."""
    known = inspect.signature(model_class).parameters
    fixed = {name: value for name, value in (FIXED | {"random_state": seed}).items() if name in known}
    return model_class(**(fixed | options))


def fit(model: Any, task: exchange.Task) -> None:
    """Fit on the 0/1 matrix of the rows."""
    model.fit(task.matrix(task.rows), show_progress=False)


def lists(model: Any, task: exchange.Task) -> dict[str, exchange.Lists]:
    """List from the histories where the model can read them, else by what it learnt of each user."""
    return task.lists(scored(model, task))


def scored(model: Any, task: exchange.Task) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the scores of some users at a time: `recommend` for as many items as there are."""
    histories, n_items = task.matrix(task.histories), task.shape[1]
    for place in task.blocks():
        users = task.users[place]
        try:
            items, values = model.recommend(
                users, histories[users], N=n_items, filter_already_liked_items=False, recalculate_user=True
            )
        except NotImplementedError:
            items, values = model.recommend(users, histories[users], N=n_items, filter_already_liked_items=False)
        scores = np.full((len(users), n_items), np.nan, np.float32)
        row, column = np.nonzero((items >= 0) & (values > -np.finfo(np.float32).max))
        scores[row, items[row, column]] = values[row, column]
        yield place, scores


if __name__ == "__main__":
    exchange.run("implicit", build, fit, lists)
