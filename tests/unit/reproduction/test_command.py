"""`tailor reproduce`: versions that cannot be made again, and what is said of one that was."""

from types import SimpleNamespace

import mlflow
import pytest

from tailor.errors import BadInputError, ConfigurationError
from tailor.reproduction import command, rerun
from tailor.reproduction import record as records
from tailor.reproduction.compare import Comparison
from tailor.reproduction.record import Output


@pytest.fixture
def registered(run_id, record, monkeypatch):
    """Two versions of a model: the first has a record and the alias champion."""
    client = mlflow.MlflowClient()
    client.create_registered_model("shop")
    for number, tags in (("1", {"run_id": run_id}), ("2", {})):
        client.create_model_version("shop", f"file:///{number}", tags=tags)
    client.set_registered_model_alias("shop", "champion", "1")
    records.write(run_id, record)
    client.log_metric(run_id, "warm", 0.5)
    monkeypatch.setattr(command, "open_registry", lambda env, conf: SimpleNamespace(model="shop"))
    return run_id


@pytest.mark.parametrize("version", ["1", "champion"])
def test_a_version_is_found_by_number_and_alias(registered, record, version):
    found = command.find_recorded(version, "test", "conf")
    assert (found.name, found.version, found.record) == ("shop", "1", record)
    assert found.figures == {"warm": 0.5}


def test_an_unknown_version_names_those_that_exist(registered):
    with pytest.raises(BadInputError, match=r"No version '3' of 'shop'\. Known: 1, 2, champion\."):
        command.find_recorded("3", "test", "conf")


def test_a_version_without_a_record_is_refused(registered):
    with pytest.raises(BadInputError, match=r"Version 2 of shop has no record of how it was made.*earlier Tailor"):
        command.find_recorded("2", "test", "conf")


def recorded(record, raw=None, figures=None):
    record = records.Record(**{**vars(record), "raw": raw or record.raw})
    return command.Recorded("shop", "1", record, figures or {})


def test_other_raw_data_are_refused(record, place, pipeline):
    catalog = rerun.open_catalog(place, record)
    raw = command.raw_digests(pipeline, catalog)
    command.check_raw(recorded(record, raw), pipeline, catalog)
    with pytest.raises(BadInputError, match=r"^raw_items \(no file\): not the raw data.* that version 1 was made of"):
        command.check_raw(recorded(record, raw | {"raw_items": "other"}), pipeline, catalog)


def test_a_version_with_rows_of_who_is_suppressed_now_is_not_made_again(record, place, pipeline, monkeypatch, tmp_path):
    monkeypatch.setenv("TAILOR_SUPPRESSION_KEY", "k" * 32)
    monkeypatch.setenv("TAILOR_STATE_URL", f"sqlite:///{tmp_path}/state.db")
    catalog = rerun.open_catalog(place, record)
    before = command.raw_digests(pipeline, catalog)
    assert "suppressions" not in before  # nobody is left out: versions of before have no such entry
    catalog.save("suppressions", ["u1"])
    with pytest.raises(BadInputError, match=r"^Other people are suppressed now than when version 1 was made"):
        command.check_raw(recorded(record, before), pipeline, catalog)
    command.check_raw(recorded(record, command.raw_digests(pipeline, catalog)), pipeline, catalog)


def test_the_list_is_read_where_the_environment_has_it_not_aside(record, place):
    filepath = rerun.open_catalog(place, record)["suppressions"].filepath
    assert filepath.parts[-4:] == ("data", "test", "serving", "tailor-test.db")
    assert not filepath.is_relative_to(place.data)


@pytest.mark.parametrize(
    ("digest", "figure", "end"),
    [
        ("a", 0.5, "Version 1 is reproduced: every digit of its figures is equal."),
        ("b", 0.5, "Differs first at lm.tune (adapter)."),
        ("a", 0.25, "Every output is equal, but MLflow holds other figures of version 1: warm."),
    ],
)
def test_the_last_line_says_whether_it_is_the_same(record, digest, figure, end):
    said = []
    comparison = Comparison.of([Output("lm.tune", "adapter", "a")], [Output("lm.tune", "adapter", digest)])
    same = command.report(recorded(record, figures={"warm": 0.5}), comparison, {"warm": figure}, said.append)
    assert said[-1] == end
    assert same == end.startswith("Version 1 is reproduced")
    assert said[0].startswith("lm: ")


def test_outputs_are_kept_in_a_new_folder_or_deleted(tmp_path):
    with command._folder(None) as folder:
        (folder / "file").touch()
    assert not folder.exists()
    with command._folder(tmp_path / "a" / "b") as folder:
        (folder / "file").touch()
    assert (tmp_path / "a" / "b" / "file").exists()
    with pytest.raises(ConfigurationError, match=r"--keep: .*b exists"), command._folder(tmp_path / "a" / "b"):
        pass


def test_nothing_is_logged_to_the_store_of_the_project(run_id, tmp_path, monkeypatch):
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    with command._store_aside(tmp_path):
        assert (
            mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db" == command.os.environ["MLFLOW_TRACKING_URI"]
        )
    assert mlflow.get_tracking_uri() == before
    assert command.os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///mine.db"
