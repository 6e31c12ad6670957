"""`make bench-peers ENV=…`: models of implicit, LensKit and RecTools beside Tailor's own, under one protocol.

Each library runs in an interpreter of its own and gets a folder of arrays (peers/exchange.py); its lists come back and
are measured here. Which models there are stands in peers/models.yml. Users are known ones, candidates warm items: what
every library can list. Options are chosen on validation by warm NDCG@20 (none of these models knows cold items, so the
pipeline's criterion has the same order), peers and own models alike, with all users in the fits. On test, fits are of
train rows, and histories hold the validation rows too; a library that scores a user as fitted cannot read these, so
there is a second figure with fits of train and validation rows.

Each model is written when it is done; what is there is not measured again unless its entry changed.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, about, prepare, rounded, seconds_of, write
from peer_entries import LIBRARIES, MODELS, Peer, chosen_peers, read_peers
from peer_lists import Answer, K, Side, by_peer
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import bucket_items, final_rows, keep_items
from tailor.errors import TailorError
from tailor.evaluation.measure import popularity_metadata
from tailor.metrics import Lists
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.exposure import catalog_coverage
from tailor.models.listing import recommend
from tailor.models.registry import build

SEED = 0
OWN = ("item_knn", "implicit_als", "ease")
RESULT = RESULTS / "peers.json"
TARGETS = {
    "*_same_lists": ">= .99: share of places that hold the same item as those of Tailor's model of the same options",
    "*_same_ndcg_difference": "<= .001: of warm NDCG@20",
}


def validation_side(catalogue: Catalogue) -> Side:
    """Return the side that options are chosen on, with every user in the fits."""
    holdout = catalogue.holdout()
    holdout = holdout.with_few_shot_users(holdout.few_shot_users[:0])
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    nothing = np.zeros((len(catalogue.items), 0), np.float32)
    warm = holdout.candidates & ~holdout.cold
    return Side(
        holdout.train_set(nothing),
        holdout.histories,
        holdout.seen,
        users,
        warm,
        holdout.validation,
        holdout.tail,
        catalogue.items,
        catalogue.tie_rank,
        catalogue.seed,
    )


def test_side(catalogue: Catalogue, fit_on: str) -> Side:
    """Return the side of the test, with fits of ``fit_on``: train, or train_and_validation."""
    rules, items = catalogue.test_rules, catalogue.items
    rows = final_rows(catalogue.matrix(c.TRAIN), catalogue.matrix(c.VALIDATION), items, fit_on)
    data = catalogue.train_set(rows, catalogue.warm, np.zeros((len(items), 0), np.float32))
    users = np.flatnonzero(catalogue.users[c.BUCKET] != "new")
    positives = sparse.csr_matrix(catalogue.matrix(c.TEST) + catalogue.matrix(c.COLD))
    warm, tail = rules.candidates[c.WARM], bucket_items(items, c.TAIL)
    ties, seed = catalogue.tie_rank, catalogue.seed
    return Side(data, rules.histories, rules.seen, users, warm, positives, tail, items, ties, seed)


def measure(side: Side, lists: np.ndarray) -> dict[str, float]:
    """Return warm NDCG@20, that of tail items in the same lists, and coverage of the candidates."""
    values = {}
    for name, items in ((c.WARM, side.candidates), (c.TAIL, side.tail)):
        positives = keep_items(side.positives[side.users], items & side.candidates)
        values[f"{name}_ndcg"] = float(np.nanmean(ndcg(hits(lists, positives), np.diff(positives.indptr), K)))
    shown = Lists.build(lists, popularity_metadata(side.items), candidates=side.candidates)
    return values | {"coverage": catalog_coverage(shown)}


def by_own(name: str, side: Side, option_sets: Sequence[dict[str, Any]]) -> list[Answer]:
    """Fit a model of Tailor with each option set, and list."""
    query, seen, candidates = side.query.take(side.users), side.seen[side.users], {c.WARM: side.candidates}

    def one(options: dict[str, Any]) -> Answer:
        recipe = build(name, options, side.seed)
        fit_s, model = seconds_of(lambda: recipe.fit(side.data))
        lists_s, lists = seconds_of(lambda: recommend(model, query, seen, candidates, K, side.tie_rank))
        filled = np.full((len(side.users), K), -1, np.int64)
        filled[:, : lists[c.WARM][0].shape[1]] = lists[c.WARM][0]
        return Answer(filled, fit_s, lists_s)

    return [one(options) for options in option_sets]


Ask = Callable[[Side, Sequence[dict[str, Any]]], list[Answer]]


def choose_and_test(ask: Ask, option_sets: Sequence[dict[str, Any]], sides: Mapping[str, Side]) -> dict[str, Any]:
    """Choose an option set on validation, and measure it on test with both fits."""
    tried = [
        measure(sides[c.VALIDATION], answer.lists)["warm_ndcg"] for answer in ask(sides[c.VALIDATION], option_sets)
    ]
    chosen = option_sets[int(np.argmax(tried))]
    (answer,) = ask(sides[c.TRAIN], [chosen])
    (later,) = ask(sides[c.TRAIN_AND_VALIDATION], [chosen])
    figures = measure(sides[c.TRAIN], answer.lists) | {"fit_s": answer.fit_s, "lists_s": answer.lists_s}
    figures["warm_ndcg_fit_on_all"] = measure(sides[c.TRAIN_AND_VALIDATION], later.lists)["warm_ndcg"]
    return {"figures": rounded(figures), "chosen": chosen, "validation_warm_ndcg": [round(value, 4) for value in tried]}


def agreement(peer: Peer, ask: Ask, side: Side) -> dict[str, float]:
    """Compare a peer's lists with those of Tailor's model of the same options."""
    same = peer.same_as
    if same is None:
        return {}
    (theirs,), (ours,) = ask(side, [same.peer_options]), by_own(same.model, side, [same.options])
    difference = abs(measure(side, theirs.lists)["warm_ndcg"] - measure(side, ours.lists)["warm_ndcg"])
    filled = (theirs.lists >= 0) | (ours.lists >= 0)
    return {"same_lists": float((theirs.lists == ours.lists)[filled].mean()), "same_ndcg_difference": difference}


def one_peer(peer: Peer, sides: Mapping[str, Side]) -> dict[str, Any]:
    """Measure a peer; return its figures, what was chosen, and which library this was."""
    versions = set[str]()

    def ask(side: Side, option_sets: Sequence[dict[str, Any]]) -> list[Answer]:
        answers, version = by_peer(peer, LIBRARIES[peer.library], side, option_sets)
        versions.add(version)
        return answers

    made = choose_and_test(ask, peer.options, sides)
    made["figures"] |= rounded(agreement(peer, ask, sides[c.TRAIN]), 6)
    return {"library": f"{peer.library} {', '.join(sorted(versions))}", "entry": peer.digest} | made


def one_own(name: str, catalogue: Catalogue, sides: Mapping[str, Side]) -> dict[str, Any]:
    """Measure a model of Tailor with the option sets of the environment."""
    option_sets = catalogue.hybrid_options.trials.get(name) or [{}]
    return {"library": "tailor"} | choose_and_test(lambda side, sets: by_own(name, side, sets), option_sets, sides)


def headline(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Put the figures of all catalogues and models into one mapping."""
    return {
        f"{catalogue}_{model}_{figure}": value
        for catalogue, models in results.items()
        for model, made in models.items()
        for figure, value in made["figures"].items()
    }


