"""One definition of requests: whatever is a field of it reaches every face, and nothing else names it."""

import ast
import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from pydantic import Field, ValidationError

import tailor
from tailor.errors import BadInputError, ConfigurationError
from tailor.serving import faces, http, mlflow_model, schema
from tailor.serving.scenario import Scenario, apply_scenario, read_scenarios, resolved
from tailor.serving.schema import Answer, Http, Request, Settings
from tests.conftest import ROOT

ASKED = {**Request.model_fields, **Settings.model_fields}
#: The hybrid's own options, and the kinds of evidence that its sources read.
BOOSTS, EVIDENCE = {"tail_boost", "popularity_debias", "cold_boost"}, {"history", "profile", "context", "user_text"}
SOURCES = ROOT / "src/tailor"
DOCS = ROOT / "docs/pipelines/inference.md"


class MoreRequest(Request):
    """A field that a later version might add."""

    company: str = Field("", description="Who watches along.", examples=["a friend"])


class MoreSettings(Settings):
    """Likewise."""

    novelty: Annotated[float | None, Field(ge=0, le=1)] = Field(None, description="Lift of the new.", examples=[0.3])
    spread: Annotated[int, Field(ge=1, le=50), Http(le=5)] = Field(1, description="Lists to spread.", examples=[2])


def test_a_scenario_s_boosts_are_steps_from_the_operating_point():
    """Half the way from .4 to 1; 0 stays; without an operating point the boost itself; a request's own comes first."""
    discover = {"tail_boost": 0.5, "cold_boost": 0.0, "half_life": 3.0}
    scenarios = {"discover": resolved(discover, {"tail_boost": 0.4, "cold_boost": 0.3})}
    assert resolved(discover, {}) == discover
    _, settings = apply_scenario([Request()], Settings(scenario="discover"), scenarios)
    assert settings.boosts() == pytest.approx({"tail_boost": 0.7, "cold_boost": 0.3})
    assert settings.half_life == 3.0
    _, settings = apply_scenario([Request()], Settings(scenario="discover", tail_boost=0.1), scenarios)
    assert settings.tail_boost == 0.1


def test_a_new_field_reaches_every_face_from_its_definition():
    assert {"novelty", "spread"} <= {param.name for param in mlflow_model.signature(MoreSettings).params.params}
    assert "company" in mlflow_model.metadata(MoreRequest)["input_columns"]
    assert mlflow_model.read_requests(pd.DataFrame({"company": ["nobody"]}), MoreRequest)[0].company == "nobody"
    body = faces.flat_model("Body", MoreRequest, MoreSettings)
    assert body(company="x", novelty=0.5).novelty == 0.5
    with pytest.raises(ValidationError, match="less than or equal to 5"):
        body(spread=6)
    assert MoreSettings(spread=6).spread == 6
    inputs = {field["name"]: field for field in faces.form(MoreRequest, MoreSettings)}
    assert inputs["company"]["widget"] == "text"
    assert inputs["novelty"] | {"widget": "range", "min": 0, "max": 1, "help": "Lift of the new."} == inputs["novelty"]
    rows = faces.tables(MoreRequest, MoreSettings)
    assert "| `novelty` | number | 0 to 1 | none | Lift of the new. | `0.3` |" in rows
    assert "| `spread` | integer | 1 to 50 (HTTP: 5) | `1` | Lists to spread. | `2` |" in rows


def test_every_field_is_described_and_in_every_face():
    for model in (Request, Settings, Answer, schema.Rerank):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name
            assert field.examples, name
    signature = mlflow_model.signature()
    assert [param.name for param in signature.params.params] == list(Settings.model_fields)
    assert signature.outputs.input_names() == list(Answer.model_fields)
    json.dumps(signature.to_dict())
    assert list(mlflow_model.metadata()["input_columns"]) == list(Request.model_fields)
    assert list(http.RecommendBody.model_fields) == list(ASKED)
    assert [field["name"] for field in faces.form()] == list(ASKED)
    assert set(Scenario.model_fields) == set(Settings.model_fields) - {"scenario"} | {"filters", "pins", "block"}
    assert not any(field.is_required() for field in Scenario.model_fields.values())


