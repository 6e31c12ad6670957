"""What is checked before a run, and what it says to do."""

import pytest
from kedro.io import DataCatalog
from kedro.io.data_catalog import SharedMemoryDataCatalog
from kedro.pipeline import Node, Pipeline

from tailor.errors import BadInputError, ConfigurationError
from tailor.hooks import ProjectHooks, _next_steps


def refused(tmp_path, *names: str) -> str:
    """Return what is said when the inputs of that name do not exist."""
    entries = {name: {"type": "text.TextDataset", "filepath": f"{tmp_path}/{name}.txt"} for name in names}
    pipeline = Pipeline([Node(lambda *_: 1, list(names), "made", name="make")])
    with pytest.raises(BadInputError) as error:
        ProjectHooks().before_pipeline_run(pipeline, DataCatalog.from_config(entries))
    return str(error.value)


def test_a_missing_input_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(tmp_path, "items") == (
        "Inputs that do not exist: items (items.txt): run the pipeline that makes them first, or `kedro run` for all."
    )
    assert refused(tmp_path, "raw_items").endswith("raw_items (raw_items.txt): put the raw files there "
                                                   "(docs/catalogue.md).")  # fmt: skip


def test_of_many_the_first_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(tmp_path, "a", "b", "c", "d", "raw_x")
    assert "a (a.txt), b (b.txt), c (c.txt), 2 more: " in said
    assert "for all; put the raw files there" in said


def test_optional_tables_are_described_on_a_page(tmp_path):
    said = refused(tmp_path, "raw_policy_log")
    assert said.endswith(": docs/pipelines/offpolicy.md says what belongs into that file.")


def test_processes_of_their_own_are_refused():
    with pytest.raises(ConfigurationError, match="ParallelRunner cannot run Tailor"):
        ProjectHooks().before_pipeline_run(Pipeline([]), SharedMemoryDataCatalog())


def test_next_steps_are_those_of_the_makefile_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _next_steps("test") == ("Serve it: tailor serve --env=test",)
    (tmp_path / "Makefile").touch()
    assert _next_steps("test") == ("Serve it: make serve ENV=test", "Runs and versions: make mlflow ENV=test")
    assert _next_steps(None) == ("Serve it: make serve", "Runs and versions: make mlflow")
