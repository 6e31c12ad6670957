"""`make bench-domains`: what one model of two catalogues is worth, beside one model of each.

Amazon Beauty and Toys: 2,073 people are in both. Of half of these a seeded split hides all rows of one catalogue; the
single models see the same rows as the joint one. NDCG@20 of warm lists, of the tail in them and of cold items for who
is known in a catalogue, joint over single; and for who is new to it: the joint model, which knows them from the other
catalogue, over popularity and over the single model, to which they are nobody. Frozen encoder; the hybrid of the first
option set, weights and boosts from validation, without transformers (``hybrid_cf.sources`` has them at null).

Cells that are done stay in data/bench/domains, by commit: an interrupted run goes on. A catalogue that is given as
argument replaces ``amazon``: ``make bench-domains ENV=test-domains``.

What adapters of domains are worth: the joint model on embeddings of a LoRA that both catalogues share, and of a small
one of each on top of it (``lm_finetuning.domains``), for known users.
"""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from catalogues import RESULTS, ROOT, Catalogue, Values, about, prepare, rounded, seconds_of, write
from cold_start import embed_frozen, lm_options
from scipy import sparse

from tailor import columns as c
from tailor.data.domains import domain_masks, local_ids
from tailor.data.interactions import keep_items
from tailor.evaluation.backtest import measure_users
from tailor.evaluation.new_to_domain import users_new_to
from tailor.evaluation.protocol import EvalProtocol
from tailor.lm.domain_adapters import pooled_by_domain, tune_domains
from tailor.lm.embeddings import embed_pooled
from tailor.lm.encoder import tokenise
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import Csr, FittedModel, Query
from tailor.models.listing import recommend
from tailor.models.registry import build

RESULT, STORE = RESULTS / "domains.json", ROOT / "data" / "bench" / "domains"
K, SEED, HIDDEN = 20, 0, 0.5
FIGURES = ("warm", "tail", "cold")
SPLIT = {"cold_items": 0.1, "new_users": 0.0, "pseudo_cold": 0.05}
#: Environment of the single catalogues where it is not called as the domain.
SINGLE = {"test-domains": "test"}
#: Adapters of domains that are tuned on top of a shared one.
ADAPTERS = {"rank": 4, "epochs": 2}
#: Their fits would take most of the time.
TRANSFORMERS = {"transformer": None, "sasrec": None}
TARGETS = {
    "*_warm_joint_to_single, *_cold_joint_to_single": ">= .99",
    "*_new_joint_to_popular": ">= 1.3",
    "*_new_joint_to_single": ">= 1.1",
}


def joint_catalogue(env: str) -> Catalogue:
    """Prepare the catalogues as one, with people who are new to one of them."""
    split = SPLIT | {"new_to_domain": HIDDEN}
    return prepare(env, SEED, data_processing={"split": split}, hybrid_cf={"sources": TRANSFORMERS})


def single_catalogue(joint: Catalogue, domain: str) -> Catalogue:
    """Prepare one of the catalogues alone, with the rows and the split that the joint one has of it."""
    rows, items = joint.data["interactions"], joint.items
    of_domain = rows[(rows[c.DOMAIN] == domain) & (rows[c.SPLIT] != c.NEW_USER)]
    columns = [name for name in rows if name != c.DOMAIN]
    own = local_ids(items[items[c.DOMAIN] == domain])
    added, users = {*c.ADDED_TO_ITEMS, c.DOMAIN}, joint.users.drop(columns=list(c.ADDED_TO_USERS))
    tables = {
        "raw_interactions": local_ids(of_domain)[columns],
        "raw_items": own[[name for name in own if name not in added]],
        "raw_users": users[users[c.USER].isin(of_domain[c.USER])],
    }
    tables = {name: table.reset_index(drop=True) for name, table in tables.items()}
    mapped = {
        "interactions": [{name: name} for name in columns],
        "items": [{name: name} for name in tables["raw_items"]],
        "users": [{name: name} for name in users],
    }
    params: dict[str, Any] = {
        "data_processing": {"columns": mapped, "split": SPLIT},
        "feature_engineering": {"user_text": {"template": []}},
        "hybrid_cf": {"sources": TRANSFORMERS},
    }
    return prepare(SINGLE.get(joint.env, domain), SEED, tables, **params)