def literals(tree: ast.AST):
    """Yield the strings of every literal list, tuple, set, mapping and keyword call of a module."""
    for node in ast.walk(tree):
        parts = getattr(node, "elts", None) or getattr(node, "keys", None) or []
        yield {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def lists_of_fields(source: str) -> list[set[str]]:
    """Three names and more, of which one at least is a request's alone."""
    named = [strings & ASKED.keys() for strings in literals(ast.parse(source))]
    return [names for names in named if len(names) >= 3 and names - BOOSTS - EVIDENCE]


def test_no_other_module_lists_the_fields():
    assert lists_of_fields("KNOWN = ('history', 'query', 'k')")
    for path in SOURCES.rglob("*.py"):
        if path.name != "schema.py":
            assert not lists_of_fields(path.read_text()), path
    page = (SOURCES / "serving/page.html").read_text()
    names = [name for name in ASKED if re.search(rf"""["'=]{name}["'\\s]""", page)]
    assert not names
    # Query of FastAPI's routes, MLflow's own argument, a kind of work, fields of answers
    used = {"query", "context", "events", "request_id", "probability"}
    for face in ("http.py", "answers.py", "mlflow_model.py", "faces.py"):
        text = (SOURCES / "serving" / face).read_text()
        strings = {
            node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and node.value in ASKED
        }
        assert strings - used <= {"history"}, face  # of an explanation


def test_the_tables_of_the_docs_are_those_of_the_schema():
    begin, end = "<!-- python -m tailor.serving.schema -->\n", "\n<!-- end -->"
    written = DOCS.read_text().split(begin)[1].split(end)[0]
    assert written == faces.tables()


def test_fields_are_given_in_order_or_by_name_and_stay_as_they_are():
    assert Request("u", ["a", 3]) == Request(user_id="u", history=("a", "3"))
    with pytest.raises(ValidationError, match="frozen"):
        Request("u").user_id = "v"
    with pytest.raises(BadInputError, match=r"Unknown field 'histroy'\. Did you mean 'history'"):
        Request(histroy=["i1"])
    with pytest.raises(BadInputError, match="Request has 16 fields, 17 were given"):
        Request(*range(17))
    assert Request(history=["a"], weights=np.array([0.5], np.float32)).weights == (0.5,)
    assert Request(profile={"age": np.int64(31), "member": True}).profile == {"age": 31, "member": True}


def test_params_that_are_not_set_are_none_or_empty():
    specs = {param.name: param for param in mlflow_model.signature().params.params}
    assert {name: spec.default for name, spec in specs.items()} == dict.fromkeys(specs) | {
        "rerank": {},
        "min_exposure": {},
    }
    settings = mlflow_model.read_settings({name: spec.default for name, spec in specs.items()})
    assert settings == Settings()
    assert not settings.model_fields_set
    assert mlflow_model.read_settings({"rerank": {"method": "mmr", "strength": 0.2}}).rerank.strength == 0.2


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (pd.DataFrame({"user_id": ["u"]}), 1),
        ({"user_id": "u", "history": ["i1", "i2"]}, 1),
        ({"user_id": "u", "profile": {"age": 3}}, 1),
        ({"history": [["i1"], None]}, 2),
        ({"user_id": np.array(["u", "v"])}, 2),
        ({"history": np.array(["i1", "i2"])}, 1),
        ({"history": np.array([["i1", "i2"], ["i3", "i4"]])}, 2),
        ({"user_id": np.array("u")}, 1),
        ([{"user_id": "u"}, {"history": ["i1"]}], 2),
    ],
)
def test_clients_may_send_a_table_rows_or_one_row(rows, expected):
    assert len(mlflow_model.read_requests(mlflow_model.read_table(rows))) == expected


