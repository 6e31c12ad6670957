"""Figures by group: taste by hand, gaps and intervals of planted groups, nothing of a handful of people."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor.data.config import SideFeatureOptions
from tailor.data.side_features import FeatureEncoder
from tailor.evaluation import groups
from tailor.evaluation.config import GroupOptions
from tailor.evaluation.groups import figures_of_gaps, measure_groups, pool_small, profiles_of, taste_of

OPTIONS = GroupOptions(least_users=5, resamples=500)


def test_taste_is_cut_at_a_fifth_and_four_fifths_of_the_users():
    """User u takes u of the 10 head items and 10 - u of the 10 others: the share of head items is u / 10."""
    rows = np.zeros((11, 20), np.float32)
    for user in range(10):
        rows[user, :user] = rows[user, 10 : 20 - user] = 1
    taste = taste_of(sparse.csr_matrix(rows), np.arange(20) < 10, pd.Series([f"u{n}" for n in range(11)]))
    assert taste.tolist() == ["niche"] * 2 + ["mixed"] * 6 + ["blockbuster"] * 2 + [None]


def test_equal_tastes_are_cut_by_a_hash_of_the_id_whatever_the_order_of_rows():
    ids = pd.Series([f"u{n}" for n in range(50)])
    train = sparse.csr_matrix(np.ones((50, 2), np.float32))
    taste = pd.Series(taste_of(train, np.array([True, False]), ids), index=ids)
    assert taste.value_counts().to_dict() == {"niche": 10, "mixed": 30, "blockbuster": 10}
    assert (taste != "niche").iloc[:10].any()
    again = pd.Series(taste_of(train, np.array([True, False]), ids[::-1].reset_index(drop=True)), index=ids[::-1])
    assert again[ids].tolist() == taste.tolist()


def test_profiles_are_grouped_by_value_or_interval():
    users = pd.DataFrame({"user_id": list("abcdefgh"), "job": ["x"] * 4 + ["y"] * 3 + [None], "age": range(8)})
    encoder = FeatureEncoder.fit(users, SideFeatureOptions(columns=["job", "age"], bins=2, min_rows=1), [], "here")
    by_column = profiles_of(users, encoder)
    assert by_column["job"].tolist() == ["x"] * 4 + ["y"] * 3 + ["unknown"]
    assert by_column["age"].tolist() == ["[-inf, 3.5)"] * 4 + ["[3.5, inf)"] * 4
    assert profiles_of(users, FeatureEncoder()) == {}


def test_small_groups_are_pooled_with_their_number_and_a_small_pool_is_left_out(caplog):
    labels = np.array(["a"] * 6 + ["b"] * 3 + ["c"] * 2 + [None], dtype=object)
    everybody = np.ones(12, dtype=bool)
    assert pool_small(labels, everybody, 5).tolist() == ["a"] * 6 + ["2 others"] * 5 + [None]
    caplog.set_level("INFO")
    assert pool_small(labels, everybody, 6).tolist() == ["a"] * 6 + [None] * 6
    assert "5 users in 2 groups of fewer than 6 have no figures" in caplog.text
    # Only users with a value count: of the six of `a` three have one.
    counted = np.array([True] * 3 + [False] * 3 + [True] * 6)
    assert pool_small(labels, counted, 5).tolist() == ["3 others"] * 11 + [None]


@pytest.fixture
def planted():
    """200 users: .8 in group x, .2 in y, of the model; .5 and .4 of a baseline, .1 of another; noise of .05."""
    rng, labels = np.random.default_rng(0), np.array(["x"] * 100 + ["y"] * 100, dtype=object)
    noise = rng.normal(0, 0.05, 200)
    of_x = labels == "x"
    models = {
        "hybrid_lora": np.where(of_x, 0.8, 0.2) + noise,
        "hybrid_frozen": np.full(200, 0.9),
        "ease": np.where(of_x, 0.5, 0.4) + noise,
        "popular": np.full(200, 0.1),
    }
    return {"tail": models}, {"taste": labels}


def test_means_and_gaps_are_those_that_were_planted(planted):
    values, labels = planted
    measured = measure_groups(values, labels, "hybrid_lora", OPTIONS, 0)
    figures = measured.figures.set_index(["model", "group"])
    assert set(measured.figures["model"]) == {"hybrid_lora", "ease"}  # the best that is no hybrid
    of_x = values["tail"]["hybrid_lora"][:100]
    assert figures.loc[("hybrid_lora", "x"), "value"] == pytest.approx(of_x.mean())
    assert (figures["n_users"] == 100).all()
    half = (figures.loc[("hybrid_lora", "x"), "high"] - figures.loc[("hybrid_lora", "x"), "low"]) / 2
    assert half == pytest.approx(1.96 * of_x.std() / 10, rel=0.15)
    gaps = measured.gaps.set_index("model").loc["hybrid_lora"]
    other = values["tail"]["hybrid_lora"][100:]
    assert (gaps["best"], gaps["worst"], gaps["n_groups"]) == ("x", "y", 2)
    assert gaps["gap"] == pytest.approx(of_x.mean() - other.mean())
    assert gaps["low"] < 0.6 < gaps["high"]
    half = (gaps["high"] - gaps["low"]) / 2
    assert half == pytest.approx(1.96 * np.hypot(of_x.std(), other.std()) / 10, rel=0.15)
    assert figures_of_gaps(measured.gaps, "hybrid_lora") == {"group_gap.taste.tail": pytest.approx(gaps["gap"])}


def test_quantiles_stand_beside_the_mean_for_every_model():
    values = {"mixed": {"hybrid_lora": np.append(np.arange(101) / 100, np.nan), "nothing": np.full(102, np.nan)}}
    table = measure_groups(values, {}, "hybrid_lora", OPTIONS, 0).quantiles.set_index("model")
    row = table.loc["hybrid_lora"]
    assert row[["q05", "q25", "q50", "q75", "q95", "mean"]].tolist() == pytest.approx(
        [0.05, 0.25, 0.5, 0.75, 0.95, 0.5]
    )
    assert row["n_users"] == 101
    assert table.loc["nothing", "n_users"] == 0
    assert np.isnan(table.loc["nothing", "mean"])


def test_the_same_seed_gives_the_same_figures_and_no_user_is_of_no_group(planted):
    values, labels = planted
    first, again = (measure_groups(values, labels, "hybrid_lora", OPTIONS, 7) for _ in range(2))
    pd.testing.assert_frame_equal(first.gaps, again.gaps)
    lone = {"taste": np.array([None] * 200, dtype=object)}
    nothing = measure_groups(values, lone, "hybrid_lora", OPTIONS, 7)
    assert nothing.figures.empty
    assert list(nothing.gaps) == groups.GAP_COLUMNS


def test_names_of_columns_fit_mlflow():
    gaps = pd.DataFrame([{"grouping": "job (last)", "headline": "tail", "model": "m", "gap": 0.5}])
    assert figures_of_gaps(gaps, "m") == {"group_gap.job__last_.tail": 0.5}
    assert figures_of_gaps(gaps, "other") == {}
