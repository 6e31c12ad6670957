"""The transformer: numpy's forward pass is torch's, what the order alone shows, texts of cold items, and resumption."""

import re
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy import sparse

from tailor.errors import ConfigurationError
from tailor.models import checkpoints, transformer_torch
from tailor.models.base import Query, TrainSet
from tailor.models.registry import build
from tailor.models.transformer import SASRec, SASRecConfig, Transformer, TransformerConfig, sequences_of
from tailor.models.transformer_torch import Training
from tailor.testing.models import ModelTests
from tailor.testing.planted import planted_blocks
from tests.unit.models.histories import ordered, ordered_query, ordered_train_set

SMALL = {"width": 16, "epochs": 12}


@pytest.fixture(autouse=True)
def forgotten():
    """No test takes over what another has fitted."""
    transformer_torch.forget()


class TestTransformer(ModelTests):
    reads_order = True

    def make(self, seed=0):
        return Transformer(TransformerConfig(**SMALL), seed)


class TestSASRec(ModelTests):
    reads_order = True

    def make(self, seed=0):
        return SASRec(SASRecConfig(**SMALL), seed)


def circles(n_items=6, n_users=60, length=5):
    """Histories that go round in one circle: the last item alone says what comes next."""
    starts = np.random.default_rng(0).integers(n_items, size=n_users)
    return [tuple((start + np.arange(length)) % n_items) for start in starts]


def training(data, epochs=None, **options):
    recipe = Transformer(TransformerConfig(**SMALL | options), 3)
    return Training(recipe, data, transformer_torch._sequences(data), None, epochs)


def test_numpy_passes_forward_what_torch_does():
    planted = planted_blocks()
    of_torch = training(planted.data, layers=3)
    with torch.no_grad():  # away from where it starts, where norms and gates do nothing
        for parameter in of_torch.net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    fitted = of_torch._export(of_torch._weights())
    query = planted.query(planted.known_users)
    scores = fitted.score(query)
    items = torch.from_numpy(fitted.items)
    for row, sequence in enumerate(sequences_of(query, 50)):
        with torch.no_grad():
            state = of_torch.net.eval()(items, torch.from_numpy(sequence[None]))[0, -1]
        np.testing.assert_allclose(scores[row], (items @ state).numpy(), rtol=1e-4, atol=1e-4)


def test_what_follows_is_ranked_first_where_only_the_order_tells():
    data = ordered_train_set(ordered(*circles(), n_items=6))
    model = SASRec(SASRecConfig(width=16, epochs=40, patience=40, learning_rate=0.01)).fit(data)
    scores = model.score(ordered_query(ordered((0, 1, 2), (3, 4), n_items=6)))
    assert scores.argmax(axis=1).tolist() == [3, 5]


def test_only_the_last_items_are_read():
    model = SASRec(SASRecConfig(width=16, epochs=2, max_length=2)).fit(
        ordered_train_set(ordered(*circles(), n_items=6))
    )
    scores = model.score(ordered_query(ordered((5, 4, 1, 2), (3, 1, 2), n_items=6)))
    np.testing.assert_array_equal(scores[0], scores[1])


def test_a_history_without_order_stands_as_its_ids_do():
    model = SASRec(SASRecConfig(width=16, epochs=2)).fit(ordered_train_set(ordered(*circles(), n_items=6)))
    unordered = model.score(Query.of(ordered((4, 2), n_items=6)))
    np.testing.assert_array_equal(unordered, model.score(ordered_query(ordered((2, 4), n_items=6))))


def test_an_item_without_interactions_is_what_its_text_says():
    planted = planted_blocks()
    model = Transformer(TransformerConfig(**SMALL)).fit(planted.data)
    expected = planted.data.item_features[planted.cold] @ model.text_map
    np.testing.assert_allclose(model.items[planted.cold], expected, rtol=1e-6)
    warm = np.flatnonzero(planted.data.warm)
    assert not np.allclose(model.items[warm], planted.data.item_features[warm] @ model.text_map, atol=1e-3)


def test_without_order_all_scores_are_zero_and_nothing_is_fitted():
    order = ordered(*circles(), n_items=6)
    model = Transformer().fit(TrainSet.of(order, np.ones(6, dtype=bool)))
    assert not model.score(Query.of(order)).any()
    assert model.with_new_items(np.zeros((1, 0), np.float32)).n_items == 7
    ordered_set = ordered_train_set(order)
    assert model.partial_fit(ordered_set, 1).score(ordered_query(order)).any()


