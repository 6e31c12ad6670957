"""The simplest blend that nothing is shown to beat, on users it was not fitted on."""

import pytest

from tailor.hybrid.blend_choice import BLEND_COLUMNS, choose_blend_model
from tailor.hybrid.config import BlendOptions
from tailor.hybrid.sources import SOURCES
from tests.unit.hybrid.conftest import planted_training_set

NAMES = tuple(SOURCES)


def weighted(planted):
    return lambda z, _: sum(weight * z[NAMES.index(name)] for name, weight in planted.items())


def test_a_richer_member_is_selected_where_it_is_shown_to_be_better():
    def rule(z, meta):
        return (1 + 0.8 * meta.popularity) * z[0] + (1 - 0.8 * meta.popularity) * z[1] + 0.5 * meta.popularity

    model, rows = choose_blend_model(planted_training_set(rule), BlendOptions(l2=0.0), 10, 0)
    assert model.by_popularity.any()
    assert [row["selected"] for row in rows] == [False, True]
    assert [row["model"] for row in rows] == ["linear", "gated"]
    assert rows[1]["against"] == "linear"
    assert rows[1]["low"] > 0
    assert rows[1]["difference"] == pytest.approx(rows[1]["ndcg"] - rows[0]["ndcg"])
    assert list(rows[0]) == BLEND_COLUMNS


def test_the_simplest_member_stays_where_nothing_more_is_to_be_found():
    """The rule is a 95 % interval: of five catalogues without slopes, one may look as if it had some."""
    stayed = 0
    for seed in range(5):
        data = planted_training_set(lambda z, _: z[0] + z[1], n_users=1000, seed=seed)
        model, rows = choose_blend_model(data, BlendOptions(), 10, 0)
        assert [row["selected"] for row in rows] == [not model.by_popularity.any(), bool(model.by_popularity.any())]
        stayed += not model.by_popularity.any()
    assert stayed >= 4


def test_one_member_is_not_compared():
    _, rows = choose_blend_model(
        planted_training_set(weighted({"ials": 1.0}), 100), BlendOptions(models=["linear"]), 10, 0
    )
    assert rows == []
