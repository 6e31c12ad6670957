"""Several models at once: the same weights as one after another, and processes only where they pay."""

import logging
import multiprocessing
import os
import signal

import numpy as np
import pytest

from tailor.errors import BadInputError
from tailor.models import fitting, transformer_torch
from tailor.models.dropoutnet import DropoutNet, DropoutNetConfig
from tailor.models.fitting import fit_all, fits
from tailor.models.popular import Popular
from tailor.models.transformer import SASRec, SASRecConfig, Transformer, TransformerConfig
from tailor.models.transformer_torch import Training
from tailor.processes import ProcessEndedError
from tailor.testing.planted import planted_blocks
from tests.recipes import FAST

RECIPES = {
    "sasrec": SASRec(SASRecConfig(**FAST["sasrec"])),
    "popular": Popular(),
    "transformer": Transformer(TransformerConfig(**FAST["transformer"])),
}
DATA = planted_blocks().data


@pytest.fixture(autouse=True)
def two_cores_and_many_rows(monkeypatch):
    transformer_torch.forget()
    monkeypatch.setattr(fitting, "n_threads", lambda: 2)
    monkeypatch.setattr(fitting, "FEW", 0)
    monkeypatch.setattr(fitting, "_has_gpu", lambda: False)


@pytest.fixture
def started(monkeypatch):
    """Recipes for which a process is started."""
    names, beside = [], fitting.beside

    def watched(work, tasks):
        names.extend(task.recipe.name for task in tasks)
        return beside(work, tasks)

    monkeypatch.setattr(fitting, "beside", watched)
    return names


def same(first, second):
    one, other = first.state(), second.state()
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_processes_fit_the_same_models_to_the_bit(started, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "tailor"):
        together = fit_all(RECIPES, lambda _: DATA)
    assert started == ["sasrec", "transformer"]
    assert list(together) == list(RECIPES)
    assert [record.message.split(":")[0] for record in caplog.records] == ["sasrec", "transformer"]
    transformer_torch.forget()
    for name, recipe in RECIPES.items():
        assert same(recipe.fit(DATA), together[name])
        assert together[name].recipe.config == recipe.config


def test_what_a_process_fitted_is_remembered_here(started, monkeypatch):
    first = fit_all(RECIPES, lambda _: DATA)
    started.clear()
    monkeypatch.setattr(Training, "run_epoch", lambda _: pytest.fail("it was fitted already"))
    again = fit_all(RECIPES, lambda _: DATA)
    assert started == []
    assert all(same(first[name], again[name]) for name in RECIPES)


@pytest.mark.parametrize(("setting", "value"), [("FEW", 10**9), ("n_threads", lambda: 1), ("_has_gpu", lambda: True)])
def test_no_process_is_started_where_none_pays(setting, value, started, monkeypatch):
    monkeypatch.setattr(fitting, setting, value)
    assert list(fit_all(RECIPES, lambda _: DATA)) == list(RECIPES)
    assert started == []


def test_one_model_alone_is_fitted_here(started):
    fit_all({"sasrec": RECIPES["sasrec"]}, lambda _: DATA)
    assert started == []


def test_there_are_no_more_processes_than_cores(started):
    net = DropoutNet(DropoutNetConfig(**FAST["dropoutnet"]))
    fitted = fit_all(RECIPES | {"dropoutnet": net}, lambda _: DATA)
    assert started == ["sasrec", "transformer"]
    assert same(fitted["dropoutnet"], net.fit(DATA))


class Refuses(SASRec):
    """Refuses its data."""

    def fit(self, data):  # noqa: ARG002
        raise BadInputError("interactions.csv: no order")

    def remembered(self, data):  # noqa: ARG002
        return None


class Ends(Refuses):
    """Is ended by the operating system."""

    def fit(self, data):  # noqa: ARG002
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_goes_wrong_in_a_process_is_raised_here():
    with pytest.raises(BadInputError, match=r"^interactions\.csv: no order$"):
        fit_all({"a": Refuses(), "popular": Popular()}, lambda _: DATA)


def test_a_process_that_the_system_ends_is_one_sentence_with_the_remedy():
    with pytest.raises(ProcessEndedError, match=r"^A process that fitted a model ended .* set OMP_NUM_THREADS=1"):
        fit_all({"a": Ends(), "popular": Popular()}, lambda _: DATA)


def test_an_error_here_ends_the_processes():
    children = []

    class Fails(Popular):
        def fit(self, data):  # noqa: ARG002
            children.extend(multiprocessing.active_children())
            raise KeyboardInterrupt

    slow = Transformer(TransformerConfig(epochs=10_000, patience=10_000))
    with pytest.raises(KeyboardInterrupt), fits({"slow": slow, "fails": Fails()}, lambda _: DATA) as fit:
        fit("fails")
    assert children
    assert not [child for child in children if child.is_alive()]
