"""A fabricated catalogue of any size, written block by block: power laws of popularity and activity, planted clusters.

The truth is in the ids: item ``i7`` and user ``u7`` belong to cluster ``7 % n_clusters`` (:func:`cluster_of`). A user
mostly takes items of the same cluster, and an item's text is written in the words of its cluster, so that a model that
joins text and behaviour can place an item nobody has touched.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tailor import columns as c
from tailor.errors import ConfigurationError
from tailor.files import write_aside
from tailor.progress import progress

_THEMES = (
    "spaceship galaxy alien robot starfleet asteroid",
    "romance wedding love kiss bride engagement",
    "haunted ghost vampire scream nightmare witch",
    "cowboy sheriff saloon horse frontier outlaw",
    "detective murder clue police mystery suspect",
    "football stadium coach championship boxing goalkeeper",
    "wizard dragon kingdom sword magic castle",
    "comedy prank clown joke parody laughter",
)
_SETTINGS = (
    "desert dunes oasis caravan",
    "ocean sailor island harbour",
    "mountain glacier summit avalanche",
    "school teacher classroom pupils",
    "kitchen chef bakery banquet",
    "orchestra violin opera composer",
    "railway locomotive station conductor",
    "garden orchard tulips greenhouse",
)
#: Clusters there are words for: every theme in every setting.
MAX_CLUSTERS = len(_THEMES) * len(_SETTINGS)
#: Users that are drawn, and written as one row group, at a time.
BLOCK_USERS = 10_000
#: The least that a user takes.
_LEAST = 5
#: Exponent of popularity, 1 / rank^x, and shape of the Lomax distribution of activity: both heavy-tailed.
_POPULARITY, _ACTIVITY = 0.8, 2.0
#: How many more rows are drawn than a user takes, since what is drawn twice counts once.
_SPARE = 4
#: Timestamps: seconds of a year.
_START, _YEAR = 1_600_000_000, 365 * 24 * 3600


@dataclass(frozen=True)
class CatalogueSize:
    """How large the catalogue is, and how clear its clusters are."""

    users: int
    items: int
    rows: int
    """Interactions; a few less are written where users drew an item twice too often."""
    clusters: int = 16
    loyalty: float = 0.9
    """Share of a user's draws that are from the user's cluster."""

    def __post_init__(self) -> None:
        """Refuse a catalogue that cannot be.

        Raises:
            ConfigurationError: too many clusters, or rows that users and items have no room for.
        """
        if not 1 <= self.clusters <= MAX_CLUSTERS:
            raise ConfigurationError(f"clusters = {self.clusters}; there are words for 1 to {MAX_CLUSTERS}")
        least, most = _LEAST * self.users, self.users * self._room
        if not least < self.rows <= most:
            raise ConfigurationError(
                f"rows = {self.rows:,}; {self.users:,} users take more than {least:,} and at most {most:,} of "
                f"{self.items:,} items in {self.clusters} clusters: set rows between them, or add items"
            )

    @property
    def _room(self) -> int:
        """Most that a user takes: half of a cluster."""
        return self.items // self.clusters // 2


def cluster_of(ids: pd.Series, clusters: int) -> NDArray[np.int64]:
    """Return the cluster of users or items (n,), read from their ids."""
    return np.asarray(ids.astype("str").str[1:].astype(np.int64) % clusters)


def write_catalogue(folder: Path, size: CatalogueSize, seed: int = 0) -> int:
    """Write interactions.parquet, items.parquet and users.parquet; memory is that of one block of users.

    Args:
        folder: where to; made if need be.
        size: of the catalogue.
        seed: of the generator.

    Returns:
        Rows of the interactions.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("items", item_texts(size, seed)), ("users", user_table(size, seed))):
        with write_aside(folder / f"{name}.parquet") as aside:
            table.to_parquet(aside, index=False)
    n_rows, schema = 0, pa.schema([(c.USER, pa.string()), (c.ITEM, pa.string()), (c.TIMESTAMP, pa.int64())])
    with write_aside(folder / "interactions.parquet") as aside, pq.ParquetWriter(aside, schema) as writer:
        for start in progress(range(0, size.users, BLOCK_USERS), "fabricate", "block"):
            block = draw_block(size, np.arange(start, min(start + BLOCK_USERS, size.users)), seed)
            writer.write_table(pa.Table.from_pandas(block, schema, preserve_index=False))
            n_rows += len(block)
    return n_rows


