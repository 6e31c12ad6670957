"""pandera contracts at the borders of pipelines; the catalog checks them on every load and save."""

import numpy as np
import pandera.pandas as pa
from pandera.typing import Category
from pandera.typing.pandas import Series

from tailor import columns as c


class Interactions(pa.DataFrameModel):
    """Unique (user_id, item_id) pairs with their split, positive unless blocked; other columns are carried."""

    user_id: Series[str]
    item_id: Series[str]
    split: Series[str] = pa.Field(isin=c.LABELS)

    class Config:
        """Pairs are unique."""

        unique = ["user_id", "item_id"]


class Items(pa.DataFrameModel):
    """The catalogue; row number = internal id."""

    item_id: Series[str] = pa.Field(unique=True)
    n_train: Series[int] = pa.Field(ge=0)
    bucket: Series[str] = pa.Field(isin=c.ITEM_BUCKETS)
    pseudo_cold: Series[str] = pa.Field(isin=("A", "B", "none"))


class Users(pa.DataFrameModel):
    """Everybody in the interactions; row number = internal id."""

    user_id: Series[str] = pa.Field(unique=True)
    n_train: Series[int] = pa.Field(ge=0)
    bucket: Series[str] = pa.Field(isin=("q1", "q2", "q3", "q4", "new"))


class Split(pa.DataFrameModel):
    """The split alone, for anyone who recomputes the metrics."""

    user_id: Series[str]
    item_id: Series[str]
    split: Series[str] = pa.Field(isin=c.LABELS)

    class Config:
        """Nothing else in it."""

        strict = True


class ItemText(pa.DataFrameModel):
    """What the language model reads, in the order of the items."""

    item_id: Series[str] = pa.Field(unique=True)
    text: Series[str]
    pieces: Series[str]


class UserText(pa.DataFrameModel):
    """What users wrote; empty where they write nothing."""

    user: Series[int] = pa.Field(ge=0)
    item: Series[int] = pa.Field(ge=-1)
    split: Series[str]
    is_praise: Series[bool]
    text: Series[str]


class ItemCategories(pa.DataFrameModel):
    """Categories of items, long form; empty where the catalogue has none."""

    item_id: Series[str]
    category: Series[str]


class Lists(pa.DataFrameModel):
    """The lists of one model, which metrics are computed from; ids and labels are categories, their codes integers."""

    user_id: Series[Category] = pa.Field(coerce=True)
    item_id: Series[Category] = pa.Field(coerce=True)
    rank: Series[np.int32] = pa.Field(ge=1, coerce=True)
    score: Series[np.float32] = pa.Field(coerce=True)
    model: Series[Category] = pa.Field(coerce=True)
    candidates: Series[Category] | None = pa.Field(isin=(c.WARM, c.COLD, c.MIXED), coerce=True)
    split: Series[Category] | None = pa.Field(isin=(c.VALIDATION, c.TEST), coerce=True)
    domain: Series[Category] | None = pa.Field(coerce=True)
    n_history: Series[int] | None = pa.Field(ge=0)


class DomainMetrics(pa.DataFrameModel):
    """The same for each of several domains; no rows where there is one."""

    domain: Series[str]
    model: Series[str]
    split: Series[str] = pa.Field(isin=(c.VALIDATION, c.TEST))
    candidates: Series[str] = pa.Field(isin=(c.WARM, c.COLD, c.MIXED))
    metric: Series[str]
    k: Series[int] = pa.Field(ge=1)
    value: Series[float] = pa.Field(nullable=True)


class Metrics(pa.DataFrameModel):
    """One value per model, split, candidates, bucket, metric and k."""

    model: Series[str]
    split: Series[str] = pa.Field(isin=(c.VALIDATION, c.TEST))
    seed: Series[int]
    fit_on: Series[str] = pa.Field(isin=(c.TRAIN, c.TRAIN_AND_VALIDATION))
    candidates: Series[str] = pa.Field(isin=(c.WARM, c.COLD, c.MIXED))
    item_bucket: Series[str]
    user_bucket: Series[str]
    metric: Series[str]
    k: Series[int] = pa.Field(ge=1)
    value: Series[float] = pa.Field(nullable=True)
    n_users: Series[int] = pa.Field(ge=0)
