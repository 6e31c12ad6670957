"""What a peer's interpreter reads and writes: a folder of arrays, without pickle; numpy and scipy are all it needs.

Read: `task.json` (class path, option sets, seed, k, the catalogue's size); `rows.npz`, what is fitted on, and
`histories.npz`, what lists are computed from (`user`, `item`, `place` in the user's order from 1, 0 where it is not
known); `seen.npz`, what lists leave out (`user`, `item`); `asked.npz` (`user` (B,): whom to list for; `tie_rank`
(n_items,); `candidates_NAME` (n_items,), one mask for each candidate set).

Written: `lists_N.npz` of option set N (for each candidate set `NAME_user`, `NAME_item`, `NAME_rank` from 1,
`NAME_score`); `done.json` (the library's version, seconds of fits and lists) or `error.json` (`field`: `class_path`,
`options` or `fit`; the option set; what was said). Users and items are rows of the project's tables.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

#: Items (B, k), best first, -1 for an empty place, and their scores (B, k).
Lists = tuple[np.ndarray, np.ndarray]


class PeerError(Exception):
    """What the entry of a peer asks for does not work: its field, the option set, and what the library said."""

    def __init__(self, field: str, options: Any, message: str) -> None:
        super().__init__(message)
        self.field, self.options = field, options


class Task:
    """One folder, read: what to fit on, whom to list for, and what may be listed."""

    def __init__(self, folder: Path) -> None:
        """Read a folder."""
        task = json.loads((folder / "task.json").read_text())
        self.class_path: str = task["class_path"]
        self.option_sets: list[dict[str, Any]] = task["option_sets"]
        self.seed, self.k = int(task["seed"]), int(task["k"])
        self.shape: tuple[int, int] = (int(task["n_users"]), int(task["n_items"]))
        self.rows, self.histories, self.seen, asked = (
            _arrays(folder / f"{name}.npz") for name in ("rows", "histories", "seen", "asked")
        )
        self.users, self.tie_rank = asked["user"], asked["tie_rank"]
        prefix = "candidates_"
        self.candidates = {key.removeprefix(prefix): mask for key, mask in asked.items() if key.startswith(prefix)}

    def matrix(self, cells: dict[str, np.ndarray]) -> sparse.csr_matrix:
        """Return rows as a 0/1 matrix (n_users, n_items)."""
        ones = np.ones(len(cells["user"]), np.float32)
        matrix = sparse.csr_matrix((ones, (cells["user"], cells["item"])), shape=self.shape)
        matrix.sort_indices()
        return matrix

    def blocks(self, size: int = 512) -> Iterator[slice]:
        """Yield ``size`` of the users at a time, by their place in ``users``."""
        for start in range(0, len(self.users), size):
            yield slice(start, min(start + size, len(self.users)))

    def lists(self, scored: Iterable[tuple[slice, np.ndarray]]) -> dict[str, Lists]:
        """Return the k best of every candidate set that no user has seen; of equal scores the lower tie rank first.

        Args:
            scored: some users at a time, by their place in ``users``, with scores (b, n_items); NaN: no score, not
                listed.
        """
        seen, n = self.matrix(self.seen), len(self.users)
        items = {name: np.full((n, self.k), -1, np.int64) for name in self.candidates}
        scores = {name: np.full((n, self.k), -np.inf, np.float32) for name in self.candidates}
        for place, of_block in scored:
            allowed = np.where(np.isnan(of_block), -np.inf, of_block)
            allowed[seen[self.users[place]].nonzero()] = -np.inf
            for name, mask in self.candidates.items():
                of_set = np.where(mask, allowed, -np.inf)
                best = np.lexsort((np.broadcast_to(self.tie_rank, of_set.shape), -of_set), axis=1)[:, : self.k]
                values = np.take_along_axis(of_set, best, axis=1)
                items[name][place, : best.shape[1]] = np.where(np.isneginf(values), -1, best)
                scores[name][place, : best.shape[1]] = values
        return {name: (items[name], scores[name]) for name in self.candidates}


def run(
    package: str,
    build: Callable[[Any, dict[str, Any], int], Any],
    fit: Callable[[Any, Task], None],
    lists: Callable[[Any, Task], dict[str, Lists]],
) -> None:
    """Do the task of the folder on the command line: every option set is built, fitted and listed with.

    Args:
        package: whose version is written.
        build: makes a model of a class, options and a seed.
        fit: fits it on a task's rows.
        lists: returns the lists of every candidate set.
    """
    folder = Path(sys.argv[1])
    try:
        task = Task(folder)
        model_class, seconds = find(task.class_path), []
        for number, options in enumerate(task.option_sets):
            model = _said("options", options, lambda: build(model_class, options, task.seed))  # noqa: B023
            started = time.perf_counter()
            _said("fit", options, lambda: fit(model, task))  # noqa: B023
            fitted = time.perf_counter()
            made = _said("fit", options, lambda: lists(model, task))  # noqa: B023
            seconds.append({"fit": fitted - started, "lists": time.perf_counter() - fitted})
            write(folder / f"lists_{number}.npz", task, made)
        (folder / "done.json").write_text(json.dumps({"version": version(package), "seconds": seconds}))
    except PeerError as exc:
        said = {"field": exc.field, "options": exc.options, "message": str(exc)}
        (folder / "error.json").write_text(json.dumps(said))
        sys.exit(1)


def find(class_path: str) -> Any:
    """Import a class by its dotted path.

    Raises:
        PeerError: there is none.
    """
    module, _, name = class_path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise PeerError("class_path", None, str(exc)) from None


def write(path: Path, task: Task, made: dict[str, Lists]) -> None:
    """Write lists as rows of user, item, rank from 1 and score; empty places are left out."""
    arrays = {}
    for name, (items, scores) in made.items():
        row, rank = np.nonzero(items >= 0)
        columns = {"user": task.users[row], "item": items[row, rank], "rank": rank + 1, "score": scores[row, rank]}
        arrays |= {f"{name}_{column}": values for column, values in columns.items()}
    np.savez(path, **arrays)


def _said(field: str, options: dict[str, Any], work: Callable[[], Any]) -> Any:
    """Call a library; what it raises becomes a :class:`PeerError`."""
    try:
        return work()
    except PeerError:
        raise
    except Exception as exc:
        raise PeerError(field, options, _in_short(exc)) from exc


def _in_short(exc: Exception) -> str:
    """Return what an exception says on one line; of pydantic's, keys and problems alone."""
    problems = getattr(exc, "errors", None)
    if callable(problems):
        return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems())
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