@pytest.mark.parametrize("cut", [2, 50])
def test_every_target_is_predicted_once_in_an_epoch(cut):
    planted = planted_blocks()
    of_torch = training(planted.data, epochs=1, max_length=cut, batch_tokens=16)
    predicted = np.concatenate([targets.numpy().ravel() for _, targets in of_torch._batches(np.random.default_rng(0))])
    expected = np.concatenate([sequence[1:] for sequence in of_torch.sequences])
    assert sorted(predicted[predicted >= 0]) == sorted(expected)


def test_held_out_last_items_are_of_a_fifth_of_the_long_histories_and_trained_on_by_nobody():
    data = planted_blocks().data
    every, some = training(data, epochs=1), training(data)
    long = sum(len(sequence) > 2 for sequence in every.sequences)
    assert len(some.held_out.targets) == -(-long // 5)
    shorter = [len(a) - len(b) for a, b in zip(every.sequences, some.sequences, strict=True)]
    assert sum(shorter) == len(some.held_out.targets)
    assert max(shorter) == 1


def test_a_softmax_over_drawn_items_is_the_whole_one_where_all_are_drawn():
    of_torch = training(planted_blocks().data, max_softmax_items=1, negatives=1000)
    states, items = torch.randn(7, 16), torch.randn(len(of_torch.columns), 16)
    targets = torch.arange(7)
    drawn = of_torch._loss(states, items, targets, of_torch._draw(np.random.default_rng(0)))
    torch.testing.assert_close(drawn, torch.nn.functional.cross_entropy(states @ items.T, targets))


def test_a_step_that_reads_the_texts_of_its_own_items_is_the_step_that_reads_all(monkeypatch):
    """Where all items are drawn, loss and gradients are those of the whole."""
    monkeypatch.setattr(transformer_torch, "autocast", nullcontext)
    planted = planted_blocks()
    losses, gradients = [], []
    for most, negatives in ((1000, 1000), (1, 1000)):
        options = {"max_softmax_items": most, "negatives": negatives, "dropout": 0.0, "id_dropout": 0.0}
        of_torch = training(planted.data, **options)
        sequences, targets = torch.tensor([[2, 5, 2], [7, 2, 0]]), torch.tensor([[5, 2, 9], [2, -1, -1]])
        losses.append(of_torch._step(sequences, targets, np.random.default_rng(0)))
        gradients.append({name: p.grad for name, p in of_torch.net.named_parameters()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.testing.assert_close(gradients[0], gradients[1])
    few = training(planted.data, max_softmax_items=1, negatives=2)
    read = []
    items = few.net.items
    few.net.items = lambda places: read.append(places) or items(places)
    few._step(sequences, targets, np.random.default_rng(0))
    drawn = np.random.default_rng(0).choice(len(few.columns), 2, replace=False)
    assert read[0].tolist() == sorted({0, 2, 5, 7, 9, *drawn.tolist()})


def test_drawn_items_stand_for_all_in_the_mean():
    """The mean over draws of Σ exp, own item and others, is the whole sum."""
    of_torch = training(planted_blocks().data, max_softmax_items=1, negatives=8)
    states, items, targets = torch.randn(1, 16) / 4, torch.randn(len(of_torch.columns), 16), torch.tensor([3])
    rng, own = np.random.default_rng(0), float((states @ items[3]).item())
    sums = [np.exp(float(of_torch._loss(states, items, targets, of_torch._draw(rng))) + own) for _ in range(4000)]
    assert np.mean(sums) == pytest.approx(float(torch.exp(states @ items.T).sum()), rel=0.03)


def test_the_same_fit_is_not_made_twice(monkeypatch):
    data = planted_blocks().data
    first = Transformer(TransformerConfig(**SMALL)).fit(data)
    monkeypatch.setattr(Training, "run_epoch", lambda _: pytest.fail("it was fitted already"))
    recipe = Transformer(TransformerConfig(**SMALL))
    assert recipe.fit(data).items is first.items
    assert recipe.fit(data).recipe is recipe


def test_a_second_training_gives_the_same_weights_and_another_seed_others():
    data = planted_blocks().data
    first = Transformer(TransformerConfig(**SMALL)).fit(data)
    transformer_torch.forget()
    np.testing.assert_array_equal(Transformer(TransformerConfig(**SMALL)).fit(data).items, first.items)
    assert not np.array_equal(Transformer(TransformerConfig(**SMALL), 1).fit(data).items, first.items)


def test_a_fit_on_more_data_takes_the_epochs_that_were_chosen(monkeypatch):
    """Nothing is held out then, so nothing can be chosen."""
    data, recipe = planted_blocks().data, Transformer(TransformerConfig(**SMALL))
    chosen = recipe.fit(data)
    assert chosen.settled_options() == {"exact_epochs": chosen.epochs}
    assert 0 < chosen.epochs <= 12
    again = Transformer(TransformerConfig(**SMALL, **chosen.settled_options()))
    trainings, run_epoch = [], Training.run_epoch
    monkeypatch.setattr(Training, "run_epoch", lambda self: trainings.append(self) or run_epoch(self))
    fitted = again.fit(data)
    assert len(trainings) == fitted.epochs == chosen.epochs
    assert len(trainings[0].held_out.targets) == 0
    assert again.load(fitted.state()).epochs == chosen.epochs
    more = fitted.partial_fit(data, 2)
    assert len(trainings) == chosen.epochs + 2
    assert more.epochs == chosen.epochs


def test_a_model_without_epochs_in_its_state_chooses_them():
    fitted = Transformer(TransformerConfig(**SMALL)).fit(planted_blocks().data)
    state = {name: array for name, array in fitted.state().items() if name != "epochs"}
    assert fitted.recipe.load(state).settled_options() == {}


def test_dropout_keeps_the_mean_and_leaves_out_its_share():
    dropout, x = transformer_torch.Dropout(0.25), torch.ones(400, 500)
    torch.manual_seed(0)
    left = dropout(x)
    assert float((left == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert left.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert dropout.eval()(x) is x


def test_an_interrupted_fit_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    data, recipe = planted_blocks().data, Transformer(TransformerConfig(**SMALL))
    expected = Transformer(TransformerConfig(**SMALL)).fit(data)
    transformer_torch.forget()
    run_epoch, epochs = Training.run_epoch, []
    monkeypatch.setattr(checkpoints, "_folder", tmp_path / "fits")

    def counted(self):
        run_epoch(self)
        epochs.append(self.done)
        if len(epochs) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "run_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        recipe.fit(data)
    assert len(list((tmp_path / "fits").iterdir())) == 1
    fitted = recipe.fit(data)
    assert epochs[3] == 3  # the third was not saved
    np.testing.assert_array_equal(fitted.items, expected.items)
    assert not list((tmp_path / "fits").iterdir())


def test_a_checkpoint_of_other_data_is_not_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_folder", tmp_path)
    data = planted_blocks().data
    of_torch = training(data)
    of_torch.run_epoch()
    of_torch.save()
    other = training(planted_blocks(seed=1).data)
    other.resume()
    assert other.done == 0
    same = training(data)
    same.resume()
    assert same.done == 1


def test_a_partial_fit_places_an_item_that_was_new_by_its_interactions():
    """Item 6 joins, and everybody takes it after 2: it is ranked first after 2 then."""
    histories = circles()
    before = ordered_train_set(ordered(*histories, n_items=6))
    model = SASRec(SASRecConfig(width=16, epochs=40, patience=40, learning_rate=0.01)).fit(before)
    with_new = [(*history[: history.index(2) + 1], 6) if 2 in history else history for history in histories]
    after = ordered_train_set(ordered(*with_new, n_items=7))
    continued = model.with_new_items(np.zeros((1, 0), np.float32)).partial_fit(after, 15)
    assert continued.score(ordered_query(ordered((0, 1, 2), n_items=7))).argmax() == 6


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigurationError, match="heads: 3 do not divide the width 64"):
        build("sasrec", {"heads": 3}, 0)


def test_a_fit_is_one_line_with_the_name_of_the_model(caplog):
    caplog.set_level("INFO")
    data = ordered_train_set(ordered(*circles(), n_items=6))
    fitted = SASRec(SASRecConfig(width=16, epochs=3)).fit(data)
    fitted.partial_fit(data, 2)
    first, second = caplog.messages
    assert re.match(r"sasrec: epoch [123] of 3 ranks last items best, NDCG \d\.\d{4}$", first)
    assert second == "sasrec: 2 more epochs"


def test_a_fit_takes_one_thread_and_gives_the_others_back(monkeypatch):
    """On cores that others share, two threads wait for each other at every product."""
    seen, run_epoch = [], Training.run_epoch
    monkeypatch.setattr(Training, "run_epoch", lambda self: (seen.append(torch.get_num_threads()), run_epoch(self)))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        SASRec(SASRecConfig(width=16, epochs=1)).fit(ordered_train_set(ordered(*circles(), n_items=6)))
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_fits_change_no_state_of_torch():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    SASRec(SASRecConfig(width=16, epochs=1)).fit(ordered_train_set(ordered(*circles(), n_items=6)))
    assert torch.rand(1) == expected
    assert not torch.are_deterministic_algorithms_enabled()


def test_sequences_end_with_the_latest_and_start_with_the_first_of_them():
    order = sparse.csr_matrix(np.array([[3, 0, 1, 2], [0, 0, 0, 0]], np.float32))
    first, empty = sequences_of(Query.of(order, order), 2)
    assert first.tolist() == [3, 0]
    assert empty.tolist() == []
