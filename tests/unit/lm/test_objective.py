"""What the embeddings must predict, by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse

from tailor.errors import ConfigurationError
from tailor.lm.config import (
    EncoderOptions,
    KernelLossOptions,
    LMOptions,
    ObjectiveOptions,
)
from tailor.lm.kernel_ridge import LeftOut
from tailor.lm.objective import (
    CategoryObjective,
    ContrastiveObjective,
    Examples,
    KernelObjective,
    Multitask,
    Pairs,
    PairSampler,
    QuadraticObjective,
    build_objective,
)

ENCODER = EncoderOptions(max_length=16, batch_size=8)


def quadratic(U, X, alpha=0.2, power=0.0, smoothing=0.0):
    return QuadraticObjective(U, sparse.csr_matrix(X), torch.zeros(U.shape[1], 4), alpha, power, smoothing)


def test_the_objective_is_the_implicit_loss_of_the_item():
    rng = np.random.default_rng(0)
    U, X = rng.normal(size=(30, 4)).astype(np.float32), (rng.random((30, 6)) < 0.3).astype(np.float32)
    V = rng.normal(size=(6, 4)).astype(np.float32)
    S = U @ V.T
    rows = np.array([4, 1])
    for target in (1.0, 0.9):
        by_item = (X * (target - S) ** 2 + 0.2 * S**2).sum(axis=0)
        loss = quadratic(U, X, smoothing=1 - target).of_factors(torch.from_numpy(V[rows]), rows)
        assert loss.item() == pytest.approx(by_item[rows].mean(), rel=1e-5)


def test_the_objective_is_least_at_the_als_item_solution():
    rng = np.random.default_rng(0)
    U, X = rng.normal(size=(30, 4)).astype(np.float32), (rng.random((30, 1)) < 0.5).astype(np.float32)
    S = U[X[:, 0] > 0]
    best = np.linalg.solve(S.T @ S + 0.2 * U.T @ U, S.sum(axis=0))[None].astype(np.float32)
    v = torch.tensor(best, requires_grad=True)
    quadratic(U, X, power=0.5).of_factors(v, np.array([0])).backward()
    np.testing.assert_allclose(v.grad.numpy(), 0, atol=1e-4)


def test_contrastive_loss_is_a_corrected_softmax_over_allowed_partners():
    # Two items, partners (2, 3); partner 3 is forbidden as a negative of item 0.
    e, p = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    log_q = np.log(np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    pairs = Pairs(np.array([2, 3]), np.array([[False, True], [False, False]]))
    loss = ContrastiveObjective(log_q, temperature=0.5)(Examples(np.array([0, 1]), e, pairs, p)).item()
    second = math.exp(0.8 / 0.5) / 0.4 / (math.exp(0.0) / 0.3 + math.exp(0.8 / 0.5) / 0.4)
    assert loss == pytest.approx((0.0 - math.log(second)) / 2, rel=1e-5)


def test_label_smoothing_of_the_contrastive_loss_spreads_over_allowed_partners():
    pairs = Pairs(np.array([2, 3]), np.zeros((2, 2), bool))
    log_q = np.zeros(4, np.float32)
    loss = ContrastiveObjective(log_q, 1.0, 0.5)(
        Examples(np.array([0, 1]), torch.zeros(2, 3), pairs, torch.zeros(2, 3))
    )
    assert loss.item() == pytest.approx(math.log(2))


def test_partners_are_co_consumed_and_negatives_are_not():
    X = sparse.csr_matrix(np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]], np.float32))
    sampler, rng = PairSampler(X), np.random.default_rng(0)
    pairs = sampler.draw(np.array([0, 2, 4]), rng)
    assert pairs.partners.tolist() == [1, 3, 4]
    assert not pairs.forbidden.any()
    same_user = sampler.draw(np.array([0, 1]), rng)
    # Item 0's user also consumed item 0's partner's partner: neither is a negative of the other.
    assert same_user.forbidden.tolist() == [[False, True], [True, False]]
    np.testing.assert_allclose(np.exp(sampler.log_q), np.full(5, 1 / 5))


def test_an_item_without_a_partner_adds_no_loss():
    pairs = Pairs(np.array([0, 3]), np.zeros((2, 2), bool))
    embedded = torch.randn(2, 3, requires_grad=True)
    ContrastiveObjective(np.zeros(4, np.float32), 1.0)(Examples(np.array([0, 1]), embedded, pairs, embedded)).backward()
    alone = torch.zeros(2, 3)
    assert (
        ContrastiveObjective(np.zeros(4, np.float32), 1.0)(
            Examples(np.array([0]), alone[:1], Pairs(np.array([0]), np.zeros((1, 1), bool)), alone[:1])
        ).item()
        == 0.0
    )


def test_category_prediction_is_binary_cross_entropy():
    objective = CategoryObjective(sparse.csr_matrix([[1, 0], [0, 0]]), 3)
    with torch.no_grad():
        objective.head.weight.zero_()
        objective.head.bias.copy_(torch.tensor([2.0, 0.0]))
    loss = objective(Examples(np.array([0, 1]), torch.ones(2, 3))).item()
    expected = [math.log(1 + math.exp(-2)), math.log(2), math.log(1 + math.exp(2)), math.log(2)]
    assert loss == pytest.approx(sum(expected) / 4, rel=1e-5)


@pytest.fixture
def group():
    """Six items of ten, with a teacher, and the embeddings of all."""
    rng = np.random.default_rng(0)
    U, X = rng.normal(size=(30, 4)).astype(np.float32), (rng.random((30, 10)) < 0.3).astype(np.float32)
    e = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(10, 5)).astype(np.float32)), dim=1)
    loss = quadratic(U, X, power=0.5)
    return loss, rng.normal(size=(10, 4)).astype(np.float32), e, np.array([8, 1, 3, 9, 5, 0])


def begun(group, **changes):
    loss, V, e, rows = group
    objective = KernelObjective(loss, V, KernelLossOptions(width=1.5, ridge=0.7, **changes))
    objective.begin(rows, lambda items: e[items].numpy())
    return objective


def test_the_kernel_loss_is_that_of_what_others_predict_in_the_scale_of_a_batch(group):
    loss, V, e, rows = group
    rows = np.sort(rows)
    moved = e[rows].double().requires_grad_()
    predicted = LeftOut.solve(moved, torch.from_numpy(V[rows]).double(), 1.5, 0.7).predicted()
    expected = loss.of_factors(predicted.float(), rows)
    expected.backward()
    batch = np.array([9, 1])
    live = e[batch].clone().requires_grad_()
    value = begun(group)(Examples(batch, live))
    value.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    # A mean over six items, whose gradient two of them stand for.
    places = [np.flatnonzero(rows == item)[0] for item in batch]
    np.testing.assert_allclose(live.grad, moved.grad[places] * 6 / 2, rtol=1e-4)


def test_an_item_twice_in_a_batch_counts_once(group):
    once, twice = (begun(group)(Examples(rows, group[2][rows])) for rows in (np.array([9, 1]), np.array([9, 1, 9])))
    assert once.item() == twice.item()


def test_the_equations_are_solved_again_after_so_many_items_with_what_was_read(group):
    objective, batch = begun(group, refresh=4), np.array([9, 1])
    elsewhere = torch.nn.functional.normalize(torch.ones(2, 5), dim=1)
    values = [objective(Examples(batch, elsewhere)).item() for _ in range(3)]
    assert values[0] == values[1] != values[2]
    loss, V, e, rows = group
    at = e.clone()
    at[batch] = elsewhere
    rows = np.sort(rows)
    predicted = LeftOut.solve(at[rows].double(), torch.from_numpy(V[rows]).double(), 1.5, 0.7).predicted()
    assert values[2] == pytest.approx(loss.of_factors(predicted.float(), rows).item(), rel=1e-5)


def test_a_perturbed_batch_is_not_remembered(group):
    objective, batch = begun(group, refresh=2), np.array([9, 1])
    elsewhere = torch.nn.functional.normalize(torch.ones(2, 5), dim=1)
    values = [objective(Examples(batch, group[2][batch])).item()]
    values.append(objective(Examples(batch, elsewhere, perturbed=True)).item())
    values.append(objective(Examples(batch, group[2][batch])).item())
    assert values[0] == values[1] == values[2]


@pytest.mark.parametrize(
    ("changes", "n_items", "uses"),
    [
        ({}, 30, True),
        ({}, 31, False),
        ({"kernel": KernelLossOptions(items=30, weight=0.0)}, 30, False),
        ({"name": "contrastive"}, 30, False),
        ({"name": "multitask"}, 30, True),
    ],
)
def test_the_kernel_loss_is_of_small_catalogues_and_of_objectives_that_have_a_head(changes, n_items, uses):
    options = ObjectiveOptions(**{"kernel": KernelLossOptions(items=30)} | changes)
    assert options.uses_kernel(n_items) is uses


def test_without_the_teachers_items_the_loss_is_that_of_the_head_alone():
    U, X = np.ones((3, 2), np.float32), sparse.csr_matrix(np.ones((3, 4), np.float32))
    for V, kind in ((None, QuadraticObjective), (np.ones((4, 2), np.float32), Multitask)):
        chosen = ObjectiveOptions(kernel=KernelLossOptions(weight=2.0))
        objective, head = build_objective(chosen, U, X, torch.zeros(2, 4), None, V)
        assert isinstance(objective, kind)
        assert isinstance(head, QuadraticObjective)
    assert objective.part_weights == [1.0, 2.0]


def test_multitask_needs_a_second_task():
    U, X = np.ones((3, 2), np.float32), sparse.csr_matrix(np.ones((3, 4), np.float32))
    options = ObjectiveOptions(name="multitask", contrastive_weight=0.0)
    with pytest.raises(ConfigurationError, match="has one task only"):
        build_objective(options, U, X, torch.zeros(2, 4), sparse.csr_matrix((4, 0)), np.ones((4, 2), np.float32))


def options(**changes):
    return LMOptions(**({"encoder": ENCODER, "epochs": 2, "batch_size": 16} | changes))
