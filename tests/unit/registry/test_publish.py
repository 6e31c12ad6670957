"""What a recommender knows of itself when it is registered."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.data.people import key_id
from tailor.errors import ConfigurationError
from tailor.options import EvaluationOptions, ProjectOptions
from tailor.registry import publish
from tailor.serving.events import EventOptions

BALANCE = {"method": "dpp", "strength": 0.2, "pool": 200, "min_score": None}
PROJECT: dict[str, Any] = {"seed": 3, "data_processing": {"head_share": 0.7}, "plugins": ["myshop.sources"]}


def about(scenarios):
    options = EvaluationOptions(scenarios=scenarios)
    return publish.about(options, PROJECT, {"item_template": ["{title}"]}, {"profile": {"columns": []}}, BALANCE)


def test_the_balance_preset_is_a_scenario_unless_parameters_set_another():
    assert about({})["scenarios"] == {"balance": {"rerank": {"method": "dpp", "strength": 0.2}}}
    chosen = {"balance": {"tail_boost": 0.5}, "home": {}}
    assert about(chosen)["scenarios"] == chosen
    with pytest.raises(ConfigurationError, match=r"evaluation\.scenarios\.home': Unknown field 'tail_bost'"):
        about({"home": {"tail_bost": 0.5}})


def test_what_serving_needs_goes_with_it():
    known = about({})
    assert known["text"] == {"item_template": ["{title}"]}
    assert known["feature_encoders"] == {"profile": {"columns": []}}
    assert (known["seed"], known["head_share"], known["plugins"]) == (3, 0.7, ["myshop.sources"])
    assert known["model"] == "hybrid_lora"


def test_a_package_of_pseudonyms_names_the_key_and_others_none(monkeypatch):
    monkeypatch.setenv("TAILOR_PSEUDONYM_KEY", "p" * 32)
    assert "pseudonyms" not in about({})
    monkeypatch.setitem(PROJECT, "data_processing", {"head_share": 0.7, "pseudonyms": True})
    assert about({})["pseudonyms"] == key_id(b"p" * 32)
    monkeypatch.delenv("TAILOR_PSEUDONYM_KEY")
    with pytest.raises(ConfigurationError, match="TAILOR_PSEUDONYM_KEY is not set"):
        about({})


def test_the_code_is_copied_without_caches(tmp_path):
    code = publish._code(tmp_path)
    assert code == str(tmp_path / "code" / "tailor")
    assert (tmp_path / "code/tailor/serving/recommender.py").is_file()
    assert not list((tmp_path / "code").rglob("__pycache__"))


def test_the_example_that_is_logged_with_a_model_names_no_user():
    recommender = SimpleNamespace(user_ids=np.array(["u1", "u2"]), item_ids=np.array(["i1", "i2", "i3"]))
    example = publish._example(recommender)
    assert example["user_id"].tolist()[0] == publish.EXAMPLE_USER
    assert not set(example["user_id"].dropna()) & set(recommender.user_ids)
    assert example["history"].tolist() == [[], ["i1", "i2"]]


@dataclass
class Known:
    """Stands for a recommender."""

    about: dict[str, object]


def test_a_package_says_when_the_run_began_that_read_its_catalogue(monkeypatch):
    """Of an update, whose texts are those of the version before, that stays."""
    monkeypatch.setattr(publish.mlflow, "active_run", lambda: None)
    assert publish._with_time(Known({})).about == {}
    run = SimpleNamespace(info=SimpleNamespace(start_time=5000))
    monkeypatch.setattr(publish.mlflow, "active_run", lambda: run)
    assert publish._with_time(Known({"seed": 0})).about == {"seed": 0, "catalogue_read_at": 5.0}
    assert publish._with_time(Known({"catalogue_read_at": 2.0})).about == {"catalogue_read_at": 2.0}


def test_events_are_read_with_the_catalogue_s_threshold_unless_another_is_set():
    assert about({})["events"] == EventOptions().model_dump(mode="json")

    def least(project):
        described = publish.about(EvaluationOptions(), PROJECT | project, {}, {}, BALANCE)
        return described["events"]["least_rating"]

    threshold = {"data_processing": {"cleaning": {"implicit_threshold": 4.0}}}
    assert least(threshold) == 4.0
    assert least(threshold | {"events": {"least_rating": 3.0}}) == 3.0


def test_the_columns_of_dates_travel_with_the_model():
    project = PROJECT | {"feature_engineering": {"dates": {"expires": "ends"}}}
    described = publish.about(EvaluationOptions(), project, {}, {}, BALANCE)
    assert described["dates"] == {"released": None, "expires": "ends"}


def test_kinds_that_the_catalogue_has_are_read_as_in_the_fit():
    options = ProjectOptions.model_validate(
        {
            "data_processing": {
                "columns": {"interactions": {"user_id": "u", "item_id": "i", "event": "e"}},
                "events": {"weights": {"view": 0.1, "buy": 1.0, "cart": -0.5, "like": "bar", "other": 0.4}},
            }
        }
    )
    weights = publish._events(options)["weights"]
    assert (weights["view"], weights["buy"], weights["click"]) == (0.1, 1.0, 0.3)
    # What speaks against an item in the fit says nothing for it when it is served.
    assert (weights["cart"], weights["like"]) == (0.0, 0.0)
    assert "other" not in weights
    assert EventOptions.model_validate(publish._events(options)).weights["cart"] == 0.0
