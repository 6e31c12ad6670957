"""Vectors of items beside their texts (pictures, sound): read cell by cell, joined to embeddings, told apart again.

An item may lack a vector. Its part is 0 then, which stands for nothing: what reads a part leaves it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.quality import QualityReport
from tailor.errors import BadInputError
from tailor.linear_algebra import unit_rows

Floats = NDArray[np.float32]
Number = TypeVar("Number", np.float32, np.float64)
#: Name of the part that a text encoder makes.
TEXT = "text"
#: Vectors no further from their mean than this share of its length are the mean.
_NOTHING = 1e-6


def vector_columns(items: pd.DataFrame) -> list[str]:
    """Return the names of the columns that hold a vector per item, in alphabetical order."""
    return sorted(str(name) for name in items if str(name).startswith(c.VECTOR_PREFIX))


# --- read ------------------------------------------------------------------------------------------------------------


def read_vectors(cells: pd.Series, name: str, report: QualityReport) -> pd.Series:
    """Read a column of vectors; a cell that holds none is None, and counted.

    Args:
        cells: texts, lists or arrays, indexed by line or row; a vector may be missing.
        name: of the column.
        report: where missing vectors, those of another length than most, and unreadable ones are counted.

    Returns:
        Lists of numbers of one length, or None.

    Raises:
        BadInputError: no cell is filled, or half of the filled ones or more are not vectors of one length.
    """
    missing = cells.map(_is_missing).astype(bool)
    read = pd.Series([None if gone else read_vector(cell) for gone, cell in zip(missing, cells, strict=True)])
    lengths = read.map(lambda vector: 0 if vector is None else len(vector)).set_axis(cells.index)
    unreadable = (lengths == 0) & ~missing
    length = _common_length(cells, name, lengths)
    other = (lengths > 0) & (lengths != length)
    report.add("items", f"{name} is missing", missing, "noticed")
    report.add("items", f"{name} is not a vector of finite numbers (taken as missing)", unreadable, "noticed", cells)
    report.add("items", f"{name} does not have {length} numbers as most (taken as missing)", other, "noticed", cells)
    usable = lengths == length
    return pd.Series(
        [v if ok else None for v, ok in zip(read, usable, strict=True)], cells.index, dtype=object, name=name
    )


def _common_length(cells: pd.Series, name: str, lengths: "pd.Series[int]") -> int:
    filled = ~cells.map(_is_missing).astype(bool)
    if not filled.any():
        raise BadInputError(f"raw_items column '{name}' has no vector in any row. Fill it, or map no column to it.")
    known = lengths[lengths > 0]
    length = int(known.mode().iloc[0]) if len(known) else 0
    wrong = filled & (lengths != length) if length else filled
    if 2 * wrong.sum() >= filled.sum():
        row = int(wrong.to_numpy().argmax())
        raise BadInputError(
            f"raw_items column '{name}': {wrong.sum()} of {filled.sum()} filled cells are not vectors of numbers "
            f"of one length ({length}, the most frequent); see {cells.index.name or 'row'} {cells.index[row]}: "
            f"{str(cells.iloc[row])[:40]!r}. Write as many numbers in every cell, or leave cells empty."
        )
    return length


def _is_missing(cell: object) -> bool:
    if isinstance(cell, str):
        return not cell.strip("[]() \t,") or cell.strip().lower() in ("nan", "none", "null")
    if isinstance(cell, Sequence | np.ndarray):
        return len(cell) == 0
    return cell is None or bool(pd.isna(cell))  # type: ignore[call-overload]


def read_vector(cell: object) -> list[float] | None:
    """Return the numbers of a cell; None where it holds none, or one that is not finite.

    Example:
        >>> read_vector("[1, 2.5]"), read_vector("cat.jpg"), read_vector([1, float("nan")])
        ([1.0, 2.5], None, None)
    """
    if isinstance(cell, str):
        parts: Sequence[object] = cell.strip("[]() ").replace(",", " ").split()
    elif isinstance(cell, Sequence | np.ndarray):
        parts = list(cell)
    else:
        return None
    try:
        numbers = np.array(parts, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return numbers.tolist() if numbers.ndim == 1 and len(numbers) and np.isfinite(numbers).all() else None


# --- joined ----------------------------------------------------------------------------------------------------------


def centres_of(items: pd.DataFrame, fitted_on: NDArray[np.bool_] | None = None) -> dict[str, Floats]:
    """Return the mean vector of every vector column, over the items that have one.

    Args:
        items: cleaned; vectors are lists of one length, or None.
        fitted_on: the items that count (n_items,); all where none of these has a vector.

    Raises:
        BadInputError: a column has no vector.
    """
    names = vector_columns(items)
    of_fit = {name: items.loc[fitted_on, name] if fitted_on is not None else items[name] for name in names}
    return {name: _mean(cells if cells.notna().any() else items[name], name) for name, cells in of_fit.items()}


def _mean(cells: pd.Series, name: str) -> Floats:
    known = [np.asarray(cell, dtype=np.float64) for cell in cells if not _is_missing(cell)]
    if not known:
        raise BadInputError(f"items column '{name}' has no vector in any row. Fill it, or map no column to it.")
    return np.asarray(np.stack(known).mean(axis=0), dtype=np.float32)


def parts_of(cells: Sequence[object] | pd.Series, centre: Floats) -> Floats:
    """Return vectors (n, width) less their mean, of length 1; 0 where a cell is None.

    Args:
        cells: lists or arrays of one length, or None.
        centre: the mean (width,).
    """
    mean = centre.astype(np.float64)
    rows = [mean if _is_missing(cell) else np.asarray(cell, dtype=np.float64) for cell in cells]
    centred = np.stack(rows) - mean if rows else np.zeros((0, len(mean)))
    # Row by row, and by the largest number first: no item decides what becomes of another, and no square overflows.
    largest = np.abs(centred).max(axis=1, initial=0.0, keepdims=True)
    scaled = centred / np.where(largest > 0, largest, 1)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    differs = largest * norms > _NOTHING * (np.linalg.norm(mean) + largest)
    return np.where(differs, scaled / np.where(norms > 0, norms, 1), 0.0).astype(np.float32)


def join_parts(parts: Sequence[Floats]) -> Floats:
    """Put parts (n, ·) with rows of length 1, or 0 where an item lacks one, side by side; rows have length 1 again."""
    if len(parts) == 1:
        return parts[0]
    present = np.sum([part.any(axis=1) for part in parts], axis=0)
    return np.asarray(np.hstack(parts) / np.sqrt(np.maximum(present, 1))[:, None], dtype=np.float32)


# --- told apart ------------------------------------------------------------------------------------------------------


def slices_of(dimensions: Mapping[str, int]) -> dict[str, slice]:
    """Return where each part lies in joined rows: the text first, then the others in alphabetical order.

    Args:
        dimensions: numbers of each part, by name.

    Example:
        >>> slices_of({"vector_sound": 2, "text": 4, "vector_image": 3})
        {'text': slice(0, 4, None), 'vector_image': slice(4, 7, None), 'vector_sound': slice(7, 9, None)}
    """
    names = sorted(dimensions, key=lambda name: (name != TEXT, name))
    ends = np.cumsum([dimensions[name] for name in names]).tolist()
    return {name: slice(end - dimensions[name], end) for name, end in zip(names, ends, strict=True)}


def unit_part(joined: NDArray[Number], place: slice) -> NDArray[Number]:
    """Return one part of joined rows (n, m), its rows of length 1 again; 0 where an item lacks it."""
    return unit_rows(joined[:, place])


def missing_counts(items: pd.DataFrame) -> dict[str, int]:
    """Return how many items lack each vector, by column."""
    return {name: int(items[name].isna().sum()) for name in vector_columns(items)}


@dataclass(frozen=True, eq=False)
class ItemParts:
    """What embeddings of items are made of where a model is served."""

    centres: dict[str, Floats]
    """Mean of each vector column, by name, in alphabetical order; none where embeddings are texts alone."""
    slices: dict[str, slice]
    """Where each part lies, the text first."""

    @classmethod
    def of(cls, width: int, centres: Mapping[str, Sequence[float]]) -> Self:
        """Lay the parts out.

        Args:
            width: numbers of a whole embedding.
            centres: mean of each vector column, by name.
        """
        means = {name: np.asarray(centres[name], dtype=np.float32) for name in sorted(centres)}
        widths = {name: len(mean) for name, mean in means.items()}
        return cls(means, slices_of({TEXT: width - sum(widths.values())} | widths))

    @property
    def names(self) -> list[str]:
        """Names of the vector columns."""
        return list(self.centres)

    def of_texts(self, features: Floats) -> Floats:
        """Return the texts' parts of embeddings (n, m), of length 1; where there are no others, embeddings as given."""
        return unit_part(features, self.slices[TEXT]) if self.centres else features

    def read(self, cells: Mapping[str, Sequence[object]]) -> Floats:
        """Return vectors that came with items as parts (a, ·) side by side, in the order of :attr:`names`; 0: missing.

        Args:
            cells: by name of the column, lists or None.

        Raises:
            BadInputError: a cell is no vector of finite numbers, or has not as many as the catalogue's.
        """
        return np.hstack([self._read(cells[name], name) for name in self.names])

    def _read(self, cells: Sequence[object], name: str) -> Floats:
        centre, vectors = self.centres[name], list[list[float] | None]()
        for cell in cells:
            vector = None if _is_missing(cell) else read_vector(cell)
            if not _is_missing(cell) and (vector is None or len(vector) != len(centre)):
                problem = "no list of finite numbers" if vector is None else f"{len(vector)} numbers"
                raise BadInputError(
                    f"{name} = {str(cell)[:50]}: {problem}; this catalogue's have {len(centre)} numbers. Send as many, "
                    "or leave it out."
                )
            vectors.append(vector)
        return parts_of(vectors, centre)

    def join(self, texts: Floats, vectors: Floats, known: Floats | None = None) -> Floats:
        """Return embeddings (a, m) of whole items.

        Args:
            texts: embeddings of their texts (a, ·).
            vectors: their other parts as of :meth:`read` (a, ·); no row: none came.
            known: embeddings that the items have (a, m), of which they keep the parts that did not come.
        """
        width, end = self.slices[TEXT].stop, max(place.stop for place in self.slices.values())
        whole = np.zeros((len(texts), end), np.float32)
        whole[:, width:] = vectors if len(vectors) else 0.0
        parts = [texts]
        for name in self.names:
            part, place = whole[:, self.slices[name]], self.slices[name]
            known_part = np.zeros_like(part) if known is None else unit_part(known, place)
            parts.append(np.where(part.any(axis=1, keepdims=True), part, known_part))
        return join_parts(parts)

    def without_each(self, features: Floats) -> dict[str, Floats]:
        """Return embeddings (n, m) that lack each part in turn, by its name; none where there is only the text."""
        if not self.centres:
            return {}
        parts = {name: unit_part(features, place) for name, place in self.slices.items()}
        return {name: join_parts([part * np.float32(other != name) for other, part in parts.items()]) for name in parts}
