"""`make bench-explanations`: do reasons add up, do they name what counts, where do they stand, and what do they cost?

MovieLens-100K, asked as `POST /recommend` with ``explain`` is: the hybrid at its operating point, on embeddings of the
frozen encoder, fitted on train, so that there are cold items. Three questions are asked of 1,000 answers of every kind:

* sum: sources and parts against the score that is shown, on every row;
* deletion: the history item that a row names first is left out, then a random other one of the same history; the first
  must cost the row's score more (Samek et al. 2017, "Evaluating the visualization of what a deep neural network has
  learned": a region is relevant if the score falls when it is taken away);
* coverage: rows that history items are named on, by what the history carries of the score.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from catalogues import RESULTS, Catalogue, about, prepare, rounded, write
from cold_start import embeddings, lm_options
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tailor import columns as c
from tailor.hybrid.sources import SOURCES
from tailor.metrics.significance import paired_bootstrap
from tailor.registry.encoders import package_encoders
from tailor.serving import answers
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings

SEED, K, N_ANSWERS, N_TIMED = 0, 20, 1000, 20
#: Least history of the deletion test; lengths of the histories that requests bring along.
LEAST, LENGTHS = 5, (1, 3, 5, 8, 12, 20, 40)
RESULT = RESULTS / "explanations.json"
TARGETS = {
    "sum_largest_miss": "<= 1e-4",
    "deletion_share": ">= 0.9",
    "named_of_history_rows": ">= 0.6: rows of which the history carries at least 0.3",
    "named_of_other_rows": "0: rows of which it carries less than 0.1",
    "explain_500_cpu_s": "<= 0.3",
}
WORDS = (
    "slow space opera, no romance",
    "something like Star Wars",
    "a comedy before 1960",
    "Western but not a musical",
    "a dark thriller about a lonely detective, less horror",
    "children animation",
)
#: A query of 500 characters.
LONG = (
    "I would like a quiet film about old friends who meet again after the war, with a good deal of humour and not too "
    "much violence, something like a long letter; the landscape should matter, the music should be sparse, and the end "
    "should not be a happy one. No horror, no musical, less romance than usual, and nothing for children. It may be "
    "old, before 1980 if there is one, black and white is fine, and it may well be slow as long as people talk to each "
    "other as people do and nobody has to save the world again."
)[:500]
Body = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One request as it is sent, and what came back."""

    kind: str
    body: Body
    answer: answers.ListAnswer

    @property
    def rows(self) -> list[answers.ItemAnswer]:
        """Rows that are explained."""
        return [row for row in self.answer.items if row.explanation is not None]


def build(catalogue: Catalogue) -> Recommender:
    """Return what is asked: the hybrid fitted on train, with the frozen encoder."""
    options = lm_options(catalogue, {"peft": {"peft_type": "FROZEN"}})
    frozen = embeddings(catalogue, None, options)
    encoders = package_encoders(catalogue.metadata, None, frozen.whitening, options.encoder, 1000, SEED)
    recommender = catalogue.recommender(
        catalogue.blended(frozen.vectors),
        catalogue.matrix(c.TRAIN),
        metadata=catalogue.metadata,
        encoder_of=encoders.encoder_of,
        student=encoders.student,
    )
    recommender.about["feature_encoders"] = catalogue.data["feature_encoders"]
    return recommender


def bodies(recommender: Recommender) -> Iterator[tuple[str, Body]]:
    """Yield kinds of requests without end, in turn; histories are those of random users, cut in time."""
    rng = np.random.default_rng(SEED)
    profiles = profile_values(recommender)
    cold = recommender.item_ids[~recommender.model.warm].tolist()  # type: ignore[attr-defined]

    def history() -> list[str]:
        row = recommender.histories.take(rng.integers(len(recommender.users), size=1)).order
        in_order = row.indices[np.argsort(row.data)]  # type: ignore[union-attr]
        return recommender.item_ids[in_order[: int(rng.choice(LENGTHS))]].tolist()

    def boosts() -> Body:
        return {name: round(float(rng.uniform(0, 1)), 2) for name in ("tail_boost", "cold_boost")}

    def profile() -> Body:
        return {name: values[rng.integers(len(values))] for name, values in profiles.items()}

    while True:
        words, debias = str(rng.choice(WORDS)), round(float(rng.uniform(0.1, 1)), 2)
        yield "nothing", {}
        yield "known_user", {"user_id": str(rng.choice(recommender.user_ids))}
        yield "history", {"history": history()}
        yield "history_latest_counts_most", {"history": history(), "half_life": 5.0}
        yield "words", {"query": words}
        yield "words_and_history", {"query": words, "history": history()}
        yield "boosts", {"history": history()} | boosts()
        yield "boosts_without_history", boosts()
        yield "profile", {"profile": profile()}
        yield "profile_words_and_history", {"profile": profile(), "query": words, "history": history()}
        yield "popularity_debias", {"history": history(), "popularity_debias": debias}
        yield "cold_items", {"history": history(), "candidates": cold}
        yield "everything", {"history": history(), "query": words, "popularity_debias": debias} | boosts()


def profile_values(recommender: Recommender) -> dict[str, list[Any]]:
    """Return what each column of profiles may say."""
    columns = recommender.side_feature_columns("profile")
    return {col.name: [18, 25, 33, 45, 60] if col.edges else list(col.values) for col in columns}


def ask(recommender: Recommender, body: Body) -> answers.ListAnswer:
    """Ask as ``POST /recommend`` does."""
    return answers.recommend((recommender, "1"), answers.RecommendBody(k=K, explain=True, **body))


def largest_miss(asked: list[Asked]) -> float:
    """Return by how much a row's sources and parts miss its score at most."""
    return max(abs(sum(_terms(row).values()) - row.score) for one in asked for row in one.rows)


