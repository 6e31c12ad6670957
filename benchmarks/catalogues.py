"""What the benchmarks share: catalogues prepared in memory by the project's pipelines, and how results are written."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.domains import domain_numbers
from tailor.data.hashing import tie_ranks
from tailor.data.ids import IdMap
from tailor.data.interactions import (
    bucket_items,
    category_matrix,
    pseudo_cold_items,
    restrict_order,
    restrict_strengths,
    trainable_items,
    warm_items,
)
from tailor.data.item_metadata import ItemMetadata
from tailor.data.side_features import SideFeatures
from tailor.data.text import unpack_pieces
from tailor.data.user_texts import UserTexts
from tailor.evaluation.backtest import measure_users
from tailor.evaluation.protocol import EvalProtocol, NewUserProtocol, test_protocol
from tailor.files import write_aside
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.holdout import Holdout, hold_out
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.selection import select_hybrid
from tailor.lm.training_data import TrainingData
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import Contexts, Csr, FittedModel, Floats, Mask, Query, TrainSet
from tailor.models.listing import recommend
from tailor.serving.recommender import Recommender
from tailor.types import JsonObject

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
Values = dict[str, NDArray[np.float64]]
#: Catalogues as results call them, by environment.
NAMES = {"base": "ml100k", "anime": "anime", "ml1m": "ml1m", "test": "fabricated"}


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
    def tie_rank(self) -> np.ndarray:
        """The order of items with equal scores (n_items,)."""
        return tie_ranks(self.seed, self.items[c.ITEM])

    @property
    def side_features(self) -> SideFeatures:
        """What is known of users, and of the moments they acted in."""
        return SideFeatures(**self.data["side_features"])

    @property
    def hybrid_options(self) -> HybridOptions:
        """The catalogue's own."""
        return parse(HybridOptions, self.params["hybrid_cf"], "hybrid_cf")

    def matrix(self, split: str) -> Csr:
        """One split, 0/1 (U, n_items)."""
        return self.data[f"{split}_matrix"]

    @property
    def known(self) -> Csr:
        """Train and validation rows, 0/1 (U, n_items)."""
        return sparse.csr_matrix(self.matrix(c.TRAIN) + self.matrix(c.VALIDATION))

    def holdout(self) -> Holdout:
        """The validation side of the split."""
        return hold_out(
            self.items,
            self.seed,
            self.hybrid_options.blend.few_shot_share,
            train=self.matrix(c.TRAIN),
            validation=self.matrix(c.VALIDATION),
            order=self.data["order_matrix"],
            reveal_order=self.data["reveal_order_matrix"],
            side_features=self.data["side_features"],
            strengths=self.data["strength_matrix"],
        )

    def train_set(self, interactions: Csr, warm: Mask, item_features: Floats) -> TrainSet:
        """What models are fitted on: interactions (U, n_items), their order where it is known, texts (n_items, m)."""
        side = self.side_features
        return TrainSet.of(
            interactions,
            warm,
            order=restrict_order(self.data["order_matrix"], interactions),
            confidence=restrict_strengths(self.data["strength_matrix"], interactions),
            tail=bucket_items(self.items, c.TAIL),
            item_features=item_features,
            profiles=side.profiles,
            contexts=Contexts(side.context_users, side.context_items, side.contexts),
        ).with_domains(domain_numbers(self.items))

    def histories(self, interactions: Csr) -> Query:
        """Every user with these interactions (U, n_items) as history."""
        order, profiles = restrict_order(self.data["order_matrix"], interactions), self.side_features.profiles
        confidence = restrict_strengths(self.data["strength_matrix"], interactions)
        return Query.of(interactions, order, confidence, profile=profiles, user_index=np.arange(interactions.shape[0]))

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
    def metadata(self) -> ItemMetadata:
        """What is known of items."""
        metadata = ItemMetadata.build(self.items, self.data["item_text"][c.PIECES], self.data["item_categories"])
        return replace(metadata, text=self.params["feature_engineering"]["text"])

    def recommender(self, model: FittedModel, known: Csr, **fields: Any) -> Recommender:
        """What would be registered: a model and the rows (U, n_items) it knows; ``fields``: texts and encoders."""
        return Recommender(
            model=model,
            users=IdMap(self.users[c.USER]),
            items=IdMap(self.items[c.ITEM]),
            histories=self.histories(known),
            tie_rank=self.tie_rank,
            about={"seed": self.seed, "head_share": self.params["data_processing"]["head_share"]},
            **fields,
        )

    @property
    def test_rules(self) -> EvalProtocol:
        """The rules of the report's test lists."""
        names = (c.TRAIN, c.VALIDATION, c.COLD_UNUSED)
        known = {name: self.matrix(name) for name in names} | {"order": self.data["order_matrix"]}
        known["strengths"] = self.data["strength_matrix"]
        return test_protocol(self.items, side_features=self.data["side_features"], **known)

    def test_rules_with(self, texts: UserTexts) -> EvalProtocol:
        """The same for users of whom texts are known."""
        rules, users = self.test_rules, np.arange(len(self.users))
        user_text = texts.sums(rules.histories.history, users)
        return replace(rules, histories=replace(rules.histories, user_text=user_text, memo={}))

    def blended(self, item_features: Floats) -> HybridScorer:
        """The hybrid of the first option set: blend and boosts from validation, sources fitted on train."""
        options, holdout = self.hybrid_options, self.holdout()
        recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), self.seed)
        scorer = recipe.fit(holdout.train_set(item_features))
        chosen = fit_blend(scorer, holdout, options.blend, options.k, self.seed)
        blended = scorer.with_blend(chosen.weights).with_boosts(chosen.boosts)
        return blended.recipe.fit(self.train_set(self.matrix(c.TRAIN), self.warm, item_features))

    def selected(self, item_features: Floats, option_sets: int) -> tuple[JsonObject, HybridScorer]:
        """Return the best of the first option sets, by the criterion of the run, and the hybrid of it, as
        :meth:`blended`.
        """
        options, holdout = self.hybrid_options, self.holdout()
        tried = options.model_copy(update={"trials": {"hybrid": options.trials["hybrid"][:option_sets]}})
        data = holdout.train_set(item_features)
        settings, _, scorer = select_hybrid(holdout, data, tried, self.seed)
        chosen = fit_blend(scorer, holdout, options.blend, options.k, self.seed)
        blended = scorer.with_blend(chosen.weights).with_boosts(chosen.boosts)
        return settings, blended.recipe.fit(self.train_set(self.matrix(c.TRAIN), self.warm, item_features))

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


