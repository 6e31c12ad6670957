"""`tailor backtest`: date by date, resumed, written, refused in one sentence."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from tailor import cli
from tailor.backtesting import command
from tailor.backtesting import project as projects
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation.backtest import BOOSTS_OFF, HYBRID, Lead
from tests.conftest import ROOT

OPTIONS = {"dates": 3, "window": 0.1, "baselines": ["popular"]}


@pytest.fixture
def measured(monkeypatch, fabricated, tmp_path):
    """Stand in for the fits; returns the dates that were measured. Everything is written below tmp_path."""
    dates: list[str] = []

    def run(project, parameters, k):
        dates.append(parameters["data_processing"]["cleaning"]["until"])
        table = {name: {"warm": 0.1 * place, "tail": 0.1, "cold": float("nan"), "mixed": 0.1}
                 for place, name in enumerate(["popular", HYBRID, BOOSTS_OFF])}  # fmt: skip
        leads = [Lead("warm", model, "popular", 0.1, 0.05, 0.15, 9) for model in (HYBRID, BOOSTS_OFF)]
        counts = dict.fromkeys(
            ("rows", "users", "items", "items_without_rows", "train_rows", "validation_rows", "test_rows",
             "cold_rows", "test_users", "known_test_users"), 1000 * len(dates),
        )  # fmt: skip
        return {"table": table, "leads": leads, "counts": counts | {"later_rows": 5}, "fit_on": "train"}

    monkeypatch.setattr(projects, "run", run)
    monkeypatch.setattr(command.Project, "read", lambda *where: fabricated)
    return dates


def judge(tmp_path, **options):
    lines: list[str] = []
    results = command.backtest("test", str(ROOT / "conf"), tmp_path, OPTIONS | options, say=lines.append)
    return results, "\n".join(lines)


def test_every_date_is_measured_once_and_said(measured, tmp_path):
    results, text = judge(tmp_path)
    assert len(results) == len(measured) == 3
    assert measured == sorted(measured)
    assert "Date 1 of 3" in text
    assert "Date 3 of 3" in text
    assert "Mean over 3 dates" in text
    assert "hybrid_frozen - popular, warm: +0.1000 [+0.0500, +0.1500], 9 users" in text
    assert "hybrid_frozen, warm: +0.1000 on average; better than the best baseline on 3 of 3 dates, worse on 0" in text


def test_tables_are_written(measured, tmp_path):
    judge(tmp_path)
    folder = tmp_path / "data" / "test" / "08_reporting"
    frame = pd.read_parquet(folder / "backtest.parquet")
    assert len(frame) == 3 * 3 * 4
    content = json.loads((folder / "backtest.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert content["options"]["dates"] == 3
    assert content["mean"][HYBRID] == dict.fromkeys(("warm", "tail", "mixed"), pytest.approx(0.1)) | {"cold": None}
    assert len(content["dates"]) == 3


def test_dates_that_are_done_are_not_measured_again(measured, tmp_path):
    first, said = judge(tmp_path)
    again, text = judge(tmp_path)
    assert len(measured) == 3
    assert [result.counts for result in again] == [result.counts for result in first]
    assert said.count("choosing and fitting") == 3
    assert "choosing and fitting" not in text


def test_an_interrupted_backtest_goes_on(measured, tmp_path, monkeypatch):
    run, stopped = projects.run, []

    def stop(project, parameters, k):
        if len(measured) == 1 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        return run(project, parameters, k)

    monkeypatch.setattr(projects, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        judge(tmp_path)
    results, _ = judge(tmp_path)
    assert len(measured) == 3  # the first date was not measured twice
    assert [result.counts["rows"] for result in results] == [1000, 2000, 3000]


@pytest.mark.parametrize("change", ["option", "seed", "data", "code"])
def test_what_changes_the_figures_is_measured_anew(measured, tmp_path, monkeypatch, fabricated, change):
    judge(tmp_path)
    if change == "data":
        items = fabricated.raw["raw_items"].copy()
        items.loc[items.index[0], "title"] = "Another title"
        changed = projects.Project(fabricated.parameters, fabricated.raw | {"raw_items": items})
        monkeypatch.setattr(command.Project, "read", lambda *where: changed)
    elif change == "code":
        monkeypatch.setattr(command, "package_hash", lambda: "other")
    options = {"leave_out": ["transformer"]} if change == "option" else {}
    seed = 5 if change == "seed" else None
    command.backtest("test", str(ROOT / "conf"), tmp_path, OPTIONS | options, seed, [].append)
    assert len(measured) == 6
    assert fabricated.parameters["seed"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dates": 12}, r"^backtest: 12 dates with windows of 0\.1 leave the first one no train row: .* below 1\.$"),
        ({"window": 0.7}, r"^backtest: window: Input should be less than 0\.5\.$"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_a_sentence(options, message):
    with pytest.raises(ConfigurationError, match=message):
        command.read_options(OPTIONS | options)


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setenv("TAILOR_VERBOSE", "")
    monkeypatch.setattr(cli, "_configure", lambda conf: ROOT)
    return lambda *words: CliRunner().invoke(cli.tailor, ["backtest", *words], prog_name="tailor")


def test_the_command_hands_on_what_was_asked_for(invoke, monkeypatch):
    given = []
    monkeypatch.setattr(command, "backtest", lambda *words: given.append(words[:-1]))
    words = ("--env", "shop", "--dates", "2", "--window", ".2", "--baselines", "ease, slit", "--leave-out", "slit")
    assert invoke(*words, "--seed", "7").exit_code == 0
    options = {"dates": 2, "window": 0.2, "baselines": ["ease", "slit"], "leave_out": ["slit"]}
    assert given == [("shop", "conf", ROOT, options, 7)]
    assert invoke().exit_code == 0
    assert given[1][0] is None
    asked = command.read_options(given[1][3])
    assert asked == command.BacktestOptions()  # the same defaults


def test_the_command_ends_in_one_sentence(invoke, monkeypatch):
    def refuse(*words):
        raise BadInputError("A backtest needs times.")

    monkeypatch.setattr(command, "backtest", refuse)
    done = invoke()
    assert (done.exit_code, done.stderr.strip()) == (1, "A backtest needs times.")
