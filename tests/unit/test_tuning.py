"""The Optuna search, on functions whose optimum is known."""

import subprocess
import sys

import mlflow
import optuna
import pytest
import yaml

from tailor.errors import ConfigurationError
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.selection import check_names
from tailor.models.registry import build
from tailor.options import Choices, TuningOptions
from tailor.pipelines.tuning import trials
from tailor.pipelines.tuning.search import choose, nest, search
from tests.conftest import ROOT

SPACE = {"a.x": (0.01, 100.0), "y": Choices(choices=[1, 2, 3])}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An MLflow store of this module's own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.create_experiment("t", artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment("t")
        yield
        mlflow.set_tracking_uri(None)


@pytest.fixture
def wanted(tmp_path, store):
    """Options with a storage of the test's own."""

    def make(**changes):
        values = {"objectives": ["criterion"], "n_trials": 12, "storage": f"sqlite:///{tmp_path}/optuna.db"}
        return TuningOptions(**(values | changes))

    return make


def hill(settings, report):
    """Highest at x = 1, y = 2."""
    x, y = settings["a"]["x"], settings["y"]
    value = 3 - abs(x - 1) / (x + 1) - abs(y - 2)
    report(value)
    return {"criterion": value, "warm": value, "tail": 1 / (1 + x)}


def test_dotted_names_nest():
    assert nest({"a.x": 1, "a.y": 2, "z": 3}) == {"a": {"x": 1, "y": 2}, "z": 3}


def test_what_a_search_chooses_is_an_option_set_of_the_hybrid():
    """Dimensions are dotted names under sources and cold_items, under the names that parameters have."""
    config = HybridOptions(sources={"ials": {"factors": 16}, "ease": {}}).hybrid_config(
        nest({"ials.alpha": 0.5, "ease.dropout": 0.2, "cold_items.width": 2.0})
    )
    assert (config.sources["ials"]["alpha"], config.sources["ials"]["factors"]) == (0.5, 16)
    assert config.sources["ease"]["dropout"] == 0.2
    assert config.cold_items.width == 2.0


def test_every_space_of_the_base_configuration_names_what_exists():
    parameters = yaml.safe_load((ROOT / "conf/base/parameters/tuning.yml").read_text())
    hybrid = yaml.safe_load((ROOT / "conf/base/parameters/hybrid_cf.yml").read_text())
    spaces, options = parameters["tuning"]["space"], HybridOptions(**hybrid["hybrid_cf"])
    check_names(spaces, options, "tuning.space")
    for name, space in spaces.items():
        settings = nest({key: d["choices"][0] if isinstance(d, dict) else d[0] for key, d in space.items()})
        options.hybrid_config(settings) if name == "hybrid" else build(name, settings, 0)


@pytest.mark.parametrize(("old", "new"), [("sequence", "slit"), ("irspack", "ials"), ("irspack_features", "text_ials")])
def test_a_space_under_an_old_name_is_refused_with_the_new_one(old, new):
    with pytest.raises(ConfigurationError, match=f"tuning.space names '{old}'.* It is called '{new}' now"):
        check_names({old: {}}, HybridOptions(), "tuning.space")


def test_a_search_climbs_and_every_trial_is_a_nested_run(wanted):
    with mlflow.start_run() as parent:
        found = search("hill", SPACE, hill, wanted(n_trials=25), 0, "data", [])
    assert found.chosen["y"] == 2
    assert 0.2 < found.chosen["a"]["x"] < 5
    assert len(found.trials) == 25
    assert found.trials.loc[found.trials["chosen"], "criterion"].item() == found.trials["criterion"].max()
    children = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert len(children) == 25
    assert set(found.importances) == set(SPACE)


def test_a_resumed_search_equals_an_uninterrupted_one(wanted, tmp_path):
    whole = search("hill", SPACE, hill, wanted(), 0, "data", [])
    other = wanted(storage=f"sqlite:///{tmp_path}/other.db")
    calls = []

    def stops(settings, report):
        calls.append(settings)
        return hill(settings, report)

    search("hill", SPACE, stops, other.model_copy(update={"n_trials": 5}), 0, "data", [])
    assert len(calls) == 5
    resumed = search("hill", SPACE, stops, other, 0, "data", [])
    assert len(calls) == 12
    assert resumed.chosen == whole.chosen
    assert resumed.trials["options"].tolist() == whole.trials["options"].tolist()


def test_other_data_start_a_study_of_their_own(wanted):
    first = search("hill", SPACE, hill, wanted(n_trials=2), 0, "data", [])
    again = search("hill", SPACE, hill, wanted(n_trials=2), 0, "other data", [])
    assert len(first.trials) == len(again.trials) == 2


def test_known_option_sets_are_tried_first(wanted):
    found = search("hill", SPACE, hill, wanted(n_trials=2), 0, "data", [{"a.x": 1.0, "y": 2}])
    assert found.chosen == {"a": {"x": 1.0}, "y": 2}