def item_texts(size: CatalogueSize, seed: int) -> pd.DataFrame:
    """Return item_id, title and genre (the theme): three words of the theme, two of the setting, and a number."""
    rng, index = np.random.default_rng([seed, 0]), np.arange(size.items)
    cluster = index % size.clusters
    themes, settings = (np.array([line.split() for line in lines]) for lines in (_THEMES, _SETTINGS))
    theme, setting = cluster % len(_THEMES), cluster // len(_THEMES)
    chosen = [(themes, theme, 3), (settings, setting, 2)]
    words = [
        vocabulary[which][index[:, None], np.argsort(rng.random((size.items, vocabulary.shape[1])))[:, :n]]
        for vocabulary, which, n in chosen
    ]
    titles = [" ".join(row).title() + f" {i}" for i, row in enumerate(np.hstack(words))]
    return pd.DataFrame({c.ITEM: _ids("i", index), c.TITLE: titles, "genre": themes[theme, 0]})


def user_table(size: CatalogueSize, seed: int) -> pd.DataFrame:
    """Return user_id and age, of which no taste depends."""
    rng = np.random.default_rng([seed, 1])
    return pd.DataFrame({c.USER: _ids("u", np.arange(size.users)), "age": rng.integers(18, 80, size.users)})


def draw_block(size: CatalogueSize, users: NDArray[np.int64], seed: int) -> pd.DataFrame:
    """Return user_id, item_id and timestamp of some users; what they take does not depend on the other users' rows.

    Args:
        size: of the catalogue.
        users: numbers of the users (n,), ascending.
        seed: of the generator; with the first of the users it makes that of the block.
    """
    rng = np.random.default_rng([seed, 2, int(users[0])])
    spread = size.rows / size.users - _LEAST
    takes = np.minimum(_LEAST + rng.pareto(_ACTIVITY, len(users)) * spread * (_ACTIVITY - 1), size._room)
    takes = np.floor(takes + rng.random(len(users))).astype(np.int64)
    user = np.repeat(np.arange(len(users)), _SPARE * takes)
    of_cluster = (size.items - 1 - users % size.clusters) // size.clusters + 1
    rank = _power_law(rng, of_cluster[user])
    item = users[user] % size.clusters + size.clusters * rank
    away = rng.random(len(user)) > size.loyalty
    item[away] = _power_law(rng, np.full(int(away.sum()), size.items))
    row = _first_draws(user, item, takes)
    times = _START + rng.integers(0, _YEAR, len(row))
    return pd.DataFrame(
        {c.USER: _ids("u", users[user[row]]), c.ITEM: _ids("i", item[row]), c.TIMESTAMP: times.astype(np.int64)}
    )


def _power_law(rng: np.random.Generator, n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw one of 0 … n - 1 for each n, with chances that fall like 1 / (1 + rank)^x: the integral is inverted."""
    power = 1 - _POPULARITY
    drawn = (rng.random(len(n)) * ((n + 1.0) ** power - 1) + 1) ** (1 / power) - 1
    return np.minimum(drawn.astype(np.int64), n - 1)


def _first_draws(user: NDArray[np.int64], item: NDArray[np.int64], takes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which draws count: of each user the first ``takes`` different items."""
    order = np.lexsort((np.arange(len(user)), item, user))
    repeated = (user[order][1:] == user[order][:-1]) & (item[order][1:] == item[order][:-1])
    first = np.sort(order[np.append(True, ~repeated)])
    counts = np.bincount(user[first], minlength=len(takes))
    place = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(first[place < takes[user[first]]], dtype=np.int64)


def _ids(letter: str, numbers: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.char.add(letter, numbers.astype(str))
