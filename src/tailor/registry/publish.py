"""Log a recommender as an MLflow model and register it."""

import shutil
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models.model import ModelInfo

from tailor.config import parse
from tailor.data.people import Pseudonyms, key_id
from tailor.lm.config import EncoderWeights
from tailor.lm.sentence_encoder import PACKAGES
from tailor.options import EvaluationOptions, ProjectOptions
from tailor.registry.versions import give_alias, tag
from tailor.serving import mlflow_model, package
from tailor.serving.events import EVENTS, POSITIVE
from tailor.serving.recommender import DATES, MAX_PIECES, VECTORS, Recommender
from tailor.serving.scenario import read_scenarios
from tailor.serving.schema import Rerank
from tailor.serving.strengths import STRENGTHS
from tailor.types import JsonObject, Parameters

#: torch and transformers are imported when words first come in; a model that never sees any runs without.
_REQUIREMENTS = (
    "mlflow",
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
#: What a recommender knows of itself that is too long for a tag.
_NOT_TAGGED = (
    STRENGTHS,
    "text",
    "scenarios",
    "feature_encoders",
    "plugins",
    MAX_PIECES,
    VECTORS,
    package.CATALOGUE_READ_AT,
    package.REGISTERED_AS,
    package.PSEUDONYMS,
    package.DOMAINS,
)
#: What a model was fitted on: the train rows, or all.
FIT_ON, ALL = "fit_on", "all"
#: What the model that was measured was fitted on: the parameter ``evaluation.fit_on``; versions without it: train.
EVALUATED_FIT_ON = "evaluated_fit_on"
#: Folder of a run that holds the package of the model that was measured.
EVALUATED = "evaluated"
#: Scenario that re-ranks as validation found best.
BALANCE = "balance"
#: Stands for the id of a user in the example that is logged with a model.
EXAMPLE_USER = "id of a user"


def about(
    options: EvaluationOptions,
    project: Parameters,
    text: JsonObject,
    feature_encoders: JsonObject,
    balance: JsonObject,
) -> JsonObject:
    """Return what a recommender knows of itself: tags, scenarios, how texts, profiles and contexts are read.

    Args:
        options: which model is registered; scenarios.
        project: all parameters, for the seed, the plug-ins and the border between head and tail.
        text: options by which items' texts are written.
        feature_encoders: of profiles and contexts.
        balance: method and strength of the re-ranker that validation chose; it becomes the scenario ``balance`` unless
            parameters set another of that name.
    """
    parsed = parse(ProjectOptions, project, "")
    preset = {BALANCE: {"rerank": {name: balance[name] for name in Rerank.model_fields}}}
    names = {package.PSEUDONYMS: key_id(Pseudonyms.of_environment().key)} if parsed.data_processing.pseudonyms else {}
    return names | {
        "model": options.registered,
        EVALUATED_FIT_ON: options.fit_on,
        "seed": project["seed"],
        "head_share": parsed.data_processing.head_share,
        MAX_PIECES: parsed.feature_engineering.user_text.max_pieces,
        STRENGTHS: parsed.data_processing.events.with_weights(parsed.tuned.events).weights,
        "plugins": list(project.get("plugins", [])),
        "text": text,
        "scenarios": read_scenarios(preset | options.scenarios),
        "feature_encoders": feature_encoders,
        DATES: parsed.feature_engineering.dates.model_dump(mode="json"),
        EVENTS: _events(parsed),
    }


def _events(options: ProjectOptions) -> JsonObject:
    """Return how events are read: of kinds that the catalogue has too, as the fit reads them.

    What speaks against an item there says nothing for it here. The threshold of ratings is the catalogue's where no
    other one is set.
    """
    events, threshold = options.events, options.data_processing.cleaning.implicit_threshold
    fitted = options.data_processing.events.with_weights(options.tuned.events).weights
    alike = {
        kind: 0.0 if isinstance(value, str) else max(float(value), 0.0)
        for kind, value in fitted.items()
        if kind in POSITIVE
    }
    least = threshold if events.least_rating is None else events.least_rating
    read = {"least_rating": least, "weights": events.weights | alike}
    return events.model_copy(update=read).model_dump(mode="json")


def register(recommender: Recommender, model_name: str, weights: EncoderWeights, tags: JsonObject) -> JsonObject:
    """Log the model as code, register it, tag it, and give it the alias champion if it is the first, else challenger.

    Args:
        recommender: what will be served.
        model_name: in the registry.
        weights: how the packaged encoder's weights are written.
        tags: of the version, beside what the recommender knows of itself.

    Returns:
        name, version, alias, model_uri, and all tags.
    """
    info = log_package(recommender, model_name, weights)
    number = info.registered_model_version
    tags = tags | {key: value for key, value in recommender.about.items() if key not in _NOT_TAGGED}
    alias = give_alias(model_name, number)
    tags |= {EVALUATED: f"{tags.get('run_id', '')}, {tags.get('split_hash', '')}"}
    tag(model_name, number, tags)
    return {"name": model_name, "version": str(number), "alias": alias, "model_uri": info.model_uri} | tags


def _requirements(recommender: Recommender) -> tuple[str, ...]:
    """Return the packages that MLflow installs where it serves the model: that of another encoder for words too."""
    reader = recommender.word_reader
    return (*_REQUIREMENTS, *(name for name in PACKAGES if reader is not None and reader.about["encoder"] == name))


def log_package(recommender: Recommender, model_name: str, weights: EncoderWeights = "bf16") -> ModelInfo:
    """Log a recommender as code and register it; the new version has no alias yet."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / mlflow_model.ARTIFACT
        _with_time(_with_name(recommender, model_name)).save(artifact, weights)
        code = _code(Path(folder))
        package.write_code_hashes(artifact, Path(code).parent, Path(mlflow_model.__file__))
        info: ModelInfo = mlflow.pyfunc.log_model(
            name="model",
            python_model=mlflow_model.__file__,
            artifacts={mlflow_model.ARTIFACT: str(artifact)},
            code_paths=[code],
            signature=mlflow_model.signature(),
            metadata=mlflow_model.metadata(),
            input_example=_example(recommender),
            pip_requirements=[f"{name}=={version(name)}" for name in _requirements(recommender)],
            registered_model_name=model_name,
        )
    return info


def _with_name(recommender: Recommender, model_name: str) -> Recommender:
    """Return a recommender that knows the name it is registered under: of whose state it is."""
    return replace(recommender, about=recommender.about | {package.REGISTERED_AS: model_name})


def _with_time(recommender: Recommender) -> Recommender:
    """Return a recommender that knows when the run began that read its catalogue; an update goes on from what it was.

    Items that were put before then are what the catalogue says of them (:mod:`tailor.serving.items`).
    """
    run = mlflow.active_run()
    if run is None or package.CATALOGUE_READ_AT in recommender.about:
        return recommender
    return replace(recommender, about=recommender.about | {package.CATALOGUE_READ_AT: run.info.start_time / 1000})


def log_evaluated(recommender: Recommender) -> str:
    """Log the package of the model that was measured to the run that is open, and return that run's id."""
    with tempfile.TemporaryDirectory() as folder:
        recommender.save(Path(folder) / EVALUATED)
        log_folder(Path(folder) / EVALUATED, EVALUATED)
    run = mlflow.active_run()
    return run.info.run_id if run else ""


def load_evaluated(run_id: str) -> Recommender | None:
    """Load what :func:`log_evaluated` left in a run; None where it left nothing."""
    if not run_id or not any(file.path == EVALUATED for file in mlflow.MlflowClient().list_artifacts(run_id)):
        return None
    return Recommender.load(Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=EVALUATED)))


def log_folder(folder: Path, name: str) -> None:
    """Log the content of a folder to the run that is open, under ``name``."""
    mlflow.log_artifacts(str(folder), name)


def _example(recommender: Recommender) -> pd.DataFrame:
    """Return a request by id and one by history; it is stored with the model, so the id is nobody's."""
    items = recommender.item_ids[:2].tolist()
    return pd.DataFrame({"user_id": [EXAMPLE_USER, None], "history": [[], items]})


def _code(folder: Path) -> str:
    """Copy the code without caches, so that the logged model is the same whatever ran before; plug-ins are packaged."""
    source = Path(mlflow_model.code_paths()[0])
    target = folder / "code" / source.name
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return str(target)
