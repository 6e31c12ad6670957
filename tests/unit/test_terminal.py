"""What a run prints: it fits the terminal, and no number, name or word is cut."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tailor.terminal import (
    FIRST,
    FinishedRun,
    best_variants,
    cell,
    domain_value_lines,
    drift_lines,
    experiment_lines,
    fitting_columns,
    model_table,
    print_run,
    quality_lines,
    tuning_lines,
    value_lines,
    verdict_lines,
)

MORE = ("mixed NDCG", "mixed-cold NDCG", "warm recall", "tail coverage", "APLT", "novelty (bits)")
FIGURES = ("warm NDCG", "tail NDCG", "cold NDCG", "mixed NDCG", *MORE[1:], "new user, 3 items", "coverage")
NAMES = ["random", "popular", "implicit_als", "hybrid_frozen", "hybrid_lora"]
SUMMARY = pd.DataFrame({"model": NAMES} | {f: np.linspace(0.1, 0.5, 5) + n / 100 for n, f in enumerate(FIGURES)})
QUALITY = pd.DataFrame(
    {
        "table": ["interactions", "items"],
        "problem": ["missing item_id", "repeated"],
        "action": ["dropped", "repaired"],
        "rows": [7, 1],
        "lines": ["3, 4, 5", ""],
        "examples": ["", "i" * 61],
    }
)
COMPARISONS = pd.DataFrame(
    {
        "model": "hybrid_lora",
        "against": ["popular", "implicit_als"],
        "headline": "warm",
        "difference": [0.2, 0.1],
        "low": [0.1, 0.05],
        "high": [0.3, 0.15],
        "ratio": [2.0, 1.5],
        "ratio_low": [1.5, 1.25],
        "ratio_high": [2.5, 1.75],
        "verdict": ["better", "better"],
    }
)
PROMOTION = {"name": "shop", "version": "3", "alias": "challenger", "decision": "refused", "reasons": ["coverage fell"]}
DATA = {
    "summary": SUMMARY,
    "data_quality": QUALITY,
    "data_accounts": pd.DataFrame({"table": ["items"], "rows_in": [240], "kept": [240]}),
    "comparisons": COMPARISONS,
    "ablation": SUMMARY.assign(model=[f"{name} | lora" for name in NAMES]),
    "promotion": PROMOTION,
    "drift": pd.DataFrame({"distribution": ["scores"], "psi": [0.3], "interpretation": ["shifted"]}),
    "registered_update": PROMOTION | {"reasons": ["update of version 2", "fails: scores: PSI 0.300"], "new_users": 4},
    "rolled_back": {"name": "shop", "champion": "1", "rolled_back": "2"},
}


def printed(outputs, width=80, data=DATA, encoding="utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    run = FinishedRun(
        set(outputs), data.__getitem__, lambda name: f"data/{name}.x", "hybrid_lora", ("Serve it: make serve",)
    )
    print_run(run, Console(width=width, file=file, color_system=None))
    file.seek(0)
    return file.read()


@pytest.mark.parametrize(
    ("fit_on", "rows"), [("train", "its fit on train"), ("train_and_validation", "its fit on train and validation")]
)
def test_the_table_says_what_models_were_fitted_on(fit_on, rows, capsys):
    run = FinishedRun({"summary"}, DATA.__getitem__, lambda name: f"data/{name}.x", "hybrid_lora", fit_on=fit_on)
    print_run(run, Console(width=200, color_system=None))
    assert f"figures are of {rows}; 2 more" in capsys.readouterr().out.replace("\n", " ") or len(FIGURES) <= 11


def test_the_table_says_of_how_many_users_figures_are(capsys):
    for limit, expected in ((2000, "train, of at most 2,000 users drawn by seed"), (None, "its fit on train")):
        run = FinishedRun({"summary"}, DATA.__getitem__, lambda name: f"{name}.x", "hybrid_lora", max_users=limit)
        print_run(run, Console(width=200, color_system=None))
        out = " ".join(capsys.readouterr().out.split())
        assert expected in out
        assert ("of at most" in out) == bool(limit)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_nothing_is_wider_than_the_terminal_and_no_figure_is_cut(width):
    text = printed([*DATA, "data_card_page", "report"], width)
    assert max(map(len, text.splitlines())) <= width
    numbers = {cell(value) for figure in FIRST[:3] for value in SUMMARY[figure]}
    assert numbers <= set(re.findall(r"\d\.\d+", text))
    assert all(re.search(rf"^ *(▸ )?{name}  +\d\.\d\d\d", text, re.MULTILINE) for name in NAMES)
    assert "…" not in text


@pytest.mark.parametrize(("width", "figures"), [(80, 6), (120, 10), (200, 11)])
def test_figures_that_fit_are_shown_first_those_that_matter(width, figures):
    columns = [column.header.replace("\n", " ") for column in model_table(SUMMARY, "hybrid_lora", width).columns]
    assert columns[:6] == ["model", *FIRST]
    assert len(columns) == 1 + figures
    assert f"{len(FIGURES) - figures} more figures are in data/summary.x" in " ".join(
        printed(["summary"], width).split()
    ) or figures == len(FIGURES)


def test_a_table_without_the_usual_figures_shows_what_it_has():
    own = pd.DataFrame({"model": ["a"], "my metric": [0.25]})
    assert fitting_columns(own, 80) == ["my metric"]
    assert fitting_columns(own, 3) == []


def test_the_registered_model_is_marked_and_no_other():
    text = printed(["summary"])
    marked = [line for line in text.splitlines() if line.lstrip().startswith("▸ ")]
    assert [line.split()[1] for line in marked] == ["hybrid_lora", "is"]
    assert "> hybrid_lora" in printed(["summary"], encoding="cp1252")


def test_a_figure_that_is_missing_is_a_dash():
    assert (cell(float("nan")), cell(0.12345), cell(7), cell("x")) == ("–", "0.123", "7", "x")
    missing = SUMMARY.assign(**{"cold NDCG": np.nan})
    line = next(line for line in printed(["summary"], data={"summary": missing}).splitlines() if "▸ hybrid" in line)
    assert line.count("–") == 1 and "nan" not in line


def test_problems_of_the_data_are_a_line_each():
    assert quality_lines(QUALITY) == [
        "Skipped, dropped, repaired, noticed:",
        "dropped 7 in interactions: missing item_id (lines 3, 4, 5)",
        "repaired 1 in items: repeated",  # the example is longer than a line has room for
    ]
    assert quality_lines(QUALITY[:0]) == ["Skipped, dropped, repaired, noticed: nothing"]


def test_verdicts_are_words():
    words = "no difference to ease shown"
    said = {"headline": "warm NDCG", "words": words, "difference": "+1", "low": "0", "high": "2"}
    said["verdict"] = "no difference shown"
    assert verdict_lines("hybrid_lora", [said]) == [
        "hybrid_lora against the best baseline, with 95 % intervals:",
        f"warm NDCG: {words}, +1 [0, 2]",
    ]
    corrected = "(an interval without 0 beside 'no difference' did not pass the correction for all comparisons)"
    assert verdict_lines("hybrid_lora", [said, said | {"low": "0.1"}])[-1] == corrected
    assert verdict_lines("hybrid_lora", []) == ["hybrid_lora was compared with no baseline."]


def test_the_best_baseline_is_the_one_compared_with():
    assert "warm NDCG: better than implicit_als, +0.1000 [+0.0500, +0.1500]" in printed(["summary", "comparisons"])


def test_off_policy_values():
    values = pd.DataFrame(
        {
            "estimator": ["ips", "snips"], "value": [0.5, 0.4], "low": [0.3, 0.35], "high": [0.7, 0.45],
            "effective_n": [41.7, 41.7], "clipped": [2, 2], "rows": [100, 100], "logged_mean": [0.25, 0.25],
            "unknown_rows": [3, 3], "model": ["hybrid_lora"] * 2,
        }
    )  # fmt: skip
    assert value_lines(values) == [
        "Reward of hybrid_lora as a softmax policy, with 95 % intervals:",
        "ips: 0.5000 [0.3000, 0.7000], 42 effective rows, 2 clipped",
        "snips: 0.4000 [0.3500, 0.4500], 42 effective rows, 2 clipped",
        "the log's own policy: 0.2500 in 100 rows",
        "3 rows of unknown users or items are left out",
    ]


def test_off_policy_values_by_domain():
    values = pd.DataFrame(
        {
            "domain": ["books", "books", "films"], "estimator": ["ips", "doubly_robust", "doubly_robust"],
            "value": [0.9, 0.3, np.nan], "low": [0.8, 0.25, np.nan], "high": [1.0, 0.35, np.nan], "rows": [60, 60, 0],
            "logged_mean": [0.2, 0.2, 0.0], "share": [0.6, 0.6, 0.4], "logged_share": [1.0, 1.0, 0.0],
        }
    )  # fmt: skip
    assert domain_value_lines(values) == [
        "Of that reward, by domain (doubly_robust):",
        "books: 0.3000 [0.2500, 0.3500], the log's own 0.2000; 60% of the actions, 100% of the log's",
        "films: the log has no action of it; 40% of the actions, 0% of the log's",
    ]
    assert domain_value_lines(values.head(0)) == []


def test_an_experiment_says_what_decides_and_the_verdict_in_a_sentence():
    row = {
        "metric": "click_per_exposure", "control_users": 1200, "treatment_users": 1180, "control": 0.1,
        "treatment": 0.125, "difference": 0.025, "low": 0.01, "high": 0.04, "variance_explained": 0.26, "decides": True,
    }  # fmt: skip
    metrics = pd.DataFrame([row, row | {"metric": "buy_per_user", "decides": False}])
    assert experiment_lines(metrics) == [
        "Experiment, 1200 users of the champion and 1180 of the challenger:",
        "click_per_exposure: 0.1 and 0.125, difference +0.025, read once [+0.01, +0.04], 26% of the variance explained "
        "by the past",
        "buy_per_user: 0.1 and 0.125, difference +0.025, read once [+0.01, +0.04], 26% of the variance explained by the"
        " past (decides nothing)",
    ]
    sentence = {"sentence": "The challenger is better."}
    assert "The challenger is better." in printed(["experiment_verdict"], data={"experiment_verdict": sentence})


def test_tuning_says_what_it_chose():
    trials = pd.DataFrame(
        {
            "model": ["ease", "ease", "ials"],
            "state": ["complete", "pruned", "complete"],
            "options": ["{'a': 1, 'ials.b': 0.0005736236405390772}", "{'a': 2}", "{'b': 1}"],
            "chosen": [True, False, False],
        }
    )
    assert tuning_lines(trials) == [
        "Tuning:",
        "ease: 2 trials (1 complete, 1 pruned), chosen: a: 1, ials.b: 0.0005736",
        "ials: 1 trial (1 complete), chosen: as hybrid_cf.trials says",
    ]
    assert tuning_lines(trials[:0]) == ["Tuning: nothing was searched (tuning.method is none)"]


def test_of_an_ablation_the_whole_hybrid_and_the_best_variants_are_shown():
    warm = {f"v{n} | {encoder}": n / 10 for encoder in ("lora", "frozen") for n in range(9)}
    warm |= {"all | lora": 0.05, "all | frozen": 0.05}
    table = pd.DataFrame({"model": list(warm), "warm NDCG": list(warm.values())})
    best = [f"{name} | {encoder}" for encoder in ("frozen", "lora") for name in ("all", "v8", "v7", "v6", "v5")]
    assert best_variants(table)["model"].tolist() == best
    text = printed(["ablation"], data={"ablation": table})
    assert text.count(" | ") == len(best)
    assert "10 more variants are in data/ablation.x" in text


def test_the_other_pipelines_say_what_they_did():
    assert drift_lines(DATA["drift"]) == ["Drift (PSI):", "scores: 0.300, shifted"]
    text = printed(["registered_update", "rolled_back", "merged_encoder", "tuned_parameters"], 120)
    assert "Registered shop version 3 as challenger: refused\n" in text
    assert "  update of version 2\n  fails: scores: PSI 0.300\n" in text
    assert "Took in 4 new users" in text
    assert "shop: version 1 is the champion again, version 2 is not" in text
    assert "Tuned encoder, a plain transformers folder: data/merged_encoder.x" in text
    assert "Tuned options: data/tuned_parameters.x is in force from the next run on. Delete the file" in text


def test_forget_says_what_went_what_is_not_undone_and_what_is_left():
    made = {"name": "shop", "version": "4", "alias": "champion", "users": 2, "interactions": 31, "new": True}
    what = ["version 1", "version 2", "file", "raw tables"]
    table = pd.DataFrame({"what": what, "deleted": [True, False, False, False]})
    text = printed(
        ["registered_forgotten", "forgotten"],
        120,
        {"registered_forgotten": made | {"left": "Not all"}, "forgotten": table},
    )
    assert text.splitlines() == [
        "Registered shop version 4 as champion, without 2 people and 31 interactions.",
        "  Not all.",
        "Deleted: 1",
        "  Still hold them: 1 version, 1 file, 1 raw tables",
        "Paths and what to do: data/forgotten.x",
    ]
    nobody = made | {"new": False, "left": ""}
    text = printed(["registered_forgotten", "forgotten"], 120, {"registered_forgotten": nobody, "forgotten": table[:1]})
    assert "The champion, shop version 4, holds nobody of the suppression list; nothing was registered." in text
    assert "Nothing that was looked at still holds them." in text


def test_the_end_of_a_run():
    text = printed(["promotion", "report"])
    assert text.splitlines() == [
        "Registered shop version 3 as challenger",
        "  refused: coverage fell",
        'Load it: mlflow.pyfunc.load_model("models:/shop@challenger")',
        "Report: data/report.x",
        "Serve it: make serve",
    ]


def test_nothing_is_printed_of_pipelines_that_did_not_run():
    assert printed([]) == ""
