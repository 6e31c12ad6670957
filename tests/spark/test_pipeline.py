"""The pipeline of the project, from cleaned tables to figures, on the fabricated catalogue."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tailor.datasets import EmbeddingsDataset, ModelsDataset
from tests.conftest import kedro, make_project

pytest.importorskip("pyspark", reason="make test-spark installs it")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The project with an environment that reads the fabricated catalogue and runs on two local cores."""
    made = make_project(tmp_path_factory.mktemp("project"))
    folder = made / "conf" / "both"
    shutil.copytree(made / "conf" / "test", folder)
    shutil.copy(made / "conf" / "spark" / "catalog.yml", folder / "catalog_spark.yml")
    (folder / "parameters_spark.yml").write_text(yaml.safe_dump({"spark": {"master": "local[2]", "user_blocks": 3}}))
    kedro(made, "run", "--env=both", "--to-nodes=feature_engineering.write_item_texts")
    return made


def test_it_makes_the_split_of_one_machine_and_lists_that_know_the_planted_clusters(project):
    done = kedro(project, "run", "--env=both", "--pipelines=spark")
    assert "Traceback" not in done.stdout + done.stderr
    data = project / "data" / "test"
    made, expected = (pd.read_parquet(data / "03_primary" / name) for name in ("spark_split", "interactions.parquet"))
    both = made.merge(expected, on=["user_id", "item_id"], suffixes=("", "_expected"), validate="1:1", how="outer")
    assert (both["split"] == both["split_expected"]).all()
    items = pd.read_parquet(data / "03_primary" / "spark_items.parquet")
    expected_items = pd.read_parquet(data / "03_primary" / "items.parquet")
    pd.testing.assert_frame_equal(items, expected_items[items.columns])
    embeddings = EmbeddingsDataset(filepath=str(data / "05_model_input" / "spark_embeddings.safetensors")).load()
    assert list(embeddings.ids) == list(items["item_id"])
    metrics = pd.read_parquet(data / "08_reporting" / "spark_metrics.parquet").set_index(
        ["model", "candidates", "metric", "k"]
    )
    random = 10 / len(items)
    for model in ("text_ials", "text_ease", "slit"):
        assert metrics.loc[(model, "warm", "ndcg", 10), "value"] > 5 * random
    assert metrics.loc[("text_ials", "cold", "ndcg", 10), "value"] > 0.2
    assert metrics.loc[("text_ease", "cold", "ndcg", 10), "value"] > 0.2


def test_without_texts_and_order_there_are_factors_and_ease(project):
    folder = project / "conf" / "plain"
    shutil.copytree(project / "conf" / "both", folder)
    catalog = {"item_text": {"type": "MemoryDataset", "data": None}}
    (folder / "catalog_plain.yml").write_text(yaml.safe_dump(catalog))
    split = {"data_processing": {"split": {"strategy": "random"}}}
    (folder / "parameters_plain.yml").write_text(yaml.safe_dump(split))
    done = kedro(project, "run", "--env=plain", "--pipelines=spark")
    assert "slit: the order of a user's rows is not known" in done.stdout + done.stderr
    items = pd.read_parquet(project / "data" / "test" / "03_primary" / "spark_items.parquet")
    model = ModelsDataset(filepath=str(project / "data/test/06_models/spark_models.safetensors")).load()["text_ials"]
    assert not model.item_factors[items["n_train"] == 0].any()
    assert model.item_factors[items["n_train"] > 0].any(axis=1).all()
    metrics = pd.read_parquet(project / "data" / "test" / "08_reporting" / "spark_metrics.parquet")
    assert set(metrics["model"]) == {"text_ials", "text_ease"}


def test_a_master_that_is_none_is_named(project):
    done = kedro(project, "run", "--env=spark", "--pipelines=spark", check=False, TAILOR_SPARK_MASTER="nonsense")
    assert done.returncode == 1
    assert "Spark did not start at spark.master = 'nonsense'" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_inputs_it_says_what_makes_them(project):
    done = kedro(project, "run", "--env=spark", "--pipelines=spark", check=False)
    assert done.returncode == 1
    assert "Inputs that do not exist: clean_items" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
