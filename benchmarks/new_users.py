"""`make bench-new-users`: how well, and how personally, users are served who have shown a few items.

New users of the split (they are in no fit, and in no choice) reveal n of their items in three ways
(`tailor.data.reveal`): the first in time, drawn ones, the latest before their last five. Lists are those of the hybrid
at its operating point, on embeddings of the frozen encoder; the other models fold the same items in. Every model has
the first option set of `hybrid_cf.trials`. A catalogue without times has drawn items only.
"""

import json
import sys
from itertools import pairwise

import numpy as np
from catalogues import NAMES, RESULTS, Catalogue, about, prepare, rounded, write
from cold_start import embed_frozen
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.interactions import bucket_items, keep_items
from tailor.data.reveal import REVEALS, Reveal, Revealed, reveal
from tailor.evaluation.protocol import NewUserProtocol
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.significance import paired_bootstrap
from tailor.models.base import FittedModel, Query
from tailor.models.listing import recommend
from tailor.models.registry import build

K, ENVIRONMENTS, SEEDS = 20, ("base", "ml1m", "anime"), (0, 1, 2)
LENGTHS, PAIRS, LONGEST = (1, 3, 5, 10), 200, 13
BASELINES = ("popular", "item_knn", "ease", "slit", "ials")
TARGETS = {
    "ml100k_random_3": ">= 0.55",
    "ml100k_latest_3": ">= 0.135",
    "ml100k_first_3_to_popular": ">= 0.98",
    "ml100k_distinct_3": ">= 120",
    "*_overlap_3": "<= 0.5",
    "ml1m_mean_to_best_baseline, anime_mean_to_best_baseline": ">= 1.10",
    "*_neighbours": ">= 0.45 between the lists of n and n + 1 items, n = 1 ... 12",
    "*_steadiness": ">= 0.8: the overlap at a step, to that of the steps beside it",
}
Lists = NDArray[np.int64]


class NewUsers:
    """The new users of a catalogue, cut in every way."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Take the new users, and draw which items they reveal at random."""
        data = catalogue.data
        matrices = (data["new_user_matrix"], data["reveal_order_matrix"])
        self.protocol = NewUserProtocol.build(catalogue.users, catalogue.items, *matrices, data["side_features"])
        self.catalogue = catalogue
        self.ordered = catalogue.holdout().knows_order
        self.warm = ~bucket_items(catalogue.items, c.COLD)
        self.tail = bucket_items(catalogue.items, c.TAIL)

    @property
    def hows(self) -> tuple[Reveal, ...]:
        """Ways of revealing that the catalogue knows."""
        return REVEALS if self.ordered else ("random",)

    def cut(self, how: Reveal, n: int) -> tuple[Revealed, NDArray[np.int64]]:
        """Return histories of n items, and who has something left."""
        cut = reveal(self.protocol.order, n, how, self.catalogue.seed)
        return cut, np.flatnonzero(np.diff(cut.hidden.indptr) > 0)

    def lists(self, model: FittedModel, cut: Revealed, rows: NDArray[np.int64]) -> Lists:
        """Return the K first warm items for each user."""
        known = sparse.csr_matrix(cut.known[rows])
        query = Query.of(
            known,
            known if self.ordered else None,
            profile=self.protocol.profiles[rows],
            user_index=self.protocol.users[rows],
        )
        seen = sparse.csr_matrix(cut.seen[rows])
        made = recommend(model, query, seen, {c.WARM: self.warm}, K, self.catalogue.tie_rank)
        return np.asarray(made[c.WARM][0])

    def accuracy(self, lists: Lists, cut: Revealed, rows: NDArray[np.int64], tail: bool = False) -> NDArray[np.float64]:
        """Return NDCG per user; ``tail``: tail items alone count."""
        wanted = sparse.csr_matrix(cut.hidden[rows])
        wanted = keep_items(wanted, self.tail) if tail else wanted
        return ndcg(hits(lists, wanted), np.diff(wanted.indptr), K)


def overlap(a: Lists, b: Lists) -> NDArray[np.float64]:
    """Return the share of each list of a (N, K) that stands on the same row of b."""
    return np.array([len(np.intersect1d(left, right)) / K for left, right in zip(a, b, strict=True)])


def of_two_people(lists: Lists, seed: int) -> float:
    """Return the mean overlap of the lists of two people, over random pairs."""
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.choice(len(lists), 2, replace=False) for _ in range(PAIRS)])
    return float(overlap(lists[pairs[:, 0]], lists[pairs[:, 1]]).mean())


