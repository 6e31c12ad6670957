"""The rules of promotion, one at a time."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.evaluation.config import PromotionOptions
from tailor.evaluation.promotion import Evidence, decide
from tailor.metrics.significance import paired_bootstrap

RULES = PromotionOptions()


def compared(shift, noise=0.01, n=400):
    rng = np.random.default_rng(0)
    champion = rng.random(n)
    return paired_bootstrap(champion + shift + rng.normal(0, noise, n), champion)


GOOD = Evidence(mixed=compared(0.01), tail=compared(0.01), coverage=(0.4, 0.3), p99_ms=20.0)


def test_a_better_challenger_is_promoted_with_reasons():
    decision = decide(GOOD, RULES)
    assert decision.promoted
    assert len(decision.reasons) == 4
    assert all(reason.startswith("holds: ") for reason in decision.reasons)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mixed": compared(-0.01)}, "fails: mixed NDCG: lower bound of the difference -0.01"),
        ({"tail": compared(0.0, noise=0.0)}, "fails: tail NDCG: difference +0.0000"),
        ({"coverage": (0.29, 0.3)}, "fails: catalog coverage: 0.290 after 0.300"),
        ({"p99_ms": 251.0}, "fails: latency: p99 251.0 ms, budget 250.0 ms"),
    ],
)
def test_each_rule_alone_refuses(change, words):
    decision = decide(replace(GOOD, **change), RULES)
    assert not decision.promoted
    failed = [reason for reason in decision.reasons if reason.startswith("fails")]
    assert len(failed) == 1
    assert failed[0].startswith(words)


def test_a_loss_within_the_margin_is_allowed():
    slightly_worse = compared(-0.0005, noise=0.001)
    assert decide(replace(GOOD, mixed=slightly_worse), RULES).promoted
    assert not decide(replace(GOOD, mixed=slightly_worse), PromotionOptions(max_mixed_loss=0.0)).promoted


def test_without_users_nothing_is_promoted():
    nobody = paired_bootstrap(np.full(2, np.nan), np.full(2, np.nan))
    for rule, needed in (("mixed", "a test row"), ("tail", "a tail item among the test rows")):
        decision = decide(replace(GOOD, **{rule: nobody}), RULES)
        assert not decision.promoted
        assert (
            f"fails: {rule} NDCG: no user has {needed}, so the two models cannot be compared by it" in decision.reasons
        )