def _terms(row: answers.ItemAnswer) -> dict[str, float]:
    explanation = row.explanation or {}
    return {**explanation["sources"], **{f"part {name}": part for name, part in explanation["parts"].items()}}


def history_part(row: answers.ItemAnswer) -> float:
    """Return the share of the positive terms of a score that is of sources that read the history."""
    positive = {name: term for name, term in _terms(row).items() if term > 0}
    of_history = sum(term for name, term in positive.items() if name in SOURCES and SOURCES[name].reads_history)
    return of_history / sum(positive.values()) if positive else 0.0


def coverage(asked: list[Asked]) -> dict[str, float]:
    """Return on what share of rows history items are named, where the history carries much and where little."""
    parts = np.array([history_part(row) for one in asked for row in one.rows])
    named = np.array(["because_of" in (row.explanation or {}) for one in asked for row in one.rows])
    return {
        "rows": float(len(parts)),
        "history_rows": float((parts >= 0.3).sum()),
        "named_of_history_rows": float(named[parts >= 0.3].mean()),
        "other_rows": float((parts < 0.1).sum()),
        "named_of_other_rows": float(named[parts < 0.1].mean()),
    }


def deletion(recommender: Recommender, asked: list[Asked]) -> dict[str, list[tuple[int, int]]]:
    """Leave out what rows name first, and a random other item of the same history.

    Returns:
        By kind, for each list the rows on which the first cost more, and the rows that were tried.
    """
    rng, costs = np.random.default_rng(SEED), defaultdict[str, list[tuple[int, int]]](list)
    for one in asked:
        history, left_out = one.body.get("history", []), list[tuple[answers.ItemAnswer, str]]()
        for row in one.rows if len(history) >= LEAST else []:
            first = (row.explanation or {}).get("because_of", {"items": [None]})["items"][0]
            # What the words name joins the history: it can be the cause, and cannot be left out.
            if first in history:
                left_out += [(row, first), (row, str(rng.choice([item for item in history if item != first])))]
        if left_out:
            scores = scores_without(recommender, one.body, left_out)
            costs[one.kind].append((int((scores[::2] < scores[1::2]).sum()), len(left_out) // 2))
    return costs


def share(of_lists: list[tuple[int, int]]) -> dict[str, float]:
    """Return the share of rows, its 95 % interval (lists are resampled: rows of one are alike), and their number."""
    hits, rows = np.array(of_lists, dtype=np.float64).T
    drawn = paired_bootstrap(hits, rows)
    return {"share": drawn.ratio, "low": drawn.ratio_low, "high": drawn.ratio_high, "rows": rows.sum()}


def scores_without(
    recommender: Recommender, body: Body, left_out: list[tuple[answers.ItemAnswer, str]]
) -> NDArray[np.float64]:
    """Return the scores of rows, each under a history that lacks one item (n,)."""
    given = {name: value for name, value in body.items() if name not in ("history", "candidates")}
    of_request = {name: value for name, value in given.items() if name in Request.model_fields}
    settings = Settings(**{name: value for name, value in given.items() if name in Settings.model_fields}, k=1)
    requests = [
        Request(**of_request, history=[h for h in body["history"] if h != item], candidates=[row.item_id])
        for row, item in left_out
    ]
    return np.array([answer.scores[0] for answer in recommender.recommend(requests, settings)])


def seconds(recommender: Recommender) -> dict[str, float]:
    """Return the median CPU seconds of answers with and without reasons; every query is another one."""
    figures, history = {}, recommender.item_ids[:10].tolist()
    for name, words in (("500", LONG), ("words", WORDS[0]), ("history", "")):
        for explain in (True, False):
            spent = []
            for number in range(N_TIMED):
                query = f"{number} {words}"[: len(words)] if words else ""
                body = answers.RecommendBody(k=K, explain=explain, query=query, history=history)
                started = time.process_time()
                answers.recommend((recommender, "1"), body)
                spent.append(time.process_time() - started)
            figures[f"{'explain' if explain else 'plain'}_{name}_cpu_s"] = median(spent)
    return figures


def measure(recommender: Recommender) -> dict[str, Any]:
    """Ask everything; return the headline, and the figures by kind."""
    spent, drawn = seconds(recommender), bodies(recommender)
    asked = [Asked(kind, body, ask(recommender, body)) for kind, body in (next(drawn) for _ in range(N_ANSWERS))]
    of_kinds = deletion(recommender, asked)
    every = share([of_list for lists in of_kinds.values() for of_list in lists])
    headline = {"answers": float(len(asked)), "sum_largest_miss": largest_miss(asked)}
    headline |= {f"deletion_{name}": value for name, value in every.items()} | coverage(asked) | spent
    by_kind = {kind: {"sum_largest_miss": largest_miss([one for one in asked if one.kind == kind])}
               for kind in dict.fromkeys(one.kind for one in asked)}  # fmt: skip
    for kind, lists in of_kinds.items():
        by_kind[kind] |= {f"deletion_{name}": value for name, value in share(lists).items()}
    return {"headline": rounded(headline, 6), "by_kind": {name: rounded(of, 6) for name, of in by_kind.items()}}


def main() -> None:
    """Measure, print and write."""
    logging.disable(logging.INFO)
    recommender = build(prepare("base", SEED))
    torch.set_num_threads(1)  # as the server does
    with threadpool_limits(1):
        made = measure(recommender)
    size = {"k": K, "answers": N_ANSWERS, "timed": N_TIMED, "least_history_of_deletion": LEAST}
    write(RESULT, made | {"targets": TARGETS, "size": size} | about("make bench-explanations", [SEED]))
    print(json.dumps(made["headline"], indent=2))


if __name__ == "__main__":
    main()
