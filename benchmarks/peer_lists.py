"""Lists of other libraries: a folder of arrays for their interpreter (peers/exchange.py), and what comes back."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peer_entries import MODELS, Library, Peer

from tailor import columns as c
from tailor.errors import BadInputError, ConfigurationError
from tailor.models.base import Csr, Indices, Mask, Query, TrainSet

K = 20
#: One thread each, whatever a library's own default is.
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "RAYON", "LK", "NUMBA", "VECLIB_MAXIMUM")
}


@dataclass(frozen=True)
class Side:
    """What models are asked on one side of the split, and what is counted there."""

    data: TrainSet
    """What is fitted on."""
    query: Query
    """Every user, with the history that lists are computed from."""
    seen: Csr
    """What lists leave out (U, n_items)."""
    users: Indices
    """Whom to list for (B,)."""
    candidates: Mask
    """Warm items (n_items,)."""
    positives: Csr
    """(U, n_items)."""
    tail: Mask
    """Tail items (n_items,)."""
    items: pd.DataFrame
    """The item table."""
    tie_rank: Indices
    """Of two equal scores the item with the lower one comes first (n_items,)."""
    seed: int


@dataclass(frozen=True)
class Answer:
    """Lists of one option set, and what they took."""

    lists: np.ndarray
    """Items (B, k), best first, -1 for an empty place."""
    fit_s: float
    lists_s: float


def by_peer(
    peer: Peer, library: Library, side: Side, option_sets: Sequence[dict[str, Any]]
) -> tuple[list[Answer], str]:
    """Let a peer's interpreter fit each option set and list; return the answers and the library's version.

    Raises:
        ConfigurationError: the environment is not built, or the entry asks for what the library does not have.
        BadInputError: a list breaks the rules of the side.
    """
    if not library.interpreter.is_file():
        raise ConfigurationError(f"Peer '{peer.name}' needs {library.interpreter}: run `{library.make}`.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_task(folder, side, peer.class_path, option_sets)
        command = [str(library.interpreter), str(library.runner), str(folder)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | ONE_THREAD
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
        if run.returncode or not (folder / "done.json").is_file():
            raise ConfigurationError(_failure(peer, folder, run.stderr))
        done = json.loads((folder / "done.json").read_text())
        lists = [read_lists(folder / f"lists_{i}.npz", side, peer.name) for i in range(len(option_sets))]
    took = [(seconds["fit"], seconds["lists"]) for seconds in done["seconds"]]
    return [Answer(made, *seconds) for made, seconds in zip(lists, took, strict=True)], done["version"]


def _failure(peer: Peer, folder: Path, stderr: str) -> str:
    """Say in one sentence what a peer could not do."""
    where, path = f"Peer '{peer.name}' of {MODELS.name}", folder / "error.json"
    if not path.is_file():
        last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"{where}: its interpreter stopped: {last}"
    error = json.loads(path.read_text())
    if error["field"] == "class_path":
        return f"{where}: class_path '{peer.class_path}' cannot be imported: {error['message'].rstrip('.')}."
    what = "does not take" if error["field"] == "options" else "fails with"
    return f"{where}: {peer.class_path} {what} options {json.dumps(error['options'])}: {error['message'].rstrip('.')}."


def write_task(folder: Path, side: Side, class_path: str, option_sets: Sequence[dict[str, Any]]) -> None:
    """Write what a peer's interpreter reads (peers/exchange.py)."""
    n_users, n_items = side.data.interactions.shape
    task = {"class_path": class_path, "option_sets": list(option_sets), "seed": side.seed, "k": K}
    (folder / "task.json").write_text(json.dumps(task | {"n_users": n_users, "n_items": n_items}, default=str))
    np.savez(folder / "rows.npz", **_cells(side.data.interactions, side.data.order))  # type: ignore[arg-type]
    np.savez(folder / "histories.npz", **_cells(side.query.history, side.query.order))  # type: ignore[arg-type]
    np.savez(folder / "seen.npz", **_cells(side.seen, None))  # type: ignore[arg-type]
    asked = {"user": side.users, "tie_rank": side.tie_rank, f"candidates_{c.WARM}": side.candidates}
    np.savez(folder / "asked.npz", **asked)  # type: ignore[arg-type]


def _cells(matrix: Csr, order: Csr | None) -> dict[str, np.ndarray]:
    """Return the stored cells as user, item and place in the user's order, 0 where it is not known."""
    user = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    item = matrix.indices.astype(np.int64)
    place = np.zeros(len(item), np.int64) if order is None else _values(order, user, item).astype(np.int64)
    return {"user": user, "item": item, "place": place}


def _values(matrix: Csr, rows: Indices, columns: Indices) -> np.ndarray:
    """Return the values of some cells (n,); scipy returns another shape where there is none."""
    return np.asarray(matrix[rows, columns]).ravel() if len(rows) else np.zeros(0)


def read_lists(path: Path, side: Side, peer: str) -> np.ndarray:
    """Read a peer's lists (B, k); an empty place is -1.

    Raises:
        BadInputError: an item is no candidate, was seen or stands there twice, or a user was not asked for.
    """
    with np.load(path, allow_pickle=False) as file:
        user, item, rank = (file[f"{c.WARM}_{column}"].astype(np.int64) for column in ("user", "item", "rank"))
    n_users, n_items = side.seen.shape
    user_row, item_row = np.clip(user, 0, n_users - 1), np.clip(item, 0, n_items - 1)
    wrong = {
        "a user who was not asked for": ~np.isin(user, side.users),
        "an item that is no candidate": (item != item_row) | ~side.candidates[item_row],
        "an item that the user has seen": _values(side.seen, user_row, item_row) != 0,
        f"a rank outside 1 to {K}": (rank < 1) | (rank > K),
        "an item twice for one user": pd.DataFrame({"user": user, "item": item}).duplicated().to_numpy(),
        "two items at one rank": pd.DataFrame({"user": user, "rank": rank}).duplicated().to_numpy(),
    }
    for what, found in wrong.items():
        if found.any():
            first = np.flatnonzero(found)[0]
            raise BadInputError(
                f"Peer '{peer}' lists {what}, {int(found.sum())} times; first: user {user[first]}, item {item[first]}, "
                f"rank {rank[first]} (users and items are rows of the project's tables)."
            )
    lists = np.full((len(side.users), K), -1, np.int64)
    lists[np.searchsorted(side.users, user), rank - 1] = item
    return lists
