"""Commands of Kedro that are not ours: their configuration is checked, their errors are one line."""

import sys
from types import SimpleNamespace

import pytest
from kedro.framework.cli.hooks import get_cli_hook_manager

from tailor.cli_hooks import CommandHooks, check_command, join, say_in_one_line
from tailor.errors import BadInputError, ConfigurationError
from tailor.user_errors import VERBOSE, verbose
from tests.conftest import ROOT

HERE = SimpleNamespace(package_name="tailor", project_path=ROOT)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv(VERBOSE, "")
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    monkeypatch.setattr(sys, "excepthook", lambda *_: print("a traceback", file=sys.stderr))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["viz", "run", "--env=tset"], "No environment 'tset': conf/tset does not exist. Did you mean 'test'?"),
        (["ipython", "-e", "nope"], "No environment 'nope': conf/nope does not exist."),
        (["jupyter", "lab", "--env", "nope"], "No environment 'nope': conf/nope does not exist."),
        (
            ["viz", "--params", "lm_finetuning.epcohs=4"],
            "Parameter 'lm_finetuning.epcohs' does not exist. Did you mean",
        ),
    ],
)
def test_what_another_process_would_stumble_over_is_one_line(capsys, words, sentence):
    with pytest.raises(SystemExit) as ended:
        CommandHooks().before_command_run(HERE, words)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (1, 1)
    assert said.startswith(sentence)


def test_the_environment_may_come_from_the_variable(monkeypatch):
    monkeypatch.setenv("KEDRO_ENV", "nope")
    with pytest.raises(ConfigurationError, match="No environment 'nope'"):
        check_command(ROOT, ["viz"])
    check_command(ROOT, ["viz", "--env=test"])
    check_command(ROOT, ["viz", "--load-file", "saved"])


@pytest.mark.parametrize(
    "words", [["viz", "--env=nope", "--help"], ["viz", "--env=test"], ["catalog", "--env=nope"], []]
)
def test_all_else_is_left_to_the_command(capsys, words):
    CommandHooks().before_command_run(HERE, words)
    assert capsys.readouterr().err == ""


def test_another_project_is_left_alone():
    hook = sys.excepthook
    CommandHooks().before_command_run(SimpleNamespace(package_name="other"), ["viz", "--env=nope"])
    CommandHooks().before_command_run(None, ["viz", "--env=nope"])
    assert sys.excepthook is hook


def test_an_error_that_nobody_catches_is_one_line_and_a_bug_a_traceback(capsys, monkeypatch):
    say_in_one_line()
    sys.excepthook(BadInputError, BadInputError("a.csv is empty."), None)
    assert capsys.readouterr().err == "a.csv is empty.\n"
    sys.excepthook(ZeroDivisionError, ZeroDivisionError("x"), None)
    assert capsys.readouterr().err == "a traceback\n"
    monkeypatch.setenv(VERBOSE, "1")
    sys.excepthook(BadInputError, BadInputError("a.csv is empty."), None)
    assert capsys.readouterr().err == "a traceback\n"


def test_verbose_behind_run_shows_tracebacks_too(monkeypatch):
    monkeypatch.setenv(VERBOSE, "")
    CommandHooks().before_command_run(HERE, ["run", "--env=test"])
    assert not verbose()
    CommandHooks().before_command_run(HERE, ["run", "--env=test", "--verbose"])
    assert verbose()


def test_kedros_own_verbose_shows_tracebacks(monkeypatch):
    with pytest.raises(ConfigurationError):
        CommandHooks().before_command_run(HERE, ["--verbose", "viz", "--env=nope"])


def test_kedro_asks_once():
    manager = get_cli_hook_manager()
    join()
    join()
    ours = [known for known in manager.get_plugins() if isinstance(known, CommandHooks)]
    assert len(ours) == 1
    manager.unregister(ours[0])
