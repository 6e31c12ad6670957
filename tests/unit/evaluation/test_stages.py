"""Tables of what stages took and of what validation chose."""

from tailor.evaluation.stages import option_table, stage_table, weight_table
from tailor.evaluation.terms import TERMS, explain_columns, explain_models, explain_terms
from tailor.models.registry import BASELINES
from tailor.wiring import STAGES

COSTS = {
    "hybrid_cf.lora.fit": {"seconds": 30.0, "peak_gib": 1.5},
    "hybrid_cf.hold_out": {"seconds": 2.0, "peak_gib": 2.5},
    "data_processing.clean": {"seconds": 4.0, "peak_gib": 1.0},
    "tuning.search": {"seconds": 99.0, "peak_gib": 9.0},
}


def test_stages_are_sums_of_seconds_and_peaks_of_memory_in_the_order_of_the_pipelines():
    table = stage_table(COSTS, STAGES)
    assert table.to_numpy().tolist() == [
        ["data_processing", 1, 4.0, 1.0, "clean", 4.0],
        ["hybrid_cf", 2, 32.0, 2.5, "lora.fit", 30.0],
    ]
    assert stage_table({}, STAGES).empty


def test_weights_have_a_row_for_each_source_and_a_column_for_each_kind():
    weights = {
        "warm": {"ials": 0.5, "mine": 0.1},
        "cold": {"ials": 0.0, "mine": 1.0},
        "few_shot_3": {"ials": 0.2, "mine": 0.3},
    }
    table = weight_table(weights)
    assert list(table) == ["source", "what it is", "warm items", "cold items", "≤ 3 known"]
    assert table.to_numpy().tolist() == [["ials", "factors", 0.5, 0.0, 0.2], ["mine", "mine", 0.1, 1.0, 0.3]]


def test_options_are_dotted_and_an_empty_one_stays():
    table = option_table({"ials": {"alpha": 0.1, "more": {"n": 3}}, "slit": None, "ease": {}})
    assert table.to_numpy().tolist() == [["ials.alpha", "0.1"], ["ials.more.n", "3"], ["slit", "None"], ["ease", "{}"]]


def test_terms_are_those_of_the_glossary():
    from tests.conftest import ROOT

    glossary = (ROOT / "docs/glossary.md").read_text()
    absent = [term for term, meaning in TERMS.items() if f"| {term} | {meaning} |" not in glossary]
    assert not absent, f"terms of the report that docs/glossary.md has not, or says otherwise: {absent}"
    assert explain_terms("tail") == [("tail", "the other warm items; metric and boost read one definition")]


def test_each_column_of_the_summary_says_what_it_measures():
    said = dict(explain_columns(["model", "warm NDCG", "tail NDCG", "new user, 3 items", "coverage"]))
    assert list(said) == ["warm NDCG", "tail NDCG", "new user, 3 items", "coverage"]
    assert said["tail NDCG"].endswith("On test: lists of warm items, counting tail items alone.")
    assert "for new users of whom 3 items are known" in said["new user, 3 items"]
    assert said["coverage"].startswith("Distinct listed items / candidate items. On test: lists of all items")


def test_every_model_of_a_run_is_described_in_a_sentence():
    said = explain_models([*BASELINES, "hybrid_frozen", "hybrid_lora", "of nobody"])
    assert [name for name, _ in said] == [*BASELINES, "hybrid_frozen", "hybrid_lora"]
    assert all(len(words) > 20 and words.endswith(".") and "`" not in words for _, words in said)
    assert dict(said)["popular"] == "The most popular items for everybody."
