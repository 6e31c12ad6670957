"""`evaluation.fit_on`: what final models learn from, and what the table of figures says of it."""

import numpy as np
import pandas as pd
import pytest

from tailor import columns as c
from tailor.data.side_features import SideFeatures
from tailor.models.popular import Popular
from tailor.pipelines.evaluation.nodes import join_metrics
from tailor.pipelines.hybrid_cf.nodes import gather_train_set, refit_baselines


class _Embeddings:
    def __init__(self, vectors):
        self.vectors = vectors


def gathered(tables, fit_on):
    matrices, side = tables.matrices, SideFeatures.nothing(len(tables.users)).arrays()
    return gather_train_set(matrices[c.TRAIN], matrices[c.VALIDATION], tables.order, tables.items, side, fit_on)


@pytest.mark.parametrize("fit_on", ["train", "train_and_validation"])
def test_the_train_set_holds_the_validation_rows_only_with_the_option(tables, fit_on):
    train, validation = tables.matrices[c.TRAIN], tables.matrices[c.VALIDATION]
    late = validation[:, tables.warm].nnz
    assert late > 100
    data = gathered(tables, fit_on)
    assert data.interactions.nnz == train.nnz + late * (fit_on != "train")
    assert data.interactions.multiply(validation).nnz == late * (fit_on != "train")
    assert data.order.nnz == data.interactions.nnz
    assert data.interactions.multiply(tables.matrices[c.TEST]).nnz == 0
    # What counts as warm and as tail is the split's either way.
    assert (data.warm == tables.warm).all()
    assert (data.tail == tables.tail).all()


@pytest.mark.parametrize("fit_on", ["train", "train_and_validation"])
def test_a_final_baseline_counts_the_validation_rows_only_with_the_option(tables, fit_on):
    """Popularity is arithmetic: its scores are ordered as the counts of the rows it was fitted on."""
    data, anybody = gathered(tables, fit_on), tables.train_set.queries().take(np.array([0]))
    scores = refit_baselines(data, _Embeddings(tables.features), {"popular": {}}, 0)["popular"].score(anybody)
    np.testing.assert_array_equal(scores, Popular().fit(data).score(anybody))
    assert (scores == Popular().fit(tables.train_set).score(anybody)).all() == (fit_on == "train")


@pytest.mark.parametrize("fit_on", ["train", "train_and_validation"])
def test_every_figure_says_what_its_model_was_fitted_on(fit_on):
    known = pd.DataFrame({c.SPLIT: [c.VALIDATION, c.TEST], "value": [0.1, 0.2]})
    new = pd.DataFrame({c.SPLIT: [c.TEST], "value": [0.3]})
    table = join_metrics(known, new, 7, {"fit_on": fit_on})
    assert "max_users" not in table
    assert join_metrics(known, new, 7, {"max_users": 9})["max_users"].tolist() == [9, 9, 9]
    assert table["fit_on"].tolist() == ["train", fit_on, fit_on]
    assert table["seed"].tolist() == [7, 7, 7]
