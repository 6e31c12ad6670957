"""The model card: every part, figures with their intervals, and a length that the registry keeps."""

import numpy as np
import pandas as pd

from tailor.evaluation.model_card import MAX_LENGTH, Card, build

REGISTERED = {
    "name": "shop", "version": "3", "model": "hybrid_lora", "fit_on": "train", "seed": 7, "data_hash": "d1",
    "split_hash": "s1", "git_commit": "0123456789",
}  # fmt: skip
BEST = pd.DataFrame(
    {
        "title": ["warm NDCG", "mixed-cold NDCG"], "against": ["ease", "popular"], "figure": [0.3, 0.1],
        "baseline_figure": [0.2, 0.0],
        "ratio": [1.5, np.inf], "ratio_low": [1.25, np.nan], "ratio_high": [1.75, np.nan],
        "difference": [0.1, 0.1], "low": [0.05, 0.08], "high": [0.15, 0.12], "verdict": ["better", "better"],
    }
)  # fmt: skip
DATA = pd.DataFrame({"what": ["interactions by split"] * 2, "label": ["train", "test"], "count": [12345, 67]})

GAPS = pd.DataFrame(
    {
        "grouping": ["age", "taste", "job", "shop", "town", "age"], "headline": ["tail"] * 6,
        "model": ["hybrid_lora"] * 5 + ["ease"], "best": ["b"] * 6, "worst": ["w"] * 6,
        "gap": [0.3, 0.05, 0.1, 0.2, 0.4, 0.9], "low": [0.0] * 6, "high": [0.5] * 6,
    }
)  # fmt: skip
QUANTILES = pd.DataFrame(
    {
        "headline": ["mixed", "mixed"], "model": ["hybrid_lora", "ease"], "mean": [0.3, 0.2],
        "q05": [0.0, 0.9], "q25": [0.1, 0.9], "q50": [0.25, 0.9], "q75": [0.5, 0.9], "q95": [0.8, 0.9],
    }
)  # fmt: skip


def card(best=BEST, fit_on="train", **figures):
    return build(Card(REGISTERED | {"fit_on": fit_on}, best, figures or {"warm.ndcg_at_20": 0.3}, DATA, 20))


def test_the_card_says_for_whom_by_taste_and_by_the_widest_gaps():
    text = build(Card(REGISTERED, BEST, {}, DATA, 20, GAPS, QUANTILES))
    lines = text.partition("## For whom\n\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split(":")[0].split()[-1] for line in lines[:4]] == ["taste", "town", "age", "shop"]
    assert lines[0] == "* tail NDCG by taste: 0.050 [0.000, 0.500] from b to w"
    assert lines[4:] == ["* mixed NDCG of users at 5, 25, 50, 75, 95 %: 0.000, 0.100, 0.250, 0.500, 0.800"]
    assert "## For whom" not in card()


def test_the_card_says_what_it_is_how_good_and_how_to_load_it():
    text = card()
    assert text.startswith("# shop, version 3: hybrid_lora\n")
    assert "Seed 7, code 0123456." in text
    assert "* data d1, split s1" in text
    assert "* interactions by split: train 12,345, test 67" in text
    assert "| warm NDCG | 0.3000 | 0.2000 (ease) | 1.500 [1.250, 1.750] | +0.100 [+0.050, +0.150] | better |" in text
    assert "| mixed-cold NDCG | 0.1000 | 0.0000 (popular) | – | +0.100 [+0.080, +0.120] | better |" in text
    assert "## Not for" in text
    assert 'mlflow.pyfunc.load_model("models:/shop/3")' in text
    assert "mlflow models serve -m models:/shop/3" in text
    assert text.endswith("* warm.ndcg_at_20: 0.3000")


def test_a_card_without_baselines_says_so():
    assert "There was no baseline to compare with." in card(BEST.iloc[:0])


def test_a_long_card_says_how_much_it_leaves_out():
    text = card(**{f"a_rather_long_name_of_a_figure_{place}": 0.5 for place in range(500)})
    assert MAX_LENGTH - 150 < len(text) <= MAX_LENGTH
    listed = text.count("a_rather_long_name")
    assert text.endswith(f"* {500 - listed} more in the run")


def test_whose_figures_they_are():
    """A refitted version knows the test rows: its figures are those of the model that was measured."""
    assert "is the model that was measured, and the figures below are its own" in card()
    assert "The models of test lists are fitted on the train rows." in card()
    refitted = card(fit_on="all")
    assert "This version is fitted on all interactions." in refitted
    assert "figures below are those of the same recipe without the test rows" in refitted
    with_validation = build(Card(REGISTERED | {"evaluated_fit_on": "train_and_validation"}, BEST, {}, DATA, 20))
    assert "The models of test lists are fitted on the train and the validation rows;" in with_validation


def test_the_card_says_of_how_many_users_figures_are():
    text = build(Card(REGISTERED, BEST, {}, DATA, 20, sample="Figures are of 2 of 9 users."))
    assert text.index("Figures are of 2 of 9 users.") < text.index("| warm NDCG |")
