"""The whole DAG on the fabricated catalogue: outcomes, contract files, and that choices never see test rows."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors import safe_open
from scipy import sparse

from tailor.data.fabricate import planted_catalogue
from tailor.models.registry import BASELINES
from tests.conftest import kedro, make_project, run_here

pytestmark = pytest.mark.slow

TEST_ROWS = {
    "test_matrix",
    "cold_matrix",
    "test_positives",
    "interactions",
    "split",
    "clean_interactions",
    "raw_interactions",
}
MAY_SEE_THEM = {
    "data_processing.clean",
    "data_processing.split",
    "data_processing.summarise_data",
    "data_processing.keep_choosing_rows",
    "data_processing.describe_data",
    "data_processing.fingerprint",
    "feature_engineering.build_matrices",
    "feature_engineering.order_histories",
    "feature_engineering.encode_side_features",
    "feature_engineering.write_user_texts",  # labels each text by its split; lm_finetuning sets the late ones apart
    "feature_engineering.keep_train",
    "feature_engineering.weigh_histories",  # of train, validation and revealed rows
    "evaluation.build_test_positives",
    "evaluation.measure_known_users",
    "evaluation.measure_headlines",
    "evaluation.measure_clicks",
    "evaluation.keep_rated_rows",
    "evaluation.measure_ratings",
    "reranking.trace_on_test",
    "promotion.compare_with_champion",
    "reporting.tell_known_users",  # marks what was taken later on finished lists
    "registration.refit",  # counts interactions by day, for what is trending
    "registration.gather_blocked",  # for the model that is handed over
    "registration.gather_all",  # after everything was measured: what is handed over knows every row
    "registration.check_registered",
    "registration.track",  # logs the split's digest
    "ablation.measure_variants",
}


@pytest.fixture(scope="module")
def planted(finished):
    """The catalogue that the finished run read."""
    entry = yaml.safe_load((finished.project / "conf/test/catalog.yml").read_text())["raw_items"]
    return planted_catalogue(**{key: entry[key] for key in entry.keys() - {"type", "table", "metadata", "writers"}})


def read(finished, path):
    return pd.read_parquet(finished.data / path)


def figure(finished, model, candidates="warm", bucket="all", users="all", metric="ndcg", k=20, split="test"):
    metrics = read(finished, "08_reporting/metrics.parquet")
    row = metrics.query(
        "model == @model and split == @split and candidates == @candidates and item_bucket == @bucket "
        "and user_bucket == @users and metric == @metric and k == @k"
    )
    assert len(row) == 1, (model, candidates, bucket, users, metric, k)
    return float(row["value"].iloc[0])


def test_the_hybrid_beats_popular_and_finds_cold_items(finished):
    for model in ("hybrid_frozen", "hybrid_lora"):
        assert figure(finished, model) > 1.5 * figure(finished, "popular")
        assert figure(finished, model, "cold") > 1.5 * figure(finished, "random", "cold")
        assert figure(finished, model, "mixed", "cold") > figure(finished, "ials", "mixed", "cold")
        assert figure(finished, model, users="new_3") > figure(finished, "popular", users="new_3")


def test_cold_items_go_to_users_of_their_cluster(finished, planted):
    lists = read(finished, "07_model_output/recommendations")
    first = lists.query("model == 'hybrid_lora' and split == 'test' and candidates == 'cold' and rank == 1")
    matches = planted.item_cluster[first["item_id"]].to_numpy() == planted.user_cluster[first["user_id"]].to_numpy()
    assert matches.mean() > 0.6  # chance is 0.25


def test_tuning_finds_the_camps_that_the_frozen_model_overlooks(finished, planted):
    """Who likes which studio is in no text that the language model was trained on, only in who took what."""
    history = read(finished, "08_reporting/lm_history.parquet").set_index("epoch")["cold_ndcg"]
    assert history.idxmax() > 0
    assert history.max() > history[0] + 0.01
    assert figure(finished, "hybrid_lora", "cold") > figure(finished, "hybrid_frozen", "cold") + 0.01
    lists = read(finished, "07_model_output/recommendations")
    first = lists.query("split == 'test' and candidates == 'cold' and rank <= 3")
    same = planted.item_camp[first["item_id"]].to_numpy() == planted.user_camp[first["user_id"]].to_numpy()
    share = pd.Series(same).groupby(first["model"].to_numpy()).mean()
    assert share["hybrid_lora"] > share["hybrid_frozen"] + 0.03


def test_dirt_is_counted_and_printed(finished, planted):
    report = read(finished, "08_reporting/data_quality.parquet")
    assert report[report["action"] == "dropped"].set_index("problem")["rows"].to_dict() == {
        "missing item_id": planted.n_missing_ids,
        "item_id not in the items table": planted.n_unknown_items,
        "repeated (user_id, item_id) (the latest is kept)": planted.n_duplicates,
    }
    assert "item_id not in the items table" in finished.output
    accounts = read(finished, "08_reporting/data_accounts.parquet").set_index("table")
    assert (accounts["rows_in"] == accounts["skipped"] + accounts["dropped"] + accounts["kept"]).all()
    assert accounts.loc["interactions", "rows_in"] == len(planted.interactions)
    assert accounts.loc["interactions", "kept"] == len(read(finished, "03_primary/interactions.parquet"))
    assert "Registered tailor-test version 1 as champion" in finished.output
    assert "Tuned options: none; every model's option sets in hybrid_cf.trials are tried." in finished.output


def test_the_data_card_is_written_and_its_path_is_printed(finished):
    page = (finished.data / "08_reporting/data_card.html").read_text()
    card = json.loads((finished.data / "08_reporting/data_card.json").read_text())
    assert "Data card: data/test/08_reporting/data_card.html" in finished.output
    rows = read(finished, "03_primary/interactions.parquet")
    assert card["sizes"]["interactions"] == len(rows)
    assert card["learning_curve"] == []
    assert "ghost0" in page  # an example of what was dropped
    ids = {f">{user}<" for user in rows["user_id"].unique()}
    assert not [user for user in ids if user in page]


def test_click_probabilities_are_calibrated(finished):
    table = read(finished, "08_reporting/click_metrics.parquet").set_index("model")
    assert list(table.index) == ["hybrid_frozen", "hybrid_lora"]
    rate = table["clicks"] / table["cells"]
    assert (table["auc"] > 0.8).all()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    assert (table["log_loss"] < 0.95 * entropy).all()  # better than telling everybody the base rate
    assert (table["ece"] < 0.5 * rate).all()


def test_the_registered_model_is_compared_with_all_baselines(finished):
    table = read(finished, "08_reporting/comparisons.parquet").set_index(["headline", "against"])
    assert len(table) == 5 * (len(BASELINES) + 1)
    assert table.loc[("warm", "popular"), "verdict"] == "better"
    assert table.loc[("warm", "popular"), "low"] > 0
    assert (table["adjusted_p"] >= table["p"]).all()
    for headline, (candidates, bucket) in {"warm": ("warm", "all"), "mixed_cold": ("mixed", "cold")}.items():
        for other in ("ease", "hybrid_frozen"):
            expected = figure(finished, "hybrid_lora", candidates, bucket) - figure(finished, other, candidates, bucket)
            assert table.loc[(headline, other), "difference"] == pytest.approx(expected, abs=1e-9)


def test_frontiers_start_at_the_lists_that_were_measured(finished):
    table = read(finished, "08_reporting/frontier.parquet")
    plain = table[table["method"] == "none"].set_index("split")
    # The same lists, the same figures (users without positives are left out of both).
    assert plain.loc["test", "ndcg"] == pytest.approx(figure(finished, "hybrid_lora", "mixed"), abs=1e-9)
    assert plain.loc["test", "tail_ndcg"] == pytest.approx(figure(finished, "hybrid_lora", "mixed", "tail"), abs=1e-9)
    preset = json.loads((finished.data / "06_models/balance_preset.json").read_text())
    chosen = table[table["balance"] & (table["split"] == "validation")]
    assert chosen["method"].tolist() == [preset["method"]]
    assert chosen["ndcg"].iloc[0] >= 0.98 * plain.loc["validation", "ndcg"]
    assert table[(table["split"] == "test") & (table["method"] == "mmr")][
        "intra_list_diversity"
    ].is_monotonic_increasing


def test_every_promised_figure_is_there(finished):
    metrics = read(finished, "08_reporting/metrics.parquet")
    for metric in ("ndcg", "recall", "precision", "map", "mrr", "hit_rate"):
        for k in (10, 20):
            for candidates, buckets in {
                "warm": ["head", "tail"],
                "cold": ["cold"],
                "mixed": ["head", "tail", "cold"],
            }.items():
                for bucket in ["all", *buckets]:
                    assert np.isfinite(figure(finished, "hybrid_lora", candidates, bucket, metric=metric, k=k))
            for n in (0, 1, 3, 5):
                assert np.isfinite(figure(finished, "hybrid_lora", users=f"new_{n}", metric=metric, k=k))
    exposure = ("catalog_coverage", "tail_coverage", "gini", "entropy", "arp", "aplt", "aclt", "novelty")
    beyond = ("propensity_recall", "intra_list_diversity", "category_diversity", "unexpectedness", "serendipity")
    beyond += ("popularity_calibration", "category_calibration", "poprsp", "popreo")
    for metric in exposure + beyond:
        assert np.isfinite(figure(finished, "hybrid_lora", "mixed", metric=metric))
    assert list(dict.fromkeys(metrics["model"])) == [*BASELINES, "hybrid_frozen", "hybrid_lora"]


def test_contract_files_are_consistent(finished):
    split, items = read(finished, "03_primary/split.parquet"), read(finished, "03_primary/items.parquet")
    lists = read(finished, "07_model_output/recommendations")
    assert list(split.columns) == ["user_id", "item_id", "split"]
    train = split[split["split"] == "train"]
    counts = train["item_id"].value_counts().reindex(items["item_id"]).fillna(0).astype(int)
    assert (counts.to_numpy() == items["n_train"].to_numpy()).all()
    cold = set(items["item_id"][items["bucket"] == "cold"])
    assert not cold & set(train["item_id"])
    new = set(split["user_id"][split["split"] == "new_user"])
    assert not new & set(lists["user_id"])
    assert (
        lists.groupby(["model", "candidates", "split", "user_id"])["rank"]
        .agg(lambda r: (r.diff().dropna() == 1).all())
        .all()
    )
    test_lists = lists[lists["split"] == "test"]
    assert set(test_lists["item_id"][test_lists["candidates"] == "cold"]) <= cold
    assert not set(test_lists["item_id"][test_lists["candidates"] == "warm"]) & cold
    known = pd.MultiIndex.from_frame(
        split[split["split"].isin(["train", "validation", "cold_unused"])][["user_id", "item_id"]]
    )
    assert not pd.MultiIndex.from_frame(test_lists[["user_id", "item_id"]]).isin(known).any()


def test_ranx_recomputes_the_metrics_from_the_contract_files(finished):
    ranx = pytest.importorskip("ranx")
    split = read(finished, "03_primary/split.parquet")
    lists = read(finished, "07_model_output/recommendations")
    wanted = {"warm": ["test"], "cold": ["cold"], "mixed": ["test", "cold"]}
    for model in ("ease", "hybrid_lora", "popular"):
        for candidates, labels in wanted.items():
            rows = split[split["split"].isin(labels)].assign(gain=1).astype({"user_id": object, "item_id": object})
            mine = lists.query("model == @model and candidates == @candidates and split == 'test'")
            mine = mine[mine["user_id"].isin(rows["user_id"])].assign(order=lambda d: 1.0 / d["rank"])
            mine = mine.astype({"user_id": object, "item_id": object})
            rows = rows[rows["user_id"].isin(lists["user_id"])]
            qrels = ranx.Qrels.from_df(rows, q_id_col="user_id", doc_id_col="item_id", score_col="gain")
            run = ranx.Run.from_df(mine, q_id_col="user_id", doc_id_col="item_id", score_col="order")
            theirs = ranx.evaluate(qrels, run, ["ndcg@10", "ndcg@20", "recall@20", "hit_rate@10"])
            for name, value in theirs.items():
                metric, k = name.split("@")
                assert figure(finished, model, candidates, metric=metric, k=int(k)) == pytest.approx(value, abs=1e-6)


def test_no_choosing_or_fitting_node_sees_test_rows():
    from kedro.framework.project import configure_project, pipelines

    configure_project("tailor")
    nodes = [node for pipeline in pipelines.values() for node in pipeline.nodes]
    names = {node.name for node in nodes}
    assert {"tuning.tune_lora", "export.merge_encoder", "hybrid_cf.select_baselines"} <= names
    assert names >= MAY_SEE_THEM
    sees = {node.name for node in nodes if TEST_ROWS & set(node.inputs)}
    assert sees <= MAY_SEE_THEM, f"{sees - MAY_SEE_THEM} read test rows"
    assert "evaluation.measure_known_users" in sees


def test_what_the_language_model_leaves_behind(finished):
    """Embeddings name their items and origin; the adapter, merged and exported, makes the same ones."""
    from tailor.datasets import AdapterDataset, EmbeddingsDataset

    found = EmbeddingsDataset(filepath=str(finished.data / "04_feature/item_embeddings_lora.safetensors")).load()
    adapter = AdapterDataset(filepath=str(finished.data / "06_models/adapter")).load()
    assert found.ids.tolist() == read(finished, "03_primary/items.parquet")["item_id"].tolist()
    assert found.provenance == adapter.provenance
    assert set(found.provenance) >= {"base_hash", "data_hash", "options", "seed", "epoch", "truncated_texts"}
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert not (finished.data / "06_models/lm_checkpoint.safetensors").exists()


def test_the_ablation_tells_what_each_part_is_worth(finished, monkeypatch):
    run_here(finished.project, monkeypatch, pipeline_names=["ablation"])
    table = read(finished, "08_reporting/ablation.parquet").set_index("model")
    whole = read(finished, "08_reporting/summary.parquet").set_index("model")
    for encoder in ("frozen", "lora"):
        # 10 sources (no contexts here), 45 pairs, all, all but each, equal weights, blend off, boosts off, whole
        assert sum(name.endswith(f"| {encoder}") for name in table.index) == 10 + 45 + 1 + 10 + 4
        assert table.loc[f"without user_text | {encoder}"].notna().any()
        for column in ("warm NDCG", "cold NDCG", "mixed NDCG"):
            assert table.loc[f"all | {encoder}", column] == whole.loc[f"hybrid_{encoder}", column]
        assert table.loc[f"all | {encoder}", "warm NDCG"] > table.loc[f"popular | {encoder}", "warm NDCG"]
        assert table.loc[f"all | {encoder}", "cold NDCG"] > table.loc[f"popular | {encoder}", "cold NDCG"]


def test_the_tuned_encoder_is_exported_on_request(finished, monkeypatch):
    from tailor.datasets import EmbeddingsDataset
    from tailor.lm.config import EncoderOptions
    from tailor.lm.encoder import encode, load_base, tokenise

    assert not (finished.data / "06_models/encoder").exists()
    run_here(finished.project, monkeypatch, pipeline_names=["export"])
    options = EncoderOptions(base_model=str(finished.data / "06_models/encoder"), max_length=32)
    texts = read(finished, "04_feature/item_text.parquet")["text"].tolist()
    pooled = encode(load_base(options), tokenise(texts, options), 64)
    expected = EmbeddingsDataset(filepath=str(finished.data / "04_feature/item_embeddings_lora.safetensors")).load()
    np.testing.assert_allclose(expected.whitening.apply(pooled), expected.vectors, atol=1e-4)


def test_a_search_is_in_force_from_the_next_run_on(finished, tmp_path, monkeypatch, capsys):
    project = make_project(tmp_path / "p")
    shutil.copytree(finished.data, project / "data" / "test")
    run_here(project, monkeypatch, pipeline_names=["tuning"])
    tuned = yaml.safe_load((project / "conf/test/parameters_tuned.yml").read_text())["tuned"]
    assert set(tuned["baselines"]) == {*BASELINES} - {"random", "constant", "popular", "text_knn"}
    trials = pd.read_parquet(project / "data/test/08_reporting/tuning_trials.parquet")
    assert trials.groupby("model")["number"].count().unique().tolist() == [3]
    assert trials.groupby("model")["chosen"].sum().unique().tolist() == [1]
    summary = pd.read_parquet(project / "data/test/08_reporting/tuning_summary.parquet")
    assert set(summary["model"]) == {*tuned["baselines"], "hybrid_frozen", "hybrid_lora"}
    assert (summary["after"] >= summary["before"]).all()  # both are numbers
    printed = capsys.readouterr().out
    assert "Best on validation: hybrid_cf.trials before, the search after" in printed
    assert "Tuned options: conf/test/parameters_tuned.yml is in force from the next run on. Delete the file" in printed
    output = kedro(project, "run", "--env=test", "--pipelines=hybrid_cf").stdout
    assert "Tuned options: conf/test/parameters_tuned.yml is in force for " in output
    assert set(tuned["baselines"]) < set(re.findall(r"\w+", output.split("is in force for ", 1)[1].split(".", 1)[0]))
    assert "Delete the file to try hybrid_cf.trials again." in output
    chosen = json.loads((project / "data/test/06_models/hybrid_lora_choice.json").read_text())
    assert chosen == tuned["hybrid_lora"]
    assert (
        json.loads((project / "data/test/06_models/baseline_choice.json").read_text())["ease"]
        == (tuned["baselines"]["ease"])
    )


def test_poisoned_test_rows_change_no_choice(finished, tmp_path, monkeypatch):
    """Rewrite the test matrices; what hybrid_cf chooses and fits must be the same to the last bit."""
    project = make_project(tmp_path / "p")
    shutil.copytree(finished.data, project / "data" / "test")
    for name in ("test", "cold"):
        path = project / "data/test/04_feature" / f"{name}_matrix.npz"
        matrix = sparse.load_npz(path)
        sparse.save_npz(path, sparse.csr_matrix(matrix.shape, dtype=np.float32))
    run_here(project, monkeypatch, pipeline_names=["hybrid_cf"])
    folders = finished.data / "06_models", project / "data/test/06_models"
    for name in ("hybrid_lora_choice.json", "hybrid_frozen_choice.json", "baseline_choice.json"):
        before, after = ((folder / name).read_bytes() for folder in folders)
        assert before == after, name
    before, after = (content_of(folder / "hybrid_lora_model.safetensors") for folder in folders)
    assert before == after


def content_of(path):
    """Metadata and arrays of a file, to the last bit; safetensors writes its metadata in any order."""
    with safe_open(path, framework="numpy") as file:
        arrays = {key: (file.get_tensor(key).dtype.str, file.get_tensor(key).tobytes()) for key in file.keys()}  # noqa: SIM118
        return file.metadata(), arrays


def test_each_pipeline_runs_alone_and_twice_gives_the_same(finished, tmp_path, monkeypatch):
    """Pipeline by pipeline, in another process and store, everything comes out the same to the last bit."""
    project = make_project(tmp_path / "p")
    shutil.copytree(finished.data, project / "data" / "test", ignore=shutil.ignore_patterns("mlflow.db"))
    kedro(project, "run", "--env=test", "--pipelines=lm_finetuning")
    (project / "data/test/06_models/registered_model.json").unlink()
    kedro(project, "run", "--env=test", "--namespaces=data_processing")
    rest = ["feature_engineering", "hybrid_cf", "evaluation", "reranking", "registration", "promotion", "reporting"]
    for name in (*rest, "inference"):
        run_here(project, monkeypatch, pipeline_names=[name])
    again = pd.read_parquet(project / "data/test/08_reporting/metrics.parquet")
    pd.testing.assert_frame_equal(again, read(finished, "08_reporting/metrics.parquet"), check_exact=True)
    registered = json.loads((project / "data/test/06_models/registered_model.json").read_text())
    assert registered["alias"] == "champion"  # a fresh store


def test_a_run_that_was_interrupted_goes_on_without_fitting_again(finished, tmp_path, monkeypatch, caplog):
    """Everything after the validation lists is missing: nothing is fitted, and the figures are the same."""
    project = make_project(tmp_path / "p")
    shutil.copytree(finished.data, project / "data" / "test", ignore=shutil.ignore_patterns("mlflow.db"))
    data = project / "data/test"
    kept = {"test_positives.npz", "learning_curve.parquet"}
    kept |= {"data_accounts.parquet", "data_quality.parquet", "data_summary.parquet"}
    shutil.rmtree(data / "07_model_output/recommendations/test")
    shutil.rmtree(data / "07_model_output/new_user_recommendations")
    shutil.rmtree(data / "07_model_output/variant_lists", ignore_errors=True)
    left = [
        *data.glob("07_model_output/*.parquet"),
        data / "08_reporting/report.html",
        data / "04_feature/test_positives.npz",
    ]
    left += [path for path in data.glob("08_reporting/*.parquet") if not path.name.startswith(("hybrid", "baseline"))]
    left += [data / f"06_models/{name}.json" for name in ("registered_model", "promotion", "promotion_decision")]
    for path in left:
        if path.name not in kept:
            path.unlink()
    with caplog.at_level("INFO"):
        run_here(project, monkeypatch, only_missing_outputs=True)
    ran = {
        record.message.partition(" ")[2].partition(":")[0]
        for record in caplog.records
        if record.name == "tailor.progress_hooks"
    }
    assert "evaluation.recommend_on_test" in ran
    assert "evaluation.recommend_on_validation" not in ran
    assert not {name for name in ran if name.startswith(("hybrid_cf", "lm_finetuning.encode", "data_processing"))}
    again = pd.read_parquet(data / "08_reporting/metrics.parquet")
    pd.testing.assert_frame_equal(again, read(finished, "08_reporting/metrics.parquet"), check_exact=True)
    assert (data / "08_reporting/report.html").exists()


def test_batch_recommendations_are_for_everybody(finished):
    batch, users = (
        read(finished, "07_model_output/batch_recommendations.parquet"),
        read(finished, "03_primary/users.parquet"),
    )
    assert set(batch["user_id"]) == set(users["user_id"])
    assert batch.groupby("user_id")["rank"].max().eq(20).all()
    path = batch.drop_duplicates("user_id").set_index("user_id")["path"]
    assert (path == "known_user").all()  # new users of the split, too: what is served knows every interaction
