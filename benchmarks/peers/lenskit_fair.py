"""Run by the interpreter of .venv-lenskit: LensKit's FA*IR on the pools of a folder; writes lists.npz there."""

import sys
from pathlib import Path

import numpy as np
from lenskit.data import DatasetBuilder, ItemList
from lenskit.reranking.fair import FAIRReranker


def main() -> None:
    """Re-rank every pool at every target share of tail items."""
    folder, k = Path(sys.argv[1]), int(sys.argv[2])
    with np.load(folder / "pools.npz", allow_pickle=False) as file:
        pools, tail, shares = file["pools"], file["tail"], file["shares"]
    ids = np.arange(len(tail))
    builder = DatasetBuilder()
    builder.add_entities("item", ids)
    builder.add_scalar_attribute("item", "protected", ids, tail)
    data, by_share = builder.build(), {}
    for share in shares:
        reranker = FAIRReranker(n=k, p=float(share))
        reranker.train(data)
        lists = np.full((len(pools), k), -1, np.int64)
        for row, pool in enumerate(pools):
            chosen = reranker(ItemList(item_ids=pool[pool >= 0], ordered=True)).ids()
            lists[row, : len(chosen)] = chosen
        by_share[f"{share:g}"] = lists
    np.savez(folder / "lists.npz", **by_share)


if __name__ == "__main__":
    main()
