"""The catalogues of the benchmarks: prepared in memory by the project's own pipelines, for any seed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import bucket_items, category_matrix, pseudo_cold_items, trainable_items, warm_items
from tailor.data.side_features import SideFeatures
from tailor.data.text import unpack_pieces
from tailor.lm.training_data import TrainingData

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Catalogue:
    """One catalogue under one seed: the outputs of ``data_processing`` and ``feature_engineering``, and parameters."""

    env: str
    seed: int
    data: dict[str, Any]
    params: dict[str, Any]

    @property
    def items(self) -> pd.DataFrame:
        """The item table."""
        return self.data["items"]

    @property
    def users(self) -> pd.DataFrame:
        """The user table."""
        return self.data["users"]

    @property
    def told(self) -> SideFeatures:
        """What is told of users and moments."""
        return SideFeatures(**self.data["side_features"])

    def matrix(self, split: str) -> sparse.csr_matrix:
        """One split."""
        return self.data[f"{split}_matrix"]

    @property
    def warm(self) -> np.ndarray:
        """Items with train interactions."""
        return warm_items(self.items)

    @property
    def cold(self) -> np.ndarray:
        """Held-out cold items."""
        return bucket_items(self.items, c.COLD)

    def pseudo_cold(self, sample: str) -> np.ndarray:
        """One pseudo-cold sample."""
        return pseudo_cold_items(self.items, sample)

    @property
    def trainable(self) -> np.ndarray:
        """Items whose interactions the language model may learn from."""
        return trainable_items(self.items)

    def training_data(self) -> TrainingData:
        """What the language model is tuned on."""
        teacher = self.data["teacher_factors"]
        return TrainingData(
            pieces=unpack_pieces(self.data["item_text"][c.PIECES]),
            user_factors=teacher["user_factors"],
            item_factors=teacher["item_factors"],
            train=self.matrix(c.TRAIN),
            trainable=self.trainable,
            stop_on=self.pseudo_cold("A"),
            categories=category_matrix(self.items, self.data["item_categories"]),
        )


class _Kept(MemoryDataset):
    """Memory that a runner does not free after the last consumer."""

    def _release(self) -> None:
        pass


def prepare(env: str, seed: int, **params: Any) -> Catalogue:
    """Run the first two pipelines of ``env`` ("base" for the default) with every output in memory."""
    bootstrap_project(ROOT)
    chosen = None if env == "base" else env
    with KedroSession.create(project_path=ROOT, env=chosen, runtime_params={"seed": seed} | params) as session:
        context = session.load_context()
        pipeline = pipelines["data_processing"] + pipelines["feature_engineering"]
        raw = {name: context.catalog.get(name) for name in pipeline.inputs()}
        kept = {name: _Kept() for name in pipeline.all_outputs()}
        SequentialRunner().run(pipeline, DataCatalog(datasets=raw | kept))
        return Catalogue(env, seed, {name: dataset.load() for name, dataset in kept.items()}, context.params)
