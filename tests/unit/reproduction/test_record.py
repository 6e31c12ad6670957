"""The record in a run of MLflow."""

import platform
from dataclasses import replace

import mlflow
import pytest

from tailor import __version__
from tailor.errors import BadInputError
from tailor.reproduction import record as records


def test_a_record_comes_back_as_it_was(record, run_id):
    parameters = record.parameters | {"odd": {1: 1e-05, "none": None, "list": [0.1, "é"]}}
    written = replace(record, parameters=parameters)
    records.write(run_id, written)
    assert records.read(run_id) == written


def test_a_run_without_a_record_has_none(run_id):
    assert records.read(run_id) is None
    assert records.read("") is None
    assert records.read("0" * 32) is None


def test_half_a_record_is_none(record, run_id):
    mlflow.MlflowClient().log_text(run_id, "seed: 0", records.PARAMETERS)
    assert records.read(run_id) is None


@pytest.mark.parametrize("text", ['{"environment": "test"}', "{", '{"outputs": [{"nodes": 1}], "code": {}}'])
def test_a_damaged_record_is_one_sentence(record, run_id, text):
    records.write(run_id, record)
    mlflow.MlflowClient().log_text(run_id, text, records.RECORD)
    with pytest.raises(BadInputError, match=rf"reproduce/ of run {run_id} cannot be read.*Register the model anew"):
        records.read(run_id)


def test_the_code_in_force(tmp_path):
    code = records.code_in_force(tmp_path)
    assert (code.tailor_version, code.lock) == (__version__, "")
    (tmp_path / "requirements.lock").write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert records.code_in_force(tmp_path).lock == empty


def test_the_packages_in_force_are_what_tailor_requires():
    packages = records.packages_in_force()
    assert packages[records.PYTHON] == platform.python_version()
    assert packages["mlflow"] == mlflow.__version__
    assert {"sqlalchemy", "torch", "kedro"} <= set(packages)
    assert "tailor-recsys" not in packages
    assert "pytest" not in packages
