"""What validation chose, by name."""

from types import SimpleNamespace

import numpy as np

from tailor.evaluation.chosen import describe_choice, tabulate_points
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import Boosts, DomainBoosts


def test_weights_have_the_names_of_their_sources():
    warm, cold = np.array([0.25, 0.5], np.float32), np.array([1.0, 0.0], np.float32)
    few = np.array([0.0, 1.0], np.float32)
    weights = BlendWeights(("ials", "popular"), BlendModel(warm), ((3, few),), cold, cold_shift=-0.5)
    scorer = SimpleNamespace(blend=weights, boosts=Boosts(tail_boost=0.1))
    balance = {"method": "mmr", "strength": 0.2, "pool": 200, "min_score": None}
    assert describe_choice(scorer, {"ials": {"alpha": 0.3}}, balance) == {
        "options": {"ials": {"alpha": 0.3}},
        "weights": {
            "warm": {"ials": 0.25, "popular": 0.5},
            "cold": {"ials": 1.0, "popular": 0.0},
            "few_shot_3": {"ials": 0.0, "popular": 1.0},
        },
        "boosts": {
            "cold_boost": 0.0,
            "cold_boost_scale": 1.0,
            "tail_boost": 0.1,
            "tail_boost_scale": 1.0,
            "popularity_debias": 0.0,
            "cold_shift": -0.5,
        },
        "rerank": {"method": "mmr", "strength": 0.2},
    }


def test_points_have_the_names_of_their_domains():
    points = [DomainBoosts(tail_boost=0.5), DomainBoosts(cold_boost=0.25)]
    boosts = Boosts(tail_boost=0.1, tail_boost_scale=2.0, by_domain=points)
    weights = BlendWeights.of_one("popular", ("popular",))
    scorer, balance = SimpleNamespace(blend=weights, boosts=boosts), {"method": "mmr", "strength": 0.2}
    chosen = describe_choice(scorer, {}, balance, ["books", "films"])["boosts"]
    assert chosen["by_domain"] == {
        "books": {"cold_boost": 0.0, "tail_boost": 0.5},
        "films": {"cold_boost": 0.25, "tail_boost": 0.0},
    }
    table = tabulate_points(scorer, ["books", "films"])
    assert table.to_numpy().tolist() == [
        ["all", 0.0, 0.1, 0.0, 0.2],
        ["books", 0.0, 0.5, 0.0, 1.0],
        ["films", 0.25, 0.0, 0.25, 0.0],
    ]
    same = SimpleNamespace(boosts=Boosts(tail_boost=0.1))
    assert tabulate_points(same, ["books", "films"])["tail_boost"].tolist() == [0.1, 0.1, 0.1]
    assert tabulate_points(same, []).empty
