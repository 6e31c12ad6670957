"""An update is refused where a distribution moved, or new rows are listed worse than before; reasons say so."""

import numpy as np
import pandas as pd
import pytest

from tailor.evaluation.config import DriftLimits
from tailor.evaluation.update_rules import UpdateEvidence, decide, failed
from tailor.metrics.significance import paired_bootstrap

ALIKE = paired_bootstrap(np.tile([0.2, 0.4, 0.1], 10), np.tile([0.1, 0.4, 0.2], 10))
WORSE = paired_bootstrap(np.tile([0.1, 0.2, 0.3], 10), np.tile([0.2, 0.3, 0.4], 10))
NOBODY = paired_bootstrap(np.array([]), np.array([]))
CALM = {"popularity": 0.01, "embedding_1": 0.02, "scores": 0.03}


def drift(chance=0.0, **psi):
    moved = CALM | psi
    return pd.DataFrame({"distribution": list(moved), "psi": list(moved.values()), "chance": chance})


def decided(table, new_rows=ALIKE, limits=None):
    return decide(table, UpdateEvidence(new_rows, ALIKE, 0.75), limits or DriftLimits())


def test_what_stays_calm_and_no_worse_is_promoted():
    decision = decided(drift())
    assert decision.promoted
    assert failed(decision.reasons) == []
    assert decision.reasons == [
        "holds: popularity: PSI 0.010, limit 0.25",
        "holds: embedding_1: PSI 0.020, limit 0.25",
        "holds: scores: PSI 0.030, limit 0.25",
        "holds: held-out new rows: NDCG +0.0000 [-0.0300, +0.0300] against the champion, 30 users, "
        "worse is refused where the whole interval is below 0",
        "forgotten: NDCG +0.0000 [-0.0300, +0.0300] on the last known items of 30 users without new rows, 75% of their "
        "lists stayed",
    ]


@pytest.mark.parametrize("name", CALM)
def test_each_distribution_refuses_by_its_name(name):
    decision = decided(drift(**{name: 0.47}))
    assert not decision.promoted
    assert failed(decision.reasons) == [f"fails: {name}: PSI 0.470, limit 0.25"]


def test_each_distribution_has_a_limit_of_its_own():
    limits = DriftLimits(popularity=0.5, embeddings=0.015, scores=0.25)
    assert failed(decided(drift(popularity=0.47), limits=limits).reasons) == [
        "fails: embedding_1: PSI 0.020, limit 0.015"
    ]


def test_what_chance_explains_is_no_shift():
    assert decided(drift(popularity=0.47, chance=0.5)).promoted
    (reason,) = failed(decided(drift(popularity=0.47, chance=0.4)).reasons)
    assert reason == "fails: popularity: PSI 0.470, limit 0.25, by chance up to 0.400"


def test_what_lists_new_rows_worse_is_refused_and_nothing_to_compare_is_said():
    decision = decided(drift(), new_rows=WORSE)
    assert failed(decision.reasons) == [
        "fails: held-out new rows: NDCG -0.1000 [-0.1000, -0.1000] against the champion, 30 users, "
        "worse is refused where the whole interval is below 0"
    ]
    nothing = decide(drift(), UpdateEvidence(NOBODY, NOBODY, float("nan")), DriftLimits())
    assert nothing.promoted
    assert nothing.reasons[-2:] == [
        "holds: held-out new rows: there are none to compare on",
        "forgotten: every user has new rows, so nothing old is compared",
    ]


def test_a_few_rows_tell_nothing_of_a_distribution():
    decision = decided(drift(popularity=8.4, chance=float("inf")))
    assert decision.promoted
    assert "holds: popularity: PSI 8.400, limit 0.25, fewer than 30 rows tell nothing" in decision.reasons


def test_a_few_users_tell_nothing():
    few = paired_bootstrap(np.zeros(29), np.ones(29))
    decision = decided(drift(), new_rows=few)
    assert decision.promoted
    assert any("29 users, fewer than 30 tell nothing" in reason for reason in decision.reasons)
    assert not decided(drift(), new_rows=paired_bootstrap(np.zeros(30), np.ones(30))).promoted