@pytest.fixture
def watching():
    logger = logging.getLogger("mlflow.models.utils")
    before = list(logger.filters)
    mlflow_model.UnknownParams.watch()
    yield logger
    for known in set(logger.filters) - set(before):
        logger.removeFilter(known)


def test_a_param_that_mlflow_would_drop_is_refused_and_other_models_are_left_alone(watching):
    from mlflow.models.utils import _enforce_params_schema
    from mlflow.types.schema import ParamSchema, ParamSpec

    ours, other = mlflow_model.signature().params, ParamSchema([ParamSpec("k", "long", 1)])
    with pytest.raises(BadInputError, match=r"Unknown param 'top_k'\. Known: k, exclude_seen"):
        _enforce_params_schema({"top_k": 3}, ours)
    with pytest.raises(BadInputError, match=r"write rerank: \{method: mmr, strength: \.\.\.\}"):
        _enforce_params_schema({"diversity": 0.3}, ours)
    assert _enforce_params_schema({"k": 3}, ours)["k"] == 3
    assert _enforce_params_schema({"top_k": 3}, other) == {"k": 1}
    mlflow_model.UnknownParams.watch()
    assert len([known for known in watching.filters if isinstance(known, mlflow_model.UnknownParams)]) == 1


def test_a_refusal_is_one_sentence_for_mlflow_too():
    """MLflow's server writes the whole input before the reason; the sentence stays alone."""
    model = mlflow_model.TailorModel()
    with pytest.raises(MlflowException) as refused:
        model.predict(None, pd.DataFrame({"histroy": [["i1"]]}))
    problem = refused.value
    problem.message = f"Failed to predict data 'all of it'. \nError: {problem.message}"
    said = json.loads(problem.serialize_as_json())
    assert (problem.get_http_status_code(), said["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert said["message"].startswith("Unknown column 'histroy'. Did you mean 'history'?")
    assert isinstance(problem, BadInputError)
    assert str(problem) == said["message"]


def test_answers_keep_the_index_of_the_table():
    model = mlflow_model.TailorModel()
    model.recommender = SimpleNamespace(recommend=lambda requests, settings: [answer_of(r) for r in requests])
    table = pd.DataFrame({"user_id": ["u", "v"]}, index=[7, 3])
    answers = model.predict(None, table)
    assert answers.index.tolist() == [7, 3]
    assert answers.loc[3, "item_ids"] == ["v"]
    assert model.predict(None, [{"user_id": "u"}]).index.tolist() == [0]


def answer_of(request):
    return schema.Answer(item_ids=[request.user_id], scores=[1.0], path="known_user")


@pytest.mark.parametrize(("in_server", "asked"), [(True, ["warm up"]), (False, [])])
def test_a_server_reads_its_first_words_when_it_starts(monkeypatch, in_server, asked):
    queries = []
    loaded = SimpleNamespace(takes_words=True, recommend=lambda requests, _: queries.extend(r.query for r in requests))
    monkeypatch.setattr(mlflow_model.Recommender, "load", lambda folder: loaded)
    monkeypatch.delenv("__pyfunc_model_path__", raising=False)
    if in_server:
        monkeypatch.setenv("__pyfunc_model_path__", "models:/tailor@champion")
    mlflow_model.TailorModel().load_context(SimpleNamespace(artifacts={mlflow_model.ARTIFACT: "folder"}))
    assert queries == asked
    from mlflow.pyfunc import scoring_server

    assert scoring_server._SERVER_MODEL_PATH == "__pyfunc_model_path__"


def test_nulls_are_not_given_and_truth_values_are_no_numbers():
    nulls = dict.fromkeys(Request.model_fields)
    assert Request(**nulls) == Request()
    assert not Request(**nulls).model_fields_set
    assert Settings(**dict.fromkeys(Settings.model_fields)) == Settings()
    assert Request("u", query=1999).query == "1999"
    for values, words in (
        ({"k": True}, "^k = True is not a number$"),
        ({"tail_boost": False}, "^tail_boost = False is not a number$"),
        ({"scenario": "\ud800"}, "^scenario: '[?]' is no text"),
    ):
        with pytest.raises(BadInputError, match=words):
            Settings(**values)
    with pytest.raises(BadInputError, match="Unknown field 'usr'"):
        Request(usr=None)
    with pytest.raises(BadInputError, match=r"filters\.year\.min: a whole number of more than 64 bits"):
        Request(filters={"year": {"min": 10**400}})


def test_mlflow_hands_unknown_columns_over(tmp_path):
    """Why the signature has no inputs: with any, MLflow drops what they do not name."""
    assert mlflow_model.signature().inputs is None
    data, _ = mlflow.pyfunc._validate_prediction_input(
        pd.DataFrame({"histroy": [["i1"]]}), {}, mlflow_model.signature().inputs, mlflow_model.signature().params
    )
    with pytest.raises(BadInputError, match="Unknown column 'histroy'"):
        mlflow_model.read_requests(data)


def test_scenarios_are_some_of_the_settings():
    scenarios = read_scenarios({"home": {}, "short": {"k": 5, "exclude_seen": False, "filters": {"categories": ["x"]}}})
    assert scenarios == {"home": {}, "short": {"k": 5, "exclude_seen": False, "filters": {"categories": ["x"]}}}
    for values, words in (
        ({"tail_bost": 0.2}, "Unknown field 'tail_bost'. Did you mean 'tail_boost'"),
        ({"tail_boost": 2}, "tail_boost = 2 is out of bounds: 0 to 1"),
        ({"diversity": 0.2}, r"write rerank: \{method: mmr, strength: 0\.2\}"),
        ({"scenario": "home"}, "Unknown field 'scenario'"),
        ({"half_life": 0}, "half_life = 0 is out of bounds: above 0"),
    ):
        with pytest.raises(ConfigurationError, match=f"Parameter 'evaluation.scenarios.mine': .*{words}"):
            read_scenarios({"mine": values})


def test_what_a_request_sets_comes_before_its_scenario():
    scenarios = read_scenarios({"short": {"k": 5, "tail_boost": 0.5, "filters": {"year": {"min": 1990}}}})
    asked = [Request(filters={"categories": ["x"]}), Request(filters={"year": {"min": 2000}})]
    requests, settings = apply_scenario(asked, Settings(scenario="short"), scenarios)
    assert (settings.k, settings.tail_boost) == (5, 0.5)
    assert [r.filters["year"]["min"] for r in requests] == [1990, 2000]
    assert requests[0].filters["categories"] == ["x"]
    _, settings = apply_scenario(asked, Settings(scenario="short", k=20, tail_boost=None), scenarios)
    assert (settings.k, settings.tail_boost) == (20, 0.5)  # 20 was asked for, though it is the default; None was not


def test_scenarios_of_the_first_version_are_read():
    packaged = {"discover": {"tail_boost": 0.5, "diversity": 0.2, "half_life": None, "filters": {}}}
    _, settings = apply_scenario(
        [Request()], Settings(scenario="discover"), {"discover": resolved(packaged["discover"], {})}
    )
    assert settings.rerank == schema.Rerank(method="mmr", strength=0.2)
    assert settings.tail_boost == 0.5


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ({"k": 1}, True),
        ({"k": 0}, False),
        ({"tail_boost": 0}, True),
        ({"tail_boost": 1}, True),
        ({"tail_boost": -0.01}, False),
        ({"popularity_debias": 1.01}, False),
        ({"scenario": "x" * 100}, True),
        ({"scenario": "x" * 101}, False),
        ({"half_life": 1e-6}, True),
        ({"half_life": 0}, False),
        ({"min_score": float("inf")}, False),
        ({"rerank": {"method": "mmr", "strength": 1}}, True),
        ({"rerank": {"method": "mmr", "strength": -0.01}}, False),
        ({"rerank": {"method": "mmr", "strength": 1.01}}, False),
    ],
)
def test_settings_at_and_beyond_their_bounds(values, taken):
    if taken:
        assert Settings(**values).model_dump(exclude_unset=True) == values
    else:
        with pytest.raises(BadInputError, match=next(iter(values))):
            Settings(**values)


