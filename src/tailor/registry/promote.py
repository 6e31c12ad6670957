"""Compare the challenger with the champion on the same test rows, and move the alias."""

import logging
import time
from dataclasses import dataclass

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from scipy import sparse

from tailor import columns as c
from tailor.data.item_vectors import unit_part
from tailor.errors import BadInputError, TailorError
from tailor.evaluation import measure
from tailor.evaluation.promotion import Evidence, decide
from tailor.evaluation.protocol import EvalProtocol
from tailor.evaluation.ranking import LazyTables, label
from tailor.hybrid.scorer import HybridScorer, scorer_of
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Floats, TrainSet
from tailor.options import EvaluationOptions
from tailor.registry.publish import EVALUATED_FIT_ON, FIT_ON, load_evaluated
from tailor.registry.versions import CHALLENGER, CHAMPION, DECISION, EVALUATIONS, REASONS, REPLACED, history, tag
from tailor.serving.champion import load_version
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request
from tailor.types import JsonObject

log = logging.getLogger(__name__)
Matrix = sparse.csr_matrix
_REQUESTS = 200


@dataclass(frozen=True)
class ComparedRows:
    """What both models are compared on; neither was fitted on the positives."""

    users: pd.DataFrame
    items: pd.DataFrame
    train_set: TrainSet
    """What a recipe is fitted on anew; the texts come with the champion's own encoder, where it has them."""
    protocol: EvalProtocol
    positives: Matrix
    """(U, n_items)."""


def compare_with_champion(
    registered: JsonObject, test_lists: LazyTables, rows: ComparedRows, options: EvaluationOptions
) -> JsonObject:
    """Compare the registered challenger with the champion and apply the rules of promotion.

    A champion that was fitted under another split may know some of these rows, and one that was measured under another
    ``evaluation.fit_on`` had other rows to learn from: its recipe (sources, blend, boosts) is fitted anew on the
    present rows, and that is what is compared. A champion that cannot be compared stays.

    Returns:
        decision (first, promoted or refused), reasons, n_previous_evaluations.
    """
    if registered["alias"] == CHAMPION:
        return {DECISION: "first", REASONS: ["there was no champion"], EVALUATIONS: 0}
    counted = {EVALUATIONS: n_previous_evaluations(registered)}
    challenger = _load(registered["name"], registered["version"], "challenger")
    try:
        champion, how = _champion(registered, challenger, rows)
    except TailorError as reason:
        return {DECISION: "refused", REASONS: [str(reason)]} | counted
    evidence = _evidence(registered, challenger, champion, test_lists, rows, options)
    decision = decide(evidence, options.promotion)
    word = "promoted" if decision.promoted else "refused"
    return {DECISION: word, REASONS: [*decision.reasons, how]} | counted


def n_previous_evaluations(registered: JsonObject) -> int:
    """Count the versions that were compared on the same test rows before."""
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{registered['name']}'")
    same = [v for v in versions if v.tags.get("split_hash") == registered["split_hash"]]
    return sum(DECISION in v.tags and str(v.version) != registered["version"] for v in same)


def move_alias(registered: JsonObject, decided: JsonObject) -> tuple[JsonObject, pd.DataFrame]:
    """Write the decision to the version's tags; then, if it is promoted, point the champion's alias at it.

    The alias moves in one call, after the tags: an interruption leaves the old champion in place.

    Returns:
        registered and decided as one, with the alias the version now has; and all decisions so far.
    """
    client, name, number = mlflow.MlflowClient(), registered["name"], registered["version"]
    promoted, reasons = decided[DECISION] == "promoted", "; ".join(decided[REASONS])
    replaced = {REPLACED: client.get_registered_model(name).aliases.get(CHAMPION)} if promoted else {}
    tag(name, number, {DECISION: decided[DECISION], REASONS: reasons, EVALUATIONS: decided[EVALUATIONS]} | replaced)
    if promoted:
        client.set_registered_model_alias(name, CHAMPION, number)
        client.delete_registered_model_alias(name, CHALLENGER)
    log.info("Version %s: %s (%s)", number, decided[DECISION], reasons)
    alias = CHALLENGER if decided[DECISION] == "refused" else CHAMPION
    return registered | decided | {"alias": alias}, history(name)


