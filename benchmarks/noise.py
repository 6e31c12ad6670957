"""`make bench-noise`: what random clicks and machines among the users cost, with and without the filter.

Train rows of a catalogue are joined by clicks on random items (10 % of the rows, by its own users) and by machines (1 %
as many as users, 200 clicks each: half of them ten a second on random items, half of them all on the same items at the
pace of people). Models are fitted with the first option set of each; the test lists are those of the clean catalogue's
own users, so that differences are paired.
"""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
from catalogues import NAMES, RESULTS, Catalogue, about, prepare, rounded, write
from cold_start import embed_frozen
from numpy.typing import NDArray

from tailor import columns as c
from tailor.config import parse
from tailor.data.buckets import item_table, user_table
from tailor.data.config import SplitOptions
from tailor.data.inspection import suspicious_users
from tailor.evaluation.protocol import positives
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import FittedModel
from tailor.models.listing import recommend
from tailor.models.registry import build
from tailor.pipelines.feature_engineering.nodes import build_matrices, encode_side_features, order_histories

K, CLICKS, MACHINES, ROWS_OF_A_MACHINE = 20, 0.1, 0.01, 200
TARGETS = {"filtered over noisy, hybrid": ">= 1.0"}
Frame = pd.DataFrame


def random_clicks(rows: Frame, items: NDArray[np.object_], rng: np.random.Generator) -> Frame:
    """Return clicks of users on random items that they have nothing to do with, at times of their own."""
    train = rows[rows[c.SPLIT] == c.TRAIN]
    n = round(CLICKS * len(train))
    clicks = train.sample(n, random_state=rng.integers(2**31)).assign(**{c.ITEM: rng.choice(items, n)})
    known = pd.MultiIndex.from_frame(rows[[c.USER, c.ITEM]])
    clicks = clicks[~pd.MultiIndex.from_frame(clicks[[c.USER, c.ITEM]]).isin(known)]
    return clicks.drop_duplicates([c.USER, c.ITEM])


def machines(rows: Frame, items: NDArray[np.object_], rng: np.random.Generator) -> Frame:
    """Return the rows of users that are machines."""
    n_machines = max(2, round(MACHINES * rows[c.USER].nunique()))
    size = min(ROWS_OF_A_MACHINE, len(items) // 2)
    promoted, made = rng.choice(items, size, replace=False), []
    for number in range(n_machines):
        fast = number % 2 == 0
        chosen = rng.choice(items, size, replace=False) if fast else promoted
        times = rows[c.TIMESTAMP].median() + 1e5 * number + (0.1 if fast else 60.0) * np.arange(size)
        made.append(Frame({c.USER: f"machine {number}", c.ITEM: chosen, c.TIMESTAMP: times, c.SPLIT: c.TRAIN}))
    return pd.concat(made, ignore_index=True)


def with_rows(clean: Catalogue, rows: Frame) -> Catalogue:
    """Return the catalogue as it would be with other interactions under the same split."""
    split = parse(SplitOptions, clean.params["data_processing"]["split"], "split")
    own = ["n_train", "bucket", "pseudo_cold"]
    head_share = clean.params["data_processing"]["head_share"]
    items = item_table(clean.items.drop(columns=own), rows, split, head_share, clean.seed)
    users = user_table(clean.users.drop(columns=own[:2]), rows)
    order, reveal = order_histories(rows, users, items, clean.params["data_processing"]["split"])
    side, _ = encode_side_features(users, items, rows, clean.params["feature_engineering"])
    data = {"items": items, "users": users, "order_matrix": order, "reveal_order_matrix": reveal, "side_features": side}
    data |= {f"{name}_matrix": m for name, m in zip(c.SPLITS, build_matrices(rows, users, items), strict=True)}
    return replace(clean, data=clean.data | data)


def models(catalogue: Catalogue, vectors: NDArray[np.float32]) -> dict[str, FittedModel]:
    """Fit every baseline and the frozen hybrid, with the first option set of each."""
    options = catalogue.hybrid_options
    data = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors)
    fitted: dict[str, FittedModel] = {}
    for name, trials in options.trials.items():
        if name != "hybrid":
            fitted[name] = build(name, trials[0], catalogue.seed).fit(data)
    return fitted | {"hybrid": catalogue.blended(vectors)}


def measure(catalogue: Catalogue, people: pd.Index, vectors: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Return warm NDCG per person (in the order of ``people``) by model."""
    rows = pd.Index(catalogue.users[c.USER]).get_indexer(people)
    rules = catalogue.test_rules
    relevant = positives(catalogue.matrix(c.TEST), rules, c.WARM)[rows]
    query, seen, warm = rules.histories.take(rows), rules.seen[rows], {c.WARM: rules.candidates[c.WARM]}
    figures = {}
    for name, model in models(catalogue, vectors).items():
        listed = recommend(model, query, seen, warm, K, catalogue.tie_rank)[c.WARM][0]
        figures[name] = ndcg(hits(listed, relevant), np.diff(relevant.indptr), K)
    return figures


def one_catalogue(env: str, seed: int) -> dict[str, dict[str, float]]:
    """Measure a catalogue clean, noisy and filtered; return means, differences and intervals by model."""
    clean, rng = prepare(env, seed), np.random.default_rng(seed)
    rows = clean.data["interactions"]
    warm = clean.items.loc[clean.warm, c.ITEM].to_numpy(dtype=object)
    clicks, robots = random_clicks(rows, warm, rng), machines(rows, warm, rng)
    found = suspicious_users(pd.concat([rows, clicks, robots]))
    tables = {"clean": rows, "clicks": [rows, clicks], "machines": [rows, robots], "both": [rows, clicks, robots]}
    joined = {name: pd.concat(parts, ignore_index=True) if name != "clean" else parts for name, parts in tables.items()}
    joined["filtered"] = joined["both"][~joined["both"][c.USER].isin(found.index)]
    people = pd.Index(clean.users.loc[clean.users[c.BUCKET] != "new", c.USER]).difference(found.index)
    vectors = embed_frozen(clean)
    figures = {name: measure(with_rows(clean, table), people, vectors) for name, table in joined.items()}
    is_machine = found.index.str.startswith("machine ")
    counts = {"clicks": len(clicks), "machines": robots[c.USER].nunique(), "found": int(is_machine.sum())}
    result: dict[str, dict[str, float]] = {"rows": counts | {"people_taken_for_machines": int((~is_machine).sum())}}
    for model, base in figures["clean"].items():
        result[model] = {"clean": float(np.nanmean(base))}
        for name in ("clicks", "machines", "both", "filtered"):
            compared = paired_bootstrap(figures[name][model], base)
            result[model] |= {
                name: float(np.nanmean(figures[name][model])),
                f"{name}_low": compared.low,
                f"{name}_high": compared.high,
            }
        regained = paired_bootstrap(figures["filtered"][model], figures["both"][model])
        result[model] |= {"regained_low": regained.low, "regained_high": regained.high}
    return {name: rounded(values) for name, values in result.items()}


def main() -> None:
    """Measure MovieLens-100K (or ``--env NAME``) and write."""
    env = sys.argv[-1] if "--env" in sys.argv else "base"
    result = one_catalogue(env, 0)
    written = {"headline": result, "targets": TARGETS, "size": {"k": K, "clicks": CLICKS, "machines": MACHINES}}
    write(RESULTS / f"noise_{NAMES[env]}.json", written | about("make bench-noise", [0]))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
