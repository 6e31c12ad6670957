"""Run by the interpreter of .venv-peers: RecTools' metrics on the tables of a folder, timed; writes peer.json there."""

import json
import sys
import time
from pathlib import Path

import pandas as pd
from rectools.metrics import MAP, MRR, NDCG, AvgRecPopularity, CatalogCoverage, MeanInvUserFreq, Recall, calc_metrics


def main() -> None:
    """Measure three times; the first run warms up."""
    folder, k = Path(sys.argv[1]), int(sys.argv[2])
    lists, test, train = (pd.read_csv(folder / f"{name}.csv") for name in ("lists", "test", "train"))
    catalog = list(range(int(sys.argv[3])))
    metrics = {
        "ndcg": NDCG(k=k, divide_by_achievable=True),
        "recall": Recall(k=k),
        "map": MAP(k=k),
        "mrr": MRR(k=k),
        "coverage": CatalogCoverage(k=k, normalize=True),
        "novelty": MeanInvUserFreq(k=k),
        "arp": AvgRecPopularity(k=k),
    }
    seconds, values = [], {}
    for _ in range(4):
        started = time.perf_counter()
        values = calc_metrics(metrics, lists, test, prev_interactions=train, catalog=catalog)
        seconds.append(time.perf_counter() - started)
    figures = {"seconds": seconds[1:], "values": {name: float(value) for name, value in values.items()}}
    (folder / "peer.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
