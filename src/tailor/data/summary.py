"""Counts of a catalogue: what its split, its buckets, its kinds of behaviour and its domains hold."""

import pandas as pd

from tailor import columns as c
from tailor.data.domains import rows_by_domain


def summarise(interactions: pd.DataFrame, items: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    """Count interactions per split and kind of behaviour, items per bucket and pseudo-cold sample, users per bucket;
    each by domain too.

    Args:
        interactions: with split, and with event and confidence where kinds are told apart.
        items: the item table.
        users: the user table.

    Returns:
        Columns what, label, count.
    """
    groups = {
        "interactions by split": interactions[c.SPLIT],
        "items by bucket": items[c.BUCKET],
        "items by pseudo-cold sample": items[c.PSEUDO_COLD],
        "users by bucket": users[c.BUCKET],
    }
    if c.CONFIDENCE in interactions:
        kinds = interactions[c.EVENT]
        groups["pairs by strongest kind"] = kinds.where(interactions[c.CONFIDENCE] > 0, "blocked by " + kinds)
    if c.DOMAIN in items:
        groups |= _by_domain(interactions, items)
    counts = [(what, str(label), int(n)) for what, col in groups.items() for label, n in col.value_counts().items()]
    return pd.DataFrame(counts, columns=["what", "label", "count"])


def _by_domain(interactions: pd.DataFrame, items: pd.DataFrame) -> dict[str, pd.Series]:
    domains = interactions.groupby(c.USER)[c.DOMAIN].agg(lambda names: " and ".join(sorted(set(names))))
    groups = {"users by domain": domains, "items by domain": items[c.DOMAIN]}
    for domain, rows in rows_by_domain(interactions).items():
        groups[f"interactions of {domain} by split"] = interactions.loc[rows, c.SPLIT]
    for domain, rows in rows_by_domain(items).items():
        groups[f"items of {domain} by bucket"] = items.loc[rows, c.BUCKET]
    return groups
