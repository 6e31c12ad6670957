"""Nodes that judge the challenger against the champion, and move the alias. Only ``judge`` sees test positives."""

import logging
import time
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.interactions import warm_items
from tailor.errors import BadInputError, ConfigurationError
from tailor.evaluation import measure as evaluate
from tailor.evaluation.promotion import Evidence, decide
from tailor.evaluation.protocol import EvalProtocol
from tailor.hybrid.scorer import Hybrid
from tailor.metrics.significance import paired_bootstrap
from tailor.options import EvaluationOptions
from tailor.registry.publish import CHALLENGER, CHAMPION
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request

log = logging.getLogger(__name__)
Matrix = sparse.csr_matrix
DECISION, REASONS, LOOKS, REPLACED = "decision", "reasons", "earlier_looks", "replaced_version"
LOG_COLUMNS = ["version", DECISION, REASONS, LOOKS, REPLACED, "split_hash", "data_hash", "git_commit"]
_REQUESTS = 200


def compare_with_champion(
    registered: dict[str, Any],
    checked: dict[str, Any],
    recommender: Recommender,
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    train: Matrix,
    protocol: EvalProtocol,
    truth: Matrix,
    params: dict[str, Any],
) -> dict[str, Any]:
    """Compare the registered challenger with the champion on the same test rows and apply the rules of promotion.

    A champion that was fitted under another split may know some of these rows: its recipe (options, gate and boosts) is
    fitted anew on the present train rows, and that is what is judged.
    """
    log.info("%d of %d places of the registered model checked", checked["equal_places"], checked["places"])
    if registered["alias"] == CHAMPION:
        return {"decision": "first", "reasons": ["there was no champion"], "earlier_looks": 0}
    o = parse(EvaluationOptions, params, "evaluation")
    looks = _earlier_looks(registered)
    try:
        champion, how = _champion(registered, recommender, train, items)
    except (BadInputError, ConfigurationError) as reason:
        return {"decision": "refused", "reasons": [str(reason)], "earlier_looks": looks}
    seed = int(recommender.about["seed"])
    theirs = evaluate.list_known_users({CHAMPION: champion}, protocol, c.TEST, users, items, o, seed)
    mine = recommendations[(recommendations[c.MODEL] == registered["model"]) & (recommendations[c.SPLIT] == c.TEST)]
    lists = pd.concat([mine.assign(**{c.MODEL: CHALLENGER}), theirs], ignore_index=True)
    evidence = _evidence(lists, protocol, truth, users, items, max(o.k), _p99(recommender), seed)
    decision = decide(evidence, o.promotion)
    told = {"decision": "promoted" if decision.promoted else "refused", "reasons": [*decision.reasons, how]}
    return told | {"earlier_looks": looks}


def _champion(
    registered: dict[str, Any], recommender: Recommender, train: Matrix, items: pd.DataFrame
) -> tuple[Hybrid, str]:
    """Return the champion's scorer: as registered under the same split, else its recipe fitted on the present rows."""
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias(registered["name"], CHAMPION)
    model = mlflow.pyfunc.load_model(f"models:/{registered['name']}/{version.version}")
    engine: Any = model.unwrap_python_model().recommender.engine
    if version.tags.get("split_hash") == registered["split_hash"] and version.tags.get("fit_on") == c.TRAIN:
        return engine, f"champion: version {version.version}, fitted under the same split"
    own: Any = recommender.engine
    if version.tags.get("model") != registered["model"]:
        raise BadInputError(
            f"the champion (version {version.version}) was fitted under another split, so it may know test rows, and "
            f"its recipe '{version.tags.get('model')}' is not the challenger's '{registered['model']}', so it cannot "
            "be fitted anew here: set evaluation.registered to the champion's model, or move the alias by hand"
        )
    refitted = Hybrid(engine.options, engine.seed, engine.gate, told=own.told)
    features = own.sources["text"].features
    return refitted.fit(train, warm_items(items), features), f"champion: recipe of version {version.version} refitted"


