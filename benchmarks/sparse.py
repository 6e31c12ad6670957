"""`make bench-sparse`: item-item weights of the nearest items beside full ones, and what a fit takes.

NDCG@20 of sparse weights (``neighbours``: 200) to that of full ones, by catalogue: a tenth of each history, at least
one row, is asked for (Amazon Beauty, 5-core, as cut by S3-Rec: the last row; histories hold the validation row too,
fits do not); the rest is learnt from. Rows come in the order of their times, those of anime, which has none, in a
random order. Options are the first ones of ``hybrid_cf.trials``. A user's own rows are left out of the lists, all other
items are candidates.

Seconds and the process's most memory of one fit on Amazon Beauty (12,101 items; texts are random vectors of 384
numbers), each in a process of its own: ``full`` and ``sparse``; ``before`` is what an earlier checkout took, whose
``src`` is the argument: ``python benchmarks/sparse.py /earlier/src``.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT / "data" / "01_raw"
K, USERS, NEIGHBOURS = 20, 8000, 200
FULL = 20_000
MODELS = {
    "ease": {"regularization": 100.0},
    "text_ease": {"regularization": 500.0, "text_pull": 100.0},
    "slit": {"regularization": 1000.0, "half_life": 5.0},
}
TARGETS = {"beauty_*_to_full": ">= .98", "*_ease_to_full": ">= .98"}


def rows(name: str) -> pd.DataFrame:
    """Return user, item and place of every row, and whether it is asked for."""
    if name == "beauty":
        table = pd.read_csv(RAW / "beauty" / "interactions.csv.gz").rename(columns={"timestamp": "time"})
    elif name == "anime":
        table = pd.read_csv(RAW / "anime" / "interactions.csv.gz")
        table["time"] = np.random.default_rng(0).permutation(len(table))
    else:
        columns = ["user_id", "item_id", "rating", "time"]
        table = pd.read_csv(RAW / "ml-1m" / "ml-1m.inter", sep="\t", names=columns, header=0)
    table = table.sort_values(["user_id", "time"], kind="stable", ignore_index=True)
    of_user = table.groupby("user_id")["item_id"]
    place, count = of_user.cumcount(), of_user.transform("size")
    asked = place >= count - (1 if name == "beauty" else np.maximum(1, count // 10))
    validation = (place == count - 2) & (name == "beauty")
    codes = [pd.factorize(table[key])[0] for key in ("user_id", "item_id")]
    return pd.DataFrame(
        {"user": codes[0], "item": codes[1], "place": place + 1, "asked": asked, "train": ~asked & ~validation}
    )


def matrix(table: pd.DataFrame, chosen: pd.Series, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the places of some rows (U, n_items)."""
    part = table[chosen]
    return sparse.csr_matrix((part["place"].astype(np.float32), (part["user"], part["item"])), shape=shape)


def one(name: str, model: str, arm: str) -> dict[str, float]:
    """Fit one model in this process; return seconds, its most memory in MiB, and NDCG@20."""
    from tailor.models.base import TrainSet  # noqa: PLC0415

    table = rows(name)
    shape = (int(table["user"].max()) + 1, int(table["item"].max()) + 1)
    order = matrix(table, table["train"], shape)
    texts = np.random.default_rng(0).normal(size=(shape[1], 384)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    data = TrainSet.of(order, np.ones(shape[1], bool) & (order.getnnz(axis=0) > 0), order=order, item_features=texts)
    started = time.perf_counter()
    fitted = fit_kernel(data) if model == "kernel" else fit_model(model, arm, data)
    seconds = time.perf_counter() - started
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    made = {"s": seconds, "mib": peak}
    return made if model == "kernel" or arm == "before" else made | {"ndcg": measure(fitted, table, shape)}


def fit_model(model: str, arm: str, data):
    """Fit one model with full weights or sparse ones; an earlier checkout knows no others than full ones."""
    from tailor.hybrid import sources  # noqa: F401, PLC0415
    from tailor.models.registry import build  # noqa: PLC0415

    limit = {
        "before": {},
        "full": {"max_dense_items": FULL},
        "sparse": {"max_dense_items": 1, "neighbours": NEIGHBOURS},
    }
    return build(model, MODELS[model] | limit[arm], 0).fit(data)


def fit_kernel(data):
    """Invert the kernel of the texts' landmarks."""
    from tailor.hybrid.cold_items import KernelImputer  # noqa: PLC0415
    from tailor.hybrid.config import ColdItemOptions  # noqa: PLC0415

    imputer = KernelImputer.fit(ColdItemOptions(), data.item_features, data.counts)
    return imputer, imputer.predict(data.item_features[:1], np.zeros((len(imputer.landmarks), 1), np.float32))


def measure(model, table: pd.DataFrame, shape: tuple[int, int]) -> float:
    """Return the mean NDCG@20 of (a sample of) the users."""
    from tailor.metrics.accuracy import hits, ndcg  # noqa: PLC0415
    from tailor.models.base import Query  # noqa: PLC0415
    from tailor.topk import EXCLUDED, top_k  # noqa: PLC0415

    known, asked = matrix(table, ~table["asked"], shape), matrix(table, table["asked"], shape)
    users = np.sort(np.random.default_rng(0).permutation(shape[0])[:USERS])
    values = []
    for start in range(0, len(users), 256):
        block = users[start : start + 256]
        scores = model.score(Query.of(known[block], known[block]))
        scores[known[block].nonzero()] = EXCLUDED
        hit = hits(top_k(scores, K, np.arange(shape[1]))[0], asked[block])
        values.append(ndcg(hit, np.diff(asked[block].indptr), K))
    return float(np.nanmean(np.concatenate(values)))


def in_process(name: str, model: str, arm: str, source: str) -> dict[str, float]:
    """Measure one arm in a process of its own, with the code of ``source``."""
    command = [sys.executable, __file__, "--one", name, model, arm]
    environment = os.environ | {"PYTHONPATH": source}
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    print(name, model, arm, made.strip(), flush=True)
    return json.loads(made)


def main() -> None:
    """Measure all arms; write ratios of NDCG, seconds and memory."""
    from catalogues import RESULTS, about, rounded, write  # noqa: PLC0415

    path, ours = RESULTS / "sparse.json", str(ROOT / "src")
    earlier = json.loads(path.read_text())["headline"] if path.is_file() else {}
    headline = {key: value for key, value in earlier.items() if "_before_" in key}
    for name in ("beauty", "ml1m", "anime"):
        for model in MODELS if name == "beauty" else ("ease",) if name == "anime" else ("ease", "slit"):
            full, few = (in_process(name, model, arm, ours) for arm in ("full", "sparse"))
            headline |= {f"{name}_{model}_full": full["ndcg"], f"{name}_{model}_sparse": few["ndcg"]}
            headline[f"{name}_{model}_to_full"] = few["ndcg"] / full["ndcg"]
            if name == "beauty":
                headline |= {
                    f"{model}_{arm}_{key}": made[key]
                    for arm, made in (("full", full), ("sparse", few))
                    for key in ("s", "mib")
                }
    headline |= {f"kernel_full_{key}": value for key, value in in_process("beauty", "kernel", "full", ours).items()}
    for model in (*MODELS, "kernel") if sys.argv[1:] else ():
        made = in_process("beauty", model, "before", sys.argv[1])
        headline |= {f"{model}_before_{key}": value for key, value in made.items()}
    size = {"k": K, "neighbours": NEIGHBOURS, "items": 12_101}
    write(path, {"headline": rounded(headline), "targets": TARGETS, "size": size} | about("make bench-sparse", [0]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(*sys.argv[2:])))
    else:
        main()
