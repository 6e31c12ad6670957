"""New rows are read by the catalogue's rules, but for its date, and without people who are suppressed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tailor.data.people import ALL_PEOPLE, SUPPRESSED, SuppressionList
from tailor.pipelines.update import nodes


def test_new_rows_are_later_than_the_date_of_the_catalogue(monkeypatch):
    champion = SimpleNamespace(item_ids=np.array(["a", "b"]), people=ALL_PEOPLE)
    monkeypatch.setattr(nodes, "_recommender", lambda _: champion)
    raw = pd.DataFrame({"user_id": ["1", "2", "3"], "item_id": ["a", "b", "c"], "timestamp": [900, 910, 920]})
    params = {
        "columns": {"interactions": {name: name for name in raw}},
        "cleaning": {"until": "1970-01-01T00:10:00", "max_dropped_fraction": 0.5},
    }
    interactions, quality, accounts = nodes.read_new(raw, None, SuppressionList.of(["2"], b"k" * 32), params)
    assert interactions["timestamp"].tolist() == [900.0]
    assert quality["problem"].tolist() == [SUPPRESSED, "item_id not in the items table"]
    assert accounts["kept"].tolist() == [1]