def _evidence(
    lists: pd.DataFrame,
    protocol: EvalProtocol,
    counted: Matrix,
    users: pd.DataFrame,
    items: pd.DataFrame,
    k: int,
    p99: float,
    seed: int,
) -> Evidence:
    values = evaluate.headline_values(
        lists, protocol, counted, users, evaluate.popularity_metadata(items), k, only=("mixed", "tail")
    )
    mixed, tail = (paired_bootstrap(values[h][CHALLENGER], values[h][CHAMPION], seed=seed) for h in ("mixed", "tail"))
    top = lists[(lists[c.CANDIDATES] == c.MIXED) & (lists[c.RANK] <= k)]
    covered = top.groupby(c.MODEL)[c.ITEM].nunique() / int(protocol.candidates[c.MIXED].sum())
    return Evidence(mixed, tail, (float(covered[CHALLENGER]), float(covered[CHAMPION])), p99)


def _p99(recommender: Recommender) -> float:
    """Time single requests of known users."""
    asked = [Request(user_id=str(user)) for user in recommender.user_ids[:_REQUESTS]]
    seconds = []
    for request in asked:
        started = time.perf_counter()
        recommender.recommend([request])
        seconds.append(time.perf_counter() - started)
    return float(np.quantile(seconds, 0.99) * 1000)


def _earlier_looks(registered: dict[str, Any]) -> int:
    """Count the versions that were judged on the same test slice before."""
    found = mlflow.MlflowClient().search_model_versions(f"name = '{registered['name']}'")
    same = [v for v in found if v.tags.get("split_hash") == registered["split_hash"]]
    return sum(DECISION in v.tags and str(v.version) != registered["version"] for v in same)


def move_alias(registered: dict[str, Any], judged: dict[str, Any]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Write the decision to the version's tags; then, if it is promoted, point the champion's alias at it.

    The alias moves in one call, after the tags: an interruption leaves the old champion in place.
    """
    client, name, number = mlflow.MlflowClient(), registered["name"], registered["version"]
    old = client.get_registered_model(name).aliases.get(CHAMPION)
    tags = {DECISION: judged["decision"], REASONS: "; ".join(judged["reasons"]), LOOKS: str(judged["earlier_looks"])}
    if judged["decision"] == "promoted":
        tags[REPLACED] = str(old)
    for key, value in tags.items():
        client.set_model_version_tag(name, number, key, value)
    if judged["decision"] == "promoted":
        client.set_registered_model_alias(name, CHAMPION, number)
        client.delete_registered_model_alias(name, CHALLENGER)
    log.info("Version %s: %s (%s)", number, judged["decision"], tags[REASONS])
    alias = CHALLENGER if judged["decision"] == "refused" else CHAMPION
    return registered | judged | {"alias": alias}, history(name)


def history(name: str) -> pd.DataFrame:
    """Return every decision about a model, oldest first, from the versions' tags."""
    found = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    judged = sorted((v for v in found if DECISION in v.tags), key=lambda v: int(v.version))
    rows = [[str(v.version), *(v.tags.get(column, "") for column in LOG_COLUMNS[1:])] for v in judged]
    return pd.DataFrame(rows, columns=LOG_COLUMNS)


def roll_back(name: str) -> dict[str, Any]:
    """Point the champion's alias at the version that the present champion replaced.

    Raises:
        ConfigurationError: there is no champion, or it replaced nothing.
    """
    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(name).aliases
    if CHAMPION not in aliases:
        raise ConfigurationError(f"Model '{name}' has no champion to roll back; run `kedro run` first.")
    version = client.get_model_version(name, str(aliases[CHAMPION]))
    old = version.tags.get(REPLACED)
    if not old:
        raise ConfigurationError(f"Version {version.version} of '{name}' replaced no other: nothing to roll back to.")
    client.set_model_version_tag(name, str(version.version), DECISION, "rolled back")
    client.set_registered_model_alias(name, CHAMPION, old)
    log.info("%s: version %s is the champion again", name, old)
    return {"name": name, "champion": old, "rolled_back": str(version.version)}