@pytest.mark.parametrize(
    ("method", "strength", "options"), [("none", 0.5, None), ("mmr", 0, None), ("mmr", 0.5, ("mmr", 0.5))]
)
def test_a_list_is_chosen_anew_only_by_a_re_ranker_of_some_strength(method, strength, options):
    read = schema.Rerank(method=method, strength=strength).options()
    assert (read and (read.method, read.strength)) == options


def test_requests_are_bounded_too():
    assert Request(query="x" * 500, history=["a"], weights=[1e-9]).weights == (1e-9,)
    for values, words in (
        ({"query": "x" * 501}, "send at most 500"),
        ({"history": ["a", "b"], "weights": [1.0]}, "weights: 1 for a history of 2; give one per item"),
        ({"history": ["a"], "weights": [float("nan")]}, "weights"),
    ):
        with pytest.raises(BadInputError, match=words):
            Request(**values)


def test_the_first_screen_of_the_page_asks_who_what_and_how_the_rest_stands_behind_more():
    inputs = {field["name"]: field for field in faces.form()}
    assert [name for name, field in inputs.items() if not field["more"]] == [
        *("user_id", "history", "exclude", "query", "profile", "filters"),
        *("tail_boost", "popularity_debias", "cold_boost", "rerank", "scenario", "explain"),
    ]
    widgets = {name: field["widget"] for name, field in inputs.items()}
    assert (widgets["history"], widgets["query"], widgets["k"], widgets["tail_boost"]) == (
        "items",
        "words",
        "number",
        "range",
    )
    assert (widgets["candidates"], widgets["exclude_seen"], widgets["profile"]) == ("list", "checkbox", "columns")
    assert {name for name, field in inputs.items() if field["for_all"]} == {
        *("k", "filters", "exclude", "candidates", "rank_by", "window_days", "domain"),
    }
    assert {name: field["start"] for name, field in inputs.items() if "start" in field} == {"explain": True}
    assert {name: field["default"] for name, field in inputs.items() if "default" in field} == {
        "exclude_seen": True,
        "explain": False,
        "probability": False,
    }
    assert inputs["k"]["label"] == "Length"
    assert inputs["min_score"]["label"] == "Min score"
    assert [part["name"] for part in inputs["rerank"]["inputs"]] == ["method", "strength"]
    method, strength = inputs["rerank"]["inputs"]
    assert (method["widget"], method["options"][0]) == ("select", "none")
    assert (strength["widget"], strength["min"], strength["max"]) == ("range", 0, 1)


