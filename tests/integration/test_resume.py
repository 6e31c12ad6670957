"""A resume makes again what is stale, and a run tells what it did itself."""

import shutil

import pandas as pd
import pytest
from kedro.runner import SequentialRunner

from tests.conftest import make_project, run_here

pytestmark = pytest.mark.slow

AFTER = ("evaluation.", "reranking.", "registration.", "promotion.", "reporting.", "inference.")
#: It tells what a run will cost, and so depends on the length of lists.
DATA_CARD = {"data_processing.describe_data", "data_processing.write_data_card"}


@pytest.fixture
def project(finished, tmp_path):
    folder = make_project(tmp_path / "p")
    shutil.copytree(finished.as_it_ended, folder / "data" / "test")
    return folder


def planned(project, params=None):
    """Return the nodes that a resume would run, without running any."""
    nodes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SequentialRunner, "_run", lambda self, pipeline, *args: nodes.extend(pipeline.nodes))
        run_here(project, patch, params=params, only_missing_outputs=True)
    return {node.name for node in nodes}


def test_nothing_runs_where_nothing_changed_and_everything_with_another_seed(project, capsys):
    assert planned(project) == set()
    printed = capsys.readouterr().out
    assert "Nothing to do: every output is up to date." in printed
    assert not [words for words in ("Registered", "Test figures", "Data card", "Stale") if words in printed]
    from kedro.framework.project import pipelines

    everything = {node.name for node in pipelines["__default__"].nodes}
    assert planned(project, {"seed": 1}) == everything - {"data_processing.clean"}  # which draws nothing
    assert "Stale, runs again: data_processing.split (changed: params:seed)" in capsys.readouterr().out


def test_other_lengths_of_lists_make_evaluation_again_and_what_follows(project, monkeypatch, capsys):
    params = {"evaluation": {"k": [5, 10, 20]}}
    nodes = planned(project, params)
    assert {name for name in nodes if not name.startswith(AFTER)} == DATA_CARD
    assert {"evaluation.recommend_on_test", "registration.register", "inference.recommend_to_all_users"} <= nodes
    capsys.readouterr()
    run_here(project, monkeypatch, params=params, only_missing_outputs=True)
    printed = capsys.readouterr().out
    assert "Test figures, full ranking" in printed
    assert "Registered tailor-test version" in printed
    assert "Rows of the raw tables" not in printed  # data_processing.clean did not run
    assert 5 in set(pd.read_parquet(project / "data/test/08_reporting/metrics.parquet")["k"])
    assert planned(project, params) == set()