def test_a_trial_below_the_median_is_given_up(wanted):
    def evaluate(settings, report):
        report(-settings["a"]["x"])
        return {"criterion": -settings["a"]["x"]}

    pruned = search("hill", SPACE, evaluate, wanted(n_trials=30, method="random"), 0, "data", []).trials
    assert 0 < (pruned["state"] == "pruned").sum() < 30
    kept = search("hill", SPACE, evaluate, wanted(n_trials=30, method="random", prune=False), 0, "data", []).trials
    assert (kept["state"] == "complete").all()


def test_of_a_front_the_best_rest_within_the_price_of_warm_is_chosen():
    study = optuna.create_study(directions=["maximize", "maximize"])
    for warm, tail in [(1.0, 0.1), (0.99, 0.3), (0.98, 0.9), (0.5, 0.05)]:
        study.add_trial(optuna.trial.create_trial(values=[warm, tail]))
    options = TuningOptions(objectives=["warm", "tail"], min_warm=0.985)
    assert choose(study, options).values == [0.99, 0.3]
    assert choose(study, options.model_copy(update={"min_warm": 0.9})).values == [0.98, 0.9]


def test_several_objectives_give_a_front(wanted):
    found = search("hill", SPACE, hill, wanted(objectives=["warm", "tail"], method="nsga2"), 0, "data", [])
    assert 1 <= found.trials["on_front"].sum() <= 12
    assert found.trials.loc[found.trials["chosen"], "on_front"].all()


def test_none_searches_nothing(wanted):
    found = search("hill", SPACE, hill, wanted(method="none"), 0, "data", [])
    assert found.chosen == {}
    assert found.trials.empty


@pytest.mark.parametrize("default", [{"a.x": 1.0, "y": 2}, {"a.x": 1.0, "y": 2, "z": 7}, {"a.x": 500.0, "y": 9}])
def test_a_default_is_tried_exactly_as_it_is(wanted, default):
    """Also with options and values that the space does not hold."""
    tried = []

    def evaluate(settings, report):
        tried.append(settings)
        report(-1.0)
        return {"criterion": 1.0 if settings == nest(default) else 0.0}

    found = search("hill", SPACE, evaluate, wanted(n_trials=8), 0, "data", [default])
    assert tried[0] == nest(default)
    assert found.chosen == nest(default)
    assert len(tried) == 8


def test_all_defaults_are_tried_to_their_end_however_few_trials_there_are(wanted):
    defaults = [{"a.x": float(x), "y": 1} for x in (1, 2, 3, 4, 5, 6, 7, 50)]

    def evaluate(settings, report):
        report(-settings["a"]["x"])  # the last looks worst before its end
        return {"criterion": settings["a"]["x"]}

    found = search("hill", SPACE, evaluate, wanted(n_trials=2), 0, "data", [*defaults, defaults[0]])
    assert found.trials["state"].tolist() == ["complete"] * 8
    assert found.chosen["a"]["x"] == 50.0


def test_a_default_that_joins_later_is_tried_too(wanted):
    search("hill", SPACE, hill, wanted(n_trials=4), 0, "data", [{"a.x": 50.0, "y": 1}])
    found = search("hill", SPACE, hill, wanted(n_trials=5), 0, "data", [{"a.x": 50.0, "y": 1}, {"a.x": 1.0, "y": 2}])
    assert len(found.trials) == 5
    assert found.chosen == {"a": {"x": 1.0}, "y": 2}


KILLED = """
import os, sys
import mlflow
from tailor.options import Choices, TuningOptions
from tailor.pipelines.tuning import trials
from tailor.pipelines.tuning.search import search

mlflow.set_tracking_uri(sys.argv[2])
mlflow.set_experiment("t")
done = []

def evaluate(settings, report):
    if len(done) == int(sys.argv[3]):
        os._exit(9)
    done.append(settings)
    return {"criterion": 3 - abs(settings["a"]["x"] - 1) / (settings["a"]["x"] + 1) - abs(settings["y"] - 2)}

options = TuningOptions(objectives=["criterion"], n_trials=12, prune=False, storage=sys.argv[1])
space = {"a.x": (0.01, 100.0), "y": Choices(choices=[1, 2, 3])}
search("hill", space, evaluate, options, 0, "data", [{"a.x": 50.0, "y": 1}, {"a.x": 1.5, "y": 2}])
"""


@pytest.mark.parametrize("after", [1, 9])  # a default, a trial that was drawn
def test_a_trial_that_was_killed_is_tried_again(wanted, tmp_path, after):
    """In another process, which cannot tell anybody; the end is that of an uninterrupted search."""
    defaults = [{"a.x": 50.0, "y": 1}, {"a.x": 1.5, "y": 2}]
    whole = search("hill", SPACE, hill, wanted(prune=False), 0, "data", defaults)
    storage = f"sqlite:///{tmp_path}/killed.db"
    command = [sys.executable, "-c", KILLED, storage, mlflow.get_tracking_uri(), str(after)]
    assert subprocess.run(command, check=False, timeout=300).returncode == 9
    resumed = search("hill", SPACE, hill, wanted(prune=False, storage=storage), 0, "data", defaults)
    assert resumed.trials["state"].tolist().count("fail") == 1
    complete = resumed.trials[resumed.trials["state"] == "complete"]
    assert complete["options"].tolist() == whole.trials["options"].tolist()
    assert resumed.chosen == whole.chosen


