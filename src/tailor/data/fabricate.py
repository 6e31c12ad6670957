"""A fabricated catalogue with planted truth: clusters that text and behaviour share, cold items, and planted dirt.

Users and items belong to clusters; a user mostly consumes items of the own cluster; an item's text is written in the
words of its cluster. So a model that joins text and behaviour can place an item nobody has touched, and one that looks
at popularity alone cannot.

On request titles end in the name of a studio, and users keep to the studios of their camp. The names are made up: a
language model that has not seen who likes what together takes them for noise, and one that is tuned on it does not.
Also on request users write a line about themselves, of which no item's text speaks: only who takes what tells what it
means.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tailor import columns as c

_WORDS = (
    "spaceship galaxy alien robot starfleet",
    "romance wedding love kiss paris",
    "haunted ghost vampire scream nightmare",
    "cowboy sheriff saloon horse frontier",
    "detective murder clue police mystery",
    "football stadium coach championship boxing",
    "wizard dragon kingdom sword magic",
    "comedy prank clown joke holiday",
)
#: Even ones are of camp 0, odd ones of camp 1.
_STUDIOS = ("Vorlex", "Quandor", "Zimbral", "Tolvane", "Brexul", "Maldwin", "Krandip", "Fenwold")
#: What users of each cluster write about themselves, in words that no item's text has.
_HOBBIES = (
    "I bake rye bread and keep bees",
    "my garden is full of tulips",
    "I repair old clocks and watches",
    "every summer we sail on the lake",
    "I collect stamps and ancient coins",
    "I play the cello in an orchestra",
    "mathematics and crossword puzzles at night",
    "I train for a marathon before breakfast",
)
_GREETINGS = ("{}", "Hello! {}", "About me: {}", "{}, and not much else", "Well, {}", "Most of the time {}")
#: Say nothing of anybody's taste.
_FILLERS = """
    river window garden lantern copper winter bridge harbour pepper ribbon marble velvet thunder orchard candle mirror
    pocket ladder basket tunnel feather blanket anchor kettle puzzle meadow saddle barrel hammer needle carpet bottle
