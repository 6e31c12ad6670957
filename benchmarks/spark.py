"""`make bench-spark`: the factorization on two local cores of Spark beside that of one machine, same sweeps.

    python benchmarks/spark.py [base ml1m]

By catalogue: the largest difference of an item factor (of ``engine: torch``, whose start Spark's fit has), NDCG@20 of
warm and of cold test lists to that of ``engine: torch`` and of irspack, the share of rows with the same label, and the
seconds of each fit; Spark's are of the sweeps, its session is made before. Texts are the frozen embeddings.
"""

import json
import sys
import tempfile

import numpy as np
import pandas as pd
from catalogues import NAMES, RESULTS, about, known_user_ndcg, prepare, rounded, seconds_of, write
from cold_start import embed_frozen

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import DataProcessingOptions
from tailor.models.ials import IALSConfig, TextIALS
from tailor.spark import blocks, factorization
from tailor.spark.config import SparkOptions
from tailor.spark.session import session
from tailor.spark.split import label_interactions

SEED, K, BLOCKS = 0, 20, 4
OPTIONS = {"factors": 64, "alpha": 0.1, "regularization": 0.003, "lambda_item_feature": 10.0}
#: Those of irspack make conjugate-gradient steps, the others' are exact.
SWEEPS = {"torch": 16, "irspack": 16}
TARGETS = {"*_largest_difference": "<= 1e-4", "*_labels_alike": "1", "ml1m_*_to_irspack": ">= .99"}


def measure(env: str) -> dict[str, float]:
    """Fit on one machine and on Spark; compare."""
    catalogue, made = prepare(env, SEED), {}
    features = embed_frozen(catalogue)
    data = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, features)
    seconds = {}
    for engine, iterations in SWEEPS.items():
        recipe = TextIALS(IALSConfig(engine=engine, iterations=iterations, n_threads=2, **OPTIONS), SEED)
        seconds[engine], made[engine] = seconds_of(lambda recipe=recipe: recipe.fit(data))
    spark = session(SparkOptions(master="local[2]"))
    with tempfile.TemporaryDirectory() as folder:
        rows = catalogue.data["interactions"]
        split = parse(DataProcessingOptions, catalogue.params["data_processing"], "data_processing").split
        spark.createDataFrame(rows.drop(columns=c.SPLIT)).write.parquet(f"{folder}/rows")
        labelled = label_interactions(spark.read.parquet(f"{folder}/rows"), split, SEED).persist()
        both = labelled.toPandas().merge(rows, on=[c.USER, c.ITEM], suffixes=("", "_expected"))
        table = blocks.make_blocks(labelled, catalogue.items, BLOCKS, SEED).persist()
        table.count()
        recipe = TextIALS(IALSConfig(iterations=SWEEPS["torch"], **OPTIONS), SEED)
        counts = catalogue.items[c.N_TRAIN].to_numpy(dtype=np.int64)
        seconds["spark"], made["spark"] = seconds_of(
            lambda: factorization.fit(table, counts, features, recipe, item_blocks=BLOCKS)
        )
    values = {name: known_user_ndcg(catalogue, model, catalogue.test_rules, K) for name, model in made.items()}
    means = pd.DataFrame({name: {key: np.nanmean(v) for key, v in of.items()} for name, of in values.items()})
    return {
        "largest_difference": float(np.abs(made["spark"].item_factors - made["torch"].item_factors).max()),
        "labels_alike": float((both[c.SPLIT] == both[f"{c.SPLIT}_expected"]).mean() * (len(both) == len(rows))),
        **{f"{key}_ndcg": float(means.loc[key, "spark"]) for key in (c.WARM, c.COLD)},
        **{f"{key}_to_{name}": float(means.loc[key, "spark"] / means.loc[key, name])
           for key in (c.WARM, c.COLD) for name in SWEEPS},
        **{f"{name}_s": took for name, took in seconds.items()},
    }  # fmt: skip


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