def of_domain(rules: EvalProtocol, domain: str) -> EvalProtocol:
    """Return the rules of lists of one domain."""
    candidates = {name: rules.candidates_of(name, domain) for name in rules.candidates}
    return replace(rules, candidates=candidates, domains={})


def known_user_values(catalogue: Catalogue, model: FittedModel, rules: EvalProtocol) -> dict[str, Values]:
    """Return NDCG@K by figure and user id of who has rows in the catalogue before the test window."""
    candidates = rules.candidates[c.MIXED]
    users = np.flatnonzero(np.diff(keep_items(rules.histories.history, candidates).indptr) > 0)
    positives = sparse.csr_matrix(catalogue.matrix(c.TEST) + catalogue.matrix(c.COLD))
    values = measure_users(model, rules, positives, users, catalogue.items, K, SEED)
    ids = catalogue.users[c.USER].iloc[users]
    return {name: dict(zip(ids, values[name].tolist(), strict=True)) for name in FIGURES}


def new_user_values(
    catalogue: Catalogue, model: FittedModel, rules: EvalProtocol, users: np.ndarray, hidden: Csr, query: Query
) -> dict[str, float]:
    """Return NDCG@K by user id of lists of warm items for some users, against their hidden rows."""
    lists = recommend(model, query, rules.seen[users], {c.WARM: rules.candidates[c.WARM]}, K, catalogue.tie_rank)
    wanted = keep_items(sparse.csr_matrix(hidden[users]), rules.candidates[c.WARM])
    values = ndcg(hits(lists[c.WARM][0], wanted), np.diff(wanted.indptr), K)
    return dict(zip(catalogue.users[c.USER].iloc[users], values.tolist(), strict=True))


def joint_cell(env: str) -> dict[str, Any]:
    """Fit the joint model and measure each domain: known users, and those who are new to it."""
    catalogue, cell = joint_catalogue(env), {}
    seconds, scorer = seconds_of(lambda: catalogue.blended(embed_frozen(catalogue)))
    rules, hidden = catalogue.test_rules, catalogue.matrix(c.NEW_USER)
    data = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, scorer.item_features)
    popular = build("popular", {}, SEED).fit(data)
    for domain, users in users_new_to(rules, hidden, catalogue.users).items():
        own, query = of_domain(rules, domain), rules.histories.take(users)
        cell[domain] = {
            "known": known_user_values(catalogue, scorer, own),
            "new": new_user_values(catalogue, scorer, own, users, hidden, query),
            "new_popular": new_user_values(catalogue, popular, own, users, hidden, query),
        }
    return {"domains": cell, "fit_s": seconds}


def single_cell(env: str, domain: str) -> dict[str, Any]:
    """Fit the model of one catalogue and measure its known users, and the list that it has for nobody in particular."""
    joint = joint_catalogue(env)
    catalogue = single_catalogue(joint, domain)
    seconds, scorer = seconds_of(lambda: catalogue.blended(embed_frozen(catalogue)))
    nobody = Query.of(sparse.csr_matrix((1, len(catalogue.items)), dtype=np.float32))
    warm, tie = {c.WARM: ~catalogue.cold}, catalogue.tie_rank
    listed = recommend(scorer, nobody, nobody.history, warm, K, tie)[c.WARM][0][0]
    rows = joint.data["interactions"]
    own = local_ids(rows[(rows[c.SPLIT] == c.NEW_USER) & (rows[c.DOMAIN] == domain)])
    cold = set(catalogue.items.loc[catalogue.cold, c.ITEM])
    top, values = catalogue.items[c.ITEM].iloc[listed].tolist(), {}
    for user, taken in own.groupby(c.USER)[c.ITEM]:
        wanted = set(taken) - cold
        hit = np.array([[item in wanted for item in top]])
        values[str(user)] = float(ndcg(hit, np.array([len(wanted)]), K)[0])
    return {"known": known_user_values(catalogue, scorer, catalogue.test_rules), "new": values, "fit_s": seconds}


