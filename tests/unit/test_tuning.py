"""The Optuna search, on functions whose optimum is known."""

import mlflow
import optuna
import pytest
import yaml

from tailor.errors import ConfigurationError
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.selection import check_names
from tailor.models.registry import build
from tailor.options import Choices, TuningOptions
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
