"""An environment at a date: its parameters, its refusals, and one date measured for real."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from tailor import columns as c
from tailor.backtesting import project as projects
from tailor.backtesting.project import Project
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation.backtest import BOOSTS_OFF, HYBRID, BacktestOptions, DateResult, lay_windows
from tests.conftest import ROOT


def with_data(project: Project, **data) -> Project:
    parameters = deepcopy(project.parameters)
    parameters["data_processing"] |= data
    return replace(project, parameters=parameters)


def windows(project: Project, options: BacktestOptions):
    return lay_windows(project.times(project.parameters), options)


def test_the_environment_is_read_with_its_raw_tables(fabricated):
    assert set(fabricated.raw) == {"raw_interactions", "raw_items", "raw_users"}
    assert fabricated.parameters["lm_finetuning"]["epochs"] == 3  # of conf/test
    assert len(fabricated.raw["raw_items"]) > 200


def test_an_unknown_environment_is_named():
    with pytest.raises(ConfigurationError, match=r"No environment 'tset': .* Did you mean 'test'\?"):
        Project.read("tset", str(ROOT / "conf"), ROOT)


def test_the_parameters_of_a_date_are_those_of_the_environment_but_for_rows_windows_and_models(fabricated):
    options = BacktestOptions(baselines=["popular", "ease"], leave_out=["transformer"])
    before = deepcopy(fabricated.parameters)
    first = fabricated.on(windows(fabricated, options)[0], options)
    assert fabricated.parameters == before
    split = first["data_processing"]["split"]
    assert (split["strategy"], split["new_users"], split["cold_items"]) == ("global_time", 0.0, 0.1)
    # Rows of shares .5, .6 and .7 of the catalogue; repeated pairs move them a little.
    assert split["train"] == pytest.approx(0.5 / 0.7, abs=0.01)
    assert split["validation"] == pytest.approx(0.1 / 0.7, abs=0.01)
    assert first["hybrid_cf"]["baselines"] == ["popular", "ease"]
    assert first["hybrid_cf"]["sources"]["transformer"] is None
    assert first["hybrid_cf"]["sources"]["ials"] == before["hybrid_cf"]["sources"]["ials"]
    for name in set(before) - {"data_processing", "hybrid_cf", "tuned"}:
        assert first[name] == before[name]


def test_later_rows_are_left_out(fabricated):
    options = BacktestOptions()
    dates = windows(fabricated, options)
    left = [fabricated.times(fabricated.on(date, options)) for date in dates]
    assert [times.max() for times in left] == [date.test for date in dates]
    assert len(left[0]) == pytest.approx(0.7 * len(left[-1]), rel=0.02)


def test_options_of_a_search_on_the_whole_catalogue_are_not_read(fabricated):
    tuned = {"baselines": {"ease": {"regularization": 7.0}}, "hybrid_frozen": {}, "hybrid_lora": {}}
    searched = replace(fabricated, parameters=fabricated.parameters | {"tuned": tuned})
    options = BacktestOptions()
    assert searched.on(windows(searched, options)[0], options)["tuned"] == {
        "baselines": {}, "hybrid_frozen": {}, "hybrid_lora": {}, "events": {},
    }  # fmt: skip


def test_a_catalogue_without_times_is_refused_in_a_sentence(fabricated):
    columns = {"interactions": {c.USER: "user_id", c.ITEM: "item_id"}}
    timeless = with_data(fabricated, columns=fabricated.parameters["data_processing"]["columns"] | columns)
    message = (
        r"^A backtest needs times, but no column is mapped to 'timestamp'\. Map one in "
        r"data_processing\.columns\.interactions\.$"
    )
    with pytest.raises(BadInputError, match=message):
        timeless.times(timeless.parameters)


def test_labels_of_the_catalogue_are_refused(fabricated):
    columns = {"interactions": {c.USER: "user_id", c.ITEM: "item_id", c.TIMESTAMP: "timestamp", c.SPLIT: "part"}}
    labelled = with_data(fabricated, columns=fabricated.parameters["data_processing"]["columns"] | columns)
    with pytest.raises(BadInputError, match=r"the column 'part' is mapped to 'split'.* Unmap it"):
        labelled.times(labelled.parameters)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leave_out": ["transfomer"]}, r"transfomer.*transformer"),
        ({"baselines": ["eese"]}, r"eese.*ease"),
    ],
)
def test_names_that_do_not_exist_are_refused_before_anything_is_fitted(fabricated, options, message):
    asked = BacktestOptions(**options)
    with pytest.raises(ConfigurationError, match=message):
        fabricated.on(windows(fabricated, asked)[0], asked)


def test_a_date_is_measured_by_the_pipelines_of_the_project(fabricated):
    options = BacktestOptions(dates=1, baselines=["popular", "ease"], leave_out=["transformer"])
    parameters = fabricated.on(windows(fabricated, options)[0], options)
    parameters["hybrid_cf"]["trials"] = {name: sets[:1] for name, sets in parameters["hybrid_cf"]["trials"].items()}
    result = DateResult(until="now", **projects.run(fabricated, parameters, options.k))
    assert list(result.table) == ["popular", "ease", HYBRID, BOOSTS_OFF]
    assert result.counts["rows"] == sum(
        result.counts[f"{name}_rows"] for name in ("train", "validation", "test", "cold")
    ) + _cold_unused(result)
    assert result.counts["test_rows"] > 300
    assert result.counts["later_rows"] == 0
    # Planted: texts tell clusters, so cold items are found; clusters are strong, so neighbours beat popularity.
    assert result.table[BOOSTS_OFF]["cold"] > 1.5 * result.table["popular"]["cold"]
    assert result.table["ease"]["warm"] > 2 * result.table["popular"]["warm"]
    assert np.isfinite(list(result.table[HYBRID].values())).all()
    assert {lead.figure for lead in result.leads} == {"warm", "tail", "cold", "mixed"}


def _cold_unused(result: DateResult) -> int:
    named = ("train_rows", "validation_rows", "test_rows", "cold_rows")
    rest = result.counts["rows"] - sum(result.counts[name] for name in named)
    assert 0 < rest < 0.15 * result.counts["rows"]  # rows of cold items before the test window
    return rest


def test_several_domains_have_no_date_in_common(fabricated):
    project = with_data(fabricated, domains={"films": {}, "books": {}})
    with pytest.raises(BadInputError, match=r"cuts all rows at a date, but films, books need not have one clock\. Run"):
        project.times(project.parameters)