def one_run(env: str, seed: int) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """Measure one catalogue under one seed; return figures, and the mean over ways and lengths for each user."""
    catalogue = prepare(env, seed)
    vectors = embed_frozen(catalogue)
    users = NewUsers(catalogue)
    data = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors)
    models: dict[str, FittedModel] = {"hybrid": catalogue.blended(vectors)}
    trials = catalogue.hybrid_options.trials
    for name in BASELINES:
        if name != "slit" or users.ordered:
            models[name] = build(name, trials.get(name, [{}])[0], seed).fit(data)
    figures: dict[str, float] = {}
    per_user: dict[str, list[NDArray[np.float64]]] = {name: [] for name in models}
    n_users = len(users.protocol.users)
    for how in users.hows:
        for n in LENGTHS:
            cut, rows = users.cut(how, n)
            for name, model in models.items():
                lists = users.lists(model, cut, rows)
                values = np.full(n_users, np.nan)
                values[rows] = users.accuracy(lists, cut, rows)
                per_user[name].append(values)
                figures[f"{name}_{how}_{n}"] = float(np.nanmean(values))
                if name == "hybrid":
                    figures[f"tail_{how}_{n}"] = float(np.nanmean(users.accuracy(lists, cut, rows, tail=True)))
                    figures[f"distinct_{how}_{n}"] = float(len(np.unique(lists[lists >= 0])))
                    figures[f"overlap_{how}_{n}"] = of_two_people(lists, seed)
    figures |= steps(users, models["hybrid"])
    return figures, {name: np.nanmean(values, axis=0) for name, values in per_user.items()}


def steps(users: NewUsers, hybrid: FittedModel) -> dict[str, float]:
    """Return the least overlap of a user's lists after n and n + 1 items, and the least to that of the steps beside."""
    cuts = [users.cut(users.hows[0], n) for n in range(1, LONGEST + 1)]
    rows = cuts[-1][1]
    lists = [users.lists(hybrid, cut, rows) for cut, _ in cuts]
    means = np.array([overlap(a, b).mean() for a, b in pairwise(lists)])
    beside = [np.mean([means[i] for i in (place - 1, place + 1) if 0 <= i < len(means)]) for place in range(len(means))]
    return {"neighbours": float(means.min()), "steadiness": float((means / np.array(beside)).min())}


def one_catalogue(env: str, seeds: tuple[int, ...]) -> dict[str, float]:
    """Return the headline figures of a catalogue: means over the seeds, intervals over the users of all."""
    runs = [one_run(env, seed) for seed in seeds]
    mean = {key: float(np.mean([figures[key] for figures, _ in runs])) for key in runs[0][0]}
    names = [name for name in runs[0][1] if name != "hybrid"]
    users = {name: np.concatenate([per_user[name] for _, per_user in runs]) for name in runs[0][1]}
    best = max(names, key=lambda name: float(np.nanmean(users[name])))
    compared = paired_bootstrap(users["hybrid"], users[best])
    base = float(np.nanmean(users[best]))
    hows = sorted({key.split("_")[1] for key in mean if key.startswith("hybrid_")})
    result = {f"{how}_{n}": mean[f"hybrid_{how}_{n}"] for how in hows for n in LENGTHS}
    result |= {
        f"{how}_{n}_to_popular": mean[f"hybrid_{how}_{n}"] / mean[f"popular_{how}_{n}"] for how in hows for n in LENGTHS
    }
    result |= {key: value for key, value in mean.items() if key.startswith("tail_")}
    result |= {f"distinct_{n}": min(mean[f"distinct_{how}_{n}"] for how in hows) for n in LENGTHS}
    result |= {f"overlap_{n}": max(mean[f"overlap_{how}_{n}"] for how in hows) for n in LENGTHS}
    result |= {"neighbours": mean["neighbours"], "steadiness": mean["steadiness"]}
    result |= {
        "mean": float(np.nanmean(users["hybrid"])),
        f"mean_of_{best}": base,
        "mean_to_best_baseline": float(np.nanmean(users["hybrid"])) / base,
        "mean_to_best_baseline_low": 1 + compared.low / base,
        "mean_to_best_baseline_high": 1 + compared.high / base,
    }
    return {f"{NAMES[env]}_{key}": value for key, value in rounded(result).items()}


def main() -> None:
    """Measure every catalogue, or those named on the command line; write as each is done."""
    path = RESULTS / "new_users.json"
    earlier = json.loads(path.read_text()) if path.is_file() and sys.argv[1:] else {}
    headline, commits = earlier.get("headline", {}), earlier.get("commits", {})
    for env in sys.argv[1:] or ENVIRONMENTS:
        headline |= one_catalogue(env, SEEDS)
        made = about("make bench-new-users", list(SEEDS))
        commits |= {NAMES[env]: made["commit"]}
        write(path, {"headline": headline, "targets": TARGETS, "size": {"k": K}, "commits": commits} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
