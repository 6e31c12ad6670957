"""Lists that are drawn, and answers that say how likely things are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.hybrid.click import ClickHead
from tailor.hybrid.config import Boosts
from tailor.rerank import POOL
from tailor.serving import mlflow_model
from tailor.serving.scenario import read_scenarios
from tailor.serving.schema import Request, Settings


def test_a_draw_is_repeated_by_its_id_and_says_how_likely_each_step_was(served, known):
    best = served.recommend([Request(user_id=known)], Settings(k=POOL, explore=0))[0]
    draw = Settings(k=5, explore=0.5)
    one, again, other = served.recommend([Request(user_id=known, request_id=name) for name in "aab"], draw)
    assert (one.request_id, one.item_ids, one.propensities) == ("a", again.item_ids, again.propensities)
    assert other.item_ids != one.item_ids
    score = dict(zip(best.item_ids, best.scores, strict=True))
    assert one.scores == pytest.approx([score[item] for item in one.item_ids])
    worth = {item: np.exp(value / 0.5) for item, value in score.items()}
    for rank, item in enumerate(one.item_ids):
        rest = sum(worth.values())
        assert one.propensities[rank] == pytest.approx(worth.pop(item) / rest, rel=1e-4)


def test_no_draw_no_chances(served, known):
    for settings in (Settings(k=5), Settings(k=5, explore=0)):
        answer = served.recommend([Request(user_id=known)], settings)[0]
        assert (answer.request_id, answer.propensities, answer.probabilities) == ("", [], [])
    named = served.recommend([Request(user_id=known, request_id=17)], Settings(k=5))[0]
    assert named.request_id == "17"


def test_a_draw_without_an_id_gets_one_of_its_own(served, known):
    answers = served.recommend([Request(user_id=known)] * 20, Settings(k=5, explore=1.0))
    assert len({answer.request_id for answer in answers}) == 20
    assert len({tuple(answer.item_ids) for answer in answers}) > 1


def test_a_draw_lists_nothing_that_must_not_be_listed(served, known, history):
    kept = served.recommend([Request(user_id=known, exclude=["i1"])], Settings(k=500))[0].item_ids
    for name in map(str, range(20)):
        request = Request(user_id=known, exclude=["i1"], request_id=name)
        drawn = served.recommend([request], Settings(k=10, explore=100))[0].item_ids
        assert set(drawn) <= set(kept) - set(history)
    few = Request(candidates=kept[:3], request_id="few")
    answer = served.recommend([few], Settings(k=10, explore=1.0))[0]
    assert sorted(answer.item_ids) == sorted(kept[:3])
    assert answer.propensities[-1] == pytest.approx(1.0)
    assert len(answer.propensities) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rerank": {"method": "mmr", "strength": 0.3}}, "leave rerank out"),
        ({"min_exposure": {"new": 2}}, "leave min_exposure out"),
        ({"explore": 1e-4}, r"explore = 0.0001: write 0 for the best list, or 0.01"),
        ({"explore": -1}, "explore = -1"),
    ],
)
def test_a_draw_goes_alone_and_has_a_temperature(settings, message):
    with pytest.raises(BadInputError, match=message):
        Settings(**({"explore": 0.5} | settings))
    assert Settings(explore=0.5, rerank={"method": "none", "strength": 0.3}).explore == 0.5


@pytest.mark.parametrize("name", ["a\nb", "x" * 201, "\0"])
def test_a_request_has_a_name_that_events_can_hold(name):
    with pytest.raises(BadInputError, match="is no id of at most 200 printable characters"):
        Request(request_id=name)
    assert Request(request_id="x" * 200).request_id == "x" * 200


def test_a_scenario_explores(served, known):
    model = replace(served, about=served.about | {"scenarios": read_scenarios({"try_new": {"explore": 1.0}})})
    answer = model.recommend([Request(user_id=known, request_id="x")], Settings(scenario="try_new", k=5))[0]
    assert len(answer.propensities) == 5
    assert not model.recommend([Request(user_id=known)], Settings(scenario="try_new", explore=0))[0].propensities
    with pytest.raises(BadInputError, match="leave rerank out"):
        model.recommend([Request()], Settings(scenario="try_new", rerank={"method": "dpp", "strength": 0.5}))


def test_probabilities_are_those_of_the_click_head_whatever_lifts_a_score(served, known, popular):
    head = ClickHead(np.array([-2.0, 1.0, 0.0, 0.1, 0.2, -0.5]))
    model = replace(served, model=served.model.with_click(head))
    settings = Settings(k=5, probability=True, tail_boost=0.7)
    answer = model.recommend([Request(user_id=known)], settings)[0]
    query = served.histories.take(np.array([served.users.index(known)]))
    expected = model.model.with_boosts(Boosts()).click_probability(query)[0, served.item_indices(answer.item_ids)]
    assert answer.probabilities == pytest.approx(expected.tolist())
    assert len(set(answer.probabilities)) > 1
    with pytest.raises(BadInputError, match="probability: the model 'popular' has no click head"):
        popular.recommend([Request()], Settings(probability=True))


def test_mlflow_answers_with_chances(served, known):
    model = mlflow_model.TailorModel()
    model.recommender = served
    table = model.predict(None, pd.DataFrame({"user_id": [known], "request_id": ["a"]}), {"explore": 0.5, "k": 3})
    assert table["request_id"].tolist() == ["a"]
    assert len(table["propensities"][0]) == 3