"""


@dataclass(frozen=True)
class PlantedCatalogue:
    """The raw tables and the truth behind them."""

    interactions: pd.DataFrame
    """user_id, item_id, timestamp (seconds); dirty rows last."""
    items: pd.DataFrame
    """item_id, title, genre."""
    users: pd.DataFrame
    """user_id, age, and about where users write."""
    item_cluster: pd.Series
    """Cluster per item_id."""
    user_cluster: pd.Series
    """Cluster per user_id."""
    item_camp: pd.Series
    """Camp of the studio per item_id; 0 without studios."""
    user_camp: pd.Series
    """Camp per user_id; 0 without studios."""
    n_duplicates: int
    n_unknown_items: int
    n_missing_ids: int


def planted_catalogue(
    seed: int = 0,
    n_users: int = 240,
    n_items: int = 160,
    n_clusters: int = 4,
    per_user: int = 24,
    loyalty: float = 0.9,
    dirty: int = 7,
    allegiance: float = 0.0,
) -> PlantedCatalogue:
    """Fabricate a catalogue.

    Args:
        seed: of the generator.
        n_users: users, spread evenly over clusters.
        n_items: items, spread evenly over clusters; within one, popularity falls like 1 / rank^0.7.
        n_clusters: at most 8.
        per_user: mean interactions per user (Poisson, at least 5).
        loyalty: probability that an interaction stays in the user's cluster.
        dirty: how many duplicated rows, rows of unknown items, and rows without item are planted, each.
        allegiance: how much less likely an item is for users of the other camp, in [0, 1]; at 0 there are no studios.
    """
    rng = np.random.default_rng(seed)
    item_cluster, user_cluster = np.arange(n_items) % n_clusters, np.arange(n_users) % n_clusters
    popularity = (1.0 + np.arange(n_items) // n_clusters) ** -0.7
    items = pd.DataFrame({c.ITEM: [f"i{i}" for i in range(n_items)]})
    vocabulary = [words.split() for words in _WORDS]
    items[c.TITLE] = [
        " ".join(rng.choice(vocabulary[k], size=3, replace=False)).title() + f" {i}" for i, k in enumerate(item_cluster)
    ]
    items["genre"] = [vocabulary[k][0] for k in item_cluster]
    item_camp, user_camp = np.zeros(n_items, dtype=np.int64), np.zeros(n_users, dtype=np.int64)
    if allegiance:
        names = np.random.default_rng([seed, 1])
        studio = names.integers(0, len(_STUDIOS), n_items)
        items[c.TITLE] += [f" {' '.join(names.choice(_FILLERS.split(), 6, False))} {_STUDIOS[s]}" for s in studio]
        item_camp, user_camp = studio % 2, np.arange(n_users) // n_clusters % 2
    rows = []
    for user in range(n_users):
        in_cluster = item_cluster == user_cluster[user]
        p = np.where(in_cluster, loyalty * popularity / popularity[in_cluster].sum(), 0.0) + np.where(
            in_cluster, 0.0, (1 - loyalty) * popularity / popularity[~in_cluster].sum()
        )
        p *= np.where(item_camp == user_camp[user], 1.0, 1.0 - allegiance)
        n = min(max(5, rng.poisson(per_user)), int(in_cluster.sum()))
        chosen = rng.choice(n_items, size=n, replace=False, p=p / p.sum())
        rows.append(
            pd.DataFrame(
                {
                    c.USER: f"u{user}",
                    c.ITEM: items[c.ITEM].to_numpy()[chosen],
                    c.TIMESTAMP: rng.integers(10**9, 10**9 + 10**7, n),
                }
            )
        )
    clean = pd.concat(rows, ignore_index=True)
    dirt = [
        clean.iloc[:dirty],
        pd.DataFrame({c.USER: "u0", c.ITEM: [f"ghost{i}" for i in range(dirty)], c.TIMESTAMP: 10**9}),
        pd.DataFrame({c.USER: [f"u{i}" for i in range(dirty)], c.ITEM: None, c.TIMESTAMP: 10**9}),
    ]
    users = pd.DataFrame({c.USER: [f"u{u}" for u in range(n_users)], "age": rng.integers(18, 80, n_users)})
    return PlantedCatalogue(
        interactions=pd.concat([clean, *dirt], ignore_index=True),
        items=items,
        users=users,
        item_cluster=pd.Series(item_cluster, index=items[c.ITEM]),
        user_cluster=pd.Series(user_cluster, index=users[c.USER]),
        item_camp=pd.Series(item_camp, index=items[c.ITEM]),
        user_camp=pd.Series(user_camp, index=users[c.USER]),
        n_duplicates=dirty,
        n_unknown_items=dirty,
        n_missing_ids=dirty,
    )


def with_writers(catalogue: PlantedCatalogue, share: float, seed: int = 0) -> PlantedCatalogue:
    """Return the catalogue with a share of the users writing a line about themselves, the users' column ``about``."""
    rng, clusters = np.random.default_rng([seed, 2]), catalogue.user_cluster.to_numpy()
    greetings, writes = rng.choice(_GREETINGS, len(clusters)), rng.random(len(clusters)) < share
    lines = zip(greetings, clusters, writes, strict=True)
    about = [greeting.format(_HOBBIES[cluster]) if wrote else None for greeting, cluster, wrote in lines]
    return replace(catalogue, users=catalogue.users.assign(about=pd.Series(about, dtype="str")))


def with_views(catalogue: PlantedCatalogue, per_user: int, noise: float = 0.5, seed: int = 0) -> PlantedCatalogue:
    """Return the catalogue with kinds of behaviour, the interactions' column ``event``: what was there is a ``buy``.

    Each user views items beside these: a share ``noise`` of them drawn evenly from the whole catalogue, the others from
    the user's cluster, popular ones first. A view of what the user buys too says nothing more, and stays.

    Args:
        catalogue: as of :func:`planted_catalogue`.
        per_user: views of each user.
        noise: chance that a view follows no taste.
        seed: of the generator.
    """
    rng, clean = np.random.default_rng([seed, 3]), catalogue.interactions.assign(event="buy")
    ids, clusters = catalogue.items[c.ITEM].to_numpy(), catalogue.item_cluster.to_numpy()
    popularity = (1.0 + np.arange(len(ids)) // (clusters.max() + 1)) ** -0.7
    views = []
    for user, cluster in catalogue.user_cluster.items():
        p = np.where(clusters == cluster, popularity, 0.0)
        chance = noise / len(ids) + (1 - noise) * p / p.sum()
        chosen = rng.choice(len(ids), size=min(per_user, len(ids)), replace=False, p=chance)
        times = rng.integers(10**9, 10**9 + 10**7, len(chosen))
        views.append(pd.DataFrame({c.USER: user, c.ITEM: ids[chosen], c.TIMESTAMP: times, c.EVENT: "view"}))
    return replace(catalogue, interactions=pd.concat([clean, *views], ignore_index=True))
