"""`make bench-spark`: what two local cores of Spark fit beside one machine, and beside Spark's own ALS.

    python benchmarks/spark.py [base ml1m]

By catalogue: the largest difference of an item factor (of ``engine: torch``, whose start Spark's fit has) and of a
weight of EASE and of SLIT, NDCG@20 of warm and of cold test lists to that of ``engine: torch`` and of irspack (same
sweeps), the share of rows with the same label, and the seconds of each fit; Spark's session is made before. Texts are
the frozen embeddings. ALS of Spark ML (implicit feedback; no texts, so cold items score 0) has the best of four option
sets by validation's warm NDCG; its users are folded in exactly from the histories that all models read.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from catalogues import NAMES, RESULTS, Catalogue, about, known_user_ndcg, prepare, rounded, seconds_of, write
from cold_start import embed_frozen
from scipy import sparse

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import DataProcessingOptions
from tailor.models.base import Csr, FittedModel, Floats, Query, State
from tailor.models.ease import EASEConfig, TextEASE
from tailor.models.ials import IALSConfig, TextIALS, fold_in
from tailor.models.slit import SLIT, SLITConfig
from tailor.spark import blocks, factorization, item_weights
from tailor.spark.config import SparkOptions
from tailor.spark.session import session
from tailor.spark.split import label_interactions

SEED, K, BLOCKS = 0, 20, 4
OPTIONS = {"factors": 64, "alpha": 0.1, "regularization": 0.003, "lambda_item_feature": 10.0}
#: Those of irspack make conjugate-gradient steps, the others' are exact.
SWEEPS = {"torch": 16, "irspack": 16}
#: Of EASE and SLIT, as conf/spark has them.
EASE_OPTIONS = {"regularization": 50.0, "text_pull": 100.0, "dropout": 0.2, "user_weight_power": 0.5}
SLIT_OPTIONS = {"regularization": 3000.0}
#: Option sets of Spark's ALS.
ALS_SETS = [{"alpha": alpha, "regParam": penalty} for alpha in (1.0, 10.0) for penalty in (0.01, 0.1)]
TARGETS = {
    "*_largest_difference": "<= 1e-4",
    "*_labels_alike": "1",
    "ml1m_*_to_irspack": ">= .99",
    "*_warm_to_spark_als": "> 1",
}


@dataclass(frozen=True, eq=False)
class SparkALS(FittedModel):
    """Item factors of Spark's ALS: min Σ (1 + α p)(p - x·y)² + λ (Σ n_u |x|² + Σ n_i |y|²), p = 1 where u has i."""

    recipe: Any
    """None: it is no model of the registry."""
    factors: Floats
    """(n_items, d), 0 of items that were not in the fit."""
    alpha: float
    penalty: float

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return len(self.factors)

    def _score(self, query: Query) -> Floats:
        # The problem divided by α; its solution is x α / (1 + α), so the order of the scores is the same.
        factors = self.factors.astype(np.float64)
        diagonal = self.penalty * np.maximum(query.lengths, 1) / self.alpha
        users = fold_in(query.history, factors, factors.T @ factors / self.alpha, diagonal)
        return np.asarray(users @ factors.T, dtype=np.float32)

    def state(self) -> State:
        """See :meth:`FittedModel.state`."""
        return {"factors": self.factors}


def ratings(spark: Any, train: Csr) -> Any:
    """Return a matrix (U, n_items) as Spark's ALS reads it."""
    cells = sparse.coo_matrix(train)
    table = spark.createDataFrame(pd.DataFrame({"user": cells.row, "item": cells.col, "rating": 1.0})).persist()
    table.count()
    return table


def fit_als(table: Any, n_items: int, settings: dict[str, float]) -> SparkALS:
    """Fit Spark's ALS on :func:`ratings`."""
    from pyspark.ml.recommendation import ALS  # noqa: PLC0415  (an extra)

    als = ALS(rank=OPTIONS["factors"], maxIter=SWEEPS["torch"], implicitPrefs=True, seed=SEED, **settings)
    als = als.setNumUserBlocks(BLOCKS).setNumItemBlocks(BLOCKS)
    fitted = als.fit(table).itemFactors.toPandas()
    factors = np.zeros((n_items, OPTIONS["factors"]), np.float32)
    factors[fitted["id"].to_numpy()] = np.stack(fitted["features"].to_list())
    return SparkALS(None, factors, settings["alpha"], settings["regParam"])


def choose_als(spark: Any, catalogue: Catalogue, features: Floats) -> dict[str, float]:
    """Return the option set with the best warm NDCG on validation."""
    holdout = catalogue.holdout()
    table, n_items = ratings(spark, holdout.train_set(features).interactions), len(catalogue.items)
    k = catalogue.hybrid_options.k
    return max(ALS_SETS, key=lambda settings: holdout.measure(fit_als(table, n_items, settings), k)["warm"])


