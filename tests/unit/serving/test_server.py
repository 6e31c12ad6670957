"""The command line of the server: what each option reaches, and what it refuses to listen on."""

import os
from pathlib import Path

import pytest

from tailor.serving import server
from tailor.serving.http import Limits
from tailor.serving.package import ENCODER_VARIABLE
from tailor.serving.workers import ServerOptions


@pytest.fixture
def started(monkeypatch):
    """Run the command line without a model or a socket; returns the options that came of it."""
    for name in ("TAILOR_TOKEN", "TAILOR_HOSTS", ENCODER_VARIABLE, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    runs = []
    monkeypatch.setattr(server.workers, "run", lambda options: runs.append(options) or 0)

    def start(*arguments: str) -> ServerOptions:
        monkeypatch.setattr("sys.argv", ["server", *arguments])
        assert server.main() == 0
        return runs.pop()

    return start


def test_without_options_the_champion_of_tailor_is_served_on_loopback(started):
    assert started() == ServerOptions(hosts=("127.0.0.1",))
    assert ServerOptions().limits == Limits(4, 16, 10.0, 10.0)
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert ENCODER_VARIABLE not in os.environ


def test_every_option_reaches_its_part(started, monkeypatch):
    monkeypatch.setenv("TAILOR_TOKEN", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv(ENCODER_VARIABLE, "tuned")
    assert started(
        *("--model", "shop", "--alias", "next", "--host", "0.0.0.0", "--port", "80", "--items", "kept.json"),  # noqa: S104
        *("--timeout", "2.5", "--poll", "60", "--concurrency", "8", "--encoder", "static", "--waiting", "3"),
        *("--patience", "4", "--connections", "50", "--hosts", "shop.example, api.example", "--workers", "2"),
    ) == ServerOptions(
        model="shop",
        alias="next",
        items=Path("kept.json"),
        host="0.0.0.0",  # noqa: S104
        port=80,
        hosts=("shop.example", "api.example"),
        limits=Limits(8, 3, 2.5, 4.0),
        poll_s=60.0,
        connections=50,
        workers=2,
    )
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ[ENCODER_VARIABLE] == "static"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_token(started, host):
    assert started("--host", host).host == host


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
    assert started().hosts == ("127.0.0.1", "shop.example")
    assert started("--hosts", "").hosts == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--timeout", "0", "0 is not above 0"),
        ("--patience", "inf", "inf is not above 0"),
        ("--waiting", "0", "below 1"),
        ("--workers", "0", "below 1"),
    ],
)
def test_a_limit_that_is_none_is_refused(started, capsys, option, value, words):
    with pytest.raises(SystemExit):
        started(option, value)
    assert words in capsys.readouterr().err


def test_an_experiment_and_its_log_reach_their_parts(started):
    options = started("--experiment", "text", "--challenger-share", "0.2", "--challenger", "next", "--log-exposures")
    assert (options.experiment, options.challenger_share, options.challenger) == ("text", 0.2, "next")
    assert options.log_exposures


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
