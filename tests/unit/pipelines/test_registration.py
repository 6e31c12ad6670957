"""What joins the refitted model: when items were taken."""

import pandas as pd
from scipy import sparse

from tailor.hybrid import refit
from tailor.hybrid.config import HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.pipelines.registration.nodes import refit_recommender
from tailor.registry.encoders import Encoders
from tests.unit.serving.conftest import recommender_of

DAY = 86_400.0


def test_views_and_blocked_pairs_are_not_trending(tables, monkeypatch):
    fitted = Hybrid(HybridConfig(sources={"popular": {}})).fit(tables.train_set)
    monkeypatch.setattr(refit, "refit", lambda scorer, _: scorer)
    rows = pd.DataFrame(
        {"item_id": ["i1", "i2", "i3", "i4"], "timestamp": 15_009 * DAY, "confidence": [0.0, 0.2, 0.6, 1.0]}
    )
    about = {"strengths": {"view": 0.2, "cart": 0.6, "buy": 1.0, "no": "bar"}, "events": {"least": 0.5}}
    evaluated = recommender_of(tables, fitted, about=about)
    nothing = sparse.csr_matrix((len(evaluated.users), len(evaluated.items)))

    def trending(interactions):
        served = refit_recommender(evaluated, tables.train_set, interactions, nothing, None, Encoders())
        return served.item_times.window(7)[1:5].tolist()

    assert trending(rows) == [0, 0, 1, 1]
    assert trending(rows.drop(columns="confidence")) == [1, 1, 1, 1]
