"""What nodes took; what their file shares with others of entries: test_entries.py."""

import pytest

from tailor.datasets import NodeCostsDataset
from tailor.datasets.content import content_hash

FIT = {"seconds": 2.5, "peak_gib": 1.25}


@pytest.fixture
def costs(root):
    return NodeCostsDataset(filepath=f"{root}/data/node_costs.json")


def test_the_latest_figures_of_a_node_stay_beside_those_of_others(costs):
    assert costs.load() == {} and costs.exists()  # an absent file holds nothing, and stops no run
    costs.update({"hybrid_cf.fit": FIT, "evaluation.list": FIT})
    costs.update({"hybrid_cf.fit": FIT | {"seconds": 3.0}})
    assert costs.load() == {"hybrid_cf.fit": FIT | {"seconds": 3.0}, "evaluation.list": FIT}


def test_what_nodes_took_makes_no_output_stale(costs):
    before = content_hash(costs, costs.load)
    costs.update({"hybrid_cf.fit": FIT})
    assert content_hash(costs, costs.load) == before
