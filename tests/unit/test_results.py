"""Results of benchmarks reach the aims that they state, and the docs print their figures."""

import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import ROOT


def result(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def shown(figure):
    """A figure as the docs write it: .965."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{figure:.3f}")


@pytest.fixture(scope="module")
def page():
    return (
        (ROOT / "docs" / "performance.md")
        .read_text()
        .split("## What is asked, and why it is listed")[1]
        .split("\n## ")[0]
    )


@pytest.mark.parametrize(
    "name", ["explanations", "elicitation", "user-text", "sparse", "peers", "backtest", "items", "open-bandit", "spark"]
)
def test_a_result_says_where_it_comes_from(name):
    made = result(name.replace("-", "_"))
    assert {"headline", "targets", "command", "commit", "date", "seeds", "machine"} <= made.keys()
    assert made["command"] == f"make bench-{name}"
    assert re.search(rf"^bench-{name}:.*## \S", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert (ROOT / "benchmarks" / f"{name.replace('-', '_')}.py").is_file()


def test_an_added_item_costs_what_the_first_one_did():
    figures = result("items")["headline"]
    assert figures["added"] == 20_000
    assert figures["last_put_over_first"] <= 2
    assert figures["last_put_largest_cpu_s"] <= 2 * figures["first_put_cpu_s"]
    assert figures["start_with_5000_over_none"] <= 1.5


def test_spark_is_one_machine():
    figures = result("spark")["headline"]
    for name in ("ml100k", "ml1m"):
        assert figures[f"{name}_largest_difference"] <= 1e-4
        assert figures[f"{name}_labels_alike"] == figures[f"{name}_warm_to_torch"] == 1
    assert min(figures["ml1m_warm_to_irspack"], figures["ml1m_cold_to_irspack"]) >= 0.99
    page = " ".join((ROOT / "docs/how-to/spark.md").read_text().split())
    warm, cold = (shown(figures[f"ml1m_{name}_to_irspack"]) for name in ("warm", "cold"))
    assert f"warm {warm} and cold {cold} times those of irspack" in page


def test_off_policy_estimates_agree_with_what_the_other_policy_earned():
    made = result("open_bandit")
    assert made["headline"]["estimates"] == made["headline"]["holds"] == 18
    for table in made["by_campaign"].values():
        for name in ("ips", "snips", "doubly_robust"):
            row = table[name]
            errors = [(row[high] - row[low]) / 2 for low, high in (("low", "high"), ("rate_low", "rate_high"))]
            assert abs(row["value"] - row["rate"]) <= (errors[0] ** 2 + errors[1] ** 2) ** 0.5 + 1e-6


def test_events_are_worth_more_than_none_and_the_docs_print_how_much():
    figures = result("replay")["headline"]
    text = (ROOT / "docs" / "performance.md").read_text().split("## Events, in the order of time")[1].split("\n## ")[0]
    assert f"of {figures['users']:.0f} users ({figures['rows']:,.0f} rows)" in " ".join(text.split())
    for metric in ("ndcg", "hit"):
        ratio = [figures[f"with_events_to_without_{metric}{end}"] for end in ("", "_low", "_high")]
        assert ratio[1] > 1
        assert "{:.3f} [{:.3f}, {:.3f}]".format(*ratio) in " ".join(text.split())


def test_an_update_is_as_good_as_a_refit_in_half_its_time_and_the_docs_print_it():
    figures = result("update")["headline"]
    assert figures["sweeps_1_seconds_over_refit"] <= 0.5
    assert figures["sweeps_1_ratio_low"] > 0.99
    text = (ROOT / "docs" / "performance.md").read_text().split("## Updates")[1].split("\n## ")[0]
    for sweeps in (1, 2, 4):
        ratio = [figures[f"sweeps_{sweeps}_{end}"] for end in ("ndcg_over_refit", "ratio_low", "ratio_high")]
        row = "{:.4f} | {:.4f} [{:.4f}, {:.4f}]".format(figures[f"sweeps_{sweeps}_ndcg"], *ratio)
        assert f"{row} | {figures[f'sweeps_{sweeps}_seconds_over_refit']:.2f} |" in text
    assert f"1 ({figures['refit_seconds']:.0f} s)" in text


def test_explanations_reach_their_aims():
    figures = result("explanations")["headline"]
    assert figures["answers"] == 1000
    assert figures["sum_largest_miss"] <= 1e-4
    assert figures["deletion_low"] > 0.9
    assert figures["named_of_history_rows"] >= 0.6
    assert figures["named_of_other_rows"] == 0
    assert figures["explain_500_cpu_s"] <= 0.3
    assert len(result("explanations")["by_kind"]) == 13


def test_elicited_answers_are_worth_as_much_as_those_about_popular_items():
    figures = result("elicitation")["headline"]
    assert all(figures[f"{name}_answers_5_low"] >= 0 for name in ("ml100k", "anime"))


def test_what_users_write_is_read_where_only_it_tells():
    """And the same texts, dealt out to other users, add nothing."""
    figures = result("user_text")["headline"]
    assert figures["planted_new_0_to_none_low"] > 1.5
    assert figures["planted_comments_new_1_to_none_low"] > 1
    for name in ("planted_new_0", "planted_comments_new_1"):
        assert figures[f"{name}_shuffled_to_none_low"] < 1 < figures[f"{name}_shuffled_to_none_high"]


def test_the_docs_print_the_figures_of_user_texts():
    text = (
        (ROOT / "docs" / "performance.md")
        .read_text()
        .split("## What users write")[1]
        .split("`make bench-user-text-lm`")[0]
    )
    figures, written = result("user_text")["headline"], 0
    for name in (key for key in figures if key.endswith("to_none")):
        interval = [shown(figures[key]) for key in (name, f"{name}_low", f"{name}_high")]
        written += f"{interval[0]} [{interval[1]}, {interval[2]}]" in text
    assert written == text.count("[") - 1  # the link


def test_the_docs_print_the_figures_of_explanations(page):
    figures = result("explanations")["headline"]
    interval = (
        f"{shown(figures['deletion_share'])} [{shown(figures['deletion_low'])}, {shown(figures['deletion_high'])}]"
    )
    assert interval in page
    for name in ("rows", "deletion_rows", "history_rows", "other_rows"):
        assert f"{figures[name]:,.0f}" in page, name
    assert f"{figures['explain_500_cpu_s']:.2f}".removeprefix("0") in page


@pytest.mark.parametrize("name", ["ml100k", "anime"])
@pytest.mark.parametrize("rule", ["answers_5", "questions_12", "questions_20"])
def test_the_docs_print_the_figures_of_elicitation(page, name, rule):
    figures = {key: shown(result("elicitation")["headline"][f"{name}_{rule}_{key}"]) for key in ("elicited", "popular")}
    change = [result("elicitation")["headline"][f"{name}_{rule}_{key}"] for key in ("difference", "low", "high")]
    signed = [f"{value:+.3f}".replace("0.", ".") for value in change]
    assert f"| {figures['elicited']} | {figures['popular']} | {signed[0]} [{signed[1]}, {signed[2]}] |" in page


def test_sparse_weights_reach_their_aims_and_the_docs_print_them():
    figures = result("sparse")["headline"]
    assert all(figures[f"{name}_to_full"] >= 0.98 for name in ("beauty_ease", "beauty_text_ease", "beauty_slit"))
    assert all(figures[f"{name}_ease_to_full"] >= 0.98 for name in ("ml1m", "anime"))
    page = (ROOT / "docs" / "performance.md").read_text().split("## Weights of the nearest items")[1].split("\n## ")[0]
    for model in ("ease", "text_ease", "slit", "kernel"):
        for arm in ("before", "full", "sparse") if model != "kernel" else ("before", "full"):
            assert f"{figures[f'{model}_{arm}_s']:.1f} s, {figures[f'{model}_{arm}_mib']:,.0f} MiB" in page, (
                model,
                arm,
            )
    for name in ("beauty_ease", "beauty_text_ease", "beauty_slit", "ml1m_ease", "anime_ease", "ml1m_slit"):
        assert shown(figures[f"{name}_to_full"]).replace("0.", ".") in page, name


def test_peers_agree_and_the_docs_print_their_figures():
    made = result("peers")
    agree = {name: value for name, value in made["headline"].items() if name.endswith("_same_lists")}
    assert len(agree) == 4
    assert min(agree.values()) >= 0.99
    assert all(made["headline"][f"{name.removesuffix('lists')}ndcg_difference"] <= 0.001 for name in agree)
    page = (ROOT / "docs" / "performance.md").read_text().split("## Models of other libraries")[1].split("\n## ")[0]
    models = made["results"]["ml100k"]
    assert {"item_knn", "implicit_als", "ease"} < models.keys()
    for name, of_model in models.items():
        figures = of_model["figures"]
        cells = [shown(figures[key]) for key in ("warm_ndcg", "tail_ndcg", "coverage", "warm_ndcg_fit_on_all")]
        seconds = [f"{figures[key]:.2f}".removeprefix("0") for key in ("fit_s", "lists_s")]
        assert f"| `{name}` | {' | '.join([*cells, *seconds])} |" in page, name
    assert page.count("\n| `") == len(models)


def signed(value):
    """A difference as the docs write it: +.012."""
    return re.sub(r"^([+-])0\.", r"\1.", f"{value:+.3f}")


def test_the_docs_print_the_figures_of_the_backtest():
    made = result("backtest")
    figures, dates = made["headline"], made["dates"]
    page = (ROOT / "docs" / "performance.md").read_text().split("## One recipe at four dates")[1].split("\n## ")[0]
    assert made["commit"][:7] in page
    for model in ("popular", "ease", "transition_knn", "slit", "hybrid_frozen_boosts_off", "hybrid_frozen"):
        cells = [figures[f"date_{number}_{model}_warm"] for number in range(1, len(dates) + 1)]
        cells += [figures[f"mean_{model}_{name}"] for name in ("warm", "tail", "cold", "mixed")]
        assert f"| {model} | {' | '.join(map(shown, cells))} |" in page
    for date in dates:
        assert f"{date['counts']['rows']:,} ({date['counts']['later_rows']:,})" in page
        for lead in date["leads"]:
            if (lead["model"], lead["figure"]) in {("hybrid_frozen_boosts_off", "warm"), ("hybrid_frozen", "tail")}:
                interval = f"{signed(lead['difference'])} [{signed(lead['low'])}, {signed(lead['high'])}]"
                assert f"{interval}, {lead['against']}" in page


def test_the_test_windows_of_the_backtest_are_tenths_of_the_rows():
    dates = result("backtest")["dates"]
    assert len(dates) == 4
    for number, date in enumerate(dates, start=7):
        counts = date["counts"]
        assert counts["rows"] == pytest.approx(number * 10_000, abs=10)
        assert counts["later_rows"] == 100_000 - counts["rows"]
        assert counts["test_rows"] + counts["cold_rows"] == pytest.approx(10_000, abs=20)


def test_the_transformer_reaches_its_aims_and_the_docs_print_its_figures():
    figures = result("transformer")["headline"]
    assert figures["ml100k_with_warm_to_without_low"] > 1.02
    assert figures["ml100k_tail_at_equal_warm_boosted_low"] > 1.1
    assert figures["ml100k_session_p99_ms_more"] <= 10
    assert figures["ml100k_package_ratio"] <= 1.3
    page = (ROOT / "docs" / "performance.md").read_text().split("## A transformer over the order")[1].split("\n## ")[0]
    assert result("transformer")["commits"]["ml100k"][:7] in page
    for arm in ("sasrec", "slit", "transition_knn", "without", "with"):
        cells = [shown(figures[f"ml100k_{arm}_{name}"]) for name in ("warm", "tail", "cold", "mixed")]
        assert f" | {' | '.join(cells)} |" in page, arm
    for ratio in ("with_warm_to_without", "with_tail_to_without", "tail_at_equal_warm_boosted"):
        middle, low, high = (figures[f"ml100k_{ratio}{end}"] for end in ("", "_low", "_high"))
        assert f"{middle:.3f} [{low:.3f}, {high:.3f}]" in page, ratio


def test_the_docs_print_the_published_tables():
    figures = result("published")["headline"]
    page = (ROOT / "docs" / "performance.md").read_text().split("## Published tables")[1].split("\n## ")[0]
    for model in ("ease", "transition_knn", "slit", "sasrec", "hybrid"):
        recall, ndcg = (f"{figures[f'beauty_{model}_known_{name}']:.4f}".lstrip("0") for name in ("recall", "ndcg"))
        assert f"| `{model}` | {recall} | {ndcg} |" in page, model
    assert figures["beauty_hybrid_known_recall"] > 1.15 * figures["beauty_published_esasrec_recall"]
    assert figures["beauty_hybrid_known_ndcg"] > 1.15 * figures["beauty_published_sasrec_ndcg"]


def test_the_server_stands_the_attack_and_the_docs_print_its_figures():
    made = result("attack")
    assert {"headline", "targets", "command", "commit", "date", "seeds", "machine"} <= made.keys()
    assert made["command"] == "make attack"
    assert re.search(r"^attack:.*## \S", (ROOT / "Makefile").read_text(), re.MULTILINE)
    figures = made["headline"]
    assert figures["fuzz_requests"] == 10_000
    assert figures["idle_connections"] >= 1000
    for name in ("hostile_5xx", "fuzz_5xx", "ids_in_log", "overload_other_statuses"):
        assert figures[name] == 0, name
    assert figures["largest_refusal_kib"] <= 64
    assert figures["idle_p99_ratio"] <= 2
    assert figures["most_threads_growth"] <= 8
    page = (
        (ROOT / "docs" / "deployment.md").read_text().split("## A server that can be left alone")[1].split("\n## ")[0]
    )
    for name in ("idle_p99_ms", "alone_p99_ms", "overload_answered_p99_ms", "overload_refused_p99_ms"):
        assert f"{figures[name]:,.0f} ms" in page, name
    assert f"{figures['overload_answered_per_s']:.0f} a second" in page
    assert f"{figures['fuzz_rss_growth_mib']:.0f} MiB" in page


def test_the_docs_print_what_a_decoder_gave():
    """Rows of the table of docs/how-to/base-model.md are those of decoder.json."""
    figures, compared = result("decoder")["headline"], result("decoder")["compared"]
    page = (ROOT / "docs/how-to/base-model.md").read_text()
    assert result("decoder")["commit"].startswith("8240199")
    assert result("decoder")["command"] in page
    for label, arm, of in (
        ("MiniLM, frozen", "minilm_frozen", None),
        ("MiniLM, LoRA (5 epochs, 66 s)", "minilm_lora", "minilm_frozen"),
        ("SmolLM2, frozen, last token", "smollm2_frozen", None),
        ("SmolLM2, frozen, last token, `whitening: zca`", "smollm2_frozen_zca", "smollm2_frozen"),
        ("SmolLM2, frozen, mean", "smollm2_frozen_mean", "smollm2_frozen"),
    ):
        ratio = compared[f"{arm}_to_{of}"]["kernel"] if of else None
        over = f"{ratio['ratio']:.3f} [{ratio['ratio_low']:.3f}, {ratio['ratio_high']:.3f}]" if ratio else ""
        row = next(line for line in page.splitlines() if line.startswith(f"| {label} |"))
        cells = [cell.strip() for cell in row.split("|")[2:4]]
        assert cells == [shown(figures[f"{arm}_kernel"]), re.sub(r"\b0\.", ".", over)]


def test_the_docs_print_what_base_models_make_of_words():
    made = result("decoder_words")
    figures, text = made["headline"], " ".join((ROOT / "docs/how-to/base-model.md").read_text().split())
    share = {name: f"{value:.2f}".removeprefix("0") for name, value in figures.items()}
    assert f"`{made['command']}`, seed 0, commit {made['commit'][:7]}, {made['date']}" in text
    assert f"are {share['smollm2_mean_cosine']} in the mean (MiniLM's {share['minilm_mean_cosine']})" in text
    assert f"Of {figures['queries']:.0f} English wishes" in text
    assert f"right one first for {share['smollm2_first']}, MiniLM for {share['minilm_first']} " in text


def interval(figures, name, digits=2):
    """A figure with its bounds, as tables print it."""
    middle, low, high = (f"{figures[name + end]:.{digits}f}" for end in ("", "_low", "_high"))
    return re.sub(r"\b0\.", ".", f"{middle} [{low}, {high}]")


def test_the_adr_of_domains_prints_the_figures_of_two_fabricated_catalogues():
    made = result("domains-test-domains")
    figures, text = made["headline"], (ROOT / "docs" / "adr" / "0038-catalogues-are-domains.md").read_text()
    text = " ".join(text.split())
    assert made["command"] in text
    assert made["commit"][:7] in text
    for to, end in (("popular", "times the NDCG@20 of popularity"), ("single", "times that of the model")):
        ratios = [f"{figures[f'{domain}_new_joint_to_{to}']:.1f}" for domain in ("films", "books")]
        assert f"{ratios[0]} and {ratios[1]} {end}" in text
    lows = [f"{figures[f'{domain}_new_joint_to_popular_low']:.1f}" for domain in ("films", "books")]
    assert f"lower bounds {lows[0]} and {lows[1]}, {figures['films_new_users']:.0f} people each" in text
    for figure in ("warm", "tail", "cold"):
        films, books = (interval(figures, f"{domain}_{figure}_joint_to_single") for domain in ("films", "books"))
        assert f"{figure} {films} and {books}" in text


def test_the_docs_print_what_one_model_of_two_catalogues_is_worth():
    made = result("domains")
    figures, text = made["headline"], (ROOT / "docs" / "performance.md").read_text()
    section = " ".join(text.split("## Two catalogues as one")[1].split("\n## ")[0].split())
    assert f"seed 0, {made['date']}, commit {made['commit'][:7]};" in section
    for pair in ("warm_joint_to_single", "tail_joint_to_single", "cold_joint_to_single", "new_joint_to_popular"):
        beauty, toys = (interval(figures, f"{domain}_{pair}", 3) for domain in ("beauty", "toys"))
        assert f"| {beauty} | {toys} |" in section


def test_the_adr_of_adapters_prints_what_they_were_worth_there():
    made = result("domains-test-domains")
    figures = made["headline"]
    text = " ".join((ROOT / "docs" / "adr" / "0046-boosts-and-adapters-of-each-domain.md").read_text().split())
    assert f"`{made['command']}` (seed 0, commit {made['commit'][:7]}, " in text

    def cell(domain, figure):
        return interval(figures, f"{domain}_{figure}_adapters_to_lora")

    assert f"cold items was {cell('films', 'cold')} in films and {cell('books', 'cold')} in books" in text
    assert f"warm lists {cell('films', 'warm')} and {cell('books', 'warm')}" in text
    assert (figures["books_adapter_epoch"], figures["films_adapter_epoch"] > 0) == (0, True)
    assert f"Tuning took {figures['adapters_tuning_s']:.0f} s in place of {figures['lora_tuning_s']:.0f} s" in text


class Calls:
    """Counts its calls."""

    def __init__(self, answer):
        self.answer, self.count = answer, 0

    def __call__(self, *_):
        self.count += 1
        return self.answer


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", ["benchmark"])


def test_an_interrupted_run_of_kinds_goes_on_under_its_commit_alone(benchmarks, monkeypatch, tmp_path):
    import kinds

    made = []

    def one_seed(raw, seed):
        made.append((seed, kinds.HYBRID in sys.argv))
        return {"ease": {"alike": np.array([float(len(made))])}}, {"view": 0.5}

    monkeypatch.setattr(kinds, "PARTIAL", tmp_path / "kinds.json")
    monkeypatch.setattr(kinds, "raw_interactions", lambda: None)
    monkeypatch.setattr(kinds, "one_seed", one_seed)
    commits = ["a" * 40, "a" * 40, "b" * 40, "a" * 40]
    values = [kinds.measured(0, commit)[0]["ease"]["alike"].tolist() for commit in commits]
    assert values == [[1.0], [1.0], [2.0], [1.0]]
    monkeypatch.setattr(sys, "argv", ["kinds.py", "hybrid"])
    assert kinds.measured(0, "a" * 40)[0]["ease"]["alike"].tolist() == [3.0]
    assert made == [(0, False), (0, False), (0, True)]


def test_an_interrupted_replay_goes_on_under_its_commit_alone(benchmarks, monkeypatch, tmp_path):
    import replay

    monkeypatch.setattr(replay, "PARTIAL", tmp_path / "replay.json")
    monkeypatch.setattr(replay, "order_matrix", lambda *_: None)
    monkeypatch.setattr(replay, "sampled_users", lambda *_: [3, 5])
    monkeypatch.setattr(replay, "fitted_model", fitted := Calls(None))
    monkeypatch.setattr(replay, "answers", lambda *of: {"of": of[-1]})
    tables = {"fingerprint": "f", "interactions": None}
    catalogue = SimpleNamespace(data=tables, users=None, items=None, known=None, matrix=lambda _: None)
    for commit, fits in (("a" * 40, 1), ("a" * 40, 1), ("b" * 40, 2)):
        assert replay.replay(catalogue, commit) == {"3": {"of": 3}, "5": {"of": 5}}
        assert fitted.count == fits


def test_a_stopped_run_of_scale_goes_on_under_its_commit_and_begins_again_under_another(
    benchmarks, monkeypatch, tmp_path, capsys
):
    import scale

    costs, size, folder = Calls(scale.StageCost(1.0, 2.0, 3.0)), scale.parse_size("2000x1200x40000"), tmp_path / "size"

    def write_catalogue(raw, size):
        raw.mkdir(parents=True)
        return size.rows

    monkeypatch.setattr(scale, "run_stage", costs)
    monkeypatch.setattr(scale, "write_catalogue", write_catalogue)
    monkeypatch.setattr(scale, "cold_in_cluster", lambda *_: 1.0)
    stages = len(scale.STAGES)
    for commit, fresh, runs in (("a" * 40, False, 1), ("a" * 40, False, 1), ("b" * 40, False, 2), ("b" * 40, True, 3)):
        assert scale.measure(size, folder, commit, fresh)["commit"] == commit[:12]
        assert costs.count == runs * stages
    assert capsys.readouterr().out.count("is of another commit, so it begins again") == 1
