"""The spread over seeds, and what makes runs comparable."""

import numpy as np
import pandas as pd

from tailor.evaluation.seeds import recipe, spread


def summary(seed, warm, made="a"):
    return pd.DataFrame({"model": ["ours", "theirs"], "warm NDCG": [warm, 0.1], "seed": seed, "recipe": made})


def test_spread_is_mean_and_deviation_of_the_newest_recipe():
    table = pd.concat([summary(0, 0.9, "other"), summary(0, 0.2), summary(1, 0.3)])
    found = spread(table).set_index("model")
    assert found.loc["ours", "seeds"] == 2
    assert found.loc["ours", "warm NDCG"] == f"{(0.2 + 0.3) / 2:.4f} ± {np.sqrt(2 * 0.05**2):.4f}"
    assert found.loc["theirs", "warm NDCG"] == "0.1000 ± 0.0000"


def test_one_seed_has_no_spread():
    assert spread(pd.concat([summary(1, 0.2, "other"), summary(0, 0.2)])).empty


def test_a_recipe_is_everything_but_the_seed():
    parameters = {"seed": 0, "hybrid_cf": {"k": 20}}
    assert recipe(parameters, "x") == recipe(parameters | {"seed": 1}, "x")
    assert recipe(parameters, "x") != recipe(parameters, "y")
    assert recipe(parameters, "x") != recipe({"seed": 0, "hybrid_cf": {"k": 10}}, "x")


def test_a_figure_that_no_seed_has_is_a_dash():
    table = pd.concat([summary(0, np.nan), summary(1, np.nan)])
    found = spread(table).set_index("model")
    assert found["warm NDCG"].tolist() == ["–", "0.1000 ± 0.0000"]
