"""The command line of the server: what each option reaches, and what it refuses to listen on."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tailor.serving import server
from tailor.serving.http import Limits
from tailor.serving.package import ENCODER_VARIABLE


@pytest.fixture
def started(monkeypatch):
    """Run the command line without a model or a socket; returns what each part was given."""
    monkeypatch.delenv("TAILOR_TOKEN", raising=False)
    monkeypatch.delenv(ENCODER_VARIABLE, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    calls = {}
    state = SimpleNamespace(engine="the database")
    champion = SimpleNamespace(version="8", name="shop", items=SimpleNamespace(state=state))

    def open_champion(*args):
        calls.setdefault("champion", args)
        if "challenger" not in args:
            return champion
        calls["challenger"] = args
        return SimpleNamespace(version="8")

    monkeypatch.setattr(server, "open_champion", open_champion)

    def create_app(*args):
        calls["app"] = args
        meter = SimpleNamespace(count=lambda *counted: calls.update(counted=counted))
        return calls.setdefault("made", SimpleNamespace(state=SimpleNamespace(meter=meter)))

    monkeypatch.setattr(server, "create_app", create_app)
    monkeypatch.setattr(server, "allow_files", lambda n: n)
    monkeypatch.setattr(server.gc, "freeze", lambda: calls.update(frozen=True))
    monkeypatch.setattr(server.uvicorn, "run", lambda app, **given: calls.setdefault("run", (app, given)))

    def start(*arguments: str) -> dict:
        monkeypatch.setattr("sys.argv", ["server", *arguments])
        server.main()
        return calls

    return start


def test_without_options_the_champion_of_tailor_is_served_on_loopback(started):
    calls = started()
    assert calls["champion"] == ("tailor", "champion", Path("data/serving/tailor.json"))
    assert calls["app"][1:] == ("", Limits(4, 16, 10.0, 10.0), 10.0, ["127.0.0.1"], None, None)
    app, given = calls["run"]
    connection = given.pop("http")
    assert app is calls["made"]
    assert given == {"host": "127.0.0.1", "port": 5071, "access_log": False, "server_header": False, "ws": "none"}
    assert (connection.head_s, connection.max_connections) == (10.0, 4000)
    connection.refused(400)
    assert calls["counted"] == ("other", 400)
    assert calls["frozen"]
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert ENCODER_VARIABLE not in os.environ


def test_every_option_reaches_its_part(started, monkeypatch):
    monkeypatch.setenv("TAILOR_TOKEN", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv(ENCODER_VARIABLE, "tuned")
    calls = started(
        *("--model", "shop", "--alias", "next", "--host", "0.0.0.0", "--port", "80", "--items", "kept.json"),  # noqa: S104
        *("--timeout", "2.5", "--poll", "60", "--concurrency", "8", "--encoder", "static", "--waiting", "3"),
        *("--patience", "4", "--connections", "50", "--hosts", "shop.example, api.example"),
    )
    assert calls["champion"] == ("shop", "next", Path("kept.json"))
    assert calls["app"][1:] == ("secret", Limits(8, 3, 2.5, 4.0), 60.0, ["shop.example", "api.example"], None, None)
    given = calls["run"][1]
    assert (given["host"], given["port"]) == ("0.0.0.0", 80)  # noqa: S104
    assert (given["http"].head_s, given["http"].max_connections) == (4.0, 50)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ[ENCODER_VARIABLE] == "static"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_token(started, host):
    assert started("--host", host)["run"][1]["host"] == host


def test_any_other_address_needs_a_token(started, capsys):
    with pytest.raises(SystemExit):
        started("--host", "0.0.0.0")  # noqa: S104
    assert "--host 0.0.0.0 is reachable from elsewhere: set TAILOR_TOKEN first" in capsys.readouterr().err


def test_an_unknown_encoder_is_refused(started, capsys):
    with pytest.raises(SystemExit):
        started("--encoder", "frozen")
    assert "invalid choice: 'frozen'" in capsys.readouterr().err


def test_the_variable_names_hosts_and_the_option_wins(started, monkeypatch):
    monkeypatch.setenv("TAILOR_HOSTS", "shop.example")
    assert started()["app"][4] == ["127.0.0.1", "shop.example"]
    assert started("--hosts", "")["app"][4] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--timeout", "0", "0 is not above 0"),
        ("--patience", "inf", "inf is not above 0"),
        ("--waiting", "0", "below 1"),
    ],
)
def test_a_limit_that_is_none_is_refused(started, capsys, option, value, words):
    with pytest.raises(SystemExit):
        started(option, value)
    assert words in capsys.readouterr().err


def test_an_experiment_loads_the_challenger_and_says_where_exposures_go(started, caplog):
    calls = started(
        *(
            "--model",
            "shop",
            "--experiment",
            "text",
            "--challenger-share",
            "0.2",
            "--log-exposures",
            "--items",
            "s.json",
        )
    )
    assert calls["challenger"] == ("shop", "challenger", Path("s.json"))
    experiment, exposures = calls["app"][5:]
    assert (experiment.name, experiment.share, experiment.challenger.version) == ("text", 0.2, "8")
    assert (exposures.store.engine, exposures.store.model) == ("the database", "shop")
    assert "Experiment text: both arms are version 8, an A/A test" in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--experiment", "text"), "go together"),
        (("--challenger-share", "0.1"), "go together"),
        (("--experiment", "text", "--challenger-share", "1"), "1 does not lie between 0 and 1"),
    ],
)
def test_half_an_experiment_is_refused(started, capsys, options, words):
    with pytest.raises(SystemExit):
        started(*options)
    assert words in capsys.readouterr().err
