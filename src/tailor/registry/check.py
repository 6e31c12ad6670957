"""The proof that the measured model makes the run's lists, and that the registered one knows every interaction."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.data.ids import IdMap
from tailor.data.interactions import positive_rows
from tailor.evaluation.protocol import EvalProtocol
from tailor.evaluation.ranking import LazyTables
from tailor.registry.publish import load_evaluated
from tailor.serving.champion import load_version
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Answer, Request, Settings
from tailor.types import JsonObject

#: Two items whose scores differ by rounding alone may change places between block sizes.
_MAX_SCORE_DIFFERENCE, _MIN_EQUAL = 1e-4, 0.999
#: Users whose lists are looked at.
_ASKED = 100
_WORST = "largest_score_difference"
#: Parts of an explanation are rounded to four digits each.
_MAX_UNEXPLAINED = 1e-2

#: Answers requests, each with at most k items.
Ask = Callable[[Sequence[Request], Settings], list[Answer]]


def check_evaluated(
    registered: JsonObject,
    test_lists: LazyTables,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
) -> JsonObject:
    """Load the measured model from the run and assert that it makes the run's mixed test lists.

    Returns:
        users, places, equal_places, largest_score_difference.

    Raises:
        RuntimeError: the run has no such model, or its answers differ from the lists.
    """
    evaluated = load_evaluated(registered["run_id"])
    if evaluated is None:
        raise RuntimeError(f"run {registered['run_id']} holds no evaluated model")
    of_run = test_lists[registered["model"]]().query("candidates == 'mixed'")
    left_out = sparse.csr_matrix((protocol.seen > 0).astype(np.float32) - protocol.histories.history)
    left_out.eliminate_zeros()
    if c.DOMAIN not in of_run:
        return compare_answers(evaluated.recommend, of_run, users[c.USER], items[c.ITEM], left_out)
    compared = [
        compare_answers(_in_domain(evaluated.recommend, str(domain)), of_domain, users[c.USER], items[c.ITEM], left_out)
        for domain, of_domain in of_run.groupby(c.DOMAIN)
    ]
    sums: JsonObject = {name: sum(one[name] for one in compared) for name in ("users", "places", "equal_places")}
    return sums | {_WORST: max(one[_WORST] for one in compared)}


def _in_domain(ask: Ask, domain: str) -> Ask:
    """Ask for items of one domain."""

    def asked(requests: Sequence[Request], settings: Settings) -> list[Answer]:
        return ask([request.model_copy(update={"domain": domain}) for request in requests], settings)

    return asked


def compare_answers(
    ask: Ask,
    of_run: pd.DataFrame,
    user_ids: pd.Series,
    item_ids: pd.Series,
    left_out: sparse.csr_matrix,
    n_users: int = _ASKED,
) -> JsonObject:
    """Ask the model for enough items to leave out, as the run did, what only the split knows.

    Args:
        ask: the model.
        of_run: its lists in the run, long form.
        user_ids: of the user table.
        item_ids: of the item table.
        left_out: what the run did not list beside the histories (U, n_items).
        n_users: users that are asked for.

    Raises:
        RuntimeError: the answers differ from the lists.
    """
    asked = of_run[c.USER].drop_duplicates().head(n_users).tolist()
    rows = IdMap(user_ids).indices(asked)
    k, extra = int(of_run[c.RANK].max()), int(np.diff(left_out.indptr)[rows].max(initial=0))
    answers = ask([Request(user_id=user) for user in asked], Settings(k=min(k + extra, len(item_ids))))
    same, worst, total = 0, 0.0, 0
    for user, row, answer in zip(asked, rows, answers, strict=True):
        hidden = set(item_ids.iloc[left_out[[row]].indices])
        listed = [(i, s) for i, s in zip(answer.item_ids, answer.scores, strict=True) if i not in hidden][:k]
        expected = of_run[of_run[c.USER] == user].sort_values(c.RANK)
        same += sum(i == e for (i, _), e in zip(listed, expected[c.ITEM], strict=True))
        worst = max(worst, float(np.abs(np.array([s for _, s in listed]) - expected[c.SCORE].to_numpy()).max()))
        total += len(expected)
    if worst > _MAX_SCORE_DIFFERENCE or same < _MIN_EQUAL * total:
        raise RuntimeError(f"the evaluated model differs from the run: {same}/{total} places, scores by {worst:.2g}")
    return {"users": len(asked), "places": total, "equal_places": same, _WORST: worst}


def check_registered(registered: JsonObject, interactions: pd.DataFrame) -> JsonObject:
    """Load the registered version and assert that no interaction is unknown to it.

    Returns:
        As :func:`check_knowledge`.

    Raises:
        RuntimeError: the alias points elsewhere, or the model does not know an interaction.
    """
    version = mlflow.MlflowClient().get_model_version_by_alias(registered["name"], registered["alias"]).version
    if str(version) != registered["version"]:
        raise RuntimeError(f"alias {registered['alias']} points to version {version}, not {registered['version']}")
    return check_knowledge(load_version(registered["name"], registered["version"]), positive_rows(interactions))


def check_knowledge(recommender: Recommender, interactions: pd.DataFrame, n_users: int = _ASKED) -> JsonObject:
    """Assert that every interacted item is warm and every user known, that lists hold nothing taken, and add up.

    Args:
        recommender: as it is served.
        interactions: every one, with user_id and item_id.
        n_users: users whose lists are looked at, spread over the table.

    Returns:
        interacted_items_cold, users_unknown, taken_items_listed, unexplained_scores: all 0.

    Raises:
        RuntimeError: one of them is not.
    """
    taken = interactions.groupby(c.USER)[c.ITEM].agg(set)
    people = taken.index[np.unique(np.linspace(0, len(taken) - 1, n_users).astype(np.int64))]
    bare = replace(recommender, encoder_of=None)  # which words carry a score is not asked
    answers = bare.recommend([Request(user_id=str(user)) for user in people], Settings(k=20, explain=True))
    warm = getattr(recommender.model, "warm", np.ones(len(recommender.items), dtype=bool))
    known = np.diff(recommender.histories.history.indptr) > 0
    rows = recommender.users.indices(taken.index.to_numpy(dtype=object))
    counts = {
        "interacted_items_cold": int((~warm[recommender.items.indices(interactions[c.ITEM].unique())]).sum()),
        "users_unknown": int((rows < 0).sum() + (~known[rows[rows >= 0]]).sum()),
        "taken_items_listed": sum(len(taken[u] & set(a.item_ids)) for u, a in zip(people, answers, strict=True)),
        "unexplained_scores": sum(map(_unexplained, answers)),
    }
    if any(counts.values()):
        faults = ", ".join(f"{name}: {count}" for name, count in counts.items() if count)
        raise RuntimeError(f"the registered model does not know what it should: {faults}")
    return counts


def _unexplained(answer: Answer) -> int:
    """Count the items whose explanation does not add up to the score."""
    entries = answer.explanations
    sums = [sum(entry["sources"].values()) + sum(entry["parts"].values()) for entry in entries]
    return sum(abs(total - score) > _MAX_UNEXPLAINED for total, score in zip(sums, answer.scores, strict=False))