def tuned_cell(env: str, domains: dict[str, int] | None) -> dict[str, Any]:
    """Fit the joint model on tuned embeddings, with adapters of domains or none; measure the known users of each."""
    catalogue = joint_catalogue(env)
    options, masks = lm_options(catalogue, {"domains": domains}), domain_masks(catalogue.items)
    seconds, (adapter, _) = seconds_of(lambda: tune_domains(catalogue.training_data(), options, SEED, masks))
    tokens = tokenise(catalogue.data["item_text"][c.TEXT].tolist(), options.encoder)
    pooled = pooled_by_domain(adapter, tokens, options, masks)
    embedded = embed_pooled(pooled, catalogue.items, catalogue.trainable, options, {})
    scorer, rules = catalogue.blended(embedded.vectors), catalogue.test_rules
    values = {name: known_user_values(catalogue, scorer, of_domain(rules, name)) for name in masks}
    epochs = {name: part.provenance["epoch"] for name, part in adapter.domains.items()}
    return {"known": values, "epochs": epochs, "tuning_s": seconds}


def stored(name: str, commit: str, work: Any) -> dict[str, Any]:
    """Return what a cell gave before under this commit, else run it and keep it."""
    path: Path = STORE / f"{commit[:12]}-{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, work())
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def compared(
    name: str, ours: dict[str, float], other: dict[str, float], to: str, who: str = "joint"
) -> dict[str, float]:
    """Return both means, their ratio and its interval, over the users that both have."""
    users = sorted(ours.keys() & other.keys())
    first, second = (np.array([values[user] for user in users], dtype=float) for values in (ours, other))
    if not np.isfinite(first).any():
        return {}
    result = paired_bootstrap(first, second, seed=SEED)
    ratio = {"": result.ratio, "_low": result.ratio_low, "_high": result.ratio_high}
    means = {f"{name}_{who}": float(np.nanmean(first)), f"{name}_{to}": float(np.nanmean(second))}
    counts = {f"{name}_users": float(result.n_users)}
    return means | counts | {f"{name}_{who}_to_{to}{end}": value for end, value in ratio.items()}


def joint_over_single(env: str, commit: str) -> dict[str, float]:
    """Return figures of the joint model beside the single ones, and beside popularity for who is new to a catalogue."""
    joint = stored(f"{env}-joint", commit, lambda: joint_cell(env))
    figures: dict[str, float] = {"joint_fit_s": joint["fit_s"]}
    for domain, of_joint in joint["domains"].items():
        single = stored(f"{env}-{domain}", commit, lambda domain=domain: single_cell(env, domain))
        for figure in FIGURES:
            figures |= compared(f"{domain}_{figure}", of_joint["known"][figure], single["known"][figure], "single")
        figures |= compared(f"{domain}_new", of_joint["new"], of_joint["new_popular"], "popular")
        figures |= compared(f"{domain}_new", of_joint["new"], single["new"], "single")
        figures[f"{domain}_single_fit_s"] = single["fit_s"]
    return figures


def adapters_over_lora(env: str, commit: str) -> dict[str, float]:
    """Return figures of small adapters of each catalogue on a shared LoRA, beside the shared one alone."""
    shared, apart = (
        stored(f"{env}-{name}", commit, lambda domains=domains: tuned_cell(env, domains))
        for name, domains in (("lora", None), ("lora-domains", ADAPTERS))
    )
    figures: dict[str, float] = {"lora_tuning_s": shared["tuning_s"], "adapters_tuning_s": apart["tuning_s"]}
    for domain in shared["known"]:
        figures[f"{domain}_adapter_epoch"] = apart["epochs"].get(domain, 0)
        for figure in FIGURES:
            ours, theirs = (cell["known"][domain][figure] for cell in (apart, shared))
            figures |= compared(f"{domain}_{figure}", ours, theirs, "lora", "adapters")
    return figures


def main() -> None:
    """Run what is missing, compare, and write as each comparison is done."""
    logging.disable(logging.INFO)
    env = sys.argv[1] if len(sys.argv) > 1 else "amazon"
    head, headline = about(f"make bench-domains ENV={env}", [SEED]), dict[str, float]()
    for comparison in (joint_over_single, adapters_over_lora):
        headline |= comparison(env, head["commit"])
        result = head | {"targets": TARGETS, "headline": rounded(headline)}
        write(RESULT if env == "amazon" else RESULTS / f"domains-{env}.json", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
