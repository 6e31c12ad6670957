"""What another seed would have given: mean and standard deviation of every figure over the seeds that were run."""

import hashlib
import json

import pandas as pd

from tailor import columns as c
from tailor.evaluation.tables import NOTHING
from tailor.types import Parameters

SEED, RECIPE = "seed", "recipe"


def recipe(parameters: Parameters, same: str) -> str:
    """Return a hash (16 hex digits) of all parameters but the seed, and of ``same`` (hashes of data and code)."""
    rest = {name: value for name, value in parameters.items() if name != SEED}
    return hashlib.sha256((json.dumps(rest, sort_keys=True, default=str) + same).encode()).hexdigest()[:16]


def spread(summaries: pd.DataFrame) -> pd.DataFrame:
    """Return, of the last row's recipe, each figure of each model as "mean ± standard deviation" (n - 1) over seeds.

    Args:
        summaries: model, figures, seed, recipe; rows of the newest run last.

    Returns:
        Columns model, seeds, and the figures as text; no rows with fewer than two seeds.
    """
    rows = summaries[summaries[RECIPE] == summaries[RECIPE].iloc[-1]]
    figures = [name for name in rows if name not in (c.MODEL, SEED, RECIPE)]
    if rows[SEED].nunique() < 2:
        return pd.DataFrame({name: [] for name in (c.MODEL, "seeds", *figures)})
    by_model = rows.groupby(c.MODEL, sort=False)
    mean, deviation = by_model[figures].mean(), by_model[figures].std(ddof=1)
    table: pd.DataFrame = mean.map("{:.4f}".format) + " ± " + deviation.map("{:.4f}".format)
    table = table.where(mean.notna(), NOTHING)
    table.insert(0, "seeds", by_model[SEED].nunique())
    return table.reset_index()