def measure(env: str) -> dict[str, float]:
    """Fit on one machine and on Spark; compare."""
    catalogue, made = prepare(env, SEED), {}
    features = embed_frozen(catalogue)
    data = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, features)
    seconds = {}
    for engine, iterations in SWEEPS.items():
        recipe = TextIALS(IALSConfig(engine=engine, iterations=iterations, n_threads=2, **OPTIONS), SEED)
        seconds[engine], made[engine] = seconds_of(lambda recipe=recipe: recipe.fit(data))
    ease, slit = TextEASE(EASEConfig(**EASE_OPTIONS), SEED), SLIT(SLITConfig(**SLIT_OPTIONS), SEED)
    weights = {"ease": seconds_of(lambda: ease.fit(data)), "slit": seconds_of(lambda: slit.fit(data))}
    spark = session(SparkOptions(master="local[2]"))
    with tempfile.TemporaryDirectory() as folder:
        rows = catalogue.data["interactions"]
        split = parse(DataProcessingOptions, catalogue.params["data_processing"], "data_processing").split
        spark.createDataFrame(rows.drop(columns=c.SPLIT)).write.parquet(f"{folder}/rows")
        labelled = label_interactions(spark.read.parquet(f"{folder}/rows"), split, SEED).persist()
        both = labelled.toPandas().merge(rows, on=[c.USER, c.ITEM], suffixes=("", "_expected"))
        table = blocks.make_blocks(labelled, catalogue.items, BLOCKS, SEED, ordered=True).persist()
        table.count()
        recipe = TextIALS(IALSConfig(iterations=SWEEPS["torch"], **OPTIONS), SEED)
        counts = catalogue.items[c.N_TRAIN].to_numpy(dtype=np.int64)
        seconds["spark"], made["spark"] = seconds_of(
            lambda: factorization.fit(table, counts, features, recipe, item_blocks=BLOCKS)
        )
        n_items = len(catalogue.items)
        on_spark = {
            "ease": seconds_of(lambda: item_weights.fit_ease(table, features, ease, n_items, BLOCKS)),
            "slit": seconds_of(lambda: item_weights.fit_slit(table, slit, n_items, BLOCKS)),
        }
        chosen = choose_als(spark, catalogue, features)
        table_of_als = ratings(spark, catalogue.matrix(c.TRAIN))
        seconds["spark_als"], made["spark_als"] = seconds_of(lambda: fit_als(table_of_als, n_items, chosen))
    values = {name: known_user_ndcg(catalogue, model, catalogue.test_rules, K) for name, model in made.items()}
    means = pd.DataFrame({name: {key: np.nanmean(v) for key, v in of.items()} for name, of in values.items()})
    return {
        "largest_difference": float(np.abs(made["spark"].item_factors - made["torch"].item_factors).max()),
        "labels_alike": float((both[c.SPLIT] == both[f"{c.SPLIT}_expected"]).mean() * (len(both) == len(rows))),
        **{f"{key}_ndcg": float(means.loc[key, "spark"]) for key in (c.WARM, c.COLD)},
        **{f"{key}_to_{name}": float(means.loc[key, "spark"] / means.loc[key, name])
           for key in (c.WARM, c.COLD) for name in SWEEPS},
        "warm_to_spark_als": float(means.loc[c.WARM, "spark"] / means.loc[c.WARM, "spark_als"]),
        **{f"spark_als_{name}": value for name, value in chosen.items()},
        "cold_of_spark_als": float(means.loc[c.COLD, "spark_als"]),
        **{f"{name}_largest_difference": _difference(on_spark[name][1], weights[name][1]) for name in weights},
        **{f"{name}_s": took for name, (took, _) in weights.items()},
        **{f"{name}_on_spark_s": took for name, (took, _) in on_spark.items()},
        **{f"{name}_s": took for name, took in seconds.items()},
    }  # fmt: skip


def _difference(one: Any, other: Any) -> float:
    """Return the largest difference of a weight."""
    return float(np.abs(one.weights - other.weights).max())


def main() -> None:
    """Measure each catalogue; write."""
    headline: dict[str, float] = {}
    for env in sys.argv[1:] or ["base", "ml1m"]:
        headline |= {f"{NAMES[env]}_{key}": value for key, value in measure(env).items()}
    small = {key: value for key, value in headline.items() if key.endswith("difference")}
    result = {"headline": rounded(headline) | small, "targets": TARGETS, **about("make bench-spark", [SEED])}
    write(RESULTS / "spark.json", result)
    sys.stdout.write(json.dumps(result["headline"], indent=1) + "\n")


if __name__ == "__main__":
    main()
