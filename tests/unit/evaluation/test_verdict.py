"""The verdict in words, for a win, a loss and a tie that are planted."""

import math

import pandas as pd
import pytest

from tailor.evaluation.verdict import against_best_baseline, against_plain_cf, left_out, plain_cf_of, sentence
from tailor.metrics.base import compared_headlines
from tailor.models.registry import BASELINES

WARM = compared_headlines()["warm"][1].title
TAIL = compared_headlines()["tail"][1].title
SUMMARY = pd.DataFrame(
    {
        "model": ["hybrid_lora", "hybrid_frozen", "ease", "ials"],
        WARM: [0.30, 0.40, 0.25, 0.20],
        TAIL: [0.05, 0.04, 0.01, 0.10],
    }
)


def compared(verdict, headline="warm", sign=1, ratio=1.2):
    """One row for each other model; the difference to ``ease`` is 0.05, to ``ials`` 0.1."""
    differences = {"hybrid_frozen": 0.01, "ease": 0.05, "ials": 0.1}
    rows = [
        {
            "model": "hybrid_lora", "against": name, "headline": headline, "difference": sign * value,
            "low": sign * value - 0.02, "high": sign * value + 0.02, "ratio": ratio, "ratio_low": ratio - 0.1,
            "ratio_high": ratio + 0.15, "p": 0.01, "n_users": 9, "adjusted_p": 0.01, "verdict": verdict,
        }
        for name, value in differences.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_our_other_hybrid_is_no_baseline():
    (line,) = against_best_baseline(compared("better"), SUMMARY)
    assert (line["against"], line["figure"], line["baseline_figure"]) == ("ease", "0.3000", "0.2500")
    assert (line["difference"], line["low"], line["high"]) == ("+0.0500", "+0.0300", "+0.0700")
    assert (line["headline"], line["words"], line["css"]) == (WARM, "better than ease", "better")


def test_plain_cf_is_the_factorization_whatever_is_best():
    (line,) = against_plain_cf(compared("better"), SUMMARY)
    assert (line["against"], line["difference"]) == ("ials", "+0.1000")
    assert plain_cf_of([line]) == "plain collaborative filtering (ials)"
    nearest = compared("better").query("against != 'ials'")
    assert against_plain_cf(nearest, SUMMARY)[0]["against"] == "ease"
    nothing = compared("better").query("against == 'hybrid_frozen'")
    assert against_plain_cf(nothing, SUMMARY) == [] and against_best_baseline(nothing, SUMMARY) == []


@pytest.mark.parametrize(
    ("verdict", "sign", "ratio", "words", "said"),
    [
        ("better", 1, 1.2, "better than ease", "hybrid_lora is better on {} (+20 % [+10 %, +35 %])."),
        ("worse", -1, 0.8, "worse than ease", "hybrid_lora is worse on {} (-20 % [-30 %, -5 %])."),
        ("no difference shown", 1, 1.0, "no difference to ease shown", "no difference of hybrid_lora is shown on {}."),
    ],
)
def test_a_win_a_loss_and_a_tie_are_said(verdict, sign, ratio, words, said):
    lines = against_best_baseline(compared(verdict, sign=sign, ratio=ratio), SUMMARY)
    assert lines[0]["words"] == words
    assert sentence("hybrid_lora", "the best baseline", lines) == f"Against the best baseline, {said.format(WARM)}"


def test_wins_losses_and_ties_stand_in_one_sentence():
    tables = [compared("better", "warm"), compared("worse", "tail", -1, 0.5), compared("no difference shown", "mixed")]
    summary = SUMMARY.assign(**{compared_headlines()["mixed"][1].title: 0.1})
    lines = against_best_baseline(pd.concat(tables, ignore_index=True), summary)
    assert sentence("hybrid_lora", "the best baseline", lines) == (
        f"Against the best baseline, hybrid_lora is better on {WARM} (+20 % [+10 %, +35 %]) and worse on {TAIL} "
        "(-50 % [-60 %, -35 %]); no difference is shown on mixed NDCG."
    )


def test_a_baseline_without_a_hit_has_a_difference_and_no_ratio():
    table = compared("better", "warm").assign(ratio=math.inf, ratio_low=math.inf, ratio_high=math.inf)
    lines = against_best_baseline(table, SUMMARY)
    assert lines[0]["ratio"] == ""
    assert "better on warm NDCG (+0.0500 [+0.0300, +0.0700])" in sentence("ours", "x", lines)


def test_with_nothing_to_compare_with_it_says_so():
    assert sentence("ours", "the best baseline", []) == "ours was compared with no other model."


def test_a_baseline_next_to_nothing_has_a_difference_and_no_percentage():
    """'+1931 %' of a figure of .005 tells of the baseline, not of the model."""
    lines = against_best_baseline(compared("better", "warm", ratio=20.3), SUMMARY)
    assert lines[0]["ratio"] == ""
    assert f"better on warm NDCG ({lines[0]['difference']} [" in sentence("ours", "the best baseline", lines)


@pytest.mark.parametrize(
    ("fitted", "words"),
    [
        ([name for name in BASELINES if name != "slit"], "Not compared in this run: slit."),
        (list(BASELINES), ""),
    ],
)
def test_baselines_that_were_left_out_are_named(fitted, words):
    assert left_out(pd.DataFrame({"against": fitted})) == words


def test_where_no_baseline_reads_texts_that_is_said():
    text = left_out(pd.DataFrame({"against": ["popular", "item_knn", "ease"]}))
    assert text.startswith("Not compared in this run: text_knn, implicit_als,")
    assert text.endswith("None of them that reads texts was: the others have nothing to go by for cold items.")