def test_over_http_the_tighter_of_two_bounds_holds():
    class Asked(Request):
        names: Annotated[list[str], Field(min_length=1, max_length=9), Http(max_length=2)] = Field(
            ["a"], description="Names."
        )

    body = faces.flat_model("Body", Asked)
    assert body(names=["a", "b"]).names == ["a", "b"]
    for names, words in ((["a"] * 3, "at most 2"), ([], "at least 1")):
        with pytest.raises(ValidationError, match=words):
            body(names=names)
    assert Asked(names=["a"] * 9).names == ["a"] * 9
    assert body.model_fields["user_id"].description == Request.model_fields["user_id"].description


def test_rows_of_the_docs_name_types_and_bounds():
    rows = {row.split("`")[1]: row for row in faces.tables().splitlines() if row.startswith("| `")}
    assert "| list of strings |" in rows["history"]
    assert "| mapping |" in rows["filters"]
    assert "| {method, strength} | method: none, " in rows["rerank"]
    assert "strength: 0 to 1" in rows["rerank"]
    assert "| 500 characters |" in rows["query"]
    assert "| `20` |" in rows["k"]
    assert rows["k"].count("|") == 7
    assert rows["query"].count("|") == rows["path"].count("|") == 6


def test_the_whole_package_travels_with_a_model():
    assert mlflow_model.code_paths() == [str(Path(tailor.__file__).parent)]
