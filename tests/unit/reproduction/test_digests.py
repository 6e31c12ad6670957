"""What is hashed, and what its hash depends on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from tailor.data.ids import IdMap
from tailor.datasets.arrays import ArraysDataset
from tailor.datasets.tables import ParquetDataset
from tailor.models.popular import Popular
from tailor.pipeline_registry import default_pipeline, register_pipelines
from tailor.reproduction import digests
from tailor.reproduction.record import Output
from tailor.serving.recommender import Recommender


def nothing(*_):
    """Stand in for a node."""


def test_what_publishes_and_what_follows_it_is_left_out():
    whole = Pipeline([
        Node(nothing, "raw", "table", name="make"),
        Node(nothing, "table", "tracked", name="track", tags="publish"),
        Node(nothing, "tracked", "noted", name="note"),
        Node(nothing, "table", "plot", name="draw"),
        Node(nothing, ["table", "noted"], "registered", name=digests.REGISTER, tags="publish"),
        Node(nothing, "registered", "card", name="describe"),
    ])  # fmt: skip
    assert [node.name for node in digests.reproducible(whole).nodes] == ["make"]


def test_a_version_stands_on_all_that_was_measured_and_fitted():
    configure_project("tailor")
    reproducible = digests.reproducible(register_pipelines()["__default__"])
    names = {node.name for node in reproducible.nodes}
    assert {"data_processing.split", "lm_finetuning.tune_adapter", "evaluation.join_metrics", digests.REFIT} <= names
    assert not any("publish" in node.tags for node in reproducible.nodes)
    assert not any(name.startswith(("promotion", "inference", "reporting")) for name in names)
    assert digests.RECOMMENDER in reproducible.outputs()
    raw = {name for name in reproducible.inputs() if not name.startswith(("params:", "parameters"))}
    assert raw == {"raw_interactions", "raw_items", "raw_users", "suppressions"}


@pytest.fixture
def catalog(tmp_path):
    table = ParquetDataset(filepath=str(tmp_path / "table.parquet"))
    arrays = ArraysDataset(filepath=str(tmp_path / "arrays.safetensors"))
    datasets = {"table": table, "arrays": arrays, "memory": MemoryDataset(1), "absent": ArraysDataset(filepath="no")}
    catalog = DataCatalog(datasets)
    catalog.save("table", pd.DataFrame({"x": [1.0, 2.0], "y": ["a", None], "z": [[1], []]}))
    catalog.save("arrays", {"x": np.arange(3)})
    return catalog


def test_outputs_are_hashed_in_the_order_of_the_nodes(catalog):
    pipeline = Pipeline([
        Node(nothing, "table", ["arrays", "memory", "absent"], name="p.second"),
        Node(nothing, "raw", "table", name="p.first"),
    ])  # fmt: skip
    assert digests.digest_outputs(pipeline, catalog) == [
        Output("p.first", "table", digests.digest("table", catalog)),
        Output("p.second", "arrays", digests.digest("arrays", catalog)),
    ]


def test_a_table_is_hashed_by_its_cells(catalog, tmp_path):
    table, before = catalog.load("table"), digests.digest("table", catalog)
    table.to_parquet(tmp_path / "table.parquet", compression="gzip")
    assert digests.digest("table", catalog) == before
    for changed in (table.assign(x=[1.0, np.nextafter(2, 3)]), table.assign(x=[1, 2]), table.iloc[::-1]):
        catalog.save("table", changed)
        assert digests.digest("table", catalog) != before


def test_what_is_handed_over_is_hashed_by_its_numbers(tables, tmp_path):
    model = Popular().fit(tables.train_set)
    items, users, ties = IdMap(tables.items["item_id"]), IdMap(tables.users["user_id"]), np.arange(len(tables.items))
    made = Recommender(model, users, items, tables.train_set.queries(), ties, about={"seed": 0})
    digest = digests.recommender_digest(made)
    made.save(tmp_path / "package")
    assert digests.recommender_digest(Recommender.load(tmp_path / "package")) == digest
    assert digests.recommender_digest(replace(made, about={"seed": 1})) == digest
    assert digests.recommender_digest(replace(made, tie_rank=ties[::-1])) != digest


def test_the_pipeline_of_a_record_is_there_whatever_was_asked_for():
    configure_project("tailor")
    every = {node.name for node in register_pipelines()["__default__"].nodes}
    pipelines.set_requested(["registration"])
    try:
        assert "__default__" not in pipelines
        assert {node.name for node in default_pipeline().nodes} == every
    finally:
        pipelines.set_requested(None)