def known_user_ndcg(catalogue: Catalogue, model: FittedModel, rules: EvalProtocol, k: int) -> Values:
    """Return NDCG@k of test lists per known user, NaN without a positive: warm, the tail in them, cold, mixed."""
    users = np.flatnonzero(catalogue.users[c.BUCKET] != "new")
    positives = sparse.csr_matrix(catalogue.matrix(c.TEST) + catalogue.matrix(c.COLD))
    return measure_users(model, rules, positives, users, catalogue.items, k, catalogue.seed)


def new_user_ndcg(
    catalogue: Catalogue, model: FittedModel, lengths: Sequence[int], k: int, texts: UserTexts | None = None
) -> Values:
    """Return NDCG@k of every new user after their first n items, by ``new_n``; ``texts``: what users wrote."""
    data = catalogue.data
    tables = (catalogue.users, catalogue.items, data["new_user_matrix"], data["reveal_order_matrix"])
    arrays = None if texts is None else texts.arrays()
    protocol, values = NewUserProtocol.build(*tables, data["side_features"], arrays), {}
    warm = {c.WARM: ~bucket_items(catalogue.items, c.COLD)}
    for n in lengths:
        query, hidden = protocol.revealed(n), protocol.hidden(n)
        lists = recommend(model, query, query.history, warm, k, catalogue.tie_rank)
        values[f"new_{n}"] = ndcg(hits(lists[c.WARM][0], hidden), np.diff(hidden.indptr), k)
    return values


class _Lasting(MemoryDataset):
    """Memory that a runner does not free after the last consumer."""

    def _release(self) -> None:
        pass


def prepare(env: str, seed: int, tables: dict[str, pd.DataFrame] | None = None, **params: Any) -> Catalogue:
    """Run the first two pipelines of ``env`` ("base" for the default) with every output in memory.

    ``tables``: raw tables by name of their dataset, in place of those that the environment has.
    """
    bootstrap_project(ROOT)
    environment = None if env == "base" else env
    with KedroSession.create(project_path=ROOT, env=environment, runtime_params={"seed": seed} | params) as session:
        context = session.load_context()
        pipeline = pipelines["data_processing"] + pipelines["feature_engineering"]
        raw = {name: context.catalog.get(name) for name in pipeline.inputs()}
        raw |= {name: MemoryDataset(table) for name, table in (tables or {}).items()}
        made = {name: _Lasting() for name in pipeline.all_outputs()}
        SequentialRunner().run(pipeline, DataCatalog(datasets=raw | made))
        return Catalogue(env, seed, {name: dataset.load() for name, dataset in made.items()}, context.params)


def seconds_of(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Any]:
    """Time one call; return the seconds of the clock and what it returns."""
    started = clock()
    result = work()
    return clock() - started, result


def peak_mib() -> float:
    """Return the most memory this process ever held (VmHWM; ru_maxrss would count the parent's too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def about(command: str, seeds: list[int]) -> dict[str, Any]:
    """Return where and when figures come from."""
    git = ["git", "rev-parse", "HEAD"]
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    commit = subprocess.run(git, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
    return {
        "command": command,
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "seeds": seeds,
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} CPUs, "
        f"{torch.backends.cpu.get_cpu_capability()}{gpu}",
    }


def rounded(figures: dict[str, float], digits: int = 4) -> dict[str, float]:
    """Return figures as results show them."""
    return {name: round(value, digits) for name, value in figures.items()}


def write(path: Path, result: dict[str, Any]) -> None:
    """Write aside and rename."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(result, indent=2) + "\n")
