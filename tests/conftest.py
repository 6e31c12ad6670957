"""Shared fixtures: a planted catalogue, its matrices, and a project folder of its own for whole runs."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tailor import columns as c
from tailor.data.buckets import item_table, user_table
from tailor.data.cleaning import clean
from tailor.data.config import CleaningOptions, ColumnOptions, SplitOptions
from tailor.data.fabricate import PlantedCatalogue, planted_catalogue
from tailor.data.interactions import bucket_items, restrict_order, warm_items
from tailor.data.quality import QualityReport
from tailor.data.split import split_interactions
from tailor.hybrid.sources import SOURCES
from tailor.models.base import TrainSet
from tailor.pipelines.feature_engineering.nodes import build_matrices, order_histories

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
#: Seconds after which a test gives up on a process; no test measures time by it.
PATIENCE_S = 1800
_ASKS_FOR_THE_RUN = re.compile(r"def \w+\([^)]*\bfinished\b")
COLUMNS = ColumnOptions(
    interactions={"user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp"},
    items={"item_id": "item_id", "title": "title", "genre": "genre"},
    users={"user_id": "user_id", "age": "age"},
)


def process_group(path: str) -> str:
    """Return which tests share a process of `make test`: those of one file, and all that look at the finished run.

    Args:
        path: of a file of tests, relative to the project.
    """
    return "finished run" if _ASKS_FOR_THE_RUN.search((ROOT / path).read_text()) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole groups, each in the order of its tests; `xdist_group` does nothing under pytest 9.2."""
    from xdist.scheduler import LoadFileScheduling

    class GroupScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return process_group(super()._split_scope(nodeid))

    return GroupScheduling(config, log)


@pytest.fixture(scope="session")
def planted() -> PlantedCatalogue:
    return planted_catalogue(seed=0)


@dataclass(frozen=True)
class Tables:
    """The planted catalogue as every later step sees it."""

    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    matrices: dict[str, sparse.csr_matrix]
    """0/1 (U, n_items) by split."""
    order: sparse.csr_matrix
    """Places of the rows that models may read (U, n_items)."""
    reveal_order: sparse.csr_matrix
    """Places in which new users reveal their items (U, n_items)."""
    warm: np.ndarray
    tail: np.ndarray
    features: np.ndarray
    """What a good text encoder would see: the item's cluster, with noise (n_items, 4)."""
    train_set: TrainSet
    """The train rows with their order, the tail and the features; no profiles, no contexts."""


@pytest.fixture(scope="session")
def tables(planted: PlantedCatalogue) -> Tables:
    raw = {"interactions": planted.interactions, "items": planted.items, "users": planted.users}
    cleaned = clean(raw, COLUMNS, CleaningOptions(), QualityReport())
    interactions, items, users = cleaned.interactions, cleaned.items, cleaned.users
    options = SplitOptions()
    interactions[c.SPLIT] = split_interactions(interactions, options, 0)
    items, users = item_table(items, interactions, options, 0.8, 0), user_table(users, interactions)
    order, reveal_order = order_histories(interactions, users, items, {})
    matrices = dict(zip(c.SPLITS, build_matrices(interactions, users, items), strict=True))
    features = _features_of(planted.item_cluster[items[c.ITEM]].to_numpy())
    warm, tail = warm_items(items), bucket_items(items, c.TAIL)
    train = matrices[c.TRAIN]
    data = TrainSet.of(train, warm, order=restrict_order(order, train), tail=tail, item_features=features)
    return Tables(interactions, items, users, matrices, order, reveal_order, warm, tail, features, data)


def _features_of(clusters: np.ndarray) -> np.ndarray:
    noise = 0.1 * np.random.default_rng(1).normal(size=(len(clusters), clusters.max() + 1))
    features = np.eye(clusters.max() + 1)[clusters] + noise
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def by_source(**weights: float) -> np.ndarray:
    """Weights (S,) of the built-in sources by name, 0 for the others."""
    assert not set(weights) - set(SOURCES)
    return np.array([weights.get(name, 0.0) for name in SOURCES], np.float32)


def environment() -> dict[str, str]:
    """The environment of a child process: offline, quiet, with the venv on PATH and no tracking server of ours."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "TAILOR_"))}
    return env | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "KEDRO_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def make_project(folder: Path) -> Path:
    """Lay out a copy of the project with its own data and MLflow store."""
    for name in ("conf", "notebooks", "src"):
        ignored = shutil.ignore_patterns("local", ".ipynb_checkpoints", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def kedro(project: Path, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
    """Run the kedro CLI in ``project``."""
    done = subprocess.run(
        [str(BIN / "kedro"), *args],
        cwd=project,
        env=environment() | {"COLUMNS": "300"} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done


def run_here(
    project: Path, monkeypatch: pytest.MonkeyPatch, env: str = "test", params: dict | None = None, **selection: object
) -> None:
    """Run pipelines of ``project`` in this process: what the CLI does, without starting an interpreter."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    # MLflow keeps a store per URI for the life of the process: a relative one would be another project's.
    store = project / ("data/test/mlflow.db" if env == "test" else "mlflow.db")
    store.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.delenv("TAILOR_EXPORTED_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)  # which set_registry_uri of another test leaves
    mlflow.set_registry_uri(None)
    monkeypatch.chdir(project)
    bootstrap_project(project)
    with KedroSession.create(project_path=project, env=env, runtime_params=params or {}) as session:
        session.run(**selection)


@dataclass(frozen=True)
class FinishedRun:
    project: Path
    output: str

    @property
    def data(self) -> Path:
        return self.project / "data" / "test"

    @property
    def as_it_ended(self) -> Path:
        """A copy of the data folder; tests that run pipelines in the project do not change it."""
        return self.project.with_name("as_it_ended")

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.data / 'mlflow.db'}"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One whole run of the fabricated catalogue, shared by the tests that only look at what it left."""
    project = make_project(tmp_path_factory.mktemp("project"))
    done = kedro(project, "run", "--env=test")
    run = FinishedRun(project, done.stdout + done.stderr)
    shutil.copytree(run.data, run.as_it_ended)
    return run
