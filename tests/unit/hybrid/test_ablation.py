"""What each part is worth: which blends are compared, and what each of them leaves out."""

from itertools import combinations

import numpy as np
import pytest

from tailor import columns as c
from tailor.hybrid.ablation import variants
from tailor.hybrid.config import BlendOptions, Boosts, HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tests.unit.hybrid.conftest import FAST_SOURCES, OFF

OPTIONS = BlendOptions(models=["gated"], few_shot_lengths=[1], cold_shifts=[0.0, 0.5], steps=1)
ACTIVE = ("ials", "text_knn", "popular")


@pytest.fixture(scope="module")
def whole(holdout, tables):
    sources = {name: FAST_SOURCES[name] for name in ("ials", "text_knn", "demographic", "popular")}
    scorer = Hybrid(HybridConfig(sources=sources)).fit(holdout.train_set(tables.features))
    weights = fit_blend(scorer, holdout, OPTIONS, 10, 0).weights
    return scorer.with_blend(weights).with_boosts(Boosts(cold_boost=0.3, tail_boost=0.2))


@pytest.fixture(scope="module")
def parts(whole, holdout):
    return variants(whole, holdout, OPTIONS, 10, 0)


def used(scorer):
    weights = scorer.blend
    arrays = [weights.warm.base, weights.cold, *(found for _, found in weights.few_shot)]
    return {name for place, name in enumerate(weights.sources) if any(array[place] for array in arrays)}


def test_each_source_each_pair_and_the_whole(parts):
    pairs = [" + ".join(names) for names in combinations(ACTIVE, 2)]
    rest = [f"without {name}" for name in ACTIVE]
    assert list(parts) == [*ACTIVE, *pairs, "linear", *rest, "equal weights", "blend off", "boosts off", "all"]


def test_a_part_uses_no_source_that_it_does_not_name(parts):
    for name, scorer in parts.items():
        if name in ACTIVE or " + " in name:
            assert used(scorer) <= set(name.split(" + "))
            assert used(scorer)
            assert scorer.boosts == OFF
    for name in ACTIVE:
        assert name not in used(parts[f"without {name}"])


def test_one_part_is_off_at_a_time(parts, whole):
    assert parts["all"] is whole
    assert parts["boosts off"].blend is whole.blend
    assert parts["boosts off"].boosts == OFF
    plain = parts["blend off"].blend
    assert not plain.warm.by_popularity.any()
    assert not plain.warm.by_activity.any()
    assert (plain.few_shot, plain.warm.bias) == ((), 0.0)
    equal = parts["equal weights"].blend
    np.testing.assert_allclose(equal.warm.base, [1 / 3, 1 / 3, 0, 1 / 3])
    np.testing.assert_allclose(equal.cold, equal.warm.base)


def test_parts_share_the_fitted_sources(parts, whole):
    assert all(scorer.sources is whole.sources for scorer in parts.values())


def test_a_pair_is_worth_more_than_its_weaker_half(parts, holdout):
    warm = {name: holdout.measure(scorer, 10)[c.WARM] for name, scorer in parts.items()}
    for first, second in combinations(ACTIVE, 2):
        assert warm[f"{first} + {second}"] > min(warm[first], warm[second])
