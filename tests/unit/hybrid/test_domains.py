"""The hybrid over several domains: standardised in each, orders that stay in one, lists of one, explained exactly."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import keep_items
from tailor.hybrid.domains import query_of_domain, rows_of_domains, score_by_domain
from tailor.hybrid.explain import explain
from tailor.hybrid.holdout import Holdout
from tailor.hybrid.training_set import collect
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import Query, TrainSet
from tests.unit.hybrid.conftest import BLEND, of_one_source, recipe


@pytest.fixture(scope="module")
def domains(tables):
    return np.arange(len(tables.items)) // (len(tables.items) // 2)


@pytest.fixture(scope="module")
def joint(tables, domains):
    return recipe(blend=BLEND).fit(tables.train_set.with_domains(domains))


@pytest.fixture(scope="module")
def some(queries):
    return queries.take(np.argsort(-queries.lengths)[:20])


def csr(rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


def test_a_user_is_a_row_in_each_domain_with_rows_of_theirs():
    data = TrainSet.of(csr([[1, 1, 1], [0, 0, 1]]), np.ones(3, bool), order=csr([[2, 1, 3], [0, 0, 1]]))
    apart = rows_of_domains(data, np.array([0, 0, 1]))
    np.testing.assert_array_equal(apart.interactions.toarray(), [[1, 1, 0], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(apart.order.toarray(), [[2, 1, 0], [0, 0, 3], [0, 0, 1]])


def test_the_query_of_a_domain_holds_its_items_alone():
    query = Query.of(csr([[1, 1, 1]]), order=csr([[2, 1, 3]]), confidence=csr([[0.5, 1, 0.25]]))
    own = query_of_domain(query, np.array([True, False, True]))
    for matrix, expected in ((own.history, [1, 0, 1]), (own.order, [2, 0, 3]), (own.confidence, [0.5, 0, 0.25])):
        np.testing.assert_array_equal(matrix.toarray(), [expected])


def test_an_update_gives_orders_of_one_domain_to_what_reads_an_order(joint, tables, domains, monkeypatch):
    given = {}

    def record(name):
        def partial_fit(model, data, sweeps):
            given[name] = data
            return model

        return partial_fit

    for name in ("ials", "sasrec"):
        monkeypatch.setattr(type(joint.sources[name]), "partial_fit", record(name))
    data = tables.train_set.with_domains(domains)
    joint.partial_fit(data, 1)
    assert given["ials"] is data
    apart = rows_of_domains(data, domains)
    assert given["sasrec"].interactions.shape[0] > data.interactions.shape[0]
    np.testing.assert_array_equal(given["sasrec"].order.toarray(), apart.order.toarray())


def test_scores_of_each_domain_follow_the_history_there(blended, some, domains):
    model = blended.sources["slit"]
    scores = score_by_domain(model, some, domains)
    for domain in (0, 1):
        own = domains == domain
        history, order = keep_items(some.history, own), keep_items(some.order, own)
        np.testing.assert_allclose(scores[:, own], model.score(Query.of(history, order))[:, own], rtol=1e-5, atol=1e-6)
    assert not np.allclose(scores, model.score(some))


def test_every_source_is_standardised_in_each_domain(joint, some, domains):
    for z in joint.standardised(some):
        for domain in (0, 1):
            own = z[:, joint.warm & (domains == domain)]
            np.testing.assert_allclose(own.mean(axis=1), 0, atol=1e-4)
            deviation = own.std(axis=1)
            np.testing.assert_allclose(deviation[deviation > 1e-6], 1, atol=1e-3)


def test_sources_of_joint_histories_read_both_domains(joint, some, domains):
    """Factors and co-consumption carry taste over; what reads an order does not."""
    own = domains == 0
    elsewhere = replace(some, history=keep_items(some.history, ~own), order=keep_items(some.order, ~own), memo={})
    nobody = replace(
        some, history=keep_items(some.history, own & ~own), order=keep_items(some.order, own & ~own), memo={}
    )
    for name, carries in (("ials", True), ("ease", True), ("slit", False), ("sasrec", False)):
        same = np.allclose(joint.source_scores(name, elsewhere)[:, own], joint.source_scores(name, nobody)[:, own])
        assert same != carries, name


def test_explanations_add_up_over_domains(joint, some, domains):
    items = np.r_[np.flatnonzero(joint.warm)[::9], np.flatnonzero(~joint.warm)[::4]]
    assert set(domains[items]) == {0, 1}
    for user in range(3):
        one = some.take(np.array([user]))
        explanation = explain(joint, one, items)
        np.testing.assert_allclose(explanation.score, joint.score(one)[0, items], rtol=1e-4, atol=1e-5)
        for name, shares in explanation.by_history.items():
            np.testing.assert_allclose(shares.sum(axis=1), explanation.sources[name], atol=1e-3, err_msg=name)


def test_a_saved_scorer_keeps_its_domains(joint, some):
    loaded = joint.recipe.load(joint.state())
    np.testing.assert_array_equal(loaded.domains, joint.domains)
    np.testing.assert_allclose(loaded.score(some), joint.score(some), rtol=1e-5)


def test_new_items_join_a_domain_and_leave_other_scores_alone(joint, some):
    features = joint.item_features[:2]
    grown = joint.with_new_items(features)
    grown = grown.with_domains(np.array([joint.n_items, joint.n_items + 1]), np.array([0, 1]))
    wide = Query.of(*(sparse.hstack([m, csr([[0, 0]] * len(some))], format="csr") for m in (some.history, some.order)))
    scores = grown.score(wide)
    np.testing.assert_allclose(scores[:, : joint.n_items], joint.score(Query.of(some.history, some.order)), atol=1e-4)
    assert grown.domains[-2:].tolist() == [0, 1]
    assert np.isfinite(scores[:, -2:]).all()


def test_weights_are_fitted_on_lists_of_one_domain(joint, tables, domains):
    users = np.flatnonzero(np.diff(tables.matrices["validation"].indptr) > 0)
    positives, items = tables.matrices["validation"][users], np.ones(len(domains), bool)
    query, seen = tables.train_set.queries().take(users), tables.matrices["train"][users]
    data = collect(joint, query, seen, positives, items, np.arange(len(domains)))
    n_pairs = sum(int((np.diff(keep_items(positives, domains == d).indptr) > 0).sum()) for d in (0, 1))
    assert data.n_users == n_pairs > len(users)
    assert data.positives.nnz == positives.nnz
    for mask in data.candidate_mask:
        assert len(set(domains[mask])) == 1
    wanted_elsewhere = data.positives.multiply(~data.candidate_mask)
    assert wanted_elsewhere.nnz == 0 or not sparse.csr_matrix(wanted_elsewhere).data.any()


def test_choices_are_measured_on_lists_of_each_domain(tables, domains, joint):
    items = tables.items.assign(**{c.DOMAIN: np.array(["a", "b"])[domains]})
    holdout = Holdout.build(
        tables.matrices["train"], tables.matrices["validation"], items, 0, tables.order, tables.reveal_order
    )
    scorer = joint.with_blend(of_one_source("popular"))
    values, scores = [], scorer.score(holdout.histories)
    scores[holdout.seen.nonzero()] = -np.inf
    for domain in (0, 1):
        candidates = holdout.candidates & ~holdout.cold & (domains == domain)
        positives = keep_items(holdout.validation, candidates)
        top = np.argsort(-np.where(candidates, scores, -np.inf), axis=1, kind="stable")[:, :10]
        values.append(ndcg(hits(top, positives), np.diff(positives.indptr), 10))
    assert holdout.measure(scorer, 10)[c.WARM] == pytest.approx(np.nanmean(np.concatenate(values)), rel=0.05)
