"""`lm_finetuning.enabled: false`: nothing is tuned, and every later node passes on that there is nothing."""

import numpy as np
import pytest

from tailor.config import parse
from tailor.datasets import AdapterDataset, EmbeddingsDataset, ModelsDataset
from tailor.errors import BadInputError, ConfigurationError
from tailor.hybrid.blend_choice import BLEND_COLUMNS
from tailor.hybrid.boost_curves import CURVE_COLUMNS
from tailor.hybrid.scorer import by_encoder
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter
from tailor.options import ProjectOptions
from tailor.pipelines.ablation.nodes import fit_variants
from tailor.pipelines.export.nodes import merge_encoder
from tailor.pipelines.hybrid_cf.nodes import fit_hybrid, select_hybrid
from tailor.pipelines.lm_finetuning.nodes import encode_tuned, plot_training, tune_adapter
from tailor.pipelines.tuning.nodes import tune_lora


@pytest.fixture
def adapter(tmp_path):
    """As a later run reads it."""
    nothing = [None] * 5
    made, history = tune_adapter(*nothing, {"enabled": False}, 0)
    assert history.empty
    assert len(plot_training(history).data) == 2
    dataset = AdapterDataset(filepath=str(tmp_path / "adapter"))
    dataset.save(made)
    return dataset.load()


@pytest.fixture
def embeddings(adapter, tmp_path):
    """Likewise."""
    dataset = EmbeddingsDataset(filepath=str(tmp_path / "embeddings.safetensors"))
    dataset.save(encode_tuned(None, None, adapter, {"enabled": False}))
    return dataset.load()


def test_an_adapter_that_stands_for_none_is_known_by_its_missing_head(adapter):
    assert not adapter.is_tuned
    assert Adapter({}, {}, {"weight": np.zeros((1, 2))}).is_tuned  # of a frozen encoder


def test_without_embeddings_there_is_no_hybrid(embeddings, tmp_path):
    assert embeddings.is_empty
    choice, trials, selected = select_hybrid(None, embeddings, {}, {}, 0)
    assert choice == selected == {}
    assert trials.empty
    held_out, final, curves, models = fit_hybrid(None, None, embeddings, choice, {}, 0, selected)
    assert (list(curves), list(models)) == (CURVE_COLUMNS, BLEND_COLUMNS)
    dataset = ModelsDataset(filepath=str(tmp_path / "models.safetensors"))
    dataset.save(final)
    assert held_out == final == dataset.load() == {}


def test_lists_are_of_the_other_hybrid_alone(tables):
    from tests.unit.hybrid.conftest import of_one_source, recipe

    scorer = recipe(blend=of_one_source("ials")).fit(tables.train_set)
    assert by_encoder({"hybrid": scorer}, {}) == {"hybrid_frozen": scorer}
    assert list(by_encoder({"hybrid": scorer}, {"hybrid": scorer})) == ["hybrid_frozen", "hybrid_lora"]
    with pytest.raises(BadInputError, match="There is no hybrid among the models"):
        by_encoder({}, {"hybrid": scorer})


def test_it_is_neither_searched_nor_taken_apart(embeddings, tables):
    from tailor.hybrid.holdout import Holdout

    holdout = Holdout.build(tables.matrices["train"], tables.matrices["validation"], tables.items, 0)
    outcome = tune_lora(holdout, embeddings, {"objectives": ["criterion"]}, {}, 0)
    assert (outcome.model, outcome.chosen, len(outcome.trials)) == ("hybrid_lora", {}, 0)
    assert fit_variants({}, {}, None, {}, 0) == {}


def test_it_cannot_be_exported(adapter):
    with pytest.raises(BadInputError, match=r"no tuned encoder to export: lm_finetuning\.enabled was false"):
        merge_encoder(adapter, {})


def test_a_hybrid_that_is_not_fitted_cannot_be_registered():
    off = {"lm_finetuning": {"enabled": False}}
    message = (
        r"^evaluation\.registered is hybrid_lora, but lm_finetuning\.enabled is false, so that there is none: set "
    )
    with pytest.raises(ConfigurationError, match=message):
        parse(ProjectOptions, off, "")
    assert parse(ProjectOptions, off | {"evaluation": {"registered": "hybrid_frozen"}}, "")
    assert parse(ProjectOptions, {}, "").evaluation.registered == "hybrid_lora"


def test_embeddings_that_are_there_are_not_empty():
    made = Embeddings(np.array(["a"], object), np.ones((1, 2), np.float32), Embeddings.none().whitening)
    assert not made.is_empty
