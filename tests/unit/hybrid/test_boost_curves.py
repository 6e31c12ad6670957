"""Trade-off curves of the boosts: what is served under each setting, list by list, and of which domain a list is."""

import numpy as np
import pytest

from tailor.hybrid.boost_curves import boost_curves, settings_of_curve
from tailor.hybrid.config import BlendOptions, Boosts
from tailor.hybrid.operating_point import fit_weights

BOOSTS = ("cold_boost", "tail_boost", "popularity_debias")


def rows_of(*arguments):
    return [row for curve in boost_curves(*arguments) for row in curve.rows()]


@pytest.fixture(scope="module")
def weights(known, holdout):
    return fit_weights(known, holdout, BlendOptions(models=["linear"]), 10, 0)[0]


@pytest.fixture(scope="module")
def curves(scorer, weights, known, holdout):
    rows = rows_of(scorer.with_blend(weights), known, holdout, 4, 10)
    return {boost: [row for row in rows if row["boost"] == boost] for boost in BOOSTS}


class TestCurves:
    def test_they_start_at_the_accuracy_ranking(self, curves, scorer, weights, known, holdout):
        users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
        items = np.flatnonzero(holdout.candidates)
        cold = holdout.cold[holdout.candidates]
        scores = scorer.with_blend(weights).score(holdout.histories.take(users))[:, items]
        mixed = known.mean_ndcg(scores, 10)
        warm = known.columns(~cold)
        wanting = np.diff(known.positives[:, np.flatnonzero(~cold)].indptr) > 0
        assert curves["cold_boost"][0]["accuracy"] == pytest.approx(mixed, abs=1e-6)
        assert curves["tail_boost"][0]["accuracy"] == curves["popularity_debias"][0]["accuracy"]
        expected = warm.mean_ndcg(scores[wanting][:, ~cold], 10)
        assert curves["tail_boost"][0]["accuracy"] == pytest.approx(expected, abs=1e-6)

    def test_each_has_its_steps_and_pays_for_exposure_with_accuracy(self, curves):
        for boost in ("cold_boost", "tail_boost"):
            rows = curves[boost]
            assert [row["value"] for row in rows] == [0.0, 0.25, 0.5, 0.75, 1.0]
            assert rows[-1]["exposure"] > rows[0]["exposure"]
            assert rows[-1]["accuracy"] < rows[0]["accuracy"]

    def test_their_points_are_what_is_served(self, curves, scorer, weights, known, holdout):
        users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
        items, cold = np.flatnonzero(holdout.candidates), holdout.cold[holdout.candidates]
        part = known.columns(~cold)
        wanting = np.diff(known.positives[:, np.flatnonzero(~cold)].indptr) > 0
        for boost in BOOSTS:
            served = scorer.with_blend(weights).with_boosts(Boosts(**{boost: 0.5}))
            scores = served.score(holdout.histories.take(users))[:, items]
            row = next(row for row in curves[boost] if row["value"] == 0.5)
            if boost == "cold_boost":
                assert row["accuracy"] == pytest.approx(known.mean_ndcg(scores, 10), abs=1e-6)
                assert row["exposure"] == pytest.approx(known.mean_ndcg(scores, 10, cold), abs=1e-6)
                continue
            scores = scores[wanting][:, ~cold]
            assert row["accuracy"] == pytest.approx(part.mean_ndcg(scores, 10), abs=1e-6)
            tail = holdout.tail[items][~cold]
            exposure = part.mean_ndcg(scores, 10, tail) if boost == "tail_boost" else part.coverage(scores, 10)
            assert row["exposure"] == pytest.approx(exposure, abs=1e-6)

    def test_taking_off_the_population_score_covers_more(self, scorer, weights, known, holdout):
        rows = rows_of(scorer.with_blend(weights), known, holdout, 4, 3)
        covered = [row["exposure"] for row in rows if row["boost"] == "popularity_debias"]
        assert min(covered) == covered[0]
        assert covered[-1] > 1.2 * covered[0]

    def test_twice_the_scale_is_half_the_setting(self, curves, scorer, weights, known, holdout):
        wide = scorer.with_blend(weights).with_boosts(Boosts(tail_boost_scale=2.0, cold_boost_scale=2.0))
        rows = rows_of(wide, known, holdout, 4, 10)
        for boost in ("cold_boost", "tail_boost"):
            plain = {row["value"]: (row["accuracy"], row["exposure"]) for row in curves[boost]}
            doubled = {row["value"]: (row["accuracy"], row["exposure"]) for row in rows if row["boost"] == boost}
            assert doubled[0.5] == plain[1.0] != plain[0.0]

    def test_where_the_scorer_stands_does_not_matter(self, curves, scorer, weights, known, holdout):
        lifted = scorer.with_blend(weights).with_boosts(Boosts(cold_boost=0.5, tail_boost=0.5, popularity_debias=0.5))
        assert rows_of(lifted, known, holdout, 4, 10) == [row for boost in BOOSTS for row in curves[boost]]

    def test_a_curve_has_as_many_settings_to_each_standard_deviation(self):
        assert settings_of_curve(1.0, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert settings_of_curve(2.5, 2) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        assert settings_of_curve(0.1, 1) == [0.0, 1.0]
        assert len(settings_of_curve(70.0, 4)) == 5 * 4 + 1