def measure_all(env: str, peers: Sequence[Peer]) -> None:
    """Measure Tailor's own models and the peers that are not done; each is written when it is done."""
    results = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else {}
    done = results.setdefault(NAMES.get(env, env), {})
    left = [peer for peer in peers if done.get(peer.name, {}).get("entry") != peer.digest]
    own = [name for name in OWN if name not in done]
    if not left and not own:
        return
    catalogue = prepare(env, SEED)
    sides = {c.VALIDATION: validation_side(catalogue)}
    sides |= {fit_on: test_side(catalogue, fit_on) for fit_on in (c.TRAIN, c.TRAIN_AND_VALIDATION)}
    for model in (*own, *left):
        name = model if isinstance(model, str) else model.name
        done[name] = one_own(model, catalogue, sides) if isinstance(model, str) else one_peer(model, sides)
        report = {"headline": headline(results), "targets": TARGETS, "size": {"k": K}, "results": results}
        write(RESULT, report | about("make bench-peers", [SEED]))
        print(name, json.dumps(done[name]), flush=True)


def main() -> None:
    """Measure the environment, and of its peers those named, on the command line."""
    env, *names = sys.argv[1:] or ["base"]
    try:
        measure_all(env, chosen_peers(read_peers(MODELS, LIBRARIES), names))
    except TailorError as exc:
        raise SystemExit(str(exc)) from None


if __name__ == "__main__":
    main()
