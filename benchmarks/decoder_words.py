"""`python benchmarks/decoder_words.py`: do base models tell what wishes mean, by cosines with descriptions?

English wishes for one category of MovieLens-100K, without exclusions; the share whose category is first among the
descriptions of conf/base. For MiniLM and SmolLM2, as they are, and with the mean of the descriptions taken off.
SmolLM2 is read with the package gguf: ``make .gguf/built`` first, and ``PYTHONPATH=.gguf``.
"""

import json
import logging
from typing import Any

import numpy as np
import yaml
from catalogues import RESULTS, ROOT, about, prepare, rounded, write
from cold_start import lm_options

from tailor.lm.text_encoder import TextEncoder
from tailor.lm.whitening import Whitening

SEED = 0
#: Environments by base model.
BASE_MODELS = {"minilm": "base", "smollm2": "decoder"}


def wishes() -> list[dict[str, Any]]:
    """Return the English queries for one category, without exclusions."""
    rows = yaml.safe_load((ROOT / "benchmarks" / "wishes" / "movielens.yaml").read_text())
    rows = [row for row in rows if row["language"] == "en" and len(row.get("wanted", [])) == 1]
    return [row for row in rows if not row.get("excluded")]


def shares(env: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the shares of an environment's base model, and the mean cosine of queries with descriptions."""
    catalogue = prepare(env, SEED)
    descriptions = catalogue.params["feature_engineering"]["text"]["categories"]["descriptions"]
    encoder = TextEncoder.merge(None, Whitening(np.zeros(1, np.float32)), lm_options(catalogue, {}).encoder)
    known, asked = encoder.encode(list(descriptions.values())), encoder.encode([row["text"] for row in rows])
    right = np.array([list(descriptions).index(row["wanted"][0]) for row in rows])
    figures = {"mean_cosine": float((asked @ known.T).mean())}
    for name, centre in (("first", np.zeros_like(known[0])), ("first_centred", known.mean(axis=0))):
        cosines = (asked - centre) @ (known - centre).T / np.linalg.norm(known - centre, axis=1)
        figures[name] = float((cosines.argmax(axis=1) == right).mean())
    return figures


def main() -> None:
    """Measure both base models and write."""
    logging.disable(logging.INFO)
    made, rows = about("python benchmarks/decoder_words.py", [SEED]), wishes()
    figures = {"queries": float(len(rows))}
    for model, env in BASE_MODELS.items():
        figures |= {f"{model}_{name}": value for name, value in shares(env, rows).items()}
    headline = rounded(figures)
    write(RESULTS / "decoder_words.json", {"headline": headline, "targets": {}} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
