"""`make bench-rerank ENV=…`: our `tail` re-ranking against LensKit's FA*IR, on the pools of a finished run.

FA*IR (Zehlike et al. 2017) is the one re-ranker for exposure that LensKit has; RecTools has learnt ones only. Protected
items are the tail. Both choose from the registered model's 200 best candidates of the same test users.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from catalogues import NAMES, RESULTS, ROOT, about, write
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tailor.config import parse
from tailor.data.item_metadata import ItemMetadata
from tailor.evaluation.measure import describe_items
from tailor.evaluation.protocol import test_protocol
from tailor.evaluation.trade_off import CandidatePool, draw_candidates, measure
from tailor.hybrid.scorer import scorer_of
from tailor.options import EvaluationOptions
from tailor.rerank import RerankOptions, rerank

PEER = ROOT / ".venv-lenskit" / "bin" / "python"
SHARES, STRENGTHS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5), (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


def finished_run(env: str) -> tuple[CandidatePool, ItemMetadata, int, int]:
    """Return the pools of a run's test users, what items are, k and the seed."""
    bootstrap_project(ROOT)
    with KedroSession.create(project_path=ROOT, env=None if env == "base" else env) as session:
        context = session.load_context()
        load, params = context.catalog.load, context.params
        options = parse(EvaluationOptions, params["evaluation"], "evaluation")
        items, users, seed = load("items"), load("users"), int(params["seed"])
        known = {name: load(f"{name}_matrix") for name in ("train", "validation", "cold_unused", "order")}
        protocol = test_protocol(items, side_features=load("side_features"), **known)
        metadata = describe_items(items, load("item_text"), load("item_categories"), load("item_embeddings_frozen"))
        models, positives = load(f"{options.registered}_model"), load("test_positives")
        pool = draw_candidates(
            scorer_of(models), protocol, positives, users, items, options.frontier, options.block_users, seed
        )
    return pool, metadata, max(options.k), seed


def fair(pool: CandidatePool, tail: np.ndarray, k: int) -> dict[float, np.ndarray]:
    """Return LensKit's lists by target share of tail items."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "pools.npz", pools=pool.items, tail=tail, shares=np.array(SHARES))
        script = ROOT / "benchmarks" / "peers" / "lenskit_fair.py"
        subprocess.run([str(PEER), str(script), folder, str(k)], check=True)
        with np.load(Path(folder) / "lists.npz", allow_pickle=False) as file:
            return {float(share): file[share] for share in file.files}


def at_equal_tail(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Return, at each of the others' settings that our frontier spans, NDCG of both at the same tail NDCG."""
    curve = ours.sort_values("tail_ndcg")
    within = theirs[theirs["tail_ndcg"].between(curve["tail_ndcg"].iloc[0], curve["tail_ndcg"].iloc[-1])]
    interpolated = np.interp(within["tail_ndcg"], curve["tail_ndcg"], curve["ndcg"])
    return within[["strength", "tail_ndcg", "ndcg"]].assign(ours=interpolated, ratio=interpolated / within["ndcg"])


def compare(env: str) -> tuple[dict[str, float], dict[str, Any], int]:
    """Return headline figures, both frontiers, and the seed."""
    pool, metadata, k, seed = finished_run(env)
    rows = []
    for strength in (0.0, *STRENGTHS):
        setting = RerankOptions(method="tail", strength=strength)
        lists, _ = rerank(pool.items, pool.scores, pool.history, metadata, setting, k)
        rows.append({"strength": strength} | measure(lists, pool, metadata))
    ours = pd.DataFrame(rows)
    theirs = pd.DataFrame(
        [{"strength": share} | measure(lists, pool, metadata) for share, lists in fair(pool, metadata.tail, k).items()]
    )
    matched = at_equal_tail(ours, theirs)
    print(f"{env}\n{ours.round(4).to_string()}\n{theirs.round(4).to_string()}\n{matched.round(4).to_string()}")
    name = NAMES.get(env, env)
    headline = {
        f"{name}_ndcg_over_fair_at_equal_tail_{which}": float(matched["ratio"].agg(which)) for which in ("min", "max")
    }
    tables = {"ours": ours, "fair": theirs, "at_equal_tail_ndcg": matched}
    return headline, {key: table.to_dict("records") for key, table in tables.items()}, seed


def main() -> None:
    """Compare on the environments named on the command line; their runs must be finished."""
    if not PEER.is_file():
        raise SystemExit(f"{PEER} is missing: run `make bench-rerank`, which builds it")
    for env in sys.argv[1:] or ["base"]:
        headline, results, seed = compare(env)
        report = {"headline": headline, "targets": {"ndcg_over_fair_at_equal_tail": ">= 1.0"}, "results": results}
        path = RESULTS / f"rerank_{NAMES.get(env, env)}.json"
        write(path, report | about(f"make run ENV={env} && make bench-rerank ENV={env}", [seed]))


if __name__ == "__main__":
    main()
