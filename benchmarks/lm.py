"""`make bench-lm`: what tuning the language model is worth in the whole hybrid, for cold items first.

Arms: the frozen encoder; LoRA as configured; LoRA tuned for a linear head alone (``objective.kernel.weight: 0``). Each
arm's embeddings go into the whole hybrid: the better of two option sets of ``hybrid_cf.trials`` (the kernel of
cold items is among what differs), weights and boosts from validation, one look at test. NDCG@20 of cold items alone, of
warm lists, of the tail in them, at the boosts that validation chose for the arm and, as ``plain_``, without boosts: two
arms at different boosts differ by these too. Where too many items are tuned on for the kernel's loss, LoRA as
configured is tuned for the linear head alone, and that arm is left out. Two intervals over the pooled seeds (each holds
other items out): over users; and over users and cold items, both drawn anew (``both_``), which is wider, since few
items are held out.

Cells that are done stay in data/bench, by commit: an interrupted run goes on, and a cell that another machine made is
taken as it is; each row of the result names its machine. ``permuted``: every text given to another item.
"""

import json
import logging
import sys
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from catalogues import NAMES, RESULTS, ROOT, Catalogue, Values, about, known_user_ndcg, prepare, rounded, write
from cold_start import embed, lm_options, parameters, tuned
from lm_speed import encoding, training
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.hybrid.scorer import HybridScorer
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.topk import EXCLUDED, top_k

RESULT, STORE = RESULTS / "lm.json", ROOT / "data" / "bench"
K, OPTION_SETS, RESAMPLES = 20, 2, 300
PLAN = {"base": (0, 1, 2), "anime": (0, 1, 2), "ml1m": (0, 1, 2)}
ARMS: dict[str, dict[str, Any]] = {
    "frozen": {"peft": {"peft_type": "FROZEN"}},
    "lora": {},
    "linear": {"objective": {"kernel": {"weight": 0.0}}},
}
PERMUTED, PLAIN = "permuted_", "plain_"
COMPARED = (c.COLD, c.WARM, c.TAIL, PLAIN + c.WARM, PLAIN + c.TAIL)
TARGETS = {
    "ml100k_cold_lora_to_frozen": ">= 1.06",
    "ml1m_cold_lora_to_frozen": ">= 1.25",
    "anime_cold_lora_to_frozen": ">= 1.06",
    "*_cold_lora_to_frozen_both_low": "> 1",
    "ml1m_lora_cold": ">= .21",
    "anime_lora_cold": ">= .355",
    "*_warm_lora_to_frozen_low, *_tail_lora_to_frozen_low": ">= .99",
    "encoding_over_sentence_transformers": ">= 2.5 where bf16 exists",
    "training_over_padded_trainer": ">= 2.5",
}


def permuted(catalogue: Catalogue) -> Catalogue:
    """Return the catalogue with every item's text given to another item."""
    text = catalogue.data["item_text"]
    order = np.random.default_rng(catalogue.seed).permutation(len(text))
    mixed = text.assign(**{name: text[name].to_numpy()[order] for name in (c.TEXT, c.PIECES)})
    return replace(catalogue, data=catalogue.data | {"item_text": mixed})


def cold_scores(catalogue: Catalogue, scorer: HybridScorer) -> NDArray[np.float32]:
    """Return scores of the cold items (U, n_cold); those that the split left out of a user's test are excluded."""
    cold, histories = np.flatnonzero(catalogue.cold), catalogue.test_rules.histories
    scores = np.vstack([scorer.score(query)[:, cold] for _, query in histories.blocks(512)])
    scores[catalogue.matrix(c.COLD_UNUSED)[:, cold].nonzero()] = EXCLUDED
    return scores


