"""What a run says before it begins: its cost, and what its size switched."""

from dataclasses import replace

import pytest

from tailor.evaluation.costs import Cost
from tailor.evaluation.plan import plan_lines, switched
from tests.unit.evaluation.test_costs import work

SMALL = work(1000, 500, 50_000, 10)


def test_the_whole_comes_first_then_each_pipeline():
    costs = [Cost("hybrid_cf", "2 fits", 0.5, 1.25), Cost("all", "3 users", 61.2, 2.0)]
    assert plan_lines(costs, SMALL) == [
        "The run will take about 61 min and 2.0 GiB: 3 users",
        "hybrid_cf: 30 s, 1.2 GiB (2 fits)",
    ]


def test_nothing_is_switched_where_all_is_done_in_full():
    assert switched(SMALL) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"full_items": 400}, "item-item weights of the nearest 200 items, not of all pairs of 500 (max_dense_items "
         "of each model)"),
        ({"kernel_items": 300}, "cold items are imputed from the 300 items with most interactions of 500 "
         "(hybrid_cf.cold_items.max_items)"),
        ({"max_cells": 9000}, "the blend is fitted on 9,000 of 500,000 cells (hybrid_cf.blend.max_cells)"),
        ({"tried_users": 10}, "trials are measured on 10 of 1,000 users (hybrid_cf.max_users)"),
        ({"tuned_items": 20}, "the language model is tuned on 20 of 500 items (lm_finetuning.max_items)"),
        ({"listed_users": 30, "validated_users": 30},
         "lists, metrics and intervals are of at most 30 of 1,000 users (evaluation.max_users)"),
        ({"validated_users": 25}, "validation's lists are of at most 25 of 1,000 users "
         "(evaluation.max_validation_users)"),
        ({"reranked_users": 40}, "re-ranking is traced on 40 of 1,000 users (evaluation.frontier.max_users)"),
    ],
)  # fmt: skip
def test_each_limit_is_said_with_the_option_that_sets_it(change, line):
    assert switched(replace(SMALL, **change)) == [line]
    assert plan_lines([Cost("all", "", 1.0, 1.0)], replace(SMALL, **change))[-1] == f"Switched: {line}"


def test_a_slower_processor_is_said():
    lines = plan_lines([Cost("all", "", 1.0, 1.0)], replace(SMALL, lm_factor=3.5))
    assert lines[-1].startswith("This processor has no bf16 units: the language model takes about 3.5 times as long")
