"""What is a user's error, what is the program's, and what each prints."""

import errno
import logging
import sqlite3
from types import SimpleNamespace

import pandas as pd
import pytest
import requests
from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.io import AbstractDataset, DatasetError
from kedro.pipeline import Node, Pipeline
from kedro.utils import load_obj
from mlflow.exceptions import MlflowException
from yaml.error import MarkedYAMLError

from tailor import user_errors
from tailor.errors import BadInputError, ConfigurationError
from tailor.user_errors import VERBOSE, reported, sentence_of


class Failing(AbstractDataset):
    """A dataset that cannot be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def load(self) -> None:
        raise self._error

    def save(self, data: object) -> None:  # noqa: ARG002
        raise self._error

    def _describe(self) -> dict:
        return {"filepath": "data/x.csv"}


def error_of(call, *args: object) -> Exception:
    try:
        call(*args)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.delenv(VERBOSE, raising=False)


def test_an_error_of_ours_is_its_own_sentence_on_one_line():
    assert sentence_of(BadInputError("a.csv is empty.\n  Put it there.")) == "a.csv is empty. Put it there."


def test_what_a_dataset_of_kedro_wraps_is_unwrapped():
    error = error_of(Failing(ConfigurationError("No column 'x'.")).load)
    assert isinstance(error, DatasetError)
    assert sentence_of(error) == "No column 'x'."


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "data/x.csv"), "data/x.csv does not exist. Run the pipeline"),
        (PermissionError(errno.EACCES, "Permission denied", "data/x.csv"), "data/x.csv: Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Free or change it"),
        (pd.errors.ParserError("Expected 2 fields"), "Expected 2 fields The file is damaged or of another kind"),
    ],
)
def test_files_that_cannot_be_read_are_the_users_affair(cause, sentence):
    assert sentence in sentence_of(error_of(Failing(cause).load))


def test_a_bug_of_a_dataset_or_a_node_has_no_sentence():
    assert sentence_of(error_of(Failing(ZeroDivisionError("division by zero")).load)) is None
    assert sentence_of(ValueError("a bug")) is None
    assert sentence_of(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "data/x"),
            "data/x: No space left on device. Make room there",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "data/x"),
            "data/x: Read-only file system. Make it readable and",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "data/x"),
            "data/x: Permission denied. Make it readable and",
        ),
        (sqlite3.OperationalError("database or disk is full"), "The MLflow store "),
        (
            sqlite3.OperationalError("attempt to write a readonly database"),
            "attempt to write a readonly database. Make",
        ),
        (requests.ConnectionError("refused", request=requests.Request("GET", "http://a:9/x")), "http://a:9/x does not"),
        (
            MlflowException("API request to http://a:9/x failed with exception [Errno 111] Connection refused"),
            "http://a:9 ",
        ),
    ],
)
def test_a_disk_or_a_server_is_the_users_affair_wherever_it_fails(cause, sentence):
    assert sentence in sentence_of(cause)
    wrapped = RuntimeError("of a library")
    wrapped.__cause__ = cause
    assert sentence_of(wrapped) == sentence_of(cause)
    assert "\n" not in sentence_of(cause)


@pytest.mark.parametrize(("file_system", "named"), [(str, "data/shop"), (lambda _: 1, "{tmp_path}")])
def test_a_full_disk_is_named_where_the_error_does_not_say_it(file_system, named, monkeypatch, tmp_path):
    """Each folder on a file system of its own, or all on one, where none has less room than the others."""
    (tmp_path / "data/shop").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    free = {"data/shop": 1, str(tmp_path): 2}
    usage = lambda folder: SimpleNamespace(free=free.get(str(folder), 3))  # noqa: E731
    monkeypatch.setattr(user_errors.shutil, "disk_usage", usage)
    monkeypatch.setattr(user_errors, "_file_system", file_system)
    error = OSError(errno.ENOSPC, "No space left on device")
    named = named.format(tmp_path=tmp_path)
    assert sentence_of(error) == f"{named}: No space left on device. Make room there, and run again."


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("Experiment shop exists"),
        sqlite3.OperationalError("no such table: runs"),
        PermissionError(errno.EACCES, "Permission denied"),
        ModuleNotFoundError("No module named 'tailor.nothing'", name="tailor.nothing"),
    ],
)
def test_what_looks_alike_and_is_a_bug_has_no_sentence(error):
    assert sentence_of(error) is None


def test_a_library_of_an_extra_is_named_with_the_extra():
    missing = ModuleNotFoundError("No module named 'kedro.config'", name="kedro.config")
    assert sentence_of(missing) == (
        "kedro is not installed, and this command needs it: pip install 'tailor-recsys[train]'."
    )


def test_an_error_that_was_dealt_with_does_not_hide_a_bug():
    def bug():
        try:
            raise BadInputError("dealt with")
        except BadInputError:
            return 1 / 0

    assert sentence_of(error_of(bug)) is None


def test_an_entry_of_the_catalog_that_cannot_be_used_is_said():
    error = error_of(AbstractDataset.from_config, "shop", {"type": "pandas.Nothing", "filepath": "x"})
    assert "for dataset 'shop'" in sentence_of(error)
    assert "\n" not in sentence_of(error)


def test_a_configuration_that_cannot_be_read_is_said():
    assert sentence_of(MissingConfigException("no conf/x")) == "The configuration cannot be read: no conf/x"


def test_a_key_that_stands_twice_is_told_with_its_file(tmp_path):
    """What is pasted at the end of parameters.yml."""
    (tmp_path / "base").mkdir()
    file = tmp_path / "base" / "parameters.yml"
    file.write_text("lm_finetuning: {epochs: 1}\nlm_finetuning: {enabled: false}\n")
    with pytest.raises(MarkedYAMLError) as raised:
        OmegaConfigLoader(str(tmp_path), base_env="base", default_run_env="base")["parameters"]
    sentence = sentence_of(raised.value)
    assert sentence is not None
    assert f'found duplicate key lm_finetuning in "{file}", line 2' in sentence


def test_names_that_kedro_refuses_come_with_a_remedy():
    pipeline = Pipeline([Node(len, "a", "b", name="count")])
    error = error_of(lambda: pipeline.filter(node_names=["cuont"]))
    assert "cuont" in sentence_of(error)
    assert sentence_of(error).endswith("`kedro registry describe` lists the nodes.")
    assert sentence_of(error_of(load_obj, "Nope", "kedro.runner")) == (
        "module 'kedro.runner' has no attribute 'Nope'. --runner takes SequentialRunner or ThreadRunner."
    )


def test_a_users_error_ends_the_process_with_one_line(capsys):
    with pytest.raises(SystemExit) as ended, reported():
        raise BadInputError("a.csv is empty.")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "a.csv is empty.\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), reported():
        1 / 0  # noqa: B018


def test_the_traceback_is_shown_on_request(monkeypatch):
    with pytest.raises(BadInputError), reported(show_traceback=True):
        raise BadInputError("x")
    monkeypatch.setenv(VERBOSE, "1")
    with pytest.raises(BadInputError), reported():
        raise BadInputError("x")
    monkeypatch.setenv(VERBOSE, "0")
    with pytest.raises(SystemExit), reported():
        raise BadInputError("x")


@pytest.mark.parametrize(("error", "told"), [(BadInputError("x"), 0), (ZeroDivisionError("x"), 1)])
def test_kedros_log_tells_a_bug_and_not_a_users_error(caplog, error, told):
    def run():
        with caplog.at_level(logging.INFO):
            try:
                raise error
            finally:
                logging.getLogger("kedro.pipeline.node").error("Node failed")

    with pytest.raises((SystemExit, ZeroDivisionError)), reported():
        run()
    assert len(caplog.records) == told
    assert not logging.getLogger("kedro.pipeline.node").filters
