"""Choosing options on validation: equal budgets, one criterion, names that are known."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tailor import columns as c
from tailor.errors import ConfigurationError
from tailor.hybrid import selection
from tailor.hybrid.config import Boosts, HybridOptions
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.model import Hybrid
from tailor.hybrid.sources import SOURCES, order_readers
from tailor.models import fitting, transformer_torch
from tailor.models.registry import BASELINES, build
from tailor.models.transformer import SASRec
from tests.unit.hybrid.conftest import FAST_SOURCES

OPTIONS = HybridOptions(
    sources=FAST_SOURCES,
    baselines=["popular", "item_knn"],
    blend={"models": ["linear"], "few_shot_lengths": [0, 1], "cold_shifts": [0.0], "steps": 1},
    k=10,
)


@pytest.fixture(scope="module")
def data(holdout, tables):
    return holdout.train_set(tables.features)


def changed(**changes):
    return HybridOptions.model_validate(OPTIONS.model_dump() | changes)


def test_the_criterion_weighs_warm_and_cold():
    assert selection.criterion({c.WARM: 0.4, c.COLD: 0.8}, 0.25) == pytest.approx(0.75 * 0.4 + 0.25 * 0.8)


def test_unequal_budgets_are_refused():
    with pytest.raises(ValueError, match=r"every model gets the same number of trials, found .*'ease': 2, 'ials': 1"):
        HybridOptions(trials={"ease": [{}, {}], "ials": [{}]})


def test_every_option_set_is_tried_and_the_best_is_chosen(holdout, data):
    options = changed(trials={"item_knn": [{"neighbours": 1}, {"neighbours": 50}], "hybrid": [{}, {}]})
    chosen, table, models = selection.select_baselines(holdout, data, options, 0)
    assert Counter(table["model"]) == {"popular": 1, "item_knn": 2}
    best = table[table["model"] == "item_knn"].sort_values("criterion").iloc[-1]
    assert str(chosen["item_knn"]) == best["options"]
    assert chosen["popular"] == {}
    assert {name: model.recipe.config for name, model in models.items()} == {
        name: build(name, settings, 0).config for name, settings in chosen.items()
    }
    assert selection.measure(holdout, models["item_knn"], options)["criterion"] == best["criterion"]
    expected = 0.75 * table["warm_ndcg"] + 0.25 * table["cold_ndcg"]
    np.testing.assert_allclose(table["criterion"], expected)


def test_without_pseudo_cold_items_the_criterion_is_warm_ndcg(holdout, data):
    none = replace(holdout, cold=np.zeros_like(holdout.cold))
    _, table, _ = selection.select_baselines(none, data, changed(), 0)
    np.testing.assert_array_equal(table["criterion"], table["warm_ndcg"])


def test_what_a_search_chose_is_taken_as_it_is(holdout, data):
    options = changed(trials={"item_knn": [{"neighbours": 1}]})
    chosen, table, _ = selection.select_baselines(holdout, data, options, 0, {"item_knn": {"neighbours": 7}})
    assert chosen["item_knn"] == {"neighbours": 7}
    assert len(table) == 2


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("eese", r"Did you mean 'ease'\?"),
        ("sequence", "It is called 'slit' now"),
        ("irspack", "It is called 'ials' now"),
        ("irspack_features", "It is called 'text_ials' now"),
    ],
)
def test_a_name_of_no_baseline_is_refused(holdout, data, name, hint):
    with pytest.raises(ConfigurationError, match=rf"hybrid_cf.trials names '{name}', which is no baseline.*{hint}"):
        selection.select_baselines(holdout, data, HybridOptions(trials={name: [{}]}), 0)
    with pytest.raises(ConfigurationError, match=rf"tuned.baselines names '{name}', which is no baseline.*{hint}"):
        selection.select_baselines(holdout, data, HybridOptions(), 0, {name: {}})


def test_options_of_a_baseline_that_a_run_leaves_out_wait(holdout, data):
    options = changed(baselines=["popular"], trials={"ease": [{"regularization": 1.0}]})
    chosen, _, models = selection.select_baselines(holdout, data, options, 0)
    assert list(models) == list(chosen)
    assert list(chosen) == ["popular"]


def test_baselines_are_all_unless_named():
    assert selection.baseline_names(HybridOptions()) == list(BASELINES)
    assert selection.baseline_names(changed(baselines=["ease"])) == ["ease"]
    with pytest.raises(ConfigurationError, match=r"No model 'irspack'\. It is called 'ials' now"):
        selection.baseline_names(changed(baselines=["irspack"]))


def test_a_trial_changes_only_what_it_names():
    options = HybridOptions(sources={"ials": {"factors": 16, "alpha": 0.5}, "popular": {}}, cold_items={"width": 2.0})
    config = options.hybrid_config({"ials": {"factors": 8}, "cold_items": {"ridge": 0.5}})
    assert list(config.sources) == ["ials", "popular"]
    assert (config.sources["ials"]["factors"], config.sources["ials"]["alpha"]) == (8, 0.5)
    assert (config.cold_items.width, config.cold_items.ridge) == (2.0, 0.5)


def test_a_trial_does_not_bring_back_what_is_left_out():
    options = HybridOptions(sources={"ease": {}, "slit": None})
    assert list(options.hybrid_config({"slit": {"half_life": 2.0}, "ials": {}}).sources) == ["ease"]


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        ({"sequence": {}}, "no source 'sequence'. It is called 'slit' now"),
        ({"eaze": {}}, r"no source 'eaze'. Did you mean 'ease'\?"),
        ({"kernel": {}}, "'kernel' is called 'cold_items' now"),
        ({"ease": {"regularisation": 1}}, "'hybrid_cf.sources.ease.regularisation' does not exist"),
    ],
)
def test_a_trial_of_what_does_not_exist_is_refused(trial, message):
    with pytest.raises(ConfigurationError, match=message):
        HybridOptions().hybrid_config(trial)


def test_the_hybrid_is_chosen_by_the_same_criterion(holdout, data, caplog):
    caplog.set_level("INFO", "tailor")
    options = changed(trials={"hybrid": [{"ials": {"iterations": 1}, "ease": {"regularization": 9000.0}}, {}]})
    chosen, table, scorer = selection.select_hybrid(holdout, data, options, 0)
    assert scorer.recipe.config == options.hybrid_config(chosen)
    assert str(chosen) == table.sort_values("criterion").iloc[-1]["options"]
    assert table["model"].tolist() == ["hybrid", "hybrid"]
    lines = [line for line in caplog.messages if line.startswith("hybrid: option set")]
    assert lines == [
        f"hybrid: option set {n} of 2, criterion {value:.4f} on validation"
        for n, value in enumerate(table["criterion"], start=1)
    ]
    only, tuned, _ = selection.select_hybrid(holdout, data, options, 0, {"ials": {"iterations": 2}})
    assert only == {"ials": {"iterations": 2}}
    assert len(tuned) == 1


def test_factors_of_an_earlier_step_are_not_fitted_again(holdout, data, monkeypatch):
    factors = selection.fit_factors(data, {}, OPTIONS, 0)
    expected = selection.fit_scorer(holdout, data, {}, OPTIONS, 0)

    def refuse(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr(type(factors.recipe), "fit", refuse)
    ours = selection.fit_scorer(holdout, data, {}, OPTIONS, 0, {"ials": factors})
    part = holdout.histories.take(np.arange(5))
    np.testing.assert_allclose(ours.score(part), expected.score(part), rtol=1e-4, atol=1e-5)


def test_the_hybrid_stands_where_validation_put_it(holdout, data):
    scorer, fitted = selection.fit_hybrid(holdout, data, {}, OPTIONS, 0)
    assert scorer.blend is fitted.weights
    assert scorer.boosts == fitted.boosts
    assert scorer.click is fitted.click


def test_epochs_that_validation_chose_are_part_of_what_is_fitted_finally(holdout, data):
    options = changed(baselines=["sasrec", "popular"], trials={"sasrec": [FAST_SOURCES["sasrec"]]})
    chosen, table, models = selection.select_baselines(holdout, data, options, 0)
    assert list(chosen) == list(models) == list(table["model"]) == ["sasrec", "popular"]
    assert chosen["sasrec"] == FAST_SOURCES["sasrec"] | {"exact_epochs": models["sasrec"].epochs}
    scorer, fitted = selection.fit_hybrid(holdout, data, {}, OPTIONS, 0)
    _, final, _ = selection.fit_final(scorer, fitted, data)
    for name in ("sasrec", "transformer"):
        epochs = scorer.sources[name].epochs
        assert scorer.recipe.config.sources[name]["exact_epochs"] == epochs
        assert final.sources[name].recipe.config.exact_epochs == final.sources[name].epochs == epochs


def test_final_fits_beside_the_blend_are_those_after_it(holdout, data, monkeypatch):
    """In processes of their own, to the bit; of one fold, since each starts a process."""
    options = changed(blend=OPTIONS.blend.model_dump() | {"few_shot_users": 20})
    recipe, scorer = {}, selection.fit_scorer(holdout, data, {}, options, 0)
    beside = selection.fit_hybrid(holdout, data, recipe, options, 0, scorer)
    expected, final, fitted = selection.fit_final(*beside, data)
    transformer_torch.forget()
    monkeypatch.setattr(fitting, "n_threads", lambda: 2)
    monkeypatch.setattr(fitting, "FEW", 0)
    monkeypatch.setattr(fitting, "_has_gpu", lambda: False)
    monkeypatch.setattr(SASRec, "fit", lambda *_: pytest.fail("fitted here"))
    ours, final_too, fitted_too = selection.fit_hybrid_twice(holdout, data, data, recipe, options, 0, scorer)
    assert (fitted_too.boosts, fitted_too.curves) == (fitted.boosts, fitted.curves)
    part = holdout.histories.take(np.arange(5))
    np.testing.assert_array_equal(ours.score(part), expected.score(part))
    np.testing.assert_array_equal(final_too.score(part), final.score(part))


def test_what_was_fitted_for_the_choice_is_not_fitted_again(holdout, data, monkeypatch):
    """And nothing of the blend that the choice was made with is left: not a digit differs."""
    settings, _, selected = selection.select_hybrid(holdout, data, OPTIONS, 0)
    expected, fitted = selection.fit_hybrid(holdout, data, settings, OPTIONS, 0)

    def refuse(*_):
        raise AssertionError("fitted again")

    for model in selected.recipe.source_models().values():
        monkeypatch.setattr(type(model), "fit", refuse)
    monkeypatch.setattr("tailor.hybrid.operating_point.few_shot_fits", lambda *_: [])
    ours, again = selection.fit_hybrid(holdout, data, settings, OPTIONS, 0, selected)
    assert again.models == fitted.models
    few_shot_off = expected.with_blend(again.weights).with_boosts(again.boosts)
    part = holdout.histories.take(np.arange(5))
    np.testing.assert_array_equal(ours.score(part), few_shot_off.score(part))


def test_weights_of_the_only_member_are_not_fitted_again(holdout, data, monkeypatch):
    """They are those of the choice: a fit anew gives the same digits."""
    alone = changed(blend={"models": ["linear"], "few_shot_share": 0.0})
    settings, _, selected = selection.select_hybrid(holdout, data, alone, 0)
    expected, fitted = selection.fit_hybrid(holdout, data, settings, alone, 0)
    monkeypatch.setattr("tailor.hybrid.operating_point.fit_weights", lambda *_: pytest.fail("fitted again"))
    ours, again = selection.fit_hybrid(holdout, data, settings, alone, 0, selected)
    assert (again.boosts, again.curves, again.models) == (fitted.boosts, fitted.curves, fitted.models)
    part = holdout.histories.take(np.arange(5))
    np.testing.assert_array_equal(ours.score(part), expected.score(part))


def test_how_far_boosts_reach_is_configured(holdout, data):
    options = changed(boosts={"tail_boost_scale": 2.0})
    scorer = selection.fit_scorer(holdout, data, {}, options, 0)
    assert scorer.boosts == Boosts(tail_boost_scale=2.0)
    assert isinstance(scorer.recipe, Hybrid)


def test_every_name_is_looked_at_and_those_of_other_runs_are_passed_over():
    options = HybridOptions(baselines=["popular", "ease"])
    selection.check_names(["ease", "item_knn", "hybrid", "popular"], options, "here")
    with pytest.raises(
        ConfigurationError, match=r"here names 'polular', which is no baseline of this run\. Did you mean"
    ):
        selection.check_names(["ease", "item_knn", "polular"], options, "here")


@pytest.fixture(scope="module")
def timeless(tables):
    """The validation side of a catalogue without times."""
    return Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 0)


#: The built-in sources that read an order, or are derived from one that does.
READ_AN_ORDER = ["slit", "recent_ease", "recent_text", "transformer", "sasrec", "transition_knn"]


def test_where_times_are_known_nothing_is_left_out(holdout):
    assert selection.without_order(OPTIONS, holdout) is OPTIONS


def test_without_times_what_reads_an_order_is_left_out(timeless):
    options = changed(
        baselines=["popular", "slit", "ease"], trials={"slit": [{}], "hybrid": [{"slit": {}, "ials": {}}]}
    )
    reduced = selection.without_order(options, timeless)
    assert reduced.baselines == ["popular", "ease"]
    assert [name for name, given in reduced.sources.items() if given is None] == READ_AN_ORDER
    assert "slit" not in reduced.hybrid_config(reduced.trials["hybrid"][0]).sources
    every = selection.without_order(HybridOptions(), timeless)
    assert every.baselines == [name for name in BASELINES if name not in ("slit", "transition_knn", "sasrec")]
    selection.check_names(["slit", "ease"], reduced, "hybrid_cf.trials")


def test_a_source_of_ones_own_that_reads_an_order_is_left_out_too(timeless, monkeypatch):
    entry = SOURCES["slit"]
    monkeypatch.setitem(SOURCES, "visits", replace(entry, name="visits"))
    monkeypatch.setitem(
        SOURCES, "after", replace(entry, name="after", reads=frozenset({"history"}), derived_from="slit")
    )
    assert order_readers() == [*READ_AN_ORDER, "visits", "after"]
    options = HybridOptions(sources={"ials": {}, "visits": {}, "after": {}}, baselines=["popular"])
    assert selection.without_order(options, timeless).sources == {"ials": {}, "visits": None, "after": None}
    selection.check_names(["visits"], options, "hybrid_cf.trials")


def test_without_times_no_trial_of_slit_is_run(timeless, tables):
    options = changed(baselines=["popular", "slit"], trials={"slit": [{}, {}]})
    chosen, table, _ = selection.select_baselines(
        timeless, timeless.train_set(tables.features), selection.without_order(options, timeless), 0
    )
    assert list(chosen) == ["popular"]
    assert table["model"].tolist() == ["popular"]
