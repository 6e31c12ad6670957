"""Headlines of one model and its ratios to the best baseline, from planted tables."""

import numpy as np
import pandas as pd
import pytest

from tailor.evaluation.headlines import best_baselines, headline_figures, ratios
from tailor.metrics.base import compared_headlines


def metrics():
    rows = [
        ("ours", "test", "warm", "all", "all", "ndcg", 20, 0.4),
        ("ours", "test", "warm", "tail", "all", "ndcg", 20, 0.3),
        ("ours", "test", "warm", "all", "new_3", "ndcg", 20, 0.2),
        ("ours", "validation", "warm", "all", "all", "ndcg", 20, 0.1),
        ("ours", "test", "mixed", "all", "all", "novelty", 20, 5.0),
        ("ours", "test", "cold", "all", "all", "ndcg", 20, np.nan),
        ("ours", "test", "warm", "all", "all", "ndcg", 10, 0.7),
        ("ours", "test", "warm", "all", "all", "mrr", 20, 0.8),
        ("ease", "test", "mixed", "all", "all", "ndcg", 20, 0.9),
    ]
    return pd.DataFrame(
        rows, columns=["model", "split", "candidates", "item_bucket", "user_bucket", "metric", "k", "value"]
    )


def test_headlines_of_one_model_at_one_cut_off():
    assert headline_figures(metrics(), "ours", 20) == {
        "warm.ndcg_at_20": 0.4,
        "warm.tail.ndcg_at_20": 0.3,
        "warm.new_3.ndcg_at_20": 0.2,
        "validation.warm.ndcg_at_20": 0.1,
        "mixed.novelty_at_20": 5.0,
    }
    assert headline_figures(metrics(), "nobody", 20) == {}


def tables(baseline_ratio=1.5):
    titles = {name: line.title for name, (_, line) in compared_headlines().items()}
    summary = pd.DataFrame(
        {
            "model": ["hybrid_lora", "hybrid_frozen", "popular", "ease"],
            titles["warm"]: [0.6, 0.9, 0.4, 0.2],
            titles["cold"]: [0.5, 0.1, np.nan, np.nan],
        }
    )
    rows = [
        ("hybrid_lora", other, headline, 0.2, 0.1, 0.3, ratio, ratio - 0.1, ratio + 0.1)
        for headline in ("warm", "cold")
        for other, ratio in (("hybrid_frozen", 0.7), ("popular", baseline_ratio), ("ease", 3.0))
    ]
    columns = ["model", "against", "headline", "difference", "low", "high", "ratio", "ratio_low", "ratio_high"]
    return pd.DataFrame(rows, columns=columns), summary


def test_the_best_baseline_is_none_of_our_models():
    comparisons, summary = tables()
    best = best_baselines(comparisons, summary)
    assert best[["headline", "against", "figure"]].to_numpy().tolist() == [
        ["warm", "popular", 0.6],
        ["cold", "popular", 0.5],
    ]
    assert best["baseline_figure"].iloc[0] == 0.4
    assert best["title"].tolist() == [compared_headlines()[name][1].title for name in ("warm", "cold")]
    assert not len(best_baselines(comparisons[comparisons["against"] == "hybrid_frozen"], summary))


def test_ratios_have_bounds_and_a_baseline_of_zero_has_none():
    assert ratios(best_baselines(*tables())) == pytest.approx(
        {
            "ratio.warm": 1.5, "ratio.warm.low": 1.4, "ratio.warm.high": 1.6,
            "ratio.cold": 1.5, "ratio.cold.low": 1.4, "ratio.cold.high": 1.6,
        }
    )  # fmt: skip
    assert ratios(best_baselines(*tables(baseline_ratio=np.inf))) == {}
