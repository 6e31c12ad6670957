"""Nodes that hand over to MLflow: the run's figures, the registered model, the proof that it is what was measured."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from mlflow.models.model import ModelInfo
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.hashing import tie_ranks
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation.protocol import EvalProtocol
from tailor.lm.config import EncoderWeights, LMOptions
from tailor.lm.distill import distil
from tailor.lm.embeddings import Embeddings
from tailor.lm.peft import Adapter, mergeable
from tailor.lm.static_encoder import StaticEncoder
from tailor.lm.text_encoder import TextEncoder
from tailor.models.base import Engine
from tailor.options import EvaluationOptions, FeatureEngineeringOptions
from tailor.serving import mlflow_model as pyfunc
from tailor.serving.recommender import Recommender
from tailor.serving.scenario import read_scenarios
from tailor.serving.schema import Rerank

Engines = dict[str, Engine[Any]]
Matrix = sparse.csr_matrix
CHAMPION, CHALLENGER = "champion", "challenger"
#: Scenario that re-ranks as evaluation found best on validation.
BALANCE = "balance"
#: torch and transformers are imported when words first come in; a model that never sees any runs without.
_REQUIREMENTS = (
    "mlflow",
    "numkong",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
)
_LOGGED = ("ndcg", "recall", "hit_rate", "catalog_coverage", "tail_coverage", "gini", "arp", "aplt", "novelty")


def track(metrics: pd.DataFrame, comparison: go.Figure, trade_off: go.Figure, lm_plot: go.Figure) -> dict[str, Any]:
    """Log the long-tail figures of every model and the plots to the run that kedro-mlflow has opened."""
    test = metrics[(metrics["split"] == c.TEST) & metrics["metric"].isin(_LOGGED) & metrics["value"].notna()]
    wanted = test[test["user_bucket"].isin(["all"]) | test["user_bucket"].str.startswith("new_")]
    names = wanted[["model", "candidates", "item_bucket", "user_bucket", "metric"]].agg(".".join, axis=1)
    mlflow.log_metrics(dict(zip(names + "_at_" + wanted["k"].astype(str), wanted["value"].astype(float), strict=True)))
    for name, figure in {"comparison": comparison, "trade_off": trade_off, "lm_training": lm_plot}.items():
        mlflow.log_figure(figure, f"figures/{name}.html")
    run = mlflow.active_run()
    run_id = run.info.run_id if run else None
    return {"run_id": run_id, "n_metrics": len(wanted), "git_commit": git_commit()}


def gather_metadata(
    items: pd.DataFrame, texts: pd.DataFrame, categories: pd.DataFrame, params: dict[str, Any]
) -> ItemMetadata:
    """Gather what serving tells and filters by, and how texts of items to come are written."""
    text = parse(FeatureEngineeringOptions, params, "feature_engineering").text
    return replace(ItemMetadata.build(items, texts[c.PIECES], categories), text=text.model_dump(mode="json"))


@dataclass(frozen=True)
class Encoders:
    """What turns words into embeddings where the model is served; none where an adapter cannot be merged."""

    encoder_of: Callable[[], TextEncoder] | None = None
    student: StaticEncoder | None = None


def package_encoders(
    metadata: ItemMetadata,
    embeddings_frozen: Embeddings,
    embeddings_lora: Embeddings,
    adapter: Adapter,
    params: dict[str, Any],
    lm: dict[str, Any],
    seed: int,
) -> Encoders:
    """Merge the adapter of the chosen scorer's encoder, and distil its token table."""
    o, encoder = parse(EvaluationOptions, params, "evaluation"), parse(LMOptions, lm, "lm_finetuning").encoder
    tuned = o.registered == "hybrid_lora"
    if tuned and not mergeable(adapter, encoder):
        return Encoders()
    whitening = (embeddings_lora if tuned else embeddings_frozen).whitening
    merge = partial(TextEncoder.merge, adapter if tuned else None, whitening, encoder)
    texts = [". ".join(row) for row in metadata.pieces] + [piece for row in metadata.pieces for piece in row]
    texts += [" ".join(row).lower() for row in metadata.categories] + [
        name.lower() for name in metadata.vocabulary.names
    ]
    return Encoders(merge, distil(merge(), texts, o.student_tokens, seed))


def build_recommender(
    frozen: Engines,
    lora: Engines,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
    metadata: ItemMetadata,
    encoders: Encoders,
    told_space: dict[str, Any],
    params: dict[str, Any],
    seed: int,
    balance: dict[str, Any] | None = None,
) -> Recommender:
    """Join the chosen scorer with ids, histories, item metadata and its encoders: what will be served.

    ``balance`` (method and strength of a re-ranker) becomes the scenario of that name, unless parameters set another.
    """
    options = parse(EvaluationOptions, params, "evaluation")
    models = {"hybrid_frozen": frozen["hybrid"], "hybrid_lora": lora["hybrid"]}
    preset = {BALANCE: {"rerank": {name: balance[name] for name in Rerank.model_fields}}} if balance else {}
    return Recommender(
        engine=models[options.registered],
        user_ids=users[c.USER].to_numpy(dtype=object),
        item_ids=items[c.ITEM].to_numpy(dtype=object),
        history=protocol.history,
        tie_rank=tie_ranks(seed, items[c.ITEM]),
        about={
            "model": options.registered,
            "fit_on": c.TRAIN,
            "seed": seed,
            "text": metadata.text,
            "scenarios": read_scenarios(preset | options.scenarios),
            "told_space": told_space,
        },
        metadata=metadata,
        encoder_of=encoders.encoder_of,
        student=encoders.student,
    )


