"""The command line: what each command hands on, and what it costs to ask for help."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tailor import __version__, cli, environment, new
from tailor.errors import BadInputError
from tailor.serving import server
from tailor.user_errors import VERBOSE
from tests.conftest import environment as child_environment


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    monkeypatch.setenv(VERBOSE, "")
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.tailor, words, prog_name="tailor")


@pytest.fixture
def kedro_run(monkeypatch):
    """Stand in for Kedro's command; returns what it was given."""
    from kedro.framework.cli import project

    given = []
    monkeypatch.setattr(cli, "_configure", given.append)
    monkeypatch.setattr(project.run, "main", lambda words, **how: given.append((words, how)))
    return given


def test_version_and_help(invoke):
    assert invoke("version").output == f"{__version__}\n"
    text = invoke("--help").output
    assert all(name in text for name in ("run", "new", "serve", "store", "visit", "reproduce", "version"))


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom tailor.cli import tailor\ntailor(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'kedro', 'mlflow', 'pandas', 'numpy', 'fastapi'} & set(sys.modules)\nassert not heavy, heavy"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_run_hands_on_what_kedro_understands(invoke, kedro_run):
    done = invoke("run", "--env=test", "-p", "evaluation", "--params", "seed=1", "--conf-source", "elsewhere", "--help")
    assert done.exit_code == 0, done.output
    words = ["--conf-source", "elsewhere", "--env=test", "-p", "evaluation", "--params", "seed=1", "--help"]
    assert kedro_run == ["elsewhere", (words, {"prog_name": "tailor run", "standalone_mode": False})]


def test_kedro_finds_the_same_command():
    assert cli.cli.commands == {"run": cli.run}
    assert cli.tailor.commands["run"] is cli.run


@pytest.mark.parametrize("words", [["run"], ["run", "--verbose"], ["--verbose", "run"]])
def test_an_error_is_a_sentence_and_a_traceback_on_request(invoke, monkeypatch, words):
    def refuse(conf_source):
        raise BadInputError("a.csv is empty.")

    monkeypatch.setattr(cli, "_configure", refuse)
    done = invoke(*words)
    assert done.exit_code == 1
    if "--verbose" in words:
        assert isinstance(done.exception, BadInputError)
    else:
        assert done.stderr == "a.csv is empty.\n"


def test_new_is_the_command_of_make_new(invoke, monkeypatch):
    given = []
    monkeypatch.setattr(new, "main", lambda words: given.append(words) or 3)
    assert invoke("new", "myshop", "--raw", "folder").exit_code == 3
    assert given == [["myshop", "--raw", "folder"]]


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_of_serve_needs_nothing_that_is_registered(invoke, monkeypatch, tmp_path, word):
    (tmp_path / "conf").mkdir()
    monkeypatch.chdir(tmp_path)
    done = invoke("serve", word)
    assert done.exit_code == 0
    assert "name in the MLflow registry" in done.output


def test_serve_asks_the_environment_where_there_is_one(invoke, monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(server, "main", lambda words: given.append(words) or 0)
    monkeypatch.setattr(environment, "of_server", lambda env, conf, words: [env, conf, *words])
    assert invoke("serve", "--model", "mine", "--port", "80").exit_code == 0
    (tmp_path / "conf").mkdir()
    invoke("serve", "--port", "80")
    invoke("serve", "--env", "test", "--conf-source=elsewhere")
    assert given == [["--model", "mine", "--port", "80"], [None, "conf", "--port", "80"], ["test", "elsewhere"]]


def test_reproduce_ends_with_the_status_of_the_comparison(invoke, monkeypatch, tmp_path):
    from tailor.reproduction import command

    given, same = [], [True, False]
    monkeypatch.setattr(cli, "_configure", lambda conf_source: tmp_path)
    monkeypatch.setattr(command, "reproduce", lambda *words: given.append(words[:-1]) or same.pop(0))
    assert invoke("reproduce", "3", "--env=test").exit_code == 0
    assert invoke("reproduce", "champion", "--conf-source=elsewhere", "--keep=there").exit_code == 1
    assert given == [
        ("3", "test", "conf", tmp_path, None),
        ("champion", None, "elsewhere", tmp_path, environment.Path("there")),
    ]


def test_where_kedro_is_not_installed_the_model_is_named_and_no_environment(invoke, monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(server, "main", lambda words: given.append(words) or 0)
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "tailor.environment", None)
    (tmp_path / "conf").mkdir()
    assert invoke("serve", "--model", "mine").exit_code == 0
    assert given == [["--model", "mine"]]
    monkeypatch.delitem(sys.modules, "tailor.environment")
    monkeypatch.setitem(sys.modules, "kedro.config", None)
    done = invoke("serve", "--env", "test")
    assert done.exit_code == 1
    assert done.stderr == "kedro is not installed, and this command needs it: pip install 'tailor-recsys[train]'.\n"


@pytest.mark.parametrize(
    ("words", "uri"),
    [
        ([], "models:/tailor@best"),
        (["3", "--env=test"], "models:/tailor/3"),
        (["challenger", "--conf-source", "elsewhere"], "models:/tailor@challenger"),
    ],
)
def test_visit_asks_what_is_served_or_named(invoke, monkeypatch, words, uri):
    from tailor.serving import champion, visit

    given = []
    place = environment.Environment("tailor", "best", environment.Path("data"), "sqlite:///x.db")
    monkeypatch.setattr(environment, "open_registry", lambda env, conf: given.append((env, conf)) or place)
    monkeypatch.setattr(champion, "load_uri", lambda asked: given.append(asked) or "model")
    monkeypatch.setattr(visit, "visit", lambda model: [model])
    monkeypatch.setattr(visit, "describe", lambda steps: f"steps of {steps}")
    done = invoke("visit", *words)
    assert done.output == "steps of ['model']\n"
    assert given == [("test" if "--env=test" in words else None, words[-1] if len(words) == 3 else "conf"), uri]


def test_store_is_one_line(invoke, monkeypatch):
    place = environment.Environment("tailor", "champion", environment.Path("data"), "sqlite:///x.db")
    monkeypatch.setattr(environment, "read_environment", lambda env, conf: place)
    assert invoke("store").output == "sqlite:///x.db\n"


def test_logging_comes_with_the_configuration(monkeypatch, tmp_path):
    from kedro.framework import project

    monkeypatch.setattr(project, "PACKAGE_NAME", "tailor")
    monkeypatch.delenv("KEDRO_LOGGING_CONFIG", raising=False)
    cli._configure(str(tmp_path))
    assert "KEDRO_LOGGING_CONFIG" not in cli.os.environ
    (tmp_path / "logging.yml").touch()
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "")
    monkeypatch.delenv("KEDRO_LOGGING_CONFIG")
    cli._configure(str(tmp_path))
    assert cli.os.environ["KEDRO_LOGGING_CONFIG"] == str(tmp_path / "logging.yml")
