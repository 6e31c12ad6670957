"""The proof that a registered version is what was measured."""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.data.ids import IdMap
from tailor.evaluation.protocol import EvalProtocol
from tailor.types import JsonObject

#: Two items whose scores differ by rounding alone may change places between block sizes.
_MAX_SCORE_DIFFERENCE, _MIN_EQUAL = 1e-4, 0.999


def check_registered(
    registered: JsonObject,
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
) -> JsonObject:
    """Load the registered version and assert that it reproduces the run's mixed test lists.

    Returns:
        users, places, equal_places, largest_score_difference.

    Raises:
        RuntimeError: the alias points elsewhere, or the answers differ from the lists.
    """
    version = mlflow.MlflowClient().get_model_version_by_alias(registered["name"], registered["alias"]).version
    if str(version) != registered["version"]:
        raise RuntimeError(f"alias {registered['alias']} points to version {version}, not {registered['version']}")
    model = mlflow.pyfunc.load_model(f"models:/{registered['name']}/{registered['version']}")
    of_run = recommendations.query("model == @registered['model'] and split == 'test' and candidates == 'mixed'")
    left_out = sparse.csr_matrix((protocol.seen > 0).astype(np.float32) - protocol.histories.history)
    left_out.eliminate_zeros()
    return compare_answers(model, of_run, users[c.USER], items[c.ITEM], left_out)


def compare_answers(
    model: Any,
    of_run: pd.DataFrame,
    user_ids: pd.Series,
    item_ids: pd.Series,
    left_out: sparse.csr_matrix,
    n_users: int = 100,
) -> JsonObject:
    """Ask the model for enough items to leave out, as the run did, what only the split knows."""
    asked = of_run[c.USER].drop_duplicates().head(n_users).tolist()
    rows = IdMap(user_ids).indices(asked)
    k, extra = int(of_run[c.RANK].max()), int(np.diff(left_out.indptr)[rows].max())
    answers = model.predict(pd.DataFrame({c.USER: asked}), params={"k": min(k + extra, len(item_ids))})
    same, worst, total = 0, 0.0, 0
    for user, row, answer in zip(asked, rows, answers.itertuples(), strict=True):
        hidden = set(item_ids.iloc[left_out[[row]].indices])
        listed = [(i, s) for i, s in zip(answer.item_ids, answer.scores, strict=True) if i not in hidden][:k]
        expected = of_run[of_run[c.USER] == user].sort_values(c.RANK)
        same += sum(i == e for (i, _), e in zip(listed, expected[c.ITEM], strict=True))
        worst = max(worst, float(np.abs(np.array([s for _, s in listed]) - expected[c.SCORE].to_numpy()).max()))
        total += len(expected)
    if worst > _MAX_SCORE_DIFFERENCE or same < _MIN_EQUAL * total:
        raise RuntimeError(f"the registered model differs from the run: {same}/{total} places, scores by {worst:.2g}")
    return {"users": len(asked), "places": total, "equal_places": same, "largest_score_difference": worst}
