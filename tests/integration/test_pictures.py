"""The whole DAG where items have pictures, some of them missing: weighed on validation, packaged, served."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from tailor.data.fabricate import planted_catalogue
from tests.conftest import FinishedRun, kedro, make_project

pytestmark = pytest.mark.slow

WIDTH, MISSING = 3, 24
# With the shorter transformer of conf/test validation chose the options without weights of parts.
PARAMS = "lm_finetuning.enabled=false,evaluation.registered=hybrid_frozen,hybrid_cf.sources.transformer.epochs=8"


def write_catalogue(project):
    """Titles and genres that say nothing, pictures that tell the cluster; every tenth item has none."""
    planted = planted_catalogue(seed=0, n_items=240, per_user=16)
    rng, cluster = np.random.default_rng(5), planted.item_cluster.to_numpy()
    corners = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [2.0, 2.0, 2.0]])
    vectors = corners[cluster] + 0.2 * rng.normal(size=(len(cluster), WIDTH))
    image = [None if row % 10 == 9 else json.dumps(vector.tolist()) for row, vector in enumerate(vectors)]
    shuffled = rng.permutation(len(cluster))
    items = planted.items.assign(image=image)
    items[["title", "genre"]] = items[["title", "genre"]].to_numpy()[shuffled]
    folder = project / "data/test/raw"
    folder.mkdir(parents=True)
    for name, table in (("interactions", planted.interactions), ("items", items), ("users", planted.users)):
        table.to_csv(folder / f"{name}.csv", index=False)
    catalog = {
        f"raw_{name}": {"type": "tailor.datasets.TextTableDataset", "filepath": f"data/test/raw/{name}.csv"}
        for name in ("interactions", "items", "users")
    }
    (project / "conf/test/catalog.yml").write_text(yaml.safe_dump(catalog))
    path = project / "conf/test/parameters.yml"
    parameters = yaml.safe_load(path.read_text())
    parameters["data_processing"]["columns"]["items"].append({"vector_image": "image"})
    parameters["data_processing"]["columns"]["users"] = [{"user_id": "user_id"}, {"age": "age"}]
    parameters["feature_engineering"]["user_text"]["template"] = []
    path.write_text(yaml.safe_dump(parameters))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("pictures"))
    write_catalogue(project)
    done = kedro(project, "run", "--env=test", f"--params={PARAMS}")
    return FinishedRun(project, done.stdout + done.stderr)


def test_missing_pictures_are_counted_and_said(run):
    quality = pd.read_parquet(run.data / "08_reporting/data_quality.parquet").set_index("problem")
    assert quality.loc["vector_image is missing", "rows"] == MISSING
    assert "vector_image: 24 of 240 items have no vector" in run.output.replace("\n", " ")


def test_the_picture_gets_most_of_the_weight(run):
    (path,) = run.data.rglob("hybrid_frozen_choice.json")
    assert json.loads(path.read_text())["cold_items"]["weights"]["vector_image"] > 0.5


def test_new_items_are_found_by_their_pictures(run):
    summary = pd.read_parquet(run.data / "08_reporting/summary.parquet").set_index("model")
    assert summary.loc["hybrid_frozen", "cold NDCG"] > 1.2 * summary.loc["random", "cold NDCG"]
    assert np.isfinite(summary.loc["hybrid_frozen", "warm NDCG"])