def _load(name: str, version: str, role: str) -> Recommender:
    """Load a version's recommender with the code of this process.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        return load_version(name, str(version))
    except TailorError as problem:
        raise BadInputError(
            f"the {role} (version {version}) cannot be loaded here ({problem}), so it cannot be compared and the alias "
            f"stays where it is; {_how_to_move(name)}"
        ) from problem


def _how_to_move(name: str) -> str:
    call = f"set_registered_model_alias('{name}', '{CHAMPION}', version=...)"
    return f"to move it by hand: mlflow.MlflowClient().{call}"


def _champion(registered: JsonObject, challenger: Recommender, rows: ComparedRows) -> tuple[HybridScorer, str]:
    """Return the champion's scorer: as it was measured under the same split, else its recipe fitted on these rows."""
    version = mlflow.MlflowClient().get_model_version_by_alias(registered["name"], CHAMPION)
    champion = _load(registered["name"], version.version, "champion")
    if not difference(version.tags, registered):
        measured = champion if version.tags.get(FIT_ON) == c.TRAIN else load_evaluated(version.tags.get("run_id", ""))
        if measured is not None:
            how = f"champion: version {version.version}, measured under the same split"
            return scorer_of({"hybrid": measured.model}), how
    _check_recipe(version, registered)
    features = own_features(champion, challenger)
    refitted = scorer_of({"hybrid": champion.model}).recipe.fit(rows.train_set.with_features(features))
    how = "refitted with its own encoder, which may have been tuned on these rows"
    return refitted, f"champion: recipe of version {version.version} {how}"


def difference(champion: JsonObject, challenger: JsonObject) -> str:
    """Say why two measured models cannot be compared as they are: another split, or other rows to learn from.

    Args:
        champion: tags of the version.
        challenger: tags of the version; of either, ``evaluated_fit_on`` may lack, which means train.
    """
    if champion.get("split_hash") != challenger["split_hash"]:
        return "was fitted under another split"
    theirs, ours = (tags.get(EVALUATED_FIT_ON, c.TRAIN) for tags in (champion, challenger))
    return "" if theirs == ours else f"was measured with evaluation.fit_on: {theirs}, the challenger with {ours}"


def own_features(champion: Recommender, challenger: Recommender) -> Floats:
    """Return what the champion's own encoder makes of the challenger's items (n_items, m).

    Vectors of other kinds are the challenger's, where both read them from the same columns; else items lack them.
    """
    texts = champion.encoder.encode([". ".join(row) for row in challenger.known_metadata.pieces])
    if not champion.parts.names:
        return texts
    vectors = [np.zeros((len(texts), len(centre)), np.float32) for centre in champion.parts.centres.values()]
    for vector, (name, centre) in zip(vectors, champion.parts.centres.items(), strict=True):
        if len(challenger.parts.centres.get(name, ())) == len(centre):
            vector[:] = unit_part(challenger.item_features, challenger.parts.slices[name])
    return champion.parts.join(texts, np.hstack(vectors))


def _check_recipe(version: ModelVersion, registered: JsonObject) -> None:
    theirs, ours = version.tags.get("model"), registered["model"]
    if theirs != ours:
        raise BadInputError(
            f"the champion (version {version.version}) {difference(version.tags, registered)}, so as it is it cannot "
            f"be compared on these rows, and its recipe '{theirs}' is not the challenger's '{ours}', so it cannot be "
            "fitted anew here and the alias stays where it is: set evaluation.registered to the champion's model; "
            f"{_how_to_move(registered['name'])}"
        )


def _evidence(
    registered: JsonObject,
    challenger: Recommender,
    champion: HybridScorer,
    test_lists: LazyTables,
    rows: ComparedRows,
    options: EvaluationOptions,
) -> Evidence:
    """Compare the challenger's lists of the run with the champion's, made now."""
    seed, k, protocol = int(challenger.about["seed"]), max(options.k), rows.protocol
    theirs = measure.list_known_users({CHAMPION: champion}, protocol, c.TEST, rows.users, rows.items, options, seed)
    ours = test_lists[registered["model"]]().drop(columns=c.MODEL)
    tables = [label(ours, model=CHALLENGER), theirs[CHAMPION]()]
    values = measure.headline_values(
        tables,
        protocol,
        rows.positives,
        rows.users,
        measure.popularity_metadata(rows.items),
        k,
        names=("mixed", "tail"),
    )
    mixed, tail = (paired_bootstrap(values[h][CHALLENGER], values[h][CHAMPION], seed=seed) for h in ("mixed", "tail"))
    listable, covered = int(protocol.candidates[c.MIXED].sum()), []
    for table in tables:
        top = table[(table[c.CANDIDATES] == c.MIXED) & (table[c.RANK] <= k)]
        covered.append(top[c.ITEM].nunique() / listable)
    return Evidence(mixed, tail, (covered[0], covered[1]), _p99_ms(challenger))


def _p99_ms(recommender: Recommender) -> float:
    """Time single requests of known users."""
    seconds = []
    for request in [Request(user_id=str(user)) for user in recommender.user_ids[:_REQUESTS]]:
        started = time.perf_counter()
        recommender.recommend([request])
        seconds.append(time.perf_counter() - started)
    return float(np.quantile(seconds, 0.99) * 1000)