def register(
    recommender: Recommender,
    adapter: Adapter,
    embeddings: Embeddings,
    fingerprint: dict[str, str],
    tracked: dict[str, Any],
    model_name: str,
    params: dict[str, Any],
) -> dict[str, Any]:
    """Log the model as code, register it, and give it the alias champion if it is the first, else challenger."""
    with tempfile.TemporaryDirectory() as folder:
        _log_language_model(adapter, embeddings, Path(folder) / "language_model")
    o = parse(EvaluationOptions, params, "evaluation")
    info = log_package(recommender, model_name, o.encoder_weights)
    about = {key: value for key, value in recommender.about.items() if key not in ("text", "scenarios", "told_space")}
    tags = fingerprint | about | {name: tracked[name] for name in ("git_commit", "run_id")}
    number, alias = info.registered_model_version, _give_alias(model_name, info.registered_model_version)
    tag(model_name, number, tags)
    return {"name": model_name, "version": str(number), "alias": alias, "model_uri": info.model_uri} | tags


def log_package(recommender: Recommender, model_name: str, weights: EncoderWeights = "bf16") -> ModelInfo:
    """Log a recommender as code and register it; the new version has no alias yet."""
    with tempfile.TemporaryDirectory() as folder:
        recommender.save(Path(folder) / pyfunc.ARTIFACT, weights)
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=pyfunc.__file__,
            artifacts={pyfunc.ARTIFACT: str(Path(folder) / pyfunc.ARTIFACT)},
            code_paths=_code(Path(folder)),
            signature=pyfunc.signature(),
            metadata=pyfunc.metadata(),
            input_example=_example(recommender),
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
            registered_model_name=model_name,
        )


def tag(model_name: str, number: Any, tags: dict[str, Any]) -> None:
    """Write tags to a version."""
    client = mlflow.MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(model_name, str(number), key, str(value))


def check(
    registered: dict[str, Any],
    recommendations: pd.DataFrame,
    users: pd.DataFrame,
    items: pd.DataFrame,
    protocol: EvalProtocol,
) -> dict[str, Any]:
    """Load the registered version and assert that it reproduces the run's mixed test lists."""
    client = mlflow.MlflowClient()
    found = client.get_model_version_by_alias(registered["name"], registered["alias"])
    if str(found.version) != registered["version"]:
        raise RuntimeError(
            f"alias {registered['alias']} points to version {found.version}, not {registered['version']}"
        )
    model = mlflow.pyfunc.load_model(f"models:/{registered['name']}/{registered['version']}")
    of_run = recommendations.query("model == @registered['model'] and split == 'test' and candidates == 'mixed'")
    left_out = sparse.csr_matrix(protocol.seen - protocol.history)
    left_out.eliminate_zeros()
    return _compare(model, of_run, users[c.USER], items[c.ITEM], left_out)


def _compare(
    model: Any, of_run: pd.DataFrame, user_ids: pd.Series, item_ids: pd.Series, left_out: Matrix, n_users: int = 100
) -> dict[str, Any]:
    """Ask the model for enough items to leave out, as the run did, what only the split knows."""
    asked = of_run[c.USER].drop_duplicates().head(n_users).tolist()
    rows = pd.Index(user_ids).get_indexer(asked)
    k, extra = int(of_run[c.RANK].max()), int(np.diff(left_out.indptr)[rows].max())
    answers = model.predict(pd.DataFrame({c.USER: asked}), params={"k": min(k + extra, len(item_ids))})
    same, worst, total = 0, 0.0, 0
    for user, row, answer in zip(asked, rows, answers.itertuples(), strict=True):
        hidden = set(item_ids.iloc[left_out[[row]].indices])
        served = [(i, s) for i, s in zip(answer.item_ids, answer.scores, strict=True) if i not in hidden][:k]
        expected = of_run[of_run[c.USER] == user].sort_values(c.RANK)
        same += sum(i == e for (i, _), e in zip(served, expected[c.ITEM], strict=True))
        worst = max(worst, float(np.abs(np.array([s for _, s in served]) - expected[c.SCORE].to_numpy()).max()))
        total += len(expected)
    # Two items whose scores differ by rounding alone may change places between block sizes.
    if worst > 1e-4 or same < 0.999 * total:
        raise RuntimeError(f"the registered model differs from the run: {same}/{total} places, scores by {worst:.2g}")
    return {"users": len(asked), "places": total, "equal_places": same, "largest_score_difference": worst}


def _example(recommender: Recommender) -> pd.DataFrame:
    items = recommender.item_ids[:2].tolist()
    return pd.DataFrame({"user_id": [str(recommender.user_ids[0]), None], "history": [[], items]})


def _code(folder: Path) -> list[str]:
    """Copy the package without caches, so that the logged model is the same whatever ran before."""
    source = Path(pyfunc.code_paths()[0])
    target = folder / "code" / source.name
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return [str(target)]


def _log_language_model(adapter: Adapter, embeddings: Embeddings, folder: Path) -> None:
    # Datasets import kedro; only this node writes some by hand.
    from tailor.datasets import AdapterDataset, EmbeddingsDataset  # noqa: PLC0415

    AdapterDataset(filepath=str(folder / "adapter")).save(adapter)
    EmbeddingsDataset(filepath=str(folder / "item_embeddings.safetensors")).save(embeddings)
    mlflow.log_artifacts(str(folder), "language_model")


def _give_alias(model_name: str, number: Any) -> str:
    client = mlflow.MlflowClient()
    alias = CHALLENGER if CHAMPION in client.get_registered_model(model_name).aliases else CHAMPION
    client.set_registered_model_alias(model_name, alias, str(number))
    return alias


def git_commit() -> str:
    """Return the commit of the working tree, "unknown" without one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