def run_arm(catalogue: Catalogue, changes: dict[str, Any]) -> tuple[Values, dict[str, Any]]:
    """Tune, choose, look once; return values per user, the cold items' scores among them, and what is worth telling."""
    options = lm_options(catalogue, changes)
    adapter, details = (None, {}) if options.peft.peft_type == "FROZEN" else tuned(catalogue, options)
    settings, scorer = catalogue.selected(embed(catalogue, adapter, options), OPTION_SETS)
    values = known_user_ndcg(catalogue, scorer, catalogue.test_rules, K)
    plain = known_user_ndcg(catalogue, scorer.with_boosts(scorer.boosts.off()), catalogue.test_rules, K)
    values |= {PLAIN + name: of_users for name, of_users in plain.items()}
    boosts = scorer.boosts.model_dump(include={"cold_boost", "tail_boost"})
    return values | {"scores": cold_scores(catalogue, scorer)}, details | {"chosen": settings, "boosts": boosts}


def arms_of(catalogue: Catalogue) -> list[str]:
    """Return the arms that differ on this catalogue."""
    objective, n = lm_options(catalogue, {}).objective, int(catalogue.trainable.sum())
    return [arm for arm in ARMS if arm != "linear" or objective.uses_kernel(n)]


def cold_positives(catalogue: Catalogue) -> sparse.csr_matrix:
    """Return the test rows of the cold items (U, n_cold)."""
    return sparse.csr_matrix(catalogue.matrix(c.COLD)[:, np.flatnonzero(catalogue.cold)])


def cell(env: str, seed: int, arm: str) -> tuple[Catalogue, Values, dict[str, Any]]:
    """Return one arm of one seed, from disk where this commit made it."""
    catalogue = prepare(env, seed)
    path = STORE / f"lm_{env}_{seed}_{arm}_{about('', [])['commit'][:12]}.npz"
    if not path.is_file():
        given = permuted(catalogue) if arm.startswith(PERMUTED) else catalogue
        values, details = run_arm(given, ARMS[arm.removeprefix(PERMUTED)])
        details |= {"machine": about("", [])["machine"]}
        STORE.mkdir(parents=True, exist_ok=True)
        np.savez(path.with_suffix(".part.npz"), details=json.dumps(details), **values)  # type: ignore[arg-type]
        path.with_suffix(".part.npz").rename(path)
    with np.load(path, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files if name != "details"}
        details = json.loads(str(arrays["details"]))
    means = rounded({name: float(np.nanmean(v)) for name, v in values.items() if name != "scores"})
    print(f"{env} seed {seed} {arm:16s} {means} {details}", flush=True)
    return catalogue, values, details | {"arm": arm, "seed": seed, "ndcg": means}


