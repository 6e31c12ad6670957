"""Several catalogues as one: each is a domain, with items of its own, and people who may be in several of them.

The domain of an item is its column ``domain``; an interaction has that of its item. Items of catalogues that are joined
are called ``domain/id``, and so are users, unless their ids mean the same person everywhere;
:mod:`tailor.data.join_domains` joins them.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tailor import columns as c

#: Between the name of a domain and the id that its catalogue gives.
SEPARATOR = "/"
Mask = NDArray[np.bool_]


def rows_by_domain(table: pd.DataFrame) -> dict[str, Mask]:
    """Mark the rows (n,) of each domain, by name in alphabetical order; all rows under "" where there is no column.

    Example:
        >>> {name: rows.tolist() for name, rows in rows_by_domain(pd.DataFrame({"domain": ["toys", "beauty"]})).items()}
        {'beauty': [False, True], 'toys': [True, False]}
    """
    if c.DOMAIN not in table:
        return {"": np.ones(len(table), dtype=bool)}
    domain = table[c.DOMAIN].to_numpy(dtype=str)
    return {str(name): domain == name for name in np.unique(domain)}


def domain_masks(items: pd.DataFrame) -> dict[str, Mask]:
    """Mark the items (n_items,) of each domain, by name; empty where there are fewer than two."""
    masks = rows_by_domain(items)
    return masks if len(masks) > 1 else {}


def domain_numbers(items: pd.DataFrame) -> NDArray[np.int64] | None:
    """Number the domain of each item (n_items,), from 0 in alphabetical order; None where there are fewer than two."""
    if c.DOMAIN not in items or items[c.DOMAIN].nunique() < 2:
        return None
    return np.unique(items[c.DOMAIN].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)


def domain_masks_of(numbers: NDArray[np.int64] | None, n_items: int) -> list[Mask]:
    """Mark the items (n_items,) of each domain by the numbers of :func:`domain_numbers`; all items where it is None."""
    if numbers is None:
        return [np.ones(n_items, dtype=bool)]
    return [numbers == domain for domain in range(int(numbers.max()) + 1)]


def local_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the ids that the catalogue of each row's domain gives: what a run of it alone would hash."""
    if c.DOMAIN not in table:
        return table
    changed = {}
    for name in (c.USER, c.ITEM):
        if name in table:
            changed[name] = table[name].copy()
            for domain, rows in rows_by_domain(table).items():
                changed[name][rows] = table[name][rows].str.removeprefix(domain + SEPARATOR)
    return table.assign(**changed)
