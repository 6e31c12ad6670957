"""The node that values the registered model's policy."""

import numpy as np
import pandas as pd
from scipy import sparse

from tailor.pipelines.offpolicy.nodes import value_policy
from tests.unit.evaluation.planted_log import ITEMS, N_ITEMS, N_USERS, OPTIONS, USERS, plant_log


def test_the_node_values_the_registered_model_and_counts_unknown_rows(caplog):
    planted = plant_log(500)
    log = pd.concat([planted.log, planted.log.head(1).assign(user_id="nobody")])
    known = {
        "train": planted.queries.history,
        "order": sparse.csr_matrix((N_USERS, N_ITEMS), dtype=np.float32),
        "side_features": {"profiles": np.zeros((N_USERS, 0), np.float32)},
    }

    def valued(items):
        models = ({}, {"hybrid": planted.scorer})
        return value_policy(log, *models, USERS, items, evaluation={}, params=OPTIONS.model_dump(), seed=0, **known)

    table, by_domain = valued(ITEMS)
    assert by_domain.empty
    _, by_domain = valued(ITEMS.assign(domain=["books", "films"] * (N_ITEMS // 2)))
    assert by_domain["domain"].tolist() == ["books"] * 3 + ["films"] * 3
    assert by_domain["unknown_rows"].unique().tolist() == [1]
    assert table["model"].unique().tolist() == ["hybrid_lora"]
    assert table["unknown_rows"].unique().tolist() == [1]
    assert "1 of 501 rows" in caplog.text