def over_users_and_items(
    positives: sparse.csr_matrix, ours: NDArray[np.float32], theirs: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean NDCG of both arms on lists of drawn cold items for drawn users (RESAMPLES, 2).

    Args:
        positives: of the cold items (U, n_cold).
        ours: scores (U, n_cold).
        theirs: of the other arm.
        rng: draws both with replacement; an item drawn twice is two candidates.
    """
    users = np.flatnonzero(np.diff(positives.indptr))
    columns = sparse.csc_matrix(positives)
    means = np.empty((RESAMPLES, 2))
    for row in means:
        people, items = rng.choice(users, len(users)), rng.integers(0, positives.shape[1], positives.shape[1])
        truth, ties = sparse.csr_matrix(columns[:, items])[people], rng.permutation(len(items))
        for arm, scores in enumerate((ours, theirs)):
            lists = top_k(np.ascontiguousarray(scores[np.ix_(people, items)]), K, ties)[0]
            row[arm] = np.nanmean(ndcg(hits(lists, truth), np.diff(truth.indptr), K))
    return means


def compared(catalogues: list[Catalogue], ours: list[Values], theirs: list[Values], which: str) -> dict[str, float]:
    """Compare two arms: users resampled, and for cold lists users and items; seeds pooled by user, or averaged."""
    pairs = [np.concatenate([values[which] for values in arm]) for arm in (ours, theirs)]
    result = asdict(paired_bootstrap(*pairs))
    figures = {"": result["ratio"], "_low": result["ratio_low"], "_high": result["ratio_high"]}
    if which == c.COLD:
        rng = np.random.default_rng(0)
        drawn = [
            over_users_and_items(
                cold_positives(catalogue),
                mine["scores"],
                other["scores"],
                rng,
            )
            for catalogue, mine, other in zip(catalogues, ours, theirs, strict=True)
        ]
        ratios = np.mean(drawn, axis=0)
        low, high = np.quantile(ratios[:, 0] / ratios[:, 1], [0.025, 0.975])
        figures |= {"_both_low": float(low), "_both_high": float(high)}
    return figures


def one_catalogue(env: str, seeds: tuple[int, ...]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Return the figures of a catalogue, and what was chosen and trained per arm and seed."""
    cells = {arm: [cell(env, seed, arm) for seed in seeds] for arm in arms_of(prepare(env, seeds[0]))}
    values = {arm: [v for _, v, _ in of_arm] for arm, of_arm in cells.items()}
    catalogues = [catalogue for catalogue, _, _ in cells["frozen"]]
    figures = {
        f"{arm}_{which}": float(np.nanmean(np.concatenate([v[which] for v in of_arm])))
        for arm, of_arm in values.items()
        for which in COMPARED
    }
    pairs = (("lora", "frozen"), ("linear", "frozen"), ("lora", "linear"))
    for ours, theirs in [pair for pair in pairs if values.keys() >= set(pair)]:
        for which in COMPARED:
            for name, value in compared(catalogues, values[ours], values[theirs], which).items():
                figures[f"{which}_{ours}_to_{theirs}{name}"] = value
    for arm in [arm for arm in ("linear", "lora") if arm in values]:
        figures[f"{arm}_training_s"] = float(np.mean([details["seconds"] for _, _, details in cells[arm]]))
    return figures, [details for of_arm in cells.values() for _, _, details in of_arm]


def control() -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Return what tuning gives where texts are permuted: MovieLens-100K, seed 0."""
    lora, frozen = (cell("base", 0, f"{PERMUTED}{arm}") for arm in ("lora", "frozen"))
    difference = paired_bootstrap(lora[1][c.COLD], frozen[1][c.COLD])
    figures = {f"cold_{PERMUTED}{name}": getattr(difference, name) for name in ("difference", "low", "high")}
    means = over_users_and_items(
        cold_positives(lora[0]), lora[1]["scores"], frozen[1]["scores"], np.random.default_rng(0)
    )
    low, high = np.quantile(means[:, 0] - means[:, 1], [0.025, 0.975])
    figures |= {f"cold_{PERMUTED}both_low": float(low), f"cold_{PERMUTED}both_high": float(high)}
    return figures, [lora[2], frozen[2]]


def speed() -> dict[str, float]:
    """Return encoding and training against their peers."""
    encoded, trained = encoding(), training()
    return {
        "encoding_over_sentence_transformers": encoded["ratio"],
        "encoding_mean_cosine": encoded["mean_cosine"],
        "training_over_padded_trainer": trained["over_max_length"],
        "training_over_dynamic_trainer": trained["over_longest"],
    }


def main() -> None:
    """Run everything, or the catalogues named on the command line; figures of the others stay."""
    logging.disable(logging.INFO)
    earlier = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    earlier = earlier if "rows" in earlier else {}  # of an earlier protocol
    headline, rows, commits = (earlier.get(name, {}) for name in ("headline", "rows", "commits"))
    for env in sys.argv[1:] or [*PLAN, "speed"]:
        made = about("make bench-lm", [0, 1, 2])
        if env == "speed":
            adapter = next(
                row["tuned_parameters"] for of_one in rows.values() for row in of_one if row["arm"] == "lora"
            )
            share = adapter / parameters(lm_options(prepare("base", 0), {}))
            headline |= rounded(speed() | {"tuned_share": share})
        else:
            name = NAMES[env]
            figures, rows[name] = one_catalogue(env, PLAN[env])
            if env == "base":
                of_control, more = control()
                figures, rows[name] = figures | of_control, rows[name] + more
            headline = {key: value for key, value in headline.items() if not key.startswith(f"{name}_")}
            headline |= rounded({f"{name}_{figure}": value for figure, value in figures.items()})
        commits |= {NAMES.get(env, env): made["commit"]}
        size = {"k": K, "option_sets": OPTION_SETS, "resamples": RESAMPLES}
        report = {"headline": headline, "targets": TARGETS, "commits": commits, "rows": rows, "size": size}
        write(RESULT, report | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