def test_a_trial_that_was_interrupted_is_tried_again(wanted):
    def interrupted(settings, report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search("hill", SPACE, interrupted, wanted(), 0, "data", [{"a.x": 1.0, "y": 2}])
    found = search("hill", SPACE, hill, wanted(n_trials=1), 0, "data", [{"a.x": 1.0, "y": 2}])
    assert found.trials["state"].tolist() == ["fail", "complete"]
    assert found.chosen == {"a": {"x": 1.0}, "y": 2}


def test_a_value_that_is_no_number_ends_the_search_by_name(wanted):
    def evaluate(settings, report):
        return {"criterion": float("nan")}

    words = r"tuning: hill with \{'a.x': 1.0, 'y': 2\} has criterion = nan on validation, which is no finite number"
    with pytest.raises(ConfigurationError, match=words):
        search("hill", SPACE, evaluate, wanted(), 0, "data", [{"a.x": 1.0, "y": 2}])
    found = search("hill", SPACE, hill, wanted(n_trials=2), 0, "data", [{"a.x": 1.0, "y": 2}])
    assert found.trials["state"].tolist() == ["fail", "complete", "complete"]


def test_a_factorization_that_is_no_number_ends_the_search_by_name(wanted):
    def evaluate(settings, report):
        report(float("inf"))
        return {"criterion": 1.0}

    with pytest.raises(ConfigurationError, match="the factorization's criterion = inf on validation"):
        search("hybrid_lora", SPACE, evaluate, wanted(), 0, "data", [])


def test_what_was_reached_before_and_after_is_told(wanted, caplog):
    default = {"a.x": 3.0, "y": 2}  # 3 - 2 / 4
    with caplog.at_level("INFO"):
        found = search("hill", SPACE, hill, wanted(n_trials=10), 0, "data", [default])
    (row,) = found.comparison
    assert (row["model"], row["objective"], row["trials"]) == ("hill", "criterion", 10)
    assert row["before"] == pytest.approx(2.5)
    assert row["after"] == found.trials["criterion"].max() >= row["before"]
    lines = [record.message for record in caplog.records if "best criterion so far" in record.message]
    assert lines[0] == "hill: trial 1 of 10, best criterion so far 2.5000 (trial 0)"
    assert len(lines) == 10


def test_several_objectives_are_compared_one_by_one(wanted):
    options = wanted(objectives=["warm", "tail"], method="random", n_trials=3)
    found = search("hill", SPACE, hill, options, 0, "data", [{"a.x": 1.0, "y": 2}])
    assert [row["objective"] for row in found.comparison] == ["warm", "tail"]
    assert [row["before"] for row in found.comparison] == [pytest.approx(3.0), pytest.approx(0.5)]


def test_what_is_chosen_at_a_border_is_told():
    space = {"x": (10.0, 1000.0), "n": Choices(choices=[16, 32, 64]), "kind": Choices(choices=["a", "b"])}
    assert trials.borders(space, {"x": 100.0, "n": 32, "kind": "a"}) == []
    assert trials.borders(space, {"x": 10.5, "n": 64}) == ["x = 10.5 (low end 10)", "n = 64 (high end 64)"]
    assert trials.borders(space, {"x": 990.0, "n": 16}) == ["x = 990 (high end 1000)", "n = 16 (low end 16)"]
    assert trials.borders(space, {"x": 5.0}) == ["x = 5 (low end 10)"]  # a default outside
    found = {"on": Choices(choices=[True, False]), "one": Choices(choices=[3])}
    assert trials.borders(found, {"on": True, "one": 3}) == []


@pytest.mark.parametrize("name", ["ease", "slit", "text_ease"])
def test_spaces_of_item_item_models_reach_down_to_10(name):
    space = yaml.safe_load((ROOT / "conf/base/parameters/tuning.yml").read_text())["tuning"]["space"]
    assert space[name]["regularization"] == [10.0, 10000.0]
    assert space["hybrid"].get(f"{name}.regularization", [10.0, 10000.0]) == [10.0, 10000.0]


def test_a_failing_trial_is_told_and_raised(wanted):
    def breaks(settings, report):
        raise ValueError("no such luck")

    with pytest.raises(ValueError, match="no such luck"):
        search("hill", SPACE, breaks, wanted(), 0, "data", [])
    found = search("hill", SPACE, hill, wanted(n_trials=2), 0, "data", [])
    assert found.trials["state"].tolist().count("complete") == 2


def test_a_storage_that_cannot_be_opened_is_named(wanted):
    with pytest.raises(ConfigurationError, match=r"tuning.storage = 'sqlite:////proc/x/optuna.db' cannot be opened"):
        search("hill", SPACE, hill, wanted(storage="sqlite:////proc/x/optuna.db"), 0, "data", [])
