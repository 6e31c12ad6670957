"""Arrays that rows are appended to without a copy of what is there: memory with room behind the rows in use.

An array that was handed out never changes: what is appended lies behind its last row. Where the room is full, it is
doubled; where another array has taken the next rows already, both part, and the later one is a copy.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self, TypeVar, cast

import numpy as np
from scipy import sparse

from tailor.types import AnyArray

Array = TypeVar("Array", bound=AnyArray)
#: Rows that there is room for at least.
_LEAST = 64
_LOCK = threading.Lock()


class _Room(np.ndarray):
    """Memory; its first ``used`` rows (of a block: columns) belong to arrays that were handed out."""

    used: int


def append(array: Array, rows: AnyArray) -> Array:
    """Return an array (n + a, …) with ``rows`` (a, …) behind those of ``array`` (n, …), in O(a) on average."""
    n, size = len(array), len(array) + len(rows)
    if not len(rows):
        return array
    dtype = np.result_type(array, rows)
    with _LOCK:
        room = _room_of(array)
        if room is None or room.used != n or len(room) < size or room.dtype != dtype:
            room = np.empty((max(2 * size, _LEAST), *array.shape[1:]), dtype).view(_Room)
            room[:n] = array
        room.used = size
    room[n:size] = rows
    return cast(Array, room[:size].view(np.ndarray))


def append_columns(array: Array, columns: AnyArray) -> Array:
    """Return an array (r, n + a) with ``columns`` (r, a) behind those of ``array`` (r, n), in O(r a) on average."""
    appended: Array = append(array.T, columns.T).T
    return appended


def _room_of(array: AnyArray) -> _Room | None:
    """Return the room that an array begins, None where it lies elsewhere or is cut out of the middle."""
    base: object = array.base
    while isinstance(base, np.ndarray) and not hasattr(base, "used"):
        base = base.base
    if not isinstance(base, _Room):
        return None
    return base if array.strides == base.strides and array.ctypes.data == base.ctypes.data else None


@dataclass(frozen=True, eq=False)
class ColumnBlocks:
    """Columns (r, a) in blocks, for arrays that are long in both directions: more of them leave the others in place."""

    n_rows: int
    blocks: tuple[AnyArray, ...] = ()
    """(r, at most ``size``) each, and full but for the last."""
    size: int = 1024

    @classmethod
    def of(cls, array: AnyArray) -> Self:
        """Return the columns of an array (r, a)."""
        return cls(len(array)).append(array)

    @property
    def width(self) -> int:
        """Columns in all, a."""
        return sum(block.shape[1] for block in self.blocks)

    def append(self, columns: AnyArray) -> Self:
        """Return these columns and more (r, b) behind them."""
        blocks = list(self.blocks)
        start = 0
        while start < columns.shape[1]:
            if not blocks or blocks[-1].shape[1] == self.size:
                blocks.append(np.zeros((self.n_rows, 0), np.float32))
            part = columns[:, start : start + self.size - blocks[-1].shape[1]]
            blocks[-1] = _append_in_block(blocks[-1], part, self.size)
            start += part.shape[1]
        return replace(self, blocks=tuple(blocks))

    def with_columns(self, positions: AnyArray, columns: AnyArray) -> Self:
        """Return the same with other columns (r, b) at ``positions`` (b,); only their blocks are copied."""
        blocks = list(self.blocks)
        for number in np.unique(positions // self.size).tolist():
            chosen = positions // self.size == number
            blocks[number] = blocks[number].copy()
            blocks[number][:, positions[chosen] % self.size] = columns[:, chosen]
        return replace(self, blocks=tuple(blocks))

    def weigh(self, history: "sparse.csr_matrix[np.float32]") -> AnyArray:
        """Return ``history`` (B, r) times the columns: (B, a)."""
        out = np.zeros((history.shape[0], self.width), np.float32)
        rows = np.unique(history.indices)
        if len(rows):
            known = sparse.csr_matrix(history[:, rows])
            for place, block in self._placed():
                out[:, place] = known @ block[rows]
        return out

    def cells(self, rows: AnyArray, columns: AnyArray) -> AnyArray:
        """Return the cells of some rows (h,) and columns (k,): (h, k)."""
        out = np.zeros((len(rows), len(columns)), np.float32)
        for place, block in self._placed():
            chosen = (columns >= place.start) & (columns < place.stop)
            out[:, chosen] = block[np.ix_(rows, columns[chosen] - place.start)]
        return out

    def toarray(self) -> AnyArray:
        """Return one array (r, a)."""
        return np.hstack([np.zeros((self.n_rows, 0), np.float32), *self.blocks])

    def _placed(self) -> Iterator[tuple[slice, AnyArray]]:
        start = 0
        for block in self.blocks:
            yield slice(start, start + block.shape[1]), block
            start += block.shape[1]


def _append_in_block(block: AnyArray, columns: AnyArray, size: int) -> AnyArray:
    """Return a block with columns behind its own: in the same memory where these are free, else in a copy."""
    n, end = block.shape[1], block.shape[1] + columns.shape[1]
    with _LOCK:
        room = _room_of(block)
        if room is None or room.used != n or room.shape[1] < end:
            room = np.empty((len(block), min(size, max(2 * end, _LEAST))), np.float32).view(_Room)
            room[:, :n] = block
        room.used = end
    room[:, n:end] = columns
    return cast(AnyArray, room[:, :end].view(np.ndarray))
